use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use kite_conn::{
    Connection, ConnectionConfig, Endpoint, Event, EventLane, Liveness, LossCause, OpenError,
    ParkReason, Phase, Reconnect, Transport,
};
use kite_sim::{ACCESS_TOKEN, API_KEY, Refusal, Sim, universe};
use kite_wire::text::TextMessage;
use kite_wire::{CommandKind, Mode, ParsedCommand};
use tokio::net::TcpSocket;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::Message;

use crate::both_ways;
use crate::probe::{Probe, Seen, config, connect, credentials, in_time, sim_until};

both_ways![
    an_expired_token_parks_and_new_credentials_resume_with_all_subscriptions,
    damaged_frames_unknown_packets_and_odd_texts_are_reported_and_the_feed_continues,
    a_frame_above_the_limit_is_reported_and_reconnects,
    a_peer_that_accepts_no_bytes_is_replaced_even_if_it_sends,
];

fn is_parked(event: &Event) -> bool {
    matches!(event, Event::Parked(_))
}

async fn an_expired_token_parks_and_new_credentials_resume_with_all_subscriptions() {
    let sim = Sim::builder().start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&[256, 257], Mode::Full).unwrap();
    probe.until("ticks", |seen| seen.ticks.len() == 2).await;
    sim.set_access_token(API_KEY, "of tomorrow");
    sim.drop_all();
    probe.until("the park", |seen| seen.count(is_parked) == 1).await;

    let status = connection.status();
    assert_eq!(status.phase, Phase::Parked);
    let Some(ParkReason::Authentication(OpenError::Refused(refusal))) = &status.parked else {
        panic!("{status:?}");
    };
    assert_eq!(refusal.status, 403);
    assert_eq!(refusal.message.as_deref(), Some("Authentication failed."));
    assert!(refusal.body_complete);
    assert!(status.last_failure.is_some());
    assert_eq!(sim.stats().refused[&403], 1, "a refused token is tried once");

    connection.subscribe(&[258], Mode::Ltp).unwrap();
    connection.set_credentials(credentials().with_access_token("of tomorrow"));
    let desired = connection.desired();
    sim_until(&sim, "subscriptions", |sim| sim.subscriptions() == [desired.clone()]).await;
    probe.until("ticks again", |seen| seen.epoch == 2).await;
    let status = connection.status();
    assert_eq!((status.phase, status.epoch), (Phase::Live, 2));
    assert!(status.parked.is_none() && status.last_failure.is_none());
    connection.close().await;
}

#[tokio::test]
async fn events_reach_a_sink_that_accepts_no_frames_while_no_socket_is_open() {
    let sim = Sim::builder().updates_per_second(0.0).greet(false).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    sim_until(&sim, "a socket", |sim| sim.stats().connections_open == 1).await;
    let mut status = connection.watch();
    in_time("live", status.wait_for(|status| status.phase == Phase::Live)).await.unwrap();
    sim.refuse_with(Some(Refusal::kite(503, "later").retry_after("3600")));
    sim.drop_all();
    in_time("a wait", status.wait_for(|status| status.phase == Phase::Waiting)).await.unwrap();
    probe.take_frames(false);
    sim.refuse_with(Some(Refusal::auth()));
    connection.set_credentials(credentials());
    probe.until("the park", |seen| seen.count(is_parked) == 1).await;
    drop(connection);
}

#[tokio::test]
async fn refusals_unrelated_to_the_credentials_are_retried() {
    let sim = Sim::builder().start().await.unwrap();
    sim.refuse_with(Some(Refusal::new(403, "<html>Forbidden by the proxy</html>")));
    let (connection, probe) = connect(config(&sim));
    let tries = |event: &Event| matches!(event, Event::OpenFailed { .. });
    for (count, status) in [(2, 403), (4, 502), (6, 429)] {
        sim.refuse_with(Some(Refusal::new(status, "<html>no</html>")));
        probe.until("refusals", |seen| seen.count(tries) >= count).await;
    }
    let failure = connection.status().last_failure.unwrap();
    assert!(failure.is_retryable() && !failure.is_auth(), "{failure}");
    sim.refuse_with(None);
    probe.until("the connection", |seen| seen.count(|e| matches!(e, Event::Up { .. })) == 1).await;
    assert_eq!(probe.look(|seen| seen.count(is_parked)), 0);
    let failed = probe.look(|seen| seen.count(tries)) as u64;
    assert_eq!(connection.stats().errors, failed);
    connection.close().await;
}

