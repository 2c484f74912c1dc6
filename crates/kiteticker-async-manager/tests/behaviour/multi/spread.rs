//! The distribution of instruments across accounts.

use kite_sim::universe;
use kiteticker_async_manager::{DistributionStrategy, Mode, kite_wire};

use super::{held_by, manager, quiet_sim, start};
use crate::rig::{all_in, held, until};

#[tokio::test]
async fn round_robin_spreads_over_the_accounts_and_skips_what_any_of_them_has_subscribed() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 3).build();
    let tokens = universe(90);
    manager.subscribe_symbols_to_api("second", &tokens[..3], Some(Mode::Full)).await.unwrap();
    manager.subscribe_symbols(&tokens, Some(Mode::LTP)).await.unwrap();
    manager.subscribe_symbols(&tokens, Some(Mode::Quote)).await.unwrap();
    let shares = ["first", "second", "third"].map(|account| held_by(&manager, account));
    assert!(shares.iter().all(|share| share.len() == 30), "{shares:?}");
    assert!(tokens[..3].iter().all(|token| shares[1].contains(token)));
    for connections in manager.get_symbol_distribution().values() {
        assert!(connections.values().all(|instruments| instruments.len() == 10));
    }

    start(&mut manager).await;
    let mut modes = all_in(kite_wire::Mode::Ltp, &tokens);
    modes.extend(all_in(kite_wire::Mode::Full, &tokens[..3]));
    until(&sim, "the subscriptions", |sim| held(sim) == modes).await;
    // These apply to all accounts.
    manager.change_mode(&tokens, Mode::Quote).await.unwrap();
    manager.unsubscribe_symbols(&tokens[45..]).await.unwrap();
    let modes = all_in(kite_wire::Mode::Quote, &tokens[..45]);
    until(&sim, "the changes", |sim| held(sim) == modes).await;
    assert_eq!(manager.get_stats().await.total_symbols, 45);
}

#[tokio::test]
async fn subscribing_without_a_mode_uses_the_default_mode() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 2).default_mode(Mode::Full).build();
    manager.subscribe_symbols(&[256_265], None).await.unwrap();
    manager.subscribe_symbols_to_api("second", &[408_065], None).await.unwrap();
    start(&mut manager).await;
    let modes = all_in(kite_wire::Mode::Full, &[256_265, 408_065]);
    until(&sim, "the subscriptions", |sim| held(sim) == modes).await;
}

#[tokio::test]
async fn with_the_manual_strategy_each_subscription_names_its_account() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 2).distribution_strategy(DistributionStrategy::Manual).build();
    let error = manager.subscribe_symbols(&[256_265], None).await.unwrap_err();
    assert!(error.starts_with("subscribe: ") && error.contains("Manual"), "{error}");
    assert!(error.contains("subscribe_symbols_to_api"), "{error}");
    assert_eq!(manager.get_stats().await.total_symbols, 0);

    let mut tokens = universe(5);
    tokens.sort_unstable();
    manager.subscribe_symbols_to_api("second", &tokens, None).await.unwrap();
    assert!(held_by(&manager, "first").is_empty());
    assert_eq!(held_by(&manager, "second"), tokens);
    assert_eq!(manager.get_api_stats("second").await.unwrap().total_symbols, 5);
    assert_eq!(manager.get_api_stats("first").await.unwrap().total_symbols, 0);
}

#[tokio::test]
async fn two_accounts_can_subscribe_to_the_same_instrument() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 2).build();
    for account in ["first", "second"] {
        manager.subscribe_symbols_to_api(account, &[408_065], None).await.unwrap();
    }
    start(&mut manager).await;
    let both = |sim: &kite_sim::Sim| {
        sim.subscriptions().iter().filter(|socket| socket.contains_key(&408_065)).count() == 2
    };
    until(&sim, "both subscriptions", both).await;
    assert_eq!(manager.get_stats().await.total_symbols, 2);
}

#[tokio::test]
async fn a_request_beyond_the_free_capacity_changes_nothing() {
    let sim = quiet_sim().await;
    let mut manager =
        manager(&sim, 2).max_connections_per_api(2).max_symbols_per_connection(3).build();
    let tokens = universe(14);
    manager.subscribe_symbols(&tokens[..5], None).await.unwrap();
    let before = manager.get_symbol_distribution();
    let error = manager.subscribe_symbols(&tokens[..13], None).await.unwrap_err();
    assert!(error.starts_with("subscribe: 8 more instruments requested, 7 free on 4"), "{error}");
    let error = manager.subscribe_symbols_to_api("first", &tokens, None).await.unwrap_err();
    assert!(error.starts_with("subscribe: ") && error.contains("3 free on 2"), "{error}");
    let error = manager.subscribe_symbols_to_api("unknown", &tokens[..1], None).await.unwrap_err();
    assert_eq!(error, "subscribe: no account is named unknown");
    assert_eq!(manager.get_symbol_distribution(), before);

    start(&mut manager).await;
    let modes = all_in(kite_wire::Mode::Quote, &tokens[..5]);
    until(&sim, "the five", |sim| held(sim) == modes).await;
    let error = manager.subscribe_symbols(&tokens[5..13], None).await.unwrap_err();
    assert!(error.contains("8 more instruments requested, 7 free"), "{error}");
    manager.subscribe_symbols(&tokens[5..12], None).await.unwrap();
    let modes = all_in(kite_wire::Mode::Quote, &tokens[..12]);
    until(&sim, "the twelve", |sim| held(sim) == modes).await;
}
