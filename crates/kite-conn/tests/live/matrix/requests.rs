//! Subscriptions under many tasks, random faults and limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use kite_conn::{ConnectionConfig, Endpoint, Event, Liveness, SubscribeError, Transport};
use kite_sim::{API_KEY, Fault, FaultChance, FaultKind, Sim, universe};
use kite_wire::{CommandKind, Mode, ParsedCommand};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

use crate::both_ways;
use crate::probe::{config, connect, in_time, sim_until};
use crate::story::{assert_nothing_twice, changes, expect_events, gaps, mixed, story};

both_ways![
    many_tasks_and_random_faults_end_in_the_desired_set,
    rejected_subscriptions_are_sent_again_once_there_is_room,
];

async fn many_tasks_and_random_faults_end_in_the_desired_set() {
    const TASKS: u64 = 8;
    const ENOUGH: u64 = 60;
    // Without those that wait for a timeout, which have their own rows, and those that park.
    let kinds = [
        FaultKind::Refusal,
        FaultKind::SlowHandshake,
        FaultKind::WrongAcceptKey,
        FaultKind::HandshakeReset,
        FaultKind::HandshakeEnd,
        FaultKind::Reset,
        FaultKind::EndOfStream,
        FaultKind::HalfOpen,
        FaultKind::HeartbeatsOnly,
        FaultKind::StopsReading,
        FaultKind::Stalls,
        FaultKind::TruncatedFrame,
        FaultKind::OversizedFrame,
        FaultKind::LyingCount,
        FaultKind::UnknownPacket,
        FaultKind::ErrorText,
        FaultKind::Close,
        FaultKind::Burst,
        FaultKind::InvalidFrame,
        FaultKind::LateSlot,
        FaultKind::Restart,
    ];
    let chance = FaultChance::new(11, Duration::from_millis(25))
        .kinds(kinds)
        .longest_delay(Duration::from_millis(30));
    let sim = Sim::builder()
        .greet(false)
        .updates_per_second(50.0)
        .heartbeat_every(Duration::from_millis(20))
        .chance(chance)
        .start()
        .await
        .unwrap();
    let (connection, probe) = connect(ConnectionConfig {
        transport: Transport {
            connect_timeout: Duration::from_millis(700),
            ..config(&sim).transport
        },
        liveness: Liveness {
            silence_threshold: Duration::from_millis(250),
            ..config(&sim).liveness
        },
        ..config(&sim)
    });
    let tokens = universe(200);
    let struck = |sim: &Sim| sim.stats().faults.values().sum::<u64>();
    let requesting = (0..TASKS).map(|task| {
        let (connection, tokens, sim) = (connection.clone(), &tokens, &sim);
        async move {
            let mut random = fastrand::Rng::with_seed(task);
            while struck(sim) < ENOUGH {
                let some: Vec<u32> =
                    (0..random.usize(1..20)).map(|_| tokens[random.usize(..200)]).collect();
                match random.usize(..4) {
                    0 => connection.unsubscribe(&some),
                    mode => connection.subscribe(&some, Mode::ALL[mode - 1]).unwrap(),
                }
                // So that requests are sent one by one as well as merged.
                let frames = sim.stats().frames_sent + random.u64(..3);
                let another = sim.wait_until(|sim| sim.stats().frames_sent >= frames);
                let _ = tokio::time::timeout(Duration::from_millis(20), another).await;
            }
        }
    });
    in_time("the requests", futures_util::future::join_all(requesting)).await;
    sim.calm();
    // One more request, regardless of the state and of what is doubted.
    connection.subscribe(&tokens[..1], Mode::Full).unwrap();
    let desired = connection.desired();
    assert!(desired.len() > 50, "{}", desired.len());
    sim_until(&sim, "the desired set", |sim| sim.subscriptions() == [desired.clone()]).await;
    let epoch = connection.status().epoch;
    probe.until("ticks of the last socket", |seen| seen.epoch == epoch).await;
    in_time("a pause", sim.pause()).await;
    let sent = sim.sockets(API_KEY).last().unwrap().frames();
    let all_arrived = |seen: &crate::probe::Seen| {
        seen.sockets.values().next_back().is_some_and(|socket| socket.frames == sent)
    };
    probe.until("the last frame", all_arrived).await;
    connection.close().await;
    probe.look(|seen| {
        assert_nothing_twice("chance", &sim, seen, true);
        let gaps = gaps(seen);
        assert_eq!(gaps.len() as u64, connection.stats().connects - 1, "a gap for each reconnect");
        for (index, gap) in gaps.iter().enumerate() {
            let before = index as u32 + 1;
            assert_eq!((gap.lost_epoch, gap.epoch), (before, before + 1));
            assert!(gap.last_heard <= gap.lost && gap.lost <= gap.up, "{gap:?}");
        }
        assert!(!story(seen).iter().any(|word| word.starts_with("parked")));
    });
}

