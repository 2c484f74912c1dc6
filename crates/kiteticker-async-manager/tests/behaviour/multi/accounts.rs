//! A failing account does not affect the others.

use kite_sim::{Fault, Sim, universe};
use kiteticker_async_manager::kite_conn::{Phase, TokenSource};
use kiteticker_async_manager::{ApiKeyId, MultiApiKiteTickerManager, TickerMessage, kite_wire};

use super::{ACCOUNTS, Tagged, held_by, manager, quiet_sim, receive_until, start, up_to_marks};
use crate::rig::{Tally, add_ticks, all_in, held, mark, until, within};

fn is_of(account: &str) -> impl Fn(&Tagged) -> bool {
    move |(api, _)| *api == ApiKeyId::from(account)
}

/// Waits until all connections of an account are in `phase`.
async fn until_phase(manager: &MultiApiKiteTickerManager, account: &str, phase: Phase) {
    let mut events = manager.typed().events();
    let holds = || {
        let connections = manager.typed().snapshot().connections;
        let mut its = connections.iter().filter(|one| one.account.as_str() == account);
        its.all(|one| one.phase == phase)
    };
    within(format!("{account} to be {phase:?}"), async {
        while !holds() {
            events.recv().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_revoked_token_of_one_account_does_not_affect_the_other() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 2).build();
    let mut channel = manager.get_unified_channel();
    let tokens = universe(60);
    manager.subscribe_symbols(&tokens, None).await.unwrap();
    start(&mut manager).await;
    let modes = all_in(kite_wire::Mode::Quote, &tokens);
    until(&sim, "the subscriptions", |sim| held(sim) == modes).await;

    sim.revoke_token("second_key");
    assert_eq!(sim.inject("second_key", Fault::Reset { at: 0 }), 3);
    until_phase(&manager, "second", Phase::Parked).await;
    let parked = |(api, message): &Tagged| {
        let is_parked = matches!(message, TickerMessage::Error(text) if text.contains("parked"));
        assert!(!is_parked || api.0 == "second");
        is_parked
    };
    let messages = receive_until(&mut channel, "three parked connections", 3, parked).await;
    for (api, message) in &messages {
        assert!(!matches!(message, TickerMessage::Error(_)) || api.0 == "second", "{message:?}");
    }
    let stats = manager.get_stats().await;
    let [first, second] = &stats.per_api_stats[..] else { panic!("{stats:?}") };
    assert_eq!((first.active_connections, first.total_errors), (3, 0));
    assert_eq!((second.active_connections, second.total_symbols), (0, 30));
    // One loss and one refusal per connection.
    assert_eq!((second.total_errors, stats.total_errors), (6, 6));
    assert_eq!(stats.total_connections, 3);

    let (first, second) = (held_by(&manager, "first"), held_by(&manager, "second"));
    sim.tick_now(&first);
    mark(&sim);
    let messages = up_to_marks(&mut channel, 3).await;
    assert!(messages.iter().all(is_of("first")));
    let mut received = Tally::new();
    messages.iter().for_each(|(_, it)| add_ticks(&mut received, std::slice::from_ref(it)));
    assert!(received.keys().eq(&first), "the first account keeps streaming");

    sim.set_access_token("second_key", "new_token");
    manager.set_access_token("second", "new_token").unwrap();
    until(&sim, "the subscriptions", |sim| held(sim) == modes).await;
    let has_all = |messages: &[Tagged]| {
        let mut received = Tally::new();
        messages.iter().for_each(|(_, it)| add_ticks(&mut received, std::slice::from_ref(it)));
        received.keys().eq(&second)
    };
    let is_up = |it: &Tagged| matches!(&it.1, TickerMessage::Message(it) if it["state"] == "up");
    receive_until(&mut channel, "three connections", 3, is_up).await;
    within("the pause", sim.pause()).await;
    sim.tick_now(&second);
    mark(&sim);
    assert!(has_all(&up_to_marks(&mut channel, 6).await), "the second account streams again");
    let error = manager.set_access_token("third", "token").unwrap_err();
    assert_eq!(error, "set access token: no account is named third");
}

#[tokio::test]
async fn start_succeeds_with_one_account_refused_and_a_new_token_connects_it() {
    let sim = quiet_sim().await;
    sim.revoke_token("first_key");
    let mut manager = manager(&sim, 2).build();
    start(&mut manager).await;
    let stats = manager.get_stats().await;
    let active: Vec<usize> = stats.per_api_stats.iter().map(|it| it.active_connections).collect();
    assert_eq!(active, [0, 3]);
    sim.set_access_token("first_key", "new_token");
    manager.set_access_token("first", "new_token").unwrap();
    until_phase(&manager, "first", Phase::Live).await;
    assert_eq!(manager.get_stats().await.total_connections, 6);
}

#[tokio::test]
async fn with_all_accounts_refused_start_fails_immediately_and_leaves_no_socket() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim, 2).build();
    for (_, key, _) in ACCOUNTS {
        sim.revoke_token(key);
    }
    let error = within("the refusal", manager.start()).await.unwrap_err();
    assert!(error.starts_with("start: no connection could be opened; 6 tried"), "{error}");
    assert_eq!(sim.stats().connections_open, 0);
    for (_, key, token) in ACCOUNTS {
        sim.set_access_token(key, token);
    }
    start(&mut manager).await;
}

#[tokio::test]
async fn one_token_source_serves_all_accounts_by_their_api_keys() {
    let sim: Sim = quiet_sim().await;
    for (name, key, _) in ACCOUNTS {
        sim.set_access_token(key, format!("new token of {name}"));
    }
    let source = TokenSource::new(|request| async move {
        let its = ACCOUNTS.iter().find(|(_, key, _)| *key == request.current.api_key());
        let (name, ..) = its.ok_or_else(|| std::io::Error::other("unknown api_key"))?;
        Ok::<_, std::io::Error>(request.current.with_access_token(format!("new token of {name}")))
    });
    let mut manager = manager(&sim, 3).token_source(source).build();
    start(&mut manager).await;
    for (account, ..) in ACCOUNTS {
        until_phase(&manager, account, Phase::Live).await;
    }
}