#[tokio::test]
async fn used_up_attempts_park_and_new_credentials_resume() {
    let sim = Sim::builder().start().await.unwrap();
    sim.refuse_with(Some(Refusal::new(502, "")));
    let (connection, probe) = connect(ConnectionConfig {
        reconnect: Reconnect { max_attempts: 2, ..config(&sim).reconnect },
        ..config(&sim)
    });
    probe.until("the park", |seen| seen.count(is_parked) == 1).await;
    assert_eq!(sim.stats().refused[&502], 3, "one attempt and two more");
    assert!(matches!(
        connection.status().parked,
        Some(ParkReason::AttemptsUsedUp { failures: 3, limit: 2, .. })
    ));
    sim.refuse_with(None);
    connection.set_credentials(credentials());
    sim_until(&sim, "the connection", |sim| sim.stats().connections_open == 1).await;
    connection.close().await;
}

#[tokio::test]
async fn a_header_that_belongs_to_the_handshake_parks_before_anything_is_sent() {
    let sim = Sim::builder().start().await.unwrap();
    let headers = vec![("host".parse().unwrap(), "elsewhere".parse().unwrap())];
    let (connection, probe) = connect(ConnectionConfig {
        transport: Transport { headers, ..config(&sim).transport },
        ..config(&sim)
    });
    probe.until("the park", |seen| seen.count(is_parked) == 1).await;
    assert!(matches!(connection.status().parked, Some(ParkReason::Configuration(_))));
    connection.close().await;
}

