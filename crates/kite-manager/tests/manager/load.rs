//! Balancing follows the observed tick rates of instruments.

use std::collections::BTreeSet;
use std::time::Duration;

use kite_wire::Mode;

use crate::stage::{all_delivered, builder, in_time, sim};

/// Slightly more than the manager's interval for measuring tick rates.
const OBSERVED: Duration = Duration::from_secs(31);

#[tokio::test]
async fn new_instruments_go_where_the_observed_load_is_least() {
    let sim =
        sim(1, |it| it.updates_per_second(0.0).heartbeat_every(Duration::from_secs(3_600))).await;
    let builder = builder(&sim, 1).connections(2).connection(|it| {
        it.liveness.silence_threshold = Duration::from_secs(3_600);
        it.liveness.stale_after = Duration::from_secs(3_600);
    });
    let manager = builder.build().unwrap();
    let all = kite_sim::universe(100);
    let shares: Vec<u32> = all.into_iter().filter(|token| token & 0xff == 1).take(28).collect();
    manager.subscribe(&shares[..8], Mode::Quote).unwrap();
    let planned = manager.distribution();
    assert_eq!((planned[0].len(), planned[1].len()), (4, 4));
    in_time("start", manager.start()).await.unwrap();
    all_delivered(&sim, &manager).await;
    let pass_time = async || {
        tokio::time::pause();
        tokio::time::advance(OBSERVED).await;
        tokio::time::resume();
        // Everything that was due has been done before this tick is delivered.
        sim.tick_now(&shares[..1]);
        sim.pause().await;
        all_delivered(&sim, &manager).await;
    };
    // The first observation only provides counts to compare with.
    all_seen(&sim, &manager, &shares[..8]).await;
    pass_time().await;
    let busy: Vec<u32> = planned[0].keys().copied().collect();
    for _ in 0..50 {
        sim.tick_now(&busy);
    }
    all_seen(&sim, &manager, &shares[..8]).await;
    pass_time().await;
    manager.subscribe(&shares[8..], Mode::Quote).unwrap();
    let after = manager.distribution();
    let new: BTreeSet<u32> = shares[8..].iter().copied().collect();
    let on = |slot: usize| after[slot].keys().filter(|token| new.contains(token)).count();
    assert!(on(0) + 4 <= on(1), "{} went to the busy one, {} to the other", on(0), on(1));
    assert_eq!(on(0) + on(1), 20);
}

/// Sends a tick of each instrument and waits until all are delivered.
async fn all_seen(sim: &kite_sim::Sim, manager: &kite_manager::Manager, tokens: &[u32]) {
    sim.tick_now(tokens);
    sim.pause().await;
    all_delivered(sim, manager).await;
    assert_eq!(manager.unseen(), []);
}
