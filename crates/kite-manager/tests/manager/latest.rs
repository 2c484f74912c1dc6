//! The table of newest packets, while connections are lost and return.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kite_conn::{Event, Stamp};
use kite_manager::{Latest, ManagerEvent};
use kite_sim::{Fault, Refusal};
use kite_wire::Mode;

use crate::stage::{QUICK, agreed, builder, in_time, name, sim, socket, until};

/// Reads all instruments repeatedly; no packet may be older than the one before it.
fn read(latest: &Latest, tokens: &[u32], is_over: &AtomicBool) -> u64 {
    let (mut newest, mut reads) = (BTreeMap::<u32, Stamp>::new(), 0);
    while !is_over.load(Ordering::Relaxed) {
        for token in tokens {
            let Some(tick) = latest.get(*token) else { continue };
            assert_eq!(tick.packet().instrument_token(), *token);
            let before = newest.insert(*token, tick.received());
            assert!(before <= Some(tick.received()), "{token} is older than it was");
            reads += 1;
        }
        std::thread::yield_now();
    }
    reads
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_packet_never_gets_older_when_instruments_move() {
    let sim = sim(1, |it| it.updates_per_second(50.0)).await;
    let manager = builder(&sim, 1).failover(Some(QUICK)).latest(true).build().unwrap();
    let mut events = manager.events();
    let tokens = kite_sim::universe(30);
    manager.subscribe(&tokens, Mode::Full).unwrap();
    let planned = manager.distribution();
    let latest = manager.latest().unwrap();
    assert!(latest.get(tokens[0]).is_none());
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (latest, tokens, is_over) = (latest.clone(), tokens.clone(), Arc::clone(&is_over));
        move || read(&latest, &tokens, &is_over)
    });
    let own = planned[1].keys().next().copied().unwrap();
    let seat = || latest.get(own).map(|tick| manager.seat_of(&tick).connection);
    until("a first packet", || seat() == Some(1)).await;
    sim.refuse_with(Some(Refusal::new(503, "busy")));
    assert!(sim.inject_socket(socket(&sim, 0, &planned[1]).id, Fault::Reset { at: 3 }));
    until("one from another connection", || seat().is_some_and(|seat| seat != 1)).await;
    sim.refuse_with(None);
    until("one from its own connection", || seat() == Some(1)).await;
    agreed(&sim, &manager).await;
    sim.pause().await;
    until("the newest of each", || {
        let is_newest = |token: &u32| {
            let newest = sim.instrument(*token).tick(Mode::Full);
            latest.get(*token).is_some_and(|tick| tick.tick() == newest)
        };
        tokens.iter().all(is_newest)
    })
    .await;
    is_over.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 0);
    let tick = latest.get(own).unwrap();
    assert_eq!((manager.seat_of(&tick).account, tick.epoch()), (name(0), 2));
    assert_eq!(latest.refused(), 0);
    let mut moves = 0;
    while let Ok(event) = events.try_recv() {
        moves += usize::from(matches!(event, ManagerEvent::Moved { .. }));
    }
    assert_eq!(moves, 2);

    in_time("stop", manager.stop()).await;
    assert!(latest.get(own).is_some(), "kept while stopped");
    sim.refuse_with(Some(Refusal::new(503, "busy")));
    let start = tokio::time::timeout(Duration::from_millis(20), manager.start()).await;
    assert!(start.is_err() && latest.get(own).is_none(), "a new run starts empty");
}

/// Returns a frame of so many LTP packets, of different instruments from `first` on.
fn frame(first: u32, packets: u16) -> Vec<u8> {
    let mut frame = packets.to_be_bytes().to_vec();
    for token in (first..).take(packets.into()) {
        frame.extend_from_slice(&8_u16.to_be_bytes());
        frame.extend_from_slice(&(token << 8 | 1).to_be_bytes());
        frame.extend_from_slice(&100_u32.to_be_bytes());
    }
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instruments_that_are_not_subscribed_are_counted_and_never_kept() {
    const FRAMES: u32 = 20;
    const PACKETS: u16 = 10_000;
    let sim = sim(1, |it| it.updates_per_second(50.0)).await;
    let manager = builder(&sim, 1).connections(1).latest(true).build().unwrap();
    let mut events = manager.events();
    let own = kite_sim::universe(1)[0];
    manager.subscribe(&[own], Mode::Full).unwrap();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    let latest = manager.latest().unwrap();
    for number in 0..FRAMES {
        // Above the tokens of all instruments that the simulator knows.
        sim.send_binary(frame((1 << 23) + number * u32::from(PACKETS), PACKETS));
    }
    let foreign = u64::from(FRAMES) * u64::from(PACKETS);
    until("all frames", || manager.snapshot().total.unsubscribed_ticks == foreign).await;
    assert_eq!(latest.refused(), foreign);
    assert!(latest.get((1 << 23) << 8 | 1).is_none());
    let before = latest.get(own).map(|tick| tick.received());
    until("a later tick", || latest.get(own).map(|tick| tick.received()) > before).await;
    in_time("stop", manager.stop()).await;
    let mut reports = 0;
    while let Some(event) = events.recv().await {
        let ManagerEvent::Connection { event, .. } = event else { continue };
        reports += u32::from(
            matches!(event, Event::NotSubscribed { token } if token == (1 << 23) << 8 | 1),
        );
        if matches!(event, Event::Closed { .. }) {
            break;
        }
    }
    assert_eq!(reports, 1);
}
