//! An account some of whose sockets are already in use.

use kite_sim::{ACCESS_TOKEN, API_KEY, MAX_SOCKETS, Sim, universe};
use kiteticker_async_manager::kite_conn::Phase;
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{KiteTickerAsync, KiteTickerManager, Mode};

use crate::rig::{
    Tally, add_ticks, all_in, errors_of, manager, mark, quiet_sim, settle, start, until_manager,
    up_to_mark, within,
};

/// Opens sockets of the manager's account.
async fn take_slots(sim: &Sim, count: usize) -> Vec<KiteTickerAsync> {
    let mut taken = Vec::new();
    for _ in 0..count {
        let endpoint = sim.endpoint();
        let socket = KiteTickerAsync::connect_to(&endpoint, API_KEY, ACCESS_TOKEN, false);
        taken.push(within("a socket", socket).await.unwrap());
    }
    taken
}

fn live(manager: &KiteTickerManager) -> usize {
    let connections = manager.typed().snapshot().connections;
    connections.iter().filter(|connection| connection.phase == Phase::Live).count()
}

async fn starts_with_the_free_sockets_and_gets_the_rest_later(taken: usize) {
    let sim = quiet_sim().await;
    let mut others = take_slots(&sim, taken).await;
    let mut manager = manager(&sim).build();
    let channels = manager.get_all_channels();
    let tokens = universe(90);
    manager.subscribe_symbols(&tokens, Some(Mode::Quote)).await.unwrap();

    // Well before the connection timeout of 30 s, because the others have been refused.
    start(&mut manager).await;
    assert_eq!(live(&manager), MAX_SOCKETS - taken);
    let health = manager.get_health().await.unwrap();
    assert!(health.is_degraded() && !health.is_healthy() && !health.is_critical());
    assert_eq!(health.healthy_connections, MAX_SOCKETS - taken);
    assert_eq!(health.unhealthy_connections.len(), taken);
    assert_eq!(sim.stats().connections_open, MAX_SOCKETS as u64);
    assert!(sim.stats().refused[&429] >= taken as u64);
    let stats = manager.get_stats().await.unwrap();
    assert_eq!(stats.active_connections, MAX_SOCKETS - taken);
    assert!(stats.total_errors >= taken as u64);

    for other in &mut others {
        within("the close", other.close()).await.unwrap();
    }
    until_manager(&manager, "all connections", |manager| live(manager) == MAX_SOCKETS).await;
    assert!(manager.get_health().await.unwrap().is_healthy());
    settle(&sim, &all_in(kite_wire::Mode::Quote, &tokens)).await;
    mark(&sim);
    let (mut received, mut refusals) = (Tally::new(), 0);
    for (_, mut channel) in channels {
        let messages = up_to_mark(&mut channel).await;
        refusals += usize::from(errors_of(&messages).iter().any(|text| text.contains("429")));
        add_ticks(&mut received, &messages);
    }
    assert_eq!(refusals, taken, "each refused connection reports it on its channel");
    assert_eq!(received, sim.sent());
    assert_eq!(received.len(), 90);
}

#[tokio::test]
async fn with_one_socket_in_use_start_succeeds_and_health_is_degraded_until_it_is_free() {
    starts_with_the_free_sockets_and_gets_the_rest_later(1).await;
}

#[tokio::test]
async fn with_two_sockets_in_use_start_succeeds_and_health_is_degraded_until_they_are_free() {
    starts_with_the_free_sockets_and_gets_the_rest_later(2).await;
}

#[tokio::test]
async fn with_all_sockets_in_use_start_fails_at_the_timeout_and_does_not_affect_them() {
    let sim = quiet_sim().await;
    let others = take_slots(&sim, MAX_SOCKETS).await;
    let timeout = std::time::Duration::from_millis(600);
    let mut manager = manager(&sim).connection_timeout(timeout).build();
    let error = within("the timeout", manager.start()).await.unwrap_err();
    assert!(error.contains("within 600ms") && error.contains("429"), "{error}");
    assert_eq!(sim.stats().connections_open, MAX_SOCKETS as u64);
    assert!(others.iter().all(KiteTickerAsync::is_connected));
}
