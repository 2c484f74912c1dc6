//! Subscriptions: their distribution, modes and limits.

use std::collections::{BTreeMap, BTreeSet};

use kite_sim::{Sim, universe};
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{KiteTickerManager, Mode};

use crate::rig::{
    Tally, add_ticks, all_in, held, manager, mark, only_channel, quiet_sim, settle, start,
    ticks_of, until, up_to_mark, within,
};

fn shares(manager: &KiteTickerManager) -> Vec<usize> {
    let distribution = manager.get_symbol_distribution();
    let mut shares: Vec<_> = distribution.values().map(Vec::len).collect();
    shares.sort_unstable();
    shares
}

/// Checks that an error names how many instruments were requested and how many are free.
#[track_caller]
fn assert_names(error: &str, requested: usize, free: usize) {
    let has = |number: usize| error.split(' ').any(|word| word == number.to_string());
    assert!(has(requested) && has(free), "{requested} or {free} is not in: {error}");
}

#[tokio::test]
async fn instruments_are_balanced_to_within_one() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    start(&mut manager).await;
    // No indices, because their packets are smaller, and load is what is balanced.
    let is_no_index = |token: &u32| token & 0xff != 9;
    let tokens: Vec<u32> = universe(1_500).into_iter().filter(is_no_index).take(1_000).collect();
    manager.subscribe_symbols(&tokens[..1], None).await.unwrap();
    assert_eq!(shares(&manager), [0, 0, 1]);
    manager.subscribe_symbols(&tokens[1..8], None).await.unwrap();
    assert_eq!(shares(&manager), [2, 3, 3]);
    manager.subscribe_symbols(&tokens[8..], None).await.unwrap();
    assert_eq!(shares(&manager), [333, 333, 334]);

    let distribution = manager.get_symbol_distribution();
    let all: BTreeSet<u32> = distribution.values().flatten().copied().collect();
    assert_eq!(all, tokens.iter().copied().collect());
    // The manager's distribution matches the server's.
    settle(&sim, &all_in(kite_wire::Mode::Quote, &tokens)).await;
    let mut on_server: Vec<Vec<u32>> =
        sim.subscriptions().into_iter().map(|socket| socket.into_keys().collect()).collect();
    let mut reported: Vec<Vec<u32>> = distribution.into_values().collect();
    on_server.sort_unstable();
    reported.sort_unstable();
    assert_eq!(on_server, reported);
}

#[tokio::test]
async fn a_request_beyond_the_free_capacity_is_rejected_as_a_whole() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(2).max_symbols_per_connection(5).build();
    start(&mut manager).await;
    let tokens = universe(40);
    manager.subscribe_symbols(&tokens[..7], Some(Mode::Full)).await.unwrap();
    let before = manager.get_symbol_distribution();

    // Five are new, two are already subscribed.
    let error = manager.subscribe_symbols(&tokens[5..12], None).await.unwrap_err();
    assert_names(&error, 5, 3);
    let error = manager.subscribe_symbols(&tokens[7..40], None).await.unwrap_err();
    assert_names(&error, 33, 3);
    assert_eq!(manager.get_symbol_distribution(), before);
    assert_eq!(manager.get_stats().await.unwrap().total_symbols, 7);

    // Exactly the free capacity can be used, and no more.
    manager.subscribe_symbols(&tokens[5..10], None).await.unwrap();
    assert_eq!(shares(&manager), [5, 5]);
    let error = manager.subscribe_symbols(&tokens[10..11], None).await.unwrap_err();
    assert_names(&error, 1, 0);
    let mut modes = all_in(kite_wire::Mode::Full, &tokens[..7]);
    modes.extend(all_in(kite_wire::Mode::Quote, &tokens[7..10]));
    settle(&sim, &modes).await;
    assert_eq!(sim.stats().texts_sent, 0, "the server rejected something");
}

#[tokio::test]
async fn more_than_9000_instruments_are_rejected_before_the_start_too() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let tokens = universe(9_001);
    let error = manager.subscribe_symbols(&tokens, None).await.unwrap_err();
    assert_names(&error, 9_001, 9_000);
    assert_eq!(shares(&manager), [0, 0, 0]);
    manager.subscribe_symbols(&tokens[..9_000], None).await.unwrap();
    assert_eq!(shares(&manager), [3_000; 3]);
}