async fn damaged_frames_unknown_packets_and_odd_texts_are_reported_and_the_feed_continues() {
    let sim = Sim::builder().greet(false).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&[256], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;

    // One LTP packet of token 511, then half of another.
    let good = [0, 8, 0, 0, 1, 255, 0, 0, 0, 5];
    sim.send_binary([&[0, 2][..], &good, &[0, 8, 0, 0]].concat());
    let damaged =
        |event: &Event| matches!(event, Event::FrameDamaged { bytes_left: 4, suppressed: 0, .. });
    probe.until("the damage", |seen| seen.count(damaged) == 1).await;
    probe.until("the good packet", |seen| seen.ticks.contains_key(&511)).await;

    // A packet of 5 bytes before one of token 767.
    let other = [0, 8, 0, 0, 2, 255, 0, 0, 0, 5];
    sim.send_binary([&[0, 2][..], &[0, 5, 1, 2, 3, 4, 5], &other].concat());
    let skipped = |event: &Event| {
        matches!(event, Event::PacketsSkipped { length: 5, packets: 1, suppressed: 0, .. })
    };
    probe.until("the skip", |seen| seen.count(skipped) == 1).await;
    probe.until("its neighbour", |seen| seen.ticks.contains_key(&767)).await;
    // An empty message is damaged.
    sim.send_binary(Vec::new());

    sim.send_text("{\"type\":");
    sim.send_text(r#"{"type":"of tomorrow","data":{"x":[1]}}"#);
    sim.send_text(r#"{"type":"error","data":"Can't subscribe to more than 3000 instruments."}"#);
    sim.send_order(serde_json::json!({
        "order_id": "250804000000001",
        "status": null,
        "price": "12.5",
        "quantity": {"odd": true},
        "never_heard_of": 1,
    }));
    let kind = |event: &Event| match event {
        Event::TextUnreadable { .. } => Some("unreadable"),
        Event::Text { message, .. } => Some(match &**message {
            TextMessage::Error(_) => "error",
            TextMessage::Order(_) => "order",
            other if other.kind() == Some("of tomorrow") => "unknown",
            other => panic!("{other:?}"),
        }),
        _ => None,
    };
    let kinds = |seen: &Seen| seen.events.iter().filter_map(kind).collect::<Vec<_>>();
    probe.until("the text frames", |seen| kinds(seen).len() == 4).await;
    assert_eq!(probe.look(kinds), ["unreadable", "unknown", "error", "order"]);

    let frames = probe.look(|seen| seen.frames);
    sim.tick_now(&[256]);
    probe.until("ticks", |seen| seen.frames > frames).await;
    let stats = connection.stats();
    assert_eq!((stats.losses, stats.skipped_packets, stats.damaged_frames), (0, 1, 2));
    assert_eq!((stats.texts, stats.errors), (4, 1));
    let refused = |event: &Event| matches!(event, Event::LimitRefused { instruments: 1, .. });
    probe.until("the refusal", |seen| seen.count(refused) == 1).await;
    connection.close().await;
}

#[tokio::test]
async fn unreadable_texts_displace_no_order_from_the_event_lane_and_all_reach_the_sink() {
    let sim = Sim::builder().greet(false).start().await.unwrap();
    let (probe, lane) = (Probe::new(), EventLane::default());
    let mut events = lane.subscribe();
    let connection =
        Connection::spawn(config(&sim), credentials(), probe.sink(), &lane, 0).unwrap();
    sim_until(&sim, "a socket", |sim| sim.stats().connections_open == 1).await;
    let begun = std::time::Instant::now();
    let order = r#"{"type": "order",  "data": {"order_id": "1"}}"#;
    sim.send_text(order);
    for number in 0..1_100 {
        sim.send_text(&format!("{{ {number}"));
    }
    let texts = |seen: &Seen| -> Vec<bytes::Bytes> {
        let text = |event: &Event| match event {
            Event::Text { text, .. } | Event::TextUnreadable { text, .. } => Some(text.clone()),
            _ => None,
        };
        seen.events.iter().filter_map(text).collect()
    };
    probe.until("the text frames", |seen| texts(seen).len() == 1_101).await;
    let seconds = begun.elapsed().as_secs() as usize;
    let received = probe.look(texts);
    assert_eq!(received[0], order);
    assert!(received[1..].iter().enumerate().all(|(number, text)| *text == format!("{{ {number}")));
    let stats = connection.stats();
    assert_eq!((stats.texts, stats.unreadable_texts, stats.errors), (1_101, 1_100, 1_100));

    let (mut orders, mut bad) = (0, 0);
    loop {
        match events.try_recv() {
            Ok(tagged) => match tagged.event {
                Event::Text { .. } => orders += 1,
                Event::TextUnreadable { .. } => bad += 1,
                _ => {}
            },
            Err(TryRecvError::Empty) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(orders, 1);
    assert!((1..=seconds + 1).contains(&bad), "{bad} reported in {seconds} s");
    connection.close().await;
}

async fn a_frame_above_the_limit_is_reported_and_reconnects() {
    let sim = Sim::builder().start().await.unwrap();
    let limit = 10_000;
    let (connection, probe) = connect(ConnectionConfig {
        transport: Transport { max_frame_bytes: limit, ..config(&sim).transport },
        ..config(&sim)
    });
    connection.subscribe(&[256], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    sim.send_binary(vec![0; limit + 1]);
    let too_large = |event: &Event| match event {
        Event::Down { cause: LossCause::FrameTooLarge { bytes, limit }, .. } => {
            (*bytes, *limit) == (10_001, 10_000)
        }
        _ => false,
    };
    probe.until("the loss", |seen| seen.count(too_large) == 1).await;
    probe.until("ticks again", |seen| seen.epoch == 2).await;
    connection.close().await;
}

/// Heartbeats per burst: more than a connection reads in one turn, so that its requests have been
/// handled once as many have been received.
const BURST: usize = 100;

/// A server that sends heartbeats and reads nothing until notified; then it forwards what it reads.
async fn server_that_does_not_read(
    listen: Arc<Notify>,
) -> (SocketAddr, mpsc::UnboundedReceiver<Message>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, messages) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (sender, listen) = (sender.clone(), Arc::clone(&listen));
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                let mut beats = tokio::time::interval(Duration::from_millis(5));
                let mut listening = pin!(listen.notified());
                loop {
                    tokio::select! {
                        () = &mut listening => break,
                        _ = beats.tick() => {
                            let heartbeat = || Ok(Message::Binary(vec![0].into()));
                            let burst = std::iter::repeat_with(heartbeat).take(BURST);
                            let mut burst = futures_util::stream::iter(burst);
                            if socket.send_all(&mut burst).await.is_err() {
                                return;
                            }
                        }
                    }
                }
                while let Some(Ok(message)) = socket.next().await {
                    let _ = sender.send(message);
                }
            });
        }
    });
    (address, messages)
}

