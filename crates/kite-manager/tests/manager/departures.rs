//! Instruments that are unsubscribed and subscribed again, on another connection, while the first
//! server still sends them.

use std::collections::BTreeMap;

use kite_conn::Stamp;
use kite_manager::{Manager, StreamConfig};
use kite_sim::{Fault, FaultKind, Sim};
use kite_wire::Mode;

use crate::stage::{agreed, builder, in_time, key, sim, sim_until, until};
use crate::taking::{Taking, take};

/// Makes the server of the socket that has an instrument stop reading commands.
async fn stop_reading(sim: &Sim, token: u32) {
    let all = sim.sockets(&key(0));
    let has_it = |it: &&kite_sim::SocketRecord| it.subscriptions.contains_key(&token);
    let socket = all.iter().find(has_it).unwrap();
    assert!(sim.inject_socket(socket.id, Fault::StopsReading));
    sim_until(sim, "a socket that is not read", |sim| {
        sim.stats().faults.get(&FaultKind::StopsReading) == Some(&1)
    })
    .await;
}

/// Returns the connections whose packets of an instrument a stream has delivered since.
fn connections(taking: &Taking, token: u32, since: Stamp) -> BTreeMap<usize, usize> {
    taking.look(|taken| {
        let mut counts = BTreeMap::new();
        for it in taken.log.iter().filter(|it| it.token == token && it.received > since) {
            *counts.entry(it.connection).or_default() += 1;
        }
        counts
    })
}

/// Waits until a connection has received an instrument ten times since.
async fn received(manager: &Manager, connection: usize, token: u32) {
    let ticks = || {
        let all = manager.instruments();
        let mut found = all.iter().filter(|(seat, _)| seat.connection == connection);
        found.find(|(_, it)| it.token == token).map_or(0, |(_, it)| it.ticks)
    };
    let before = ticks();
    until("ten ticks", || ticks() >= before + 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instrument_that_returns_on_another_connection_is_not_delivered_by_its_former_one() {
    let sim = sim(1, |it| it.updates_per_second(50.0)).await;
    let manager = builder(&sim, 1).connections(2).latest(true).build().unwrap();
    let taking = take(manager.stream(StreamConfig::default()).unwrap());
    let all = kite_sim::universe(3);
    let (token, other) = (all[0], all[1]);
    manager.subscribe(&[token], Mode::Quote).unwrap();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    assert!(manager.distribution()[0].contains_key(&token));
    received(&manager, 0, token).await;

    stop_reading(&sim, token).await;
    manager.unsubscribe(&[token]);
    manager.subscribe(&[other], Mode::Quote).unwrap();
    let since = Stamp::now();
    manager.subscribe(&[token], Mode::Quote).unwrap();
    assert!(manager.distribution()[1].contains_key(&token));
    received(&manager, 1, token).await;
    received(&manager, 0, token).await;
    assert_eq!(Vec::from_iter(connections(&taking, token, since).into_keys()), [1]);
    let latest = manager.latest().unwrap().get(token).unwrap();
    assert_eq!(manager.seat_of(&latest).connection, 1);

    // Back where it was, while that server still has not read the unsubscribe command.
    manager.unsubscribe(&[token, other]);
    let since = Stamp::now();
    manager.subscribe(&[token], Mode::Quote).unwrap();
    assert!(manager.distribution()[0].contains_key(&token));
    received(&manager, 0, token).await;
    assert!(connections(&taking, token, since).is_empty());
    sim.pause().await;
    sim.heal(&key(0));
    agreed(&sim, &manager).await;
    until("the snapshot", || !connections(&taking, token, since).is_empty()).await;
    sim.resume();
    received(&manager, 0, token).await;
    until("ticks", || connections(&taking, token, since).get(&0) > Some(&5)).await;
    assert_eq!(connections(&taking, token, since).len(), 1);

    sim.pause().await;
    until("all delivered", || {
        let total = manager.snapshot().total;
        let delivered = taking.look(|taken| taken.delivered);
        total.ticks == sim.stats().ticks_sent && total.ticks == delivered + total.departed_ticks
    })
    .await;
    assert!(manager.snapshot().total.departed_ticks >= 20);
}