#[tokio::test]
async fn the_first_instrument_above_the_limit_is_rejected_before_anything_is_sent() {
    let sim = Sim::builder().greet(false).updates_per_second(0.0).start().await.unwrap();
    let (connection, _probe) = connect(config(&sim));
    let tokens = universe(3_001);
    connection.subscribe(&tokens[..3_000], Mode::Full).unwrap();
    let desired = connection.desired();
    sim_until(&sim, "all", |sim| sim.subscriptions() == [desired.clone()]).await;
    let commands = sim.stats().commands_received;
    let error = connection.subscribe(&tokens[3_000..], Mode::Full).unwrap_err();
    let SubscribeError::Capacity(room) = error else { panic!("{error}") };
    assert_eq!((room.asked, room.free, room.limit), (1, 0, 3_000));
    assert_eq!(connection.desired(), desired);
    // It is accepted in place of another, in one step.
    connection.apply([(tokens[3_000], Some(Mode::Ltp)), (tokens[0], None)]).unwrap();
    let desired = connection.desired();
    sim_until(&sim, "all", |sim| sim.subscriptions() == [desired.clone()]).await;
    // Unsubscribe, subscribe, mode, and nothing from the rejected request.
    assert_eq!(sim.stats().commands_received, commands + 3);
    assert_eq!(connection.stats().texts, 0, "the server rejected nothing");
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_about_the_limit_keeps_the_subscriptions_correct() {
    let sim = Sim::builder().greet(false).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    let first = mixed(20);
    connection.apply(changes(&first)).unwrap();
    sim_until(&sim, "all", |sim| sim.subscriptions() == [first.clone()]).await;
    connection.subscribe(&[257, 513], Mode::Full).unwrap();
    sim_until(&sim, "more", |sim| sim.subscriptions().iter().any(|it| it.len() == 22)).await;
    sim.inject(API_KEY, Fault::limit_error());
    expect_events(&probe, 2, &["error text", "limit refused 22"]).await;
    probe.look(|seen| {
        let Event::LimitRefused { message, instruments: 22 } = &seen.events[3] else {
            panic!("{seen:?}")
        };
        assert_eq!(message, "Can't subscribe to more than 3000 instruments.");
    });
    // Doubted instruments can be unsubscribed, and the others stay unchanged.
    connection.unsubscribe(&[513]);
    connection.subscribe(&[769], Mode::Ltp).unwrap();
    let desired = connection.desired();
    sim_until(&sim, "all", |sim| sim.subscriptions() == [desired.clone()]).await;
    // Everything is sent on a new socket, doubted or not.
    sim.inject(API_KEY, Fault::limit_error());
    sim.drop_all();
    sim_until(&sim, "all", |sim| sim.subscriptions() == [desired.clone()]).await;
    connection.close().await;
}

/// A server with room for `room` instruments that rejects whole commands with Kite's error text.
async fn small_server(room: usize) -> (SocketAddr, watch::Receiver<BTreeMap<u32, Mode>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (held, seen) = watch::channel(BTreeMap::new());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let command = ParsedCommand::parse(&text).unwrap();
            let mut after: BTreeMap<u32, Mode> = held.borrow().clone();
            match command.kind {
                CommandKind::Unsubscribe => command.tokens.for_each(|token| {
                    after.remove(&token);
                }),
                CommandKind::Subscribe => after.extend(command.tokens.map(|it| (it, Mode::Quote))),
                CommandKind::Mode(mode) => after.extend(command.tokens.map(|it| (it, mode))),
            }
            if after.len() <= room {
                held.send_replace(after);
            } else {
                let error =
                    r#"{"type":"error","data":"Can't subscribe to more than 10 instruments."}"#;
                socket.send(Message::text(error)).await.unwrap();
            }
        }
    });
    (address, seen)
}

async fn rejected_subscriptions_are_sent_again_once_there_is_room() {
    let (address, mut held) = small_server(10).await;
    let sim = Sim::builder().start().await.unwrap();
    let endpoint = Endpoint::parse(&format!("ws://{address}")).unwrap();
    let (connection, probe) = connect(ConnectionConfig { endpoint, ..config(&sim) });
    let tokens = universe(13);
    connection.subscribe(&tokens[..10], Mode::Full).unwrap();
    in_time("ten", held.wait_for(|held| held.len() == 10)).await.unwrap();
    connection.subscribe(&tokens[10..12], Mode::Ltp).unwrap();
    // The subscribe is rejected, and so is the mode that follows it. Both error messages may be
    // read in one turn. All recent subscriptions are doubted, since a message does not name the
    // ones it means.
    let rejected = async |from: usize, doubted: usize| {
        probe.until("the errors", |seen| seen.events.len() >= from + 3).await;
        let mut events = probe.look(|seen| story(seen)[from..from + 3].to_vec());
        events.sort();
        let limit = format!("limit refused {doubted}");
        assert_eq!(events, ["error text", "error text", &limit], "one event per request");
    };
    rejected(2, 12).await;
    // Another rejection keeps these doubted.
    connection.subscribe(&tokens[12..], Mode::Ltp).unwrap();
    rejected(5, 13).await;
    assert_eq!(held.borrow().len(), 10);
    assert_eq!(connection.desired().len(), 13, "they stay desired");

    // Room for one is not enough for three: sent and rejected again.
    connection.unsubscribe(&tokens[..1]);
    rejected(8, 12).await;
    // Now there is room for all.
    connection.unsubscribe(&tokens[1..3]);
    let desired = connection.desired();
    assert_eq!(desired.len(), 10);
    in_time("all", held.wait_for(|held| *held == desired)).await.unwrap();
    assert_eq!(connection.stats().losses, 0);
    drop(connection);
}