#[tokio::test]
async fn a_full_connection_swaps_instruments_without_a_rejection_by_the_server() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).build();
    start(&mut manager).await;
    let tokens = universe(3_500);
    manager.subscribe_symbols(&tokens[..3_000], Some(Mode::LTP)).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Ltp, &tokens[..3_000])).await;
    manager.unsubscribe_symbols(&tokens[..500]).await.unwrap();
    manager.subscribe_symbols(&tokens[3_000..], Some(Mode::LTP)).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Ltp, &tokens[500..])).await;
    assert_eq!(sim.stats().texts_sent, 0, "the server rejected something");
}

#[tokio::test]
async fn duplicates_known_and_unknown_instruments_and_empty_lists_are_accepted() {
    let unknown = 1_000_001;
    let builder = Sim::builder().updates_per_second(0.0).no_heartbeats().greet(false);
    let sim = builder.unknown_token(unknown).start().await.unwrap();
    let mut manager = manager(&sim).max_connections(1).build();
    let mut channel = only_channel(&mut manager);
    start(&mut manager).await;

    let (a, b, c) = (408_065, 884_737, 738_561);
    manager.subscribe_symbols(&[], None).await.unwrap();
    manager.unsubscribe_symbols(&[]).await.unwrap();
    manager.change_mode(&[], Mode::Full).await.unwrap();
    manager.subscribe_symbols(&[a, b, a, a, b, unknown], Some(Mode::Quote)).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Quote, &[a, b])).await;
    // An instrument already subscribed is skipped and keeps its mode; `change_mode` changes it.
    manager.subscribe_symbols(&[a, a, c], Some(Mode::Full)).await.unwrap();
    manager.unsubscribe_symbols(&[5_633, 5_633, 4_294_967_295]).await.unwrap();
    let mut modes = all_in(kite_wire::Mode::Quote, &[a, b]);
    modes.insert(c, kite_wire::Mode::Full);
    settle(&sim, &modes).await;
    assert_eq!(manager.get_symbol_distribution().values().flatten().count(), 4);

    sim.tick_now(&[a, b, c, unknown]);
    within("the pause", sim.pause()).await;
    mark(&sim);
    let messages = up_to_mark(&mut channel).await;
    let mut received = Tally::new();
    add_ticks(&mut received, &messages);
    assert_eq!(received, sim.sent());
    // A snapshot and an update each; for the full one also the quote snapshot of its subscribe.
    let counts = received.iter().map(|(&token, sum)| (token, sum.ticks));
    assert_eq!(counts.collect::<BTreeMap<_, _>>(), BTreeMap::from([(a, 2), (b, 2), (c, 3)]));

    manager.unsubscribe_symbols(&[a, b, b, c, unknown]).await.unwrap();
    settle(&sim, &BTreeMap::new()).await;
    assert!(manager.get_symbol_distribution().values().all(Vec::is_empty));
}

#[tokio::test]
async fn unsubscribing_all_and_subscribing_again_causes_no_duplicates() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let mut channels = manager.get_all_channels();
    start(&mut manager).await;
    let tokens = universe(300);
    let modes = all_in(kite_wire::Mode::Quote, &tokens);
    manager.subscribe_symbols(&tokens, None).await.unwrap();
    settle(&sim, &modes).await;
    manager.unsubscribe_symbols(&tokens).await.unwrap();
    settle(&sim, &BTreeMap::new()).await;
    sim.tick_now(&tokens);
    manager.subscribe_symbols(&tokens, None).await.unwrap();
    settle(&sim, &modes).await;
    // Immediately, without waiting in between.
    manager.unsubscribe_symbols(&tokens).await.unwrap();
    manager.subscribe_symbols(&tokens, None).await.unwrap();
    settle(&sim, &modes).await;
    sim.tick_now(&tokens);
    within("the pause", sim.pause()).await;
    mark(&sim);

    let mut received = Tally::new();
    for (_, channel) in &mut channels {
        add_ticks(&mut received, &up_to_mark(channel).await);
    }
    assert_eq!(received.len(), 300);
    assert!(received == sim.sent());

    // One update of each instrument is received once.
    sim.tick_now(&tokens);
    within("the pause", sim.pause()).await;
    mark(&sim);
    let mut updates = Vec::new();
    for (_, channel) in &mut channels {
        updates.extend(ticks_of(&up_to_mark(channel).await));
    }
    let distinct: BTreeSet<u32> = updates.iter().map(|tick| tick.instrument_token).collect();
    assert_eq!((updates.len(), distinct.len()), (300, 300));
}

