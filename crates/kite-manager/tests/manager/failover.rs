//! Connections that stay down: which connections stream their instruments, and which events report
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kite_conn::{
    Batch, Connection, ConnectionConfig, Endpoint, Event, EventLane, Phase, Sink, Stamp,
};
use kite_manager::{Events, Health, HealthLevel, Manager, ManagerEvent, Move, Seat, StreamConfig};
use kite_sim::{Fault, Refusal, Sim, SocketRecord};
use kite_wire::Mode;

use crate::stage::{
    QUICK, agreed, builder, credentials, in_time, key, live, name, sim, sim_until, socket, until,
};
use crate::taking::{Arrival, Taking, drive, take};

fn health(manager: &Manager) -> Health {
    manager.snapshot().health(Duration::from_secs(20))
}

/// Waits for the next event of the manager itself, skipping connection events.
async fn notice(events: &mut Events) -> ManagerEvent {
    in_time("a notice", async {
        loop {
            let event = events.recv().await.unwrap();
            if !matches!(event, ManagerEvent::Connection { .. }) {
                return event;
            }
        }
    })
    .await
}

/// Waits for the next move; no instrument may become dark before it.
async fn moved(events: &mut Events) -> (Vec<Move>, bool) {
    match notice(events).await {
        ManagerEvent::Moved { account, moves, back } => {
            assert_eq!(account, name(0));
            (moves.to_vec(), back)
        }
        other => panic!("{other:?}"),
    }
}

/// Waits until instruments become dark; none may be moved before.
async fn next_dark(events: &mut Events, of: usize) -> BTreeSet<u32> {
    match notice(events).await {
        ManagerEvent::Dark { account, connection, tokens } => {
            assert_eq!((account, connection), (name(0), of));
            tokens.iter().copied().collect()
        }
        other => panic!("{other:?}"),
    }
}

fn tokens(moves: &[Move]) -> BTreeSet<u32> {
    moves.iter().map(|it| it.token).collect()
}

fn keys(instruments: &BTreeMap<u32, Mode>) -> BTreeSet<u32> {
    instruments.keys().copied().collect()
}

/// Breaks a connection and refuses its reconnects.
fn kill(sim: &Sim, instruments: &BTreeMap<u32, Mode>) {
    sim.refuse_with(Some(Refusal::new(503, "busy")));
    assert!(sim.inject_socket(socket(sim, 0, instruments).id, Fault::Reset { at: 7 }));
}

