//! A row for each fault, with the exact events and the recovery; nothing is lost or received twice.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::StreamExt;
use kite_conn::{ConnectionConfig, Event, Phase, Tls, VolumeMissed};
use kite_sim::{API_KEY, BodyDelivery, Fault, FaultFamily, FaultKind, InvalidFrame, Refusal, Sim};
use kite_wire::Mode;

use crate::both_ways;
use crate::probe::{Seen, config, connect, credentials, in_time, sim_until};
use crate::story::{assert_nothing_twice, changes, gaps, mixed, story};

/// The silence threshold in the rows about silence.
const THRESHOLD: Duration = Duration::from_millis(250);
/// Number of rows that run concurrently; more would only wait for each other.
const SIDE_BY_SIDE: usize = 6;

both_ways![every_fault_has_its_exact_events_and_recovers];

/// One fault and its effects.
struct Row {
    fault: Fault,
    tune: fn(&mut ConnectionConfig),
    /// The events starting with the fault; `CURE` marks where the test intervenes.
    events: Vec<String>,
    /// The events over TLS, if they differ.
    events_over_tls: Option<Vec<String>>,
    cure: Cure,
    /// Whether attempts continue for the duration of the fault, so that their number is not fixed.
    many_attempts: bool,
    /// Whether the simulator counts a socket that the client has abandoned.
    strays: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Cure {
    None,
    Heal,
    NewCredentials,
}

const CURE: &str = "(cure)";

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

impl Row {
    fn new(fault: Fault, events: &[&str]) -> Self {
        Self {
            fault,
            tune: |_| {},
            events: words(events),
            events_over_tls: None,
            cure: Cure::None,
            many_attempts: false,
            strays: false,
        }
    }

    /// A fault that costs a socket and nothing more.
    fn costs_a_socket(fault: Fault, cause: &str) -> Self {
        Self::new(fault, &[&format!("down 1: {cause}"), "retry 2", "opening 2", "up 2", "gap 1→2"])
    }

    /// A fault that costs an attempt to open the next socket.
    fn costs_an_attempt(fault: Fault, error: &str) -> Self {
        Self::new(
            fault,
            &Self::failed_attempt(error).iter().map(String::as_str).collect::<Vec<_>>(),
        )
    }

    fn failed_attempt(error: &str) -> Vec<String> {
        let failed = format!("failed 2: {error}");
        let events = ["down 1: close 1001", "retry 2", "opening 2", &failed, "retry 3"];
        words(&[&events[..], &["opening 3", "up 2", "gap 1→2"]].concat())
    }

    fn over_tls(self, events: Vec<String>) -> Self {
        Self { events_over_tls: Some(events), ..self }
    }

    fn tune(self, tune: fn(&mut ConnectionConfig)) -> Self {
        Self { tune, ..self }
    }

    fn watched(self) -> Self {
        self.tune(|config| config.liveness.silence_threshold = THRESHOLD)
    }

    fn hurried(self) -> Self {
        self.tune(|config| config.transport.connect_timeout = Duration::from_millis(600))
    }

