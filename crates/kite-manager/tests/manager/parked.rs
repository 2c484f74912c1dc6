//! An invalid token of one account does not affect the other account.

use std::collections::BTreeSet;
use std::time::Duration;

use kite_conn::{Event, Phase};
use kite_manager::{HealthLevel, ManagerEvent, StreamConfig};
use kite_sim::Fault;
use kite_wire::Mode;

use crate::stage::{
    QUICK, agreed, builder, in_time, key, live, name, seat_name, sim, sim_until, until,
};
use crate::taking::take;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_token_of_one_account_does_not_affect_the_other() {
    let sim = sim(2, |it| it).await;
    // The failover time is longer than all three need to go down, even on a slow machine.
    let manager = builder(&sim, 2).failover(Some(QUICK)).build().unwrap();
    let mut events = manager.events();
    let taking = take(manager.stream(StreamConfig::default()).unwrap());
    manager.subscribe(&kite_sim::universe(60), Mode::Quote).unwrap();
    let planned = manager.distribution();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    let others = sim.sockets(&key(0)).len();

    sim.revoke_token(&key(1));
    assert_eq!(sim.inject(&key(1), Fault::Close { code: 1_001, waits: false }), 3);
    let mut dark = Vec::new();
    in_time("three dark events", async {
        while dark.len() < 3 {
            match events.recv().await.unwrap() {
                ManagerEvent::Dark { account, connection, tokens } => {
                    assert_eq!(account, name(1));
                    let reported: BTreeSet<u32> = tokens.iter().copied().collect();
                    assert_eq!(reported, planned[3 + connection].keys().copied().collect());
                    dark.push(connection);
                }
                ManagerEvent::Connection { seat, event: Event::Down { .. } | Event::Parked(_) } => {
                    assert_eq!(seat.account, name(1));
                }
                ManagerEvent::Moved { .. } => panic!("no connection is up to move them to"),
                _ => {}
            }
        }
    })
    .await;
    dark.sort_unstable();
    assert_eq!(dark, [0, 1, 2]);
    let snapshot = manager.snapshot();
    assert!(snapshot.connections[3..].iter().all(|it| it.phase == Phase::Parked));
    assert_eq!(snapshot.connections.iter().map(|it| it.dark).sum::<usize>(), 30);
    let health = snapshot.health(Duration::from_secs(20));
    assert_eq!((health.healthy.clone(), health.dark), (vec![0, 1, 2], 30));
    assert_eq!(health.level(), HealthLevel::Degraded);
    assert_eq!(manager.distribution(), planned);

    // The other account keeps its sockets and receives ticks.
    let before = taking.look(|taken| taken.log.len());
    until("ticks", || taking.look(|taken| taken.log.len() > before + 60)).await;
    let sockets = sim.sockets(&key(0));
    assert!(sockets.len() == others && sockets.iter().all(|it| it.end.is_none()));

    sim.set_access_token(key(1), "renewed");
    manager.set_access_token_of(&name(1), "renewed").unwrap();
    sim_until(&sim, "all", |sim| sim.stats().connections_open == 6).await;
    agreed(&sim, &manager).await;
    until("health", || {
        let snapshot = manager.snapshot();
        let health = snapshot.health(Duration::from_secs(20));
        live(&snapshot) == 6 && health.level() == HealthLevel::Healthy && health.dark == 0
    })
    .await;
    assert_eq!(manager.distribution(), planned);
    while let Ok(event) = events.try_recv() {
        if let ManagerEvent::Connection { seat, event: Event::Down { .. } | Event::Parked(_) } =
            event
        {
            assert_eq!(seat_name(&seat).0, name(1), "the other account was not affected");
        }
    }
}