async fn a_peer_that_accepts_no_bytes_is_replaced_even_if_it_sends() {
    let (address, _messages) = server_that_does_not_read(Arc::default()).await;
    let silence_threshold = Duration::from_millis(300);
    let sim = Sim::builder().start().await.unwrap();
    let (connection, probe) = connect(ConnectionConfig {
        endpoint: Endpoint::parse(&format!("ws://{address}")).unwrap(),
        liveness: Liveness {
            silence_threshold,
            close_deadline: Duration::from_millis(100),
            ..config(&sim).liveness
        },
        ..config(&sim)
    });
    probe.until("heartbeats", |seen| seen.heartbeats > 1).await;
    let tokens = universe(3_000);
    let blocked = |event: &Event| match event {
        Event::Down { cause: LossCause::WriteBlocked { blocked }, .. } => {
            *blocked >= 2 * silence_threshold
        }
        _ => false,
    };
    in_time("the loss", async {
        for mode in Mode::ALL.into_iter().cycle() {
            connection.subscribe(&tokens, mode).unwrap();
            let frames = probe.look(|seen| seen.frames);
            probe.until("another frame", |seen| seen.frames > frames).await;
            if probe.look(|seen| seen.count(blocked)) > 0 {
                break;
            }
        }
    })
    .await;
    probe.until("another socket", |seen| seen.epoch == 2).await;
    connection.close().await;
}

#[tokio::test]
async fn a_restarted_server_is_reconnected() {
    let first = Sim::builder().start().await.unwrap();
    let port = first.addr().port();
    let (connection, probe) = connect(config(&first));
    connection.subscribe(&[256], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    first.stop().await;
    drop(first);
    let refused =
        |event: &Event| matches!(event, Event::OpenFailed { error: OpenError::Connect { .. }, .. });
    probe.until("a failed attempt", |seen| seen.count(refused) > 0).await;
    let second = Sim::builder().port(port).credentials(API_KEY, ACCESS_TOKEN);
    let second = second.start().await.unwrap();
    probe.until("ticks again", |seen| seen.epoch == 2).await;
    assert_eq!(second.subscriptions(), [connection.desired()]);
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_made_while_writing_is_blocked_are_sent_merged() {
    let listen = Arc::<Notify>::default();
    let (address, mut messages) = server_that_does_not_read(Arc::clone(&listen)).await;
    let sim = Sim::builder().start().await.unwrap();
    let endpoint = Endpoint::parse(&format!("ws://{address}")).unwrap();
    let (connection, probe) = connect(ConnectionConfig { endpoint, ..config(&sim) });
    let tokens = universe(3_000);
    // About 12 MB of commands if each were sent: more than the system's buffers hold.
    let mut requests = 0;
    for mode in Mode::ALL.into_iter().cycle().take(400) {
        connection.subscribe(&tokens, mode).unwrap();
        requests += 1;
        let frames = probe.look(|seen| seen.frames);
        probe.until("a burst", |seen| seen.frames > frames + BURST as u64).await;
    }
    connection.subscribe(&tokens[..1], Mode::Full).unwrap();
    let desired = connection.desired();
    listen.notify_one();
    let (mut commands, mut held) = (0, BTreeMap::new());
    in_time("the desired set", async {
        while held != desired {
            let message = messages.recv().await.unwrap();
            let command = ParsedCommand::parse(message.to_text().unwrap()).unwrap();
            commands += 1;
            match command.kind {
                CommandKind::Subscribe => held.extend(command.tokens.map(|t| (t, Mode::Quote))),
                CommandKind::Mode(mode) => held.extend(command.tokens.map(|t| (t, mode))),
                CommandKind::Unsubscribe => panic!("nothing was unsubscribed"),
            }
        }
    })
    .await;
    assert!(commands < requests, "{commands} commands for {requests} requests");
    assert_eq!(connection.stats().losses, 0);
    connection.close().await;
}

#[tokio::test]
async fn a_ping_from_the_server_is_answered() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::parse(&format!("ws://{}", listener.local_addr().unwrap())).unwrap();
    let sim = Sim::builder().start().await.unwrap();
    let (connection, _probe) = connect(ConnectionConfig { endpoint, ..config(&sim) });
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    socket.send(Message::Ping(vec![1, 2, 3].into())).await.unwrap();
    let answer = in_time("the pong", socket.next()).await.unwrap().unwrap();
    assert_eq!(answer, Message::Pong(vec![1, 2, 3].into()));
    drop(connection);
}
