//! Pacing of an account's handshakes.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use kite_sim::{Fault, FaultKind};
use kite_wire::Mode;

use crate::stage::{agreed, builder, in_time, key, sim, sim_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_an_account_open_one_after_the_other() {
    let sim = sim(2, |it| it).await;
    let stagger = Duration::from_millis(250);
    let manager = builder(&sim, 2).stagger(stagger).build().unwrap();
    let begun = Instant::now();
    let mut most_at_first = 0;
    let start = in_time("start", async {
        tokio::join!(
            manager.start(),
            sim.wait_until(|sim| {
                let total = sim.stats().connections_total;
                if begun.elapsed() < stagger {
                    most_at_first = most_at_first.max(total);
                }
                total == 6
            })
        )
    });
    start.await.0.unwrap();
    assert!(begun.elapsed() >= stagger * 2, "{:?}", begun.elapsed());
    assert!(most_at_first <= 2, "{most_at_first}: one of each account");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_429_one_tries_and_the_others_wait() {
    let sim = sim(2, |it| it).await;
    let manager = builder(&sim, 2).build().unwrap();
    manager.subscribe(&kite_sim::universe(12), Mode::Ltp).unwrap();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    sim.inject(&key(0), Fault::LateSlot { held: Duration::from_millis(1_500) });
    sim_until(&sim, "all lost", |sim| sim.stats().faults.get(&FaultKind::LateSlot) == Some(&3))
        .await;
    sim_until(&sim, "all back", |sim| sim.stats().connections_open == 6).await;
    in_time("live", manager.wait_until_live(Duration::from_secs(9))).await.unwrap();
    // At least one, because the slots were held; after each, all connections wait a second or two.
    let refused = sim.stats().refused;
    assert!((1..=2).contains(&refused[&429]), "{refused:?}");
    assert_eq!((refused.len(), sim.stats().connections_total), (1, 9));
    agreed(&sim, &manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_of_the_server_all_accounts_are_back_without_a_refusal() {
    let sim = sim(3, |it| it).await;
    let manager = builder(&sim, 3).build().unwrap();
    manager.subscribe(&kite_sim::universe(90), Mode::Quote).unwrap();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    sim.inject(&key(0), Fault::Restart { down: Duration::from_millis(300) });
    sim_until(&sim, "all back", |sim| {
        let stats = sim.stats();
        stats.connections_total >= 18 && stats.connections_open == 9
    })
    .await;
    in_time("live", manager.wait_until_live(Duration::from_secs(9))).await.unwrap();
    agreed(&sim, &manager).await;
    // A fourth socket of an api_key would have been refused.
    assert!(sim.stats().refused.is_empty(), "{:?}", sim.stats());
    for account in 0..3 {
        let open = sim.sockets(&key(account)).into_iter().filter(|it| it.end.is_none());
        assert_eq!(open.count(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kind_of_loss_leads_to_a_429() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&kite_sim::universe(9), Mode::Quote).unwrap();
    in_time("start", manager.start()).await.unwrap();
    let losses = [
        Fault::Reset { at: 0 },
        Fault::EndOfStream { at: 9 },
        Fault::Close { code: 1_001, waits: true },
        Fault::Close { code: 1_006, waits: false },
        Fault::InvalidFrame(kite_sim::InvalidFrame::ReservedBit),
        Fault::OversizedFrame { bytes: Fault::OVERSIZED_BYTES },
        Fault::HandshakeReset,
    ];
    let mut handshakes = 3;
    for fault in losses {
        agreed(&sim, &manager).await;
        let is_handshake = fault == Fault::HandshakeReset;
        sim.inject(&key(0), fault);
        if is_handshake {
            sim.inject(&key(0), Fault::Reset { at: 0 });
        }
        handshakes += 3;
        sim_until(&sim, "all back", |sim| {
            let stats = sim.stats();
            stats.connections_total == handshakes && stats.connections_open == 3
        })
        .await;
    }
    in_time("live", manager.wait_until_live(Duration::from_secs(9))).await.unwrap();
    assert!(sim.stats().refused.is_empty(), "{:?}", sim.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_while_the_last_run_is_closing_waits_for_its_slots() {
    let sim = sim(1, |it| it).await;
    let builder =
        builder(&sim, 1).connection(|it| it.liveness.close_deadline = Duration::from_millis(600));
    let manager = builder.build().unwrap();
    in_time("start", manager.start()).await.unwrap();
    // A server that reads no close frame keeps the slots until the sockets are gone.
    sim.inject(&key(0), Fault::Stalls);
    sim_until(&sim, "three stalls", |sim| sim.stats().faults.get(&FaultKind::Stalls) == Some(&3))
        .await;
    let mut stopping = Box::pin(manager.stop());
    assert!((&mut stopping).now_or_never().is_none());
    let starting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.start().await }
    });
    in_time("stop", stopping).await;
    assert!(sim.stats().refused.is_empty(), "no attempt before: {:?}", sim.stats());
    in_time("start", starting).await.unwrap().unwrap();
    in_time("live", manager.wait_until_live(Duration::from_secs(9))).await.unwrap();
}