    fn cured_by(self, cure: Cure) -> Self {
        Self { cure, ..self }
    }
}

fn refused(refusal: Refusal, body: BodyDelivery) -> Fault {
    Fault::Refuse { refusal, body }
}

fn rows() -> Vec<Row> {
    let later = BodyDelivery::Later(Duration::from_millis(50));
    let html = |status| Refusal::new(status, "<html><body>no</body></html>");
    let order = serde_json::json!({"order_id": "250804000000001", "status": "COMPLETE"});
    let mut rows = vec![
        Row::new(
            refused(Refusal::auth(), later),
            &[
                "down 1: close 1001",
                "retry 2",
                "opening 2",
                "failed 2: 403 auth",
                "parked: authentication",
                CURE,
                "opening 1",
                "up 2",
                "gap 1→2",
            ],
        )
        .cured_by(Cure::NewCredentials),
        Row::costs_an_attempt(refused(html(403), BodyDelivery::AtOnce), "403"),
        Row::costs_an_attempt(refused(html(401), later), "401"),
        Row::costs_an_attempt(refused(html(400), BodyDelivery::Chunked), "400"),
        Row::costs_an_attempt(refused(Refusal::kite(429, "wait"), BodyDelivery::AtOnce), "429"),
        Row::costs_an_attempt(refused(Refusal::kite(502, "down"), BodyDelivery::AtOnce), "502"),
        Row::costs_an_attempt(refused(Refusal::auth(), BodyDelivery::Never), "403").hurried(),
        Row {
            strays: true,
            ..Row::costs_an_attempt(
                Fault::SlowHandshake { delay: Duration::from_secs(1) },
                "timeout of the WebSocket handshake",
            )
            .hurried()
        },
        Row::costs_a_socket(
            Fault::SlowHandshake { delay: Duration::from_millis(200) },
            "close 1001",
        ),
        Row::costs_an_attempt(Fault::HangingHandshake, "timeout of the WebSocket handshake")
            .hurried(),
        Row::costs_an_attempt(Fault::WrongAcceptKey, "wrong accept key"),
        Row::costs_an_attempt(Fault::HandshakeReset, "broken handshake"),
        Row::costs_an_attempt(Fault::HandshakeEnd, "ended handshake"),
        Row::costs_an_attempt(Fault::HangingTls, "timeout of the WebSocket handshake")
            .hurried()
            .over_tls(Row::failed_attempt("timeout of the TLS handshake")),
        Row::costs_an_attempt(Fault::GarbageTls, "not http")
            .over_tls(Row::failed_attempt("tls: the server does not speak TLS")),
        Row::costs_a_socket(Fault::HalfOpen, "silence").watched(),
        Row::costs_a_socket(Fault::Stalls, "silence").watched(),
        Row::new(
            Fault::PongsOnly,
            &["feed silent", "down 1: feed silence", "retry 2", "opening 2", "up 2", "gap 1→2"],
        )
        .watched(),
        Row::new(Fault::HeartbeatsOnly, &["stale", CURE, "resumed"])
            .tune(|config| {
                config.liveness.stale_after = THRESHOLD;
                config.liveness.silence_threshold = THRESHOLD;
            })
            .cured_by(Cure::Heal),
        Row::new(Fault::StopsReading, &[CURE]).cured_by(Cure::Heal),
        // A frame of all instruments takes longer than twice the threshold.
        Row::new(Fault::SlowLink { bytes_per_second: NonZeroU32::new(3_000).unwrap() }, &[])
            .watched(),
        Row::new(Fault::TruncatedFrame { cut: 3 }, &["damaged"]),
        Row::new(Fault::LyingCount { by: 7 }, &["damaged"]),
        Row::new(Fault::LyingCount { by: -7 }, &["damaged"]),
        Row::new(Fault::UnknownPacket { length: 45 }, &["skipped 1"]),
        Row::costs_a_socket(Fault::OversizedFrame { bytes: Fault::OVERSIZED_BYTES }, "too large"),
        Row::new(Fault::UnknownText, &["text sim_unknown"]),
        Row::new(Fault::UnparsableText, &["unreadable text"]),
        Row::new(Fault::ErrorText { message: "Something went wrong.".into() }, &["error text"]),
        Row::new(Fault::limit_error(), &["error text", "limit refused 30"]),
        Row::new(Fault::Order { data: order.clone() }, &["order"]),
        Row::new(Fault::DuplicateOrder { data: order }, &["order", "order"]),
        Row::new(Fault::Burst { frames: 300 }, &[]),
        Row {
            many_attempts: true,
            ..Row::new(
                Fault::LateSlot { held: Duration::from_millis(400) },
                &[
                    "down 1: close 1001",
                    "retry",
                    "opening",
                    "failed: 429",
                    "retry",
                    "opening",
                    "up 2",
                    "gap 1→2",
                ],
            )
        },
        Row {
            many_attempts: true,
            ..Row::new(
                Fault::Restart { down: Duration::from_millis(300) },
                &[
                    "down 1: eof",
                    "retry",
                    "opening",
                    "failed: connect",
                    "retry",
                    "opening",
                    "up 2",
                    "gap 1→2",
                ],
            )
        },
    ];
    for at in [0, 1, 2, 40, usize::MAX] {
        rows.push(Row::costs_a_socket(Fault::Reset { at }, "ConnectionReset"));
        rows.push(Row::costs_a_socket(Fault::EndOfStream { at }, "eof"));
    }
    // RFC 6455 forbids sending 1006; if it is sent, it is reported as received.
    for (code, cause) in
        [(1_000, "close 1000"), (1_005, "close 1005"), (1_006, "close 1006"), (1_012, "close 1012")]
    {
        for waits in [true, false] {
            rows.push(Row::costs_a_socket(Fault::Close { code, waits }, cause));
        }
    }
    for way in InvalidFrame::ALL {
        rows.push(Row::costs_a_socket(Fault::InvalidFrame(way), "protocol"));
    }
    rows
}

#[test]
fn every_kind_of_fault_has_a_row() {
    let covered: BTreeSet<_> = rows().iter().map(|row| row.fault.kind()).collect();
    assert_eq!(covered, Fault::KINDS.iter().copied().collect());
}

async fn every_fault_has_its_exact_events_and_recovers() {
    run_all(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_has_its_exact_events_and_recovers_over_tls() {
    run_all(true).await;
}

async fn run_all(secure: bool) {
    let rows = futures_util::stream::iter(rows());
    rows.for_each_concurrent(SIDE_BY_SIDE, |row| run(row, secure)).await;
}

/// Makes the descriptions independent of the number of attempts, by cutting their numbers and
/// folding repetitions.
fn fold_attempts(events: Vec<String>) -> Vec<String> {
    let mut folded: Vec<String> = Vec::new();
    for word in events {
        let kind = word.split([' ', ':']).next().unwrap_or_default();
        folded.push(match kind {
            "retry" | "opening" => kind.to_owned(),
            "failed" => format!("failed:{}", word.split_once(':').unwrap().1),
            _ => word,
        });
        while let [.., a, b, c, d, e, f] = &folded[..]
            && (a, b, c) == (d, e, f)
        {
            folded.truncate(folded.len() - 3);
        }
    }
    folded
}

async fn run(row: Row, secure: bool) {
    let Row { fault, tune, events, events_over_tls, cure, many_attempts, strays } = row;
    let name = format!("{fault:?}");
    let expected = events_over_tls.filter(|_| secure).unwrap_or(events);
    let (kind, beat) = (fault.kind(), Duration::from_millis(20));
    let sim = Sim::builder().greet(false).heartbeat_every(beat).updates_per_second(20.0);
    let sim = if secure { sim.tls() } else { sim };
    let sim = sim.start().await.unwrap();
    let mut config = config(&sim);
    if let Some(certificate) = sim.certificate_der() {
        config.transport.tls = Tls::only([certificate]).unwrap();
    }
    tune(&mut config);
    let (connection, probe) = connect(config);
    let desired = mixed(30);
    connection.apply(changes(&desired)).unwrap();
    // The first tick is from the bare subscribe, in quote mode.
    let all_tick =
        |seen: &Seen| seen.ticks.len() == 30 && seen.ticks.values().all(|sent| sent.ticks > 3);
    probe.until(&format!("{name}: ticks"), all_tick).await;
    let from = probe.look(|seen| {
        assert_eq!(story(seen), ["opening 1", "up 1"], "{name}");
        seen.events.len()
    });

    let awaits_handshake = matches!(kind.family(), FaultFamily::Tls | FaultFamily::Handshake);
    sim.inject(API_KEY, fault);
    if awaits_handshake {
        sim.close_all(1_001);
    }
    // The client may hang up while the frame is being written; then the fault is not counted.
    if kind != FaultKind::OversizedFrame {
        let struck = |sim: &Sim| sim.stats().faults.get(&kind) == Some(&1);
        sim_until(&sim, &format!("{name}: struck"), struck).await;
    }
    let so_far = |events: &[Event]| {
        let words = events[from..].iter().map(crate::story::word).collect();
        if many_attempts { fold_attempts(words) } else { words }
    };
    let before_cure = expected.iter().take_while(|&word| word != CURE).count();
    let expected: Vec<String> = expected.into_iter().filter(|word| word != CURE).collect();
    let expect_events = async |count: usize| {
        let expected = &expected[..count];
        let what = format!("{name}: {expected:?}");
        probe.until(&what, |seen| so_far(&seen.events).len() >= count).await;
        assert_eq!(probe.look(|seen| so_far(&seen.events)), expected, "{name}");
    };
    if cure != Cure::None {
        expect_events(before_cure).await;
        let frames = sim.stats().heartbeats_sent + 20;
        let continues = |sim: &Sim| sim.stats().heartbeats_sent > frames;
        if cure == Cure::Heal {
            sim_until(&sim, &format!("{name}: time for more"), continues).await;
            expect_events(before_cure).await;
            sim.heal(API_KEY);
        } else {
            assert_eq!(connection.status().phase, Phase::Parked, "{name}");
            connection.set_credentials(credentials());
        }
    }
    expect_events(expected.len()).await;

    // The feed flows again, in the exact modes.
    let holds = |sim: &Sim| sim.subscriptions() == [desired.clone()];
    sim_until(&sim, &format!("{name}: exact modes"), holds).await;
    let ticks = sim.stats().ticks_sent;
    let flows = |sim: &Sim| sim.stats().ticks_sent > ticks + 60;
    sim_until(&sim, &format!("{name}: a flow"), flows).await;
    in_time("a pause", sim.pause()).await;
    let sent = sim.sockets(API_KEY).last().unwrap().frames();
    let all_arrived =
        |seen: &Seen| seen.sockets.values().next_back().is_some_and(|socket| socket.frames == sent);
    probe.until(&format!("{name}: the last frame"), all_arrived).await;
    in_time("the close", connection.close()).await;

    let stats = connection.stats();
    probe.look(|seen| {
        let mut whole = so_far(&seen.events);
        assert_eq!(whole.pop().as_deref(), Some("closed"), "{name}");
        assert_eq!(whole, expected, "{name}: no other event");
        assert_nothing_twice(&name, &sim, seen, strays);
        let reconnects = seen.count(|event| matches!(event, Event::Up { .. })) - 1;
        assert_eq!((stats.losses, stats.connects), (reconnects as u64, reconnects as u64 + 1));
        let mut kinds = BTreeMap::new();
        for event in &seen.events {
            if let Event::Down { cause, .. } = event {
                *kinds.entry(cause.kind()).or_insert(0) += 1;
            }
        }
        assert_eq!(connection.losses_by_kind(), kinds, "{name}");
        if reconnects == 0 {
            assert_eq!(seen.ticks, sim.sent(), "{name}");
        }
        let gaps = gaps(seen);
        assert_eq!(gaps.len(), reconnects, "{name}: a gap for each reconnect");
        for gap in gaps {
            assert_eq!((gap.lost_epoch, gap.epoch), (1, 2), "{name}");
            let resumed = gap.resumed.unwrap();
            let in_order = gap.last_heard <= gap.lost && gap.lost <= gap.up && gap.up <= resumed;
            assert!(in_order, "{name}: {gap:?}");
            let modes: Vec<_> = gap.instruments.iter().map(|it| (it.token, it.mode)).collect();
            assert_eq!(modes, desired.clone().into_iter().collect::<Vec<_>>(), "{name}");
            for missed in &gap.instruments {
                // The low byte is the segment, and 9 are the indices.
                let carries = missed.mode != Mode::Ltp && missed.token & 0xff != 9;
                let known = matches!(missed.volume, VolumeMissed::Known(_));
                assert_eq!(known, carries, "{name}: {missed:?}");
                assert!(known || missed.volume == VolumeMissed::NotCarried, "{name}: {missed:?}");
            }
        }
    });
}