#[tokio::test]
async fn a_mode_change_takes_effect_within_one_update_and_only_for_its_instruments() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).build();
    let mut channel = only_channel(&mut manager);
    start(&mut manager).await;
    let (changed, other, stranger) = (408_065, 884_737, 738_561);
    manager.subscribe_symbols(&[changed, other], Some(Mode::LTP)).await.unwrap();
    let mut modes = all_in(kite_wire::Mode::Ltp, &[changed, other]);
    settle(&sim, &modes).await;
    mark(&sim);
    up_to_mark(&mut channel).await;

    for mode in [Mode::Full, Mode::Quote, Mode::LTP, Mode::Full] {
        manager.change_mode(&[stranger, changed, changed], mode).await.unwrap();
        modes.insert(changed, mode.into());
        settle(&sim, &modes).await;
        sim.tick_now(&[changed, other, stranger]);
        within("the pause", sim.pause()).await;
        mark(&sim);
        let ticks = ticks_of(&up_to_mark(&mut channel).await);
        let of = |token| ticks.iter().filter(move |tick| tick.instrument_token == token);
        assert!(of(changed).count() >= 1 && of(changed).all(|tick| tick.content.mode == mode));
        let other_modes: Vec<_> = of(other).map(|tick| tick.content.mode).collect();
        assert_eq!(other_modes, [Mode::LTP]);
        assert_eq!(of(stranger).count(), 0);
    }
    let depth = manager.get_symbol_distribution();
    assert_eq!(depth.values().flatten().count(), 2);
}

#[tokio::test]
async fn subscribing_without_a_mode_uses_the_default_mode() {
    for default_mode in [Mode::LTP, Mode::Quote, Mode::Full] {
        let sim = quiet_sim().await;
        let builder = manager(&sim).default_mode(default_mode);
        let mut manager = builder.build();
        start(&mut manager).await;
        manager.subscribe_symbols(&[408_065], None).await.unwrap();
        manager.subscribe_symbols(&[884_737], Some(Mode::Quote)).await.unwrap();
        let modes =
            BTreeMap::from([(408_065, default_mode.into()), (884_737, kite_wire::Mode::Quote)]);
        settle(&sim, &modes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_during_updates_end_in_the_last_requested_state() {
    let sim = Sim::builder().updates_per_second(20.0).start().await.unwrap();
    let mut manager = manager(&sim).build();
    start(&mut manager).await;
    let tokens = universe(600);
    let mut modes = BTreeMap::new();
    for round in 0..12 {
        let share = &tokens[round * 50..round * 50 + 50];
        manager.subscribe_symbols(share, Some(Mode::LTP)).await.unwrap();
        manager.change_mode(&share[..25], Mode::Full).await.unwrap();
        manager.unsubscribe_symbols(&share[20..30]).await.unwrap();
        modes.extend(all_in(kite_wire::Mode::Full, &share[..20]));
        modes.extend(all_in(kite_wire::Mode::Ltp, &share[30..]));
    }
    until(&sim, "480 subscriptions", |sim| held(sim) == modes).await;
    // Balanced by expected bytes per second, as far as they were known at each step.
    let bytes = |modes: &BTreeMap<u32, kite_wire::Mode>| -> u32 {
        let packet = |mode: &kite_wire::Mode| match mode {
            kite_wire::Mode::Full => 186,
            kite_wire::Mode::Quote => 46,
            kite_wire::Mode::Ltp => 10,
        };
        modes.values().map(packet).sum()
    };
    let loads: Vec<u32> = manager.typed().distribution().iter().map(bytes).collect();
    let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
    assert!(most * 10 <= least * 12, "{loads:?}");
}