/// Waits until the stream has received exactly the frames that a socket was sent, in order.
async fn complete(taking: &Taking, connection: usize, epoch: u32, record: &SocketRecord) {
    until("all of a socket", || {
        let taken = taking.look(|taken| taken.socket(name(0), connection, epoch));
        taken == (record.frames(), record.chain())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instruments_of_a_connection_refused_from_the_start_move_and_return() {
    let sim = sim(1, |it| it).await;
    // Another program uses the api_key, so two slots are left.
    let endpoint = Endpoint::parse(&sim.endpoint()).unwrap();
    let config = ConnectionConfig { endpoint, ..ConnectionConfig::default() };
    let lane = EventLane::default();
    let stranger = Connection::spawn(config, credentials(0), (), &lane, 0).unwrap();
    sim_until(&sim, "the stranger", |sim| sim.stats().connections_open == 1).await;

    let manager = builder(&sim, 1).failover(Some(QUICK)).build().unwrap();
    let mut events = manager.events();
    let taking = take(manager.stream(StreamConfig::default()).unwrap());
    let all = kite_sim::universe(30);
    manager.subscribe(&all, Mode::Quote).unwrap();
    let planned = manager.distribution();
    in_time("start", manager.start()).await.unwrap();
    let snapshot = manager.snapshot();
    assert_eq!(live(&snapshot), 2);
    let refused = snapshot.connections.iter().position(|it| it.phase != Phase::Live).unwrap();
    assert_eq!(health(&manager).level(), HealthLevel::Degraded);
    assert_eq!(health(&manager).unhealthy, [refused]);

    let (moves, back) = moved(&mut events).await;
    assert!(!back);
    assert_eq!(tokens(&moves), keys(&planned[refused]));
    assert!(moves.iter().all(|it| it.from == refused && it.to != refused));
    let counts: Vec<usize> = manager.distribution().iter().map(BTreeMap::len).collect();
    assert_eq!((counts[refused], counts.iter().max()), (0, Some(&15)));
    until("a tick of each", || manager.unseen().is_empty()).await;
    assert_eq!(health(&manager).dark, 0);
    assert_eq!(manager.snapshot().connections[refused].instruments, 0);

    in_time("the stranger's end", stranger.close()).await;
    let (moves, back) = moved(&mut events).await;
    assert!(back);
    assert_eq!(tokens(&moves), keys(&planned[refused]));
    assert!(moves.iter().all(|it| it.to == refused));
    assert_eq!(manager.distribution(), planned);
    agreed(&sim, &manager).await;
    until("a tick of each", || manager.unseen().is_empty()).await;
    assert_eq!(health(&manager).level(), HealthLevel::Healthy);
    sim.pause().await;
    complete(&taking, refused, 1, &socket(&sim, 0, &planned[refused])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instruments_of_a_lost_connection_move_and_return() {
    let sim = sim(1, |it| it.updates_per_second(50.0)).await;
    let manager = builder(&sim, 1).failover(Some(QUICK)).build().unwrap();
    let mut events = manager.events();
    let taking = take(manager.stream(StreamConfig::default()).unwrap());
    manager.subscribe(&kite_sim::universe(60), Mode::Full).unwrap();
    let planned = manager.distribution();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;

    let killed = Instant::now();
    kill(&sim, &planned[1]);
    let (moves, back) = moved(&mut events).await;
    assert!(killed.elapsed() >= QUICK.after, "not before `after`");
    assert!(!back && moves.iter().all(|it| it.from == 1));
    assert_eq!(tokens(&moves), keys(&planned[1]));
    let spread = manager.distribution();
    assert_eq!(spread.iter().map(BTreeMap::len).collect::<Vec<_>>(), [30, 0, 30]);
    agreed(&sim, &manager).await;
    until("a tick of each", || manager.unseen().is_empty()).await;
    assert_eq!((health(&manager).unhealthy, health(&manager).dark), (vec![1], 0));
    // Neither connection lost or duplicated a frame, including the snapshots of moved instruments.
    sim.pause().await;
    for connection in [0, 2] {
        complete(&taking, connection, 1, &socket(&sim, 0, &spread[connection])).await;
    }
    sim.resume();

    let let_in = Instant::now();
    sim.refuse_with(None);
    let (moves, back) = moved(&mut events).await;
    assert!(let_in.elapsed() >= QUICK.stable_after, "not before `stable_after`");
    assert!(back && moves.iter().all(|it| it.to == 1));
    assert_eq!(manager.distribution(), planned);
    agreed(&sim, &manager).await;
    sim.pause().await;
    complete(&taking, 1, 2, &socket(&sim, 0, &planned[1])).await;
    assert_eq!(health(&manager).level(), HealthLevel::Healthy);
    // Repeat this, because the stream's filter must follow.
    sim.resume();
    kill(&sim, &planned[1]);
    assert_eq!(tokens(&moved(&mut events).await.0), keys(&planned[1]));
    let spread = manager.distribution();
    agreed(&sim, &manager).await;
    let received = |connection: usize, token: u32, since: Stamp| {
        taking.look(|taken| {
            let mut log = taken.log.iter().rev();
            log.any(|it| it.connection == connection && it.token == token && it.received > since)
        })
    };
    let since = Stamp::now();
    until("ticks of all from their new owners", || {
        let mut all = spread.iter().enumerate();
        all.all(|(connection, here)| here.keys().all(|token| received(connection, *token, since)))
    })
    .await;
}

/// Every packet received on each connection, whether or not it belongs there.
#[derive(Debug, Clone, Default)]
struct Raw(Arc<Mutex<Vec<(usize, u32, Stamp)>>>);

#[derive(Debug)]
struct RawSink(Raw, Seat);

impl Sink for RawSink {
    fn on_batch(&mut self, batch: &Batch) {
        let packets = batch.ticks.packets().map(|it| it.instrument_token());
        let all = packets.map(|token| (self.1.connection, token, batch.received));
        self.0.0.lock().unwrap().extend(all);
    }

    fn on_event(&mut self, _: &Event) {}
}

/// Makes the servers of the two substitute connections ignore unsubscribe commands, and lets the
/// lost connection reconnect; returns when it has its instruments again.
async fn given_back_unnoticed(sim: &Sim, events: &mut Events) -> Stamp {
    for record in sim.sockets(&key(0)).iter().filter(|it| it.end.is_none()) {
        assert!(sim.inject_socket(record.id, Fault::StopsReading));
    }
    sim_until(sim, "two sockets that are not read", |sim| {
        sim.stats().faults.get(&kite_sim::FaultKind::StopsReading) == Some(&2)
    })
    .await;
    sim.refuse_with(None);
    assert!(moved(events).await.1);
    Stamp::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_from_a_former_owner_are_left_out() {
    let sim = sim(1, |it| it.updates_per_second(50.0)).await;
    let raw = Raw::default();
    let tapped = raw.clone();
    let builder = builder(&sim, 1).failover(Some(QUICK));
    let manager = builder.tap(move |seat| RawSink(tapped.clone(), seat)).build().unwrap();
    let mut events = manager.events();
    let taking = take(manager.stream(StreamConfig::default()).unwrap());
    manager.subscribe(&kite_sim::universe(30), Mode::Quote).unwrap();
    let planned = manager.distribution();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    kill(&sim, &planned[1]);
    let (moves, _) = moved(&mut events).await;
    agreed(&sim, &manager).await;
    let since = given_back_unnoticed(&sim, &mut events).await;
    let moved_tokens = tokens(&moves);
    let strays = || {
        let raw = raw.0.lock().unwrap();
        let is_stray =
            |it: &&(usize, u32, Stamp)| it.0 != 1 && it.2 > since && moved_tokens.contains(&it.1);
        raw.iter().filter(is_stray).count()
    };
    until("ticks from former owners", || strays() > 100).await;
    let ours = |taking: &Taking| -> BTreeSet<(usize, u32)> {
        taking.look(|taken| {
            let log = taken.log.iter().filter(|it| it.received > since);
            log.map(|it| (it.connection, it.token)).collect()
        })
    };
    let expected: BTreeSet<(usize, u32)> = planned
        .iter()
        .enumerate()
        .flat_map(|(connection, here)| here.keys().map(move |token| (connection, *token)))
        .collect();
    until("ticks of all", || ours(&taking).is_superset(&expected)).await;
    sim.heal(&key(0));
    agreed(&sim, &manager).await;
    sim.pause().await;
    complete(&taking, 1, 2, &socket(&sim, 0, &planned[1])).await;
    assert_eq!(ours(&taking), expected, "each from its owner only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_place_hands_over_and_leaves_out_former_owners_too() {
    let sim = sim(1, |it| it.updates_per_second(50.0)).await;
    let manager = builder(&sim, 1).failover(Some(QUICK)).build().unwrap();
    let mut events = manager.events();
    manager.subscribe(&kite_sim::universe(30), Mode::Quote).unwrap();
    let planned = manager.distribution();
    let taking = drive(manager.start_in_place().unwrap());
    in_time("up", manager.wait_until_live(Duration::from_secs(20))).await.unwrap();
    agreed(&sim, &manager).await;
    kill(&sim, &planned[1]);
    let (moves, back) = moved(&mut events).await;
    assert!(!back);
    assert_eq!(tokens(&moves), keys(&planned[1]));
    agreed(&sim, &manager).await;
    until("a tick of each", || manager.unseen().is_empty()).await;
    let spread = manager.distribution();
    sim.pause().await;
    for connection in [0, 2] {
        complete(&taking, connection, 1, &socket(&sim, 0, &spread[connection])).await;
    }
    sim.resume();
    let since = given_back_unnoticed(&sim, &mut events).await;
    let strays = || {
        let all = manager.instruments();
        let stray = all.iter().filter(|(seat, it)| {
            seat.connection != 1 && it.last_seen > since && planned[1].contains_key(&it.token)
        });
        stray.count()
    };
    until("ticks from former owners", || strays() == planned[1].len()).await;
    sim.heal(&key(0));
    agreed(&sim, &manager).await;
    sim.pause().await;
    complete(&taking, 1, 2, &socket(&sim, 0, &planned[1])).await;
    taking.look(|taken| {
        let late = taken.log.iter().filter(|it| it.received > since);
        let is_owner = |it: &Arrival| planned[it.connection].contains_key(&it.token);
        assert!(late.clone().count() > 0 && late.clone().all(is_owner), "each from its owner only");
    });
    in_time("stop", manager.stop()).await;
    until("the end", || taking.look(|taken| taken.ended)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instruments_without_room_are_reported_dark_and_move_once_there_is_room() {
    let sim = sim(1, |it| it).await;
    let builder = builder(&sim, 1).failover(Some(QUICK));
    let manager = builder.connection(|it| it.instrument_limit = 10).build().unwrap();
    let mut events = manager.events();
    manager.subscribe(&kite_sim::universe(28), Mode::Ltp).unwrap();
    let planned = manager.distribution();
    assert_eq!(planned.iter().map(BTreeMap::len).collect::<Vec<_>>(), [10, 9, 9]);
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    kill(&sim, &planned[0]);
    let (moves, _) = moved(&mut events).await;
    assert_eq!(moves.len(), 2);
    let dark = next_dark(&mut events, 0).await;
    let left: BTreeSet<u32> = keys(&planned[0]).difference(&tokens(&moves)).copied().collect();
    assert_eq!(dark, left);
    let snapshot = manager.snapshot();
    assert_eq!(snapshot.connections[0].dark_tokens.iter().copied().collect::<BTreeSet<_>>(), left);
    assert_eq!((snapshot.connections[0].instruments, health(&manager).dark), (8, 8));
    assert!(snapshot.connections[1].dark_tokens.is_empty());

    // At first there is some room, then enough.
    let (some, rest) = (keys(&planned[1]), keys(&planned[2]));
    let some: Vec<u32> = some.into_iter().take(3).collect();
    manager.unsubscribe(&some);
    let (moves, back) = moved(&mut events).await;
    assert!(!back && moves.len() == 3 && tokens(&moves).is_subset(&left));
    assert_eq!(next_dark(&mut events, 0).await.len(), 5);
    assert_eq!(health(&manager).dark, 5);
    manager.unsubscribe(&rest.into_iter().take(5).collect::<Vec<_>>());
    assert_eq!(moved(&mut events).await.0.len(), 5);
    assert_eq!(health(&manager).dark, 0);
    until("a tick of each", || manager.unseen().is_empty()).await;

    sim.refuse_with(None);
    let (moves, back) = moved(&mut events).await;
    assert!(back);
    assert_eq!(tokens(&moves), keys(&planned[0]));
    agreed(&sim, &manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dark_instruments_are_streamed_as_soon_as_their_connection_is_up() {
    let sim = sim(1, |it| it).await;
    let builder = builder(&sim, 1).failover(Some(QUICK)).connections(1);
    let manager = builder.build().unwrap();
    let mut events = manager.events();
    manager.subscribe(&kite_sim::universe(9), Mode::Ltp).unwrap();
    let planned = manager.distribution();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    kill(&sim, &planned[0]);
    assert_eq!(next_dark(&mut events, 0).await, keys(&planned[0]));
    assert_eq!(health(&manager).level(), HealthLevel::Critical);
    // A new instrument has no other place, and is dark too.
    manager.subscribe(&[256], Mode::Quote).unwrap();
    assert_eq!(health(&manager).dark, 10);
    sim.refuse_with(None);
    in_time("up", manager.wait_until_live(Duration::from_secs(9))).await.unwrap();
    assert_eq!((health(&manager).dark, health(&manager).level()), (0, HealthLevel::Healthy));
    agreed(&sim, &manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_instruments_avoid_a_lost_connection_and_stay_where_they_went() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).failover(Some(QUICK)).build().unwrap();
    let mut events = manager.events();
    let all = kite_sim::universe(40);
    manager.subscribe(&all[..30], Mode::Quote).unwrap();
    let planned = manager.distribution();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    kill(&sim, &planned[2]);
    moved(&mut events).await;
    manager.subscribe(&all[30..], Mode::Quote).unwrap();
    // Instruments return with a mode set in the meantime; unsubscribed ones do not return.
    let own: Vec<u32> = planned[2].keys().copied().collect();
    manager.set_mode(&own[..4], Mode::Full);
    manager.unsubscribe(&own[8..]);
    assert_eq!(manager.distribution()[2], BTreeMap::new());
    agreed(&sim, &manager).await;
    sim.refuse_with(None);
    let (moves, back) = moved(&mut events).await;
    assert!(back);
    assert_eq!(tokens(&moves), own[..8].iter().copied().collect());
    let mode = |place: usize| if place < 4 { Mode::Full } else { Mode::Quote };
    let expected = (0..8).map(|place| (own[place], mode(place))).collect::<BTreeMap<_, _>>();
    assert_eq!(manager.distribution()[2], expected);
    agreed(&sim, &manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instruments_subscribed_while_dark_move_once_there_is_room() {
    let sim = sim(1, |it| it).await;
    let builder = builder(&sim, 1).failover(Some(QUICK)).connections(2);
    let manager = builder.connection(|it| it.instrument_limit = 10).build().unwrap();
    let mut events = manager.events();
    let all = kite_sim::universe(14);
    manager.subscribe(&all[..10], Mode::Ltp).unwrap();
    let planned = manager.distribution();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    kill(&sim, &planned[0]);
    assert_eq!(moved(&mut events).await.0.len(), 5);
    manager.subscribe(&all[10..], Mode::Quote).unwrap();
    assert_eq!(health(&manager).dark, 4);
    assert_eq!(manager.snapshot().connections[0].dark_tokens, sorted(&all[10..]));
    manager.unsubscribe(&all[..4]);
    // Ignore the dark events of the new instruments.
    let mut next = notice(&mut events).await;
    while matches!(next, ManagerEvent::Dark { .. }) {
        next = notice(&mut events).await;
    }
    let ManagerEvent::Moved { moves, back, .. } = next else { panic!("{next:?}") };
    assert!(!back);
    assert_eq!(tokens(&moves), all[10..].iter().copied().collect());
    assert_eq!(health(&manager).dark, 0);
    until("a tick of each", || manager.unseen().is_empty()).await;
}

fn sorted(tokens: &[u32]) -> Vec<u32> {
    let tokens: BTreeSet<u32> = tokens.iter().copied().collect();
    tokens.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_stop_all_instruments_return() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).failover(Some(QUICK)).build().unwrap();
    let mut events = manager.events();
    manager.subscribe(&kite_sim::universe(30), Mode::Quote).unwrap();
    let planned = manager.distribution();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    kill(&sim, &planned[0]);
    moved(&mut events).await;
    in_time("stop", manager.stop()).await;
    sim.refuse_with(None);
    let taking = take(manager.stream(StreamConfig::default()).unwrap());
    in_time("start", manager.start()).await.unwrap();
    assert_eq!(manager.distribution(), planned);
    agreed(&sim, &manager).await;
    sim.pause().await;
    for (connection, here) in planned.iter().enumerate() {
        // Nothing is left out any more.
        complete(&taking, connection, 1, &socket(&sim, 0, here)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_failover_nothing_moves() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).build().unwrap();
    let mut events = manager.events();
    manager.subscribe(&kite_sim::universe(30), Mode::Quote).unwrap();
    let planned = manager.distribution();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    kill(&sim, &planned[1]);
    sim_until(&sim, "many attempts", |sim| sim.stats().refused.get(&503) >= Some(&20)).await;
    assert_eq!(manager.distribution(), planned);
    assert_eq!((health(&manager).unhealthy, health(&manager).dark), (vec![1], 0));
    sim.refuse_with(None);
    agreed(&sim, &manager).await;
    while let Ok(event) = events.try_recv() {
        let is_notice = matches!(event, ManagerEvent::Moved { .. } | ManagerEvent::Dark { .. });
        assert!(!is_notice, "{event:?}");
    }
}
