//! Automatic reconnects, and connections parked until a new token is set.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_sim::{API_KEY, Sim, universe};
use kiteticker_async_manager::kite_conn::Phase;
use kiteticker_async_manager::kite_manager::{FailoverConfig, ManagerEvent};
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{KiteTickerManager, Mode, TickerMessage};
use tokio::sync::broadcast::Receiver;

use crate::rig::{
    Modes, Tally, add_ticks, all_in, errors_of, held, manager, mark, quiet_sim, receive_until,
    settle, start, ticks_of, until, until_manager, up_to_mark, within,
};

/// Subscribes to ninety instruments in all modes; returns the subscriptions the server must have.
async fn subscribe_in_all_modes(manager: &mut KiteTickerManager) -> Modes {
    let mut modes = BTreeMap::new();
    for (share, mode) in universe(90).chunks(30).zip([Mode::Full, Mode::Quote, Mode::LTP]) {
        manager.subscribe_symbols(share, Some(mode)).await.unwrap();
        modes.extend(share.iter().map(|&token| (token, kite_wire::Mode::from(mode))));
    }
    modes
}

fn says_up(message: &TickerMessage) -> bool {
    let TickerMessage::Message(message) = message else { return false };
    message["type"] == "connection" && message["state"] == "up"
}

/// Receives until the channel reports its connection up again; returns the messages before that.
async fn until_up(channel: &mut Receiver<TickerMessage>) -> Vec<TickerMessage> {
    receive_until(channel, "the connection to be up again", says_up).await.0
}

/// Receives until the channel reports its connection parked; returns that text.
async fn until_parked(channel: &mut Receiver<TickerMessage>) -> String {
    let says_parked =
        |it: &TickerMessage| matches!(it, TickerMessage::Error(text) if text.contains("parked"));
    let (before, parked) = receive_until(channel, "the parking", says_parked).await;
    assert_eq!(errors_of(&before).len(), before.len(), "{before:?}");
    errors_of(&[parked])[0].to_owned()
}

#[tokio::test]
async fn after_all_sockets_drop_every_subscription_is_restored_in_its_exact_mode() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let mut channels = manager.get_all_channels();
    start(&mut manager).await;
    let mut modes = subscribe_in_all_modes(&mut manager).await;
    // A later mode change and an unsubscription must survive the reconnect.
    let (upgraded, removed) = (universe(90)[89], universe(90)[0]);
    manager.change_mode(&[upgraded], Mode::Full).await.unwrap();
    manager.unsubscribe_symbols(&[removed]).await.unwrap();
    modes.insert(upgraded, kite_wire::Mode::Full);
    modes.remove(&removed);
    settle(&sim, &modes).await;
    let places = manager.get_symbol_distribution();

    for round in 1..=3 {
        mark(&sim);
        for (_, channel) in &mut channels {
            up_to_mark(channel).await;
        }
        sim.drop_all();
        let connections_before = 3 * round;
        for (id, channel) in &mut channels {
            let messages = until_up(channel).await;
            let errors = errors_of(&messages);
            let lost = format!("connection {}: lost: ", id.to_index() + 1);
            assert!(errors[0].starts_with(&lost), "{errors:?}");
        }
        assert!(sim.stats().connections_total >= connections_before + 3);
        settle(&sim, &modes).await;
        let tokens: Vec<u32> = modes.keys().copied().collect();
        mark(&sim);
        for (_, channel) in &mut channels {
            assert!(!ticks_of(&up_to_mark(channel).await).is_empty(), "no snapshot");
        }
        sim.tick_now(&tokens);
        within("the pause", sim.pause()).await;
        mark(&sim);
        let mut updated = Modes::new();
        for (_, channel) in &mut channels {
            for tick in ticks_of(&up_to_mark(channel).await) {
                let twice = updated.insert(tick.instrument_token, tick.content.mode.into());
                assert_eq!(twice, None);
            }
        }
        assert_eq!(updated, modes);
        assert_eq!(manager.get_symbol_distribution(), places);
    }
    assert!(manager.get_health().await.unwrap().is_healthy());
    let stats = manager.get_stats().await.unwrap();
    assert!(stats.total_errors >= 9, "{stats:?}");
}

