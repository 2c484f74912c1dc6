//! `wait_until_live` and its three outcomes.

use std::time::{Duration, Instant};

use kite_conn::{OpenError, Phase};
use kite_manager::HealthLevel;
use kite_sim::Refusal;

use crate::stage::{builder, in_time, key, live, name, sim, sim_until, until};

const FAR: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_connections_are_live_once_it_succeeds() {
    let sim = sim(2, |it| it).await;
    let manager = builder(&sim, 2).build().unwrap();
    let never_started = manager.wait_until_live(FAR).await.unwrap_err();
    assert_eq!((never_started.live, never_started.connections), (0, 0));
    sim.refuse_with(Some(Refusal::new(503, "busy")));
    let starting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.start().await }
    });
    sim_until(&sim, "a refusal", |sim| !sim.stats().refused.is_empty()).await;
    sim.refuse_with(None);
    in_time("all", manager.wait_until_live(FAR)).await.unwrap();
    assert!(manager.snapshot().connections.iter().all(|it| it.phase == Phase::Live));
    assert_eq!(manager.snapshot().connections.len(), 6);
    in_time("start", starting).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_deadline_it_reports_how_many_are_live_and_a_failure() {
    let sim = sim(2, |it| it).await;
    let manager = builder(&sim, 2).build().unwrap();
    in_time("start", manager.start()).await.unwrap();
    sim.refuse_with(Some(Refusal::new(503, "busy")));
    let lost = sim.sockets(&key(1))[1].id;
    sim.inject_socket(lost, kite_sim::Fault::Close { code: 1_001, waits: false });
    sim_until(&sim, "a refusal", |sim| !sim.stats().refused.is_empty()).await;
    let deadline = Duration::from_millis(150);
    let begun = Instant::now();
    let not_live = in_time("the deadline", manager.wait_until_live(deadline)).await.unwrap_err();
    assert!(begun.elapsed() >= deadline);
    assert_eq!((not_live.live, not_live.connections), (5, 6));
    let Some(OpenError::Refused(refusal)) = not_live.last_failure else {
        panic!("{:?}", not_live.last_failure)
    };
    assert_eq!(refusal.status, 503);
    sim.refuse_with(None);
    in_time("all again", manager.wait_until_live(FAR)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_not_wait_for_parked_connections() {
    let sim = sim(2, |it| it).await;
    let manager = builder(&sim, 2).build().unwrap();
    sim.revoke_token(&key(1));
    in_time("start", manager.start()).await.unwrap();
    let parked = in_time("an immediate answer", manager.wait_until_live(FAR)).await.unwrap_err();
    assert_eq!((parked.live, parked.connections), (3, 6));
    assert!(parked.last_failure.is_some_and(|error| error.is_auth()));
    sim.set_access_token(key(1), "renewed");
    manager.set_access_token_of(&name(1), "renewed").unwrap();
    // Connections stay parked until they receive the new token.
    sim_until(&sim, "all", |sim| sim.stats().connections_open == 6).await;
    in_time("all", manager.wait_until_live(FAR)).await.unwrap();
    in_time("stop", manager.stop()).await;
    let stopped = manager.wait_until_live(FAR).await.unwrap_err();
    assert_eq!((stopped.live, stopped.connections), (0, 6));
    // The account keeps the new token for the next run.
    in_time("start", manager.start()).await.unwrap();
    in_time("all", manager.wait_until_live(FAR)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_up_but_silent_is_not_healthy() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).build().unwrap();
    in_time("start", manager.start()).await.unwrap();
    let level = |silence| manager.snapshot().health(silence).level();
    assert_eq!(level(FAR), HealthLevel::Healthy);
    sim.go_silent(true);
    let silence = Duration::from_millis(200);
    until("silence", || level(silence) == HealthLevel::Critical).await;
    assert_eq!(level(FAR), HealthLevel::Healthy);
    assert_eq!(live(&manager.snapshot()), 3);
    sim.go_silent(false);
    until("heartbeats", || level(silence) == HealthLevel::Healthy).await;
}
