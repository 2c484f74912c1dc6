//! Several accounts. Everything sent arrives, tagged with its connection.

use std::collections::BTreeSet;
use std::time::Duration;

use kite_manager::StreamConfig;
use kite_wire::Mode;

use crate::stage::{agreed, all_delivered, builder, in_time, name, sim, sim_until, until};
use crate::taking::take;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tick_of_18000_instruments_of_two_accounts_arrives_tagged() {
    let sim = sim(2, |it| it.updates_per_second(1.0)).await;
    let manager = builder(&sim, 2).build().unwrap();
    let taking = take(manager.stream(StreamConfig::default()).unwrap());
    manager.subscribe(&kite_sim::universe(18_000), Mode::Quote).unwrap();
    let planned = manager.distribution();
    assert_eq!(planned.iter().map(|it| it.len()).collect::<Vec<_>>(), [3_000; 6]);
    in_time("start", manager.start()).await.unwrap();
    sim_until(&sim, "updates", |sim| sim.stats().ticks_sent >= 54_000).await;
    sim.pause().await;
    all_delivered(&sim, &manager).await;
    let sent = sim.sent();
    assert_eq!(sent.len(), 18_000);
    until("every tick", || taking.look(|taken| taken.ticks == sent)).await;
    agreed(&sim, &manager).await;
    for (slot, instruments) in planned.iter().enumerate() {
        let of_slot: BTreeSet<u32> = instruments.keys().copied().collect();
        let seat = (name(slot / 3), slot % 3);
        assert!(taking.look(|taken| taken.tokens[&seat] == of_slot), "{seat:?}");
    }
    assert_eq!(manager.unseen(), []);
    let known = manager.instruments();
    assert_eq!(known.len(), 18_000);
    for (seat, instrument) in &known {
        assert_eq!(instrument.ticks, sent[&instrument.token].ticks);
        let slot = if seat.account == name(0) { 0 } else { 3 } + seat.connection;
        assert!(planned[slot].contains_key(&instrument.token), "{seat:?}");
        assert!(instrument.last_seen.elapsed() < Duration::from_secs(60));
    }
    let health = manager.snapshot().health(Duration::from_secs(9));
    assert_eq!((health.healthy.len(), health.dark), (6, 0));
    assert!(sim.stats().refused.is_empty());
    in_time("stop", manager.stop()).await;
    until("the stream's end", || taking.look(|taken| taken.ended)).await;
}