#[tokio::test]
async fn requests_made_during_an_outage_are_sent_after_it() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    start(&mut manager).await;
    let mut modes = subscribe_in_all_modes(&mut manager).await;
    settle(&sim, &modes).await;

    sim.refuse_with(Some(kite_sim::Refusal::new(503, "")));
    sim.drop_all();
    until_manager(&manager, "the loss of all sockets", |manager| !manager.typed().is_live()).await;
    assert!(manager.get_health().await.unwrap().is_critical());
    let tokens = universe(93);
    manager.subscribe_symbols(&tokens[90..], Some(Mode::Full)).await.unwrap();
    manager.change_mode(&tokens[..3], Mode::LTP).await.unwrap();
    manager.unsubscribe_symbols(&tokens[3..6]).await.unwrap();
    modes.extend(tokens[90..].iter().map(|&token| (token, kite_wire::Mode::Full)));
    modes.extend(tokens[..3].iter().map(|&token| (token, kite_wire::Mode::Ltp)));
    modes.retain(|token, _| !tokens[3..6].contains(token));
    sim.refuse_with(None);
    settle(&sim, &modes).await;
}

#[tokio::test]
async fn a_silent_connection_is_replaced_by_a_new_socket() {
    let builder = Sim::builder().updates_per_second(10.0).greet(false);
    let builder = builder.heartbeat_every(Duration::from_millis(30));
    let sim = builder.start().await.unwrap();
    let mut manager =
        manager(&sim).heartbeat_liveness_threshold(Duration::from_millis(150)).build();
    let mut channels = manager.get_all_channels();
    start(&mut manager).await;
    let modes = subscribe_in_all_modes(&mut manager).await;
    until(&sim, "90 subscriptions", |sim| held(sim) == modes).await;

    sim.go_silent(true);
    let distribution = manager.get_symbol_distribution();
    for (id, channel) in &mut channels {
        let messages = until_up(channel).await;
        let errors = errors_of(&messages);
        assert!(errors.iter().any(|text| text.contains("nothing was received for")), "{errors:?}");
        // All its instruments stream again.
        within("its instruments", async {
            let mut received = Tally::new();
            while received.len() < distribution[id].len() {
                add_ticks(&mut received, &[channel.recv().await.unwrap()]);
            }
        })
        .await;
    }
    until(&sim, "exact modes", |sim| held(sim) == modes).await;
    assert!(sim.stats().pings_received >= 3, "each socket is pinged before it is abandoned");
}

#[tokio::test]
async fn a_revoked_token_parks_connections_with_open_channels_until_a_new_one_is_set() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let mut channels = manager.get_all_channels();
    start(&mut manager).await;
    let modes = subscribe_in_all_modes(&mut manager).await;
    settle(&sim, &modes).await;

    // Revoking a token does not close open sockets.
    sim.revoke_token(API_KEY);
    mark(&sim);
    for (_, channel) in &mut channels {
        up_to_mark(channel).await;
    }
    sim.drop_all();
    for (_, channel) in &mut channels {
        let parked = until_parked(channel).await;
        assert!(parked.contains("authentication failed"), "{parked}");
        assert!(parked.contains("Authentication failed."), "{parked}");
    }
    assert!(manager.get_health().await.unwrap().is_critical());
    let parked = |manager: &KiteTickerManager| {
        let connections = manager.typed().snapshot().connections;
        connections.iter().all(|connection| connection.phase == Phase::Parked)
    };
    assert!(parked(&manager));
    // One attempt each, because a parked connection does not retry.
    assert_eq!(sim.stats().refused, BTreeMap::from([(403, 3)]));
    // A wrong token parks them again.
    manager.set_access_token("wrong");
    until(&sim, "three further refusals", |sim| sim.stats().refused[&403] == 6).await;
    until_manager(&manager, "the parking", parked).await;

    sim.set_access_token(API_KEY, "new_token");
    manager.set_access_token("new_token");
    for (_, channel) in &mut channels {
        until_up(channel).await;
    }
    settle(&sim, &modes).await;
    mark(&sim);
    for (_, channel) in &mut channels {
        assert!(!ticks_of(&up_to_mark(channel).await).is_empty());
    }
    assert!(manager.get_health().await.unwrap().is_healthy());
}

#[tokio::test]
async fn a_new_token_keeps_open_sockets_and_is_used_for_the_next_handshake() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let mut channels = manager.get_all_channels();
    start(&mut manager).await;
    sim.set_access_token(API_KEY, "new_token");
    manager.set_access_token("new_token");
    mark(&sim);
    for (_, channel) in &mut channels {
        assert!(up_to_mark(channel).await.is_empty());
    }
    assert_eq!(sim.stats().connections_total, 3);
    sim.drop_all();
    for (_, channel) in &mut channels {
        until_up(channel).await;
    }
    assert!(sim.stats().refused.is_empty());
}

#[tokio::test]
async fn a_connection_is_parked_and_reported_once_its_attempts_are_used_up() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim)
        .max_connections(1)
        .reconnect_attempts(2)
        .reconnect_delay(Duration::from_millis(1))
        .build();
    let mut channel = crate::rig::only_channel(&mut manager);
    start(&mut manager).await;
    sim.refuse_with(Some(kite_sim::Refusal::new(503, "")));
    sim.drop_all();
    let parked = until_parked(&mut channel).await;
    assert!(parked.contains("max_reconnect_attempts 2"), "{parked}");
    assert_eq!(sim.stats().refused[&503], 2);
}

#[tokio::test]
async fn a_failover_sends_its_gap_on_the_channels_of_the_new_connections() {
    let sim = quiet_sim().await;
    // Longer than the start takes on a slow machine.
    let quick = Duration::from_millis(750);
    let failover = FailoverConfig { after: quick, stable_after: quick };
    let mut manager = manager(&sim).failover(Some(failover)).build();
    let mut channels = manager.get_all_channels();
    start(&mut manager).await;
    let tokens = universe(30);
    manager.subscribe_symbols(&tokens, Some(Mode::Quote)).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Quote, &tokens)).await;
    for _ in 0..2 {
        sim.advance_market(&tokens, 10);
        sim.tick_now(&tokens);
        within("the pause", sim.pause()).await;
        mark(&sim);
        for (_, channel) in &mut channels {
            up_to_mark(channel).await;
        }
    }

    let mut events = manager.typed().events();
    let sockets = sim.sockets(API_KEY);
    let lost: Vec<u32> = sockets[0].subscriptions.keys().copied().collect();
    let volume = || -> u64 {
        let volumes = lost.iter().filter_map(|&token| sim.instrument(token).volume());
        volumes.map(u64::from).sum()
    };
    let before = volume();
    sim.refuse_with(Some(kite_sim::Refusal::new(503, "")));
    assert!(sim.inject_socket(sockets[0].id, kite_sim::Fault::Reset { at: 0 }));
    let is_down =
        |it: &TickerMessage| matches!(it, TickerMessage::Error(text) if text.contains("lost"));
    let places = manager.get_symbol_distribution();
    let place = channels.iter().position(|(id, _)| places[id].contains(&lost[0])).unwrap();
    let (lost_on, mut lost_channel) = channels.remove(place);
    receive_until(&mut lost_channel, "the loss", is_down).await;
    sim.advance_market(&lost, 500);
    let moves = within("the move", async {
        loop {
            if let Some(ManagerEvent::Moved { moves, .. }) = events.recv().await {
                return moves;
            }
        }
    })
    .await;
    channels.retain(|(id, _)| moves.iter().any(|it| it.to == id.to_index()));
    let (mut instruments, mut known_volume) = (0, 0);
    for (id, channel) in &mut channels {
        let is_gap =
            |it: &TickerMessage| matches!(it, TickerMessage::Message(it) if it["type"] == "gap");
        let TickerMessage::Message(gap) = receive_until(channel, "the gap", is_gap).await.1 else {
            unreachable!("only messages match")
        };
        assert_eq!(gap["connection"], id.to_index() + 1);
        assert_eq!(gap["moved_from"], lost_on.to_index() + 1);
        assert!(gap["seconds"].as_f64().unwrap() >= quick.as_secs_f64());
        instruments += gap["instruments"].as_u64().unwrap();
        known_volume += gap["known_volume"].as_u64().unwrap();
    }
    assert_eq!((instruments, known_volume), (lost.len() as u64, volume() - before));
}
