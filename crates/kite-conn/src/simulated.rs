//! Trading days in simulated time, with the whole connection over in-memory sockets.
//!
//! Tokio's clock is paused and jumps to the next timer whenever nothing is left to do, so that a
//! day of six hours and a quarter takes some tens of milliseconds. A seed determines the day:
//! outages, faults, the expiry of the token, the user's actions. `KITE_DAYS` sets how many days are
//! run.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use kite_sim::{
    ACCESS_TOKEN, API_KEY, Chain, Fault, FaultFamily, FaultKind, Refusal, Sim, SocketRecord,
};
use kite_wire::Mode;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::{Instant, sleep, timeout};

use crate::clock::Stamp;
use crate::config::{Reconnect, TokenSource};
use crate::connection::Connection;
use crate::credentials::Credentials;
use crate::deliver::{Batch, Sink};
use crate::driver::{Clocks, Network};
use crate::in_place::Driven;
use crate::observe::{Event, EventLane, LossCause, ParkReason, Phase};
use crate::transport::{Deadline, Endpoint, OpenError, Spellings, Transport, handshake};
use crate::wall_time::{Reading, WallTime};
use crate::websocket::{WebSocket, Wire};
use crate::{ConnectionConfig, VolumeMissed};

mod draining;

const SECOND: Duration = Duration::from_secs(1);
/// From 09:15 to 15:30.
const TRADING_DAY: Duration = Duration::from_secs(22_500);
/// The values of the default settings.
const THRESHOLD: Duration = Duration::from_secs(10);
const CAP: Duration = Duration::from_secs(30);
/// Limit for the time from the server's recovery to ticks: the rest of a delay, a renewal that may
/// fail, the handshake and the next update of an instrument.
const RECOVERY: Duration = Duration::from_secs(150);

const TOKENS: [u32; 6] = [256, 257, 513, 265, 263, 1_025];

/// An in-memory stream that counts its bytes.
#[derive(Debug)]
struct Pipe {
    stream: DuplexStream,
    bytes_read: u64,
    bytes_written: u64,
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if IS_UNNOTICED.take() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.bytes_read += (buffer.filled().len() - before) as u64;
        read
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            self.bytes_written += bytes as u64;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Wire for Pipe {
    fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    fn take_failure(&self) -> Option<io::Error> {
        None
    }

    fn reset_on_drop(&self) {}
}

thread_local! {
    /// How long the machine slept, by which the simulated wall clock is ahead.
    static SLEPT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// By how much the simulated wall clock was set back.
    static SET_BACK: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// Whether the next read finds nothing, because the runtime has yet to notice that data arrived.
    static IS_UNNOTICED: Cell<bool> = const { Cell::new(false) };
    static WALL_TIME: OnceCell<Arc<WallTime>> = const { OnceCell::new() };
    /// When the day began: 09:15 in India, on 4 August 2025.
    static OPENED: Cell<Option<Instant>> = const { Cell::new(None) };
}

const OPENED_UNIX_S: u64 = 1_754_279_100;

/// A network with one cable, which can be cut.
struct Cable {
    sim: Arc<Sim>,
    cut: Arc<AtomicBool>,
}

impl Network for Cable {
    type Wire = Pipe;

    fn open(
        &self,
        credentials: &Credentials,
        secrets: Arc<Spellings>,
    ) -> impl Future<Output = Result<WebSocket<Pipe>, OpenError>> + Send + 'static {
        let (sim, credentials) = (Arc::clone(&self.sim), credentials.clone());
        let cut = Arc::clone(&self.cut);
        async move {
            if cut.load(Ordering::SeqCst) {
                // Like an unreachable name server.
                sleep(5 * SECOND).await;
                let source = Arc::new(io::Error::from(io::ErrorKind::TimedOut));
                return Err(OpenError::Dns { host: "ws.kite.trade".to_owned(), source });
            }
            let pipe = Pipe { stream: sim.connect(), bytes_read: 0, bytes_written: 0 };
            let endpoint = Endpoint::default();
            let settings = Transport::default();
            let deadline = Deadline::within(settings.connect_timeout);
            let opened = handshake(pipe, &endpoint, &credentials, &settings, &secrets, deadline);
            opened.await.map(|(websocket, _)| websocket)
        }
    }

    fn clocks() -> Clocks {
        let wall_time =
            WALL_TIME.with(|it| Arc::clone(it.get_or_init(|| Arc::new(WallTime::new(&read())))));
        Clocks { read, wall_time }
    }

    fn wall_clock() -> SystemTime {
        let opened = OPENED.get().unwrap_or_else(Instant::now);
        OPENED.set(Some(opened));
        UNIX_EPOCH + Duration::from_secs(OPENED_UNIX_S) + opened.elapsed() + SLEPT.get()
            - SET_BACK.get()
    }
}

/// Reads the simulated clocks.
fn read() -> Reading {
    Reading {
        at: Stamp::at(Instant::now().into_std()),
        wall: Cable::wall_clock(),
        asleep: Some(SLEPT.get()),
        spread: Duration::ZERO,
    }
}

/// What the application received during the day.
#[derive(Debug, Default)]
struct Seen {
    /// Number of frames of at least two bytes per socket, and their chain.
    frames: BTreeMap<u32, (usize, Chain)>,
    ticks: u64,
    last_ticks: Option<Instant>,
    events: Vec<(Instant, Event)>,
    /// Volume of each instrument at its last tick on the current or last socket.
    volumes: BTreeMap<u32, Option<u32>>,
    /// The same at the last loss, and at the first tick after it.
    at_loss: BTreeMap<u32, Option<u32>>,
    first_after: BTreeMap<u32, Option<u32>>,
    gaps: usize,
    /// Number of missed volumes that were known, and of those with an unknown day.
    known: usize,
    doubtful: usize,
}

#[derive(Clone, Default)]
struct Record(Arc<Mutex<Seen>>);

impl Record {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap()
    }

    /// Waits in simulated time until the record satisfies a condition.
    async fn until(&self, what: &str, limit: Duration, holds: impl Fn(&Seen) -> bool) {
        let reached = timeout(limit, async {
            while !holds(&self.seen()) {
                sleep(SECOND / 10).await;
            }
        });
        if reached.await.is_err() {
            let seen = self.seen();
            let last: Vec<_> = seen.events.iter().rev().take(12).collect();
            panic!("not within {limit:?}: {what}; the last events, newest first: {last:#?}");
        }
    }
}

impl Sink for Record {
    fn on_batch(&mut self, batch: &Batch) {
        let mut seen = self.seen();
        if batch.frame().len() >= 2 {
            let (frames, chain) = seen.frames.entry(batch.epoch).or_default();
            *frames += 1;
            chain.add(batch.frame());
        }
        if !batch.ticks.is_empty() {
            seen.last_ticks = Some(Instant::now());
        }
        for packet in batch.ticks.packets() {
            let (token, volume) = (packet.instrument_token(), packet.volume());
            seen.ticks += 1;
            seen.first_after.entry(token).or_insert(volume);
            seen.volumes.insert(token, volume);
        }
    }

    fn on_event(&mut self, event: &Event) {
        let mut seen = self.seen();
        match event {
            Event::Down { .. } => {
                seen.at_loss = std::mem::take(&mut seen.volumes);
                seen.first_after.clear();
            }
            Event::Gap(gap) => {
                seen.gaps += 1;
                for missed in &gap.instruments {
                    let before = seen.at_loss.get(&missed.token).copied().flatten();
                    let after = seen.first_after.get(&missed.token).copied().flatten();
                    if let (Some(before), Some(after)) = (before, after) {
                        // If it traded for the first time today, the day is unknown.
                        let expected = VolumeMissed::Known(after - before);
                        let is_doubtful = missed.volume == VolumeMissed::UnknownDay;
                        assert!(
                            missed.volume == expected || is_doubtful,
                            "{missed:?}, not {expected:?}"
                        );
                        seen.doubtful += usize::from(is_doubtful);
                        seen.known += usize::from(!is_doubtful);
                    }
                }
            }
            _ => {}
        }
        seen.events.push((Instant::now(), event.clone()));
    }
}

fn losses(seen: &Seen) -> usize {
    seen.events.iter().filter(|(_, event)| matches!(event, Event::Down { .. })).count()
}

/// Runs one day; panics if a guarantee is broken. Returns the numbers of sockets and of ticks.
async fn day(seed: u64) -> (u32, u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let sim = Sim::builder().seed(seed).updates_per_second(0.2).heartbeat_every(2 * SECOND);
    let sim = Arc::new(sim.start().await.unwrap());
    let record = Record::default();
    let cut = Arc::new(AtomicBool::new(false));
    let token = Arc::new(Mutex::new(ACCESS_TOKEN.to_owned()));
    // On every other day the application has a token source, whose first answers may be errors.
    let has_source = seed.is_multiple_of(2);
    let failures = Arc::new(AtomicU32::new(random.u32(0..3)));
    let source = {
        let (token, failures) = (Arc::clone(&token), Arc::clone(&failures));
        TokenSource::new(move |request| {
            let take = |left: u32| left.checked_sub(1);
            let fails = failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
            let token = token.lock().unwrap().clone();
            async move {
                sleep(SECOND).await;
                if fails {
                    return Err("no token available");
                }
                Ok(request.current.with_access_token(token))
            }
        })
    };
    let config = ConnectionConfig {
        token_source: has_source.then_some(source),
        reconnect: Reconnect { jitter_seed: seed, ..Default::default() },
        ..ConnectionConfig::default()
    };
    assert_eq!((config.liveness.silence_threshold, config.reconnect.delay_cap), (THRESHOLD, CAP));
    let cable = Cable { sim: Arc::clone(&sim), cut: Arc::clone(&cut) };
    let credentials = Credentials::new(API_KEY, ACCESS_TOKEN);
    let connection = connect(cable, config, credentials.clone(), &record, seed % 3 == 1);
    for (token, mode) in TOKENS.into_iter().zip(Mode::ALL.into_iter().cycle()) {
        connection.subscribe(&[token], mode).unwrap();
    }

    let opened = Instant::now();
    let expiry = TRADING_DAY.mul_f64(random.f64());
    let mut has_expired = false;
    loop {
        sleep(SECOND * random.u32(20..1_500)).await;
        if opened.elapsed() >= TRADING_DAY {
            break;
        }
        live_with_ticks(&record, &connection).await;
        change_subscriptions(&mut random, &connection);
        if !has_expired && opened.elapsed() >= expiry {
            has_expired = true;
            let fresh = format!("token of tomorrow, day {seed}");
            sim.set_access_token(API_KEY, fresh.clone());
            *token.lock().unwrap() = fresh.clone();
            sim.drop_all();
            if !has_source {
                parked_until_renewed(&mut random, &record, &connection, &credentials, fresh).await;
            }
        } else {
            outage(&mut random, &sim, &record, &cut).await;
        }
    }
    cut.store(false, Ordering::SeqCst);
    sim.heal(API_KEY);
    live_with_ticks(&record, &connection).await;
    check_the_day(&sim, &record, &connection).await;
    let sockets = connection.status().epoch;
    connection.close().await;
    sim.stop().await;
    let ticks = record.seen().ticks;
    (sockets, ticks)
}

/// Creates a connection with its own task, or one that its consumer drives.
fn connect(
    cable: Cable,
    config: ConnectionConfig,
    credentials: Credentials,
    record: &Record,
    in_place: bool,
) -> Connection {
    let (record, lane) = (record.clone(), EventLane::default());
    if !in_place {
        return Connection::spawn_on(cable, config, credentials, record, &lane, 0).unwrap();
    }
    let (connection, mut driven) =
        Driven::new(cable, config, credentials, record, &lane, 0).unwrap();
    tokio::spawn(async move { while poll_fn(|cx| driven.poll_recv(cx)).await.is_some() {} });
    connection
}

/// Waits until the connection is live and ticks have been received on its socket.
async fn live_with_ticks(record: &Record, connection: &Connection) {
    let since = Instant::now();
    record
        .until("ticks again", RECOVERY, |seen| {
            connection.status().phase == Phase::Live
                && seen.last_ticks.is_some_and(|last| last > since)
        })
        .await;
}

fn change_subscriptions(random: &mut fastrand::Rng, connection: &Connection) {
    for token in TOKENS {
        match random.u32(0..8) {
            0 => connection.unsubscribe(&[token]),
            1..=3 => {
                let mode = Mode::ALL[random.usize(0..3)];
                connection.subscribe(&[token], mode).unwrap();
            }
            _ => {}
        }
    }
    // At least one instrument must tick, to show that the feed works.
    connection.subscribe(&TOKENS[..1], Mode::Full).unwrap();
}

/// Injects a fault, waits, and heals it.
async fn outage(random: &mut fastrand::Rng, sim: &Sim, record: &Record, cut: &AtomicBool) {
    let lasts = SECOND * random.u32(1..200);
    let before = losses(&record.seen());
    let began = Instant::now();
    if random.u32(0..4) == 0 {
        cut.store(true, Ordering::SeqCst);
        sim.inject(API_KEY, Fault::HalfOpen);
        sleep(lasts).await;
        cut.store(false, Ordering::SeqCst);
        sim.heal(API_KEY);
        return;
    }
    let kinds: Vec<FaultKind> = Fault::KINDS
        .iter()
        .copied()
        .filter(|kind| matches!(kind.family(), FaultFamily::Handshake | FaultFamily::Socket))
        // Without a source a refusal parks, which is tested separately.
        .filter(|kind| *kind != FaultKind::AuthRefusal)
        .collect();
    let kind = kinds[random.usize(0..kinds.len())];
    let fault = match kind {
        // A frame may take longer than any silence that is tolerated.
        FaultKind::SlowLink => {
            let bytes_per_second = NonZeroU32::MIN.saturating_add(random.u32(20..500));
            Fault::SlowLink { bytes_per_second }
        }
        kind => kind.draw(random.u64(..), lasts),
    };
    match kind.family() {
        FaultFamily::Handshake => {
            sim.at_next_handshake(API_KEY, fault);
            sim.drop_all();
        }
        _ => assert_eq!(sim.inject(API_KEY, fault), 1),
    }
    if kind == FaultKind::SlowLink {
        sleep((began + lasts).saturating_duration_since(Instant::now())).await;
        assert_eq!(losses(&record.seen()), before, "a slow link is not a dead one");
    }
    // A silent socket is detected in time, no matter how long the silence would last.
    if matches!(kind, FaultKind::HalfOpen | FaultKind::Stalls) && lasts > 3 * THRESHOLD {
        sleep(2 * THRESHOLD + 3 * SECOND).await;
        let seen = record.seen();
        let mut down = seen.events.iter().filter_map(|(at, event)| match event {
            Event::Down { cause, .. } => Some((*at, cause.clone())),
            _ => None,
        });
        let (at, cause) = down.nth(before).expect("the silence was reported");
        assert!(matches!(cause, LossCause::Silence { .. }), "{cause:?}");
        assert!(at - began <= 2 * THRESHOLD + 3 * SECOND, "{kind}: {:?}", at - began);
    }
    sleep((began + lasts).saturating_duration_since(Instant::now())).await;
    sim.heal(API_KEY);
}

/// Expects an expired token to park the connection, and renews it after a while.
async fn parked_until_renewed(
    random: &mut fastrand::Rng,
    record: &Record,
    connection: &Connection,
    credentials: &Credentials,
    fresh: String,
) {
    let is_parked = |seen: &Seen| {
        let last = seen.events.last();
        matches!(last, Some((_, Event::Parked(ParkReason::Authentication(_)))))
    };
    record.until("parked", RECOVERY, is_parked).await;
    sleep(SECOND * random.u32(1..1_200)).await;
    assert!(is_parked(&record.seen()), "a parked connection does not try");
    connection.set_credentials(credentials.clone().with_access_token(fresh));
}

/// Checks the day's totals: nothing was lost unreported or received twice, and the subscriptions
/// are exact.
async fn check_the_day(sim: &Sim, record: &Record, connection: &Connection) {
    sim.pause().await;
    let sockets: Vec<SocketRecord> = sim.sockets(API_KEY);
    // This is not simply the last one, because the server may have accepted a handshake that the
    // client had abandoned.
    let is_whole = |seen: &Seen| {
        let last = seen.frames.values().next_back();
        last.is_some_and(|&(frames, chain)| {
            let mut open = sockets.iter().filter(|socket| socket.end.is_none());
            open.any(|socket| socket.frames() == frames && socket.has_prefix(frames, chain))
        })
    };
    record.until("all that was sent", RECOVERY, is_whole).await;
    let seen = record.seen();
    assert_eq!(sim.subscriptions(), [connection.desired()]);

    // Each socket's frames are the beginning of what one socket of the server sent, in order.
    let mut sent = sockets.iter();
    for (epoch, (frames, chain)) in &seen.frames {
        let is_of = |socket: &SocketRecord| socket.has_prefix(*frames, *chain);
        assert!(sent.any(is_of), "epoch {epoch}: no later socket sent these {frames} frames");
    }
    let ups: Vec<u32> = seen
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Up { epoch, .. } => Some(*epoch),
            _ => None,
        })
        .collect();
    assert!(ups.iter().copied().eq(1..=u32::try_from(ups.len()).unwrap()), "{ups:?}");
    assert_eq!(losses(&seen) + 1, ups.len());
    let stats = connection.stats();
    assert_eq!((stats.ticks, stats.frames), (seen.ticks, stats.frames_delivered));
    // The last gap may not have settled yet, because nothing is sent while the server is paused.
    assert!(seen.gaps + 1 >= losses(&seen), "{} gaps, {} losses", seen.gaps, losses(&seen));
}

fn run_days(seeds: std::ops::Range<u64>) -> (u64, u64) {
    let (mut sockets, mut ticks) = (0, 0);
    for seed in seeds {
        println!("day {seed}");
        let day = in_simulated_time(day(seed));
        sockets += u64::from(day.0);
        ticks += day.1;
    }
    (sockets, ticks)
}

fn in_simulated_time<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    OPENED.set(None);
    SLEPT.set(Duration::ZERO);
    SET_BACK.set(Duration::ZERO);
    builder.enable_all().start_paused(true).build().unwrap().block_on(future)
}

async fn connected(sim: &Arc<Sim>, config: ConnectionConfig) -> (Connection, Record) {
    let (record, cut) = (Record::default(), Arc::new(AtomicBool::new(false)));
    let cable = Cable { sim: Arc::clone(sim), cut };
    let credentials = Credentials::new(API_KEY, ACCESS_TOKEN);
    let connection = connect(cable, config, credentials, &record, false);
    connection.subscribe(&TOKENS, Mode::Quote).unwrap();
    live_with_ticks(&record, &connection).await;
    (connection, record)
}

#[test]
fn a_machine_that_slept_pings_within_a_second_of_waking() {
    in_simulated_time(async {
        let sim = Sim::builder().heartbeat_every(2 * SECOND).start().await.unwrap();
        let sim = Arc::new(sim);
        let (connection, record) = connected(&sim, ConnectionConfig::default()).await;
        // The server dropped the connection during the sleep, so nothing more arrives.
        sim.inject(API_KEY, Fault::HalfOpen);
        SLEPT.set(3_600 * SECOND);
        let woken = Instant::now();
        let reported = |seen: &Seen, matches: fn(&Event) -> bool| {
            let found = seen.events.iter().find(|(_, event)| matches(event));
            found.map(|(at, _)| at.saturating_duration_since(woken))
        };
        let is_sleep = |event: &Event| matches!(event, Event::Suspended { .. });
        let is_loss =
            |event: &Event| matches!(event, Event::Down { cause: LossCause::Silence { .. }, .. });
        record.until("the loss", 2 * THRESHOLD, |seen| reported(seen, is_loss).is_some()).await;
        let sleep = reported(&record.seen(), is_sleep);
        let loss = reported(&record.seen(), is_loss);
        assert!(sleep.is_some_and(|after| after <= SECOND + SECOND / 10), "{sleep:?}");
        assert!(loss.is_some_and(|after| after <= THRESHOLD + 2 * SECOND), "{loss:?}");
        assert!(sim.stats().pings_received > 0);
        connection.close().await;
    });
}

#[test]
fn a_wall_clock_that_was_set_is_reported_once_per_lane_and_is_no_sleep() {
    in_simulated_time(async {
        let sim = Sim::builder().heartbeat_every(2 * SECOND).start().await.unwrap();
        let sim = Arc::new(sim);
        let lane = EventLane::default();
        let mut events = lane.subscribe();
        let (records, mut connections) = ([Record::default(), Record::default()], Vec::new());
        for (number, record) in records.iter().enumerate() {
            let cable = Cable { sim: Arc::clone(&sim), cut: Arc::default() };
            let credentials = Credentials::new(API_KEY, ACCESS_TOKEN);
            let config = ConnectionConfig::default();
            let connection =
                Connection::spawn_on(cable, config, credentials, record.clone(), &lane, number);
            connections.push(connection.unwrap());
        }
        sleep(5 * SECOND).await;
        SET_BACK.set(5_400 * SECOND);
        let set = Instant::now();
        sleep(5 * SECOND).await;
        let step = |event: &Event| match event {
            Event::ClockStepped { by_ns } => Some(*by_ns),
            Event::Suspended { .. } => panic!("the machine was awake"),
            _ => None,
        };
        for record in &records {
            let seen = record.seen();
            let steps: Vec<_> = seen
                .events
                .iter()
                .filter_map(|(at, event)| step(event).map(|by_ns| (*at - set, by_ns)))
                .collect();
            let [(after, by_ns)] = steps[..] else { panic!("{steps:?}") };
            assert!(after <= SECOND, "{after:?}");
            assert_eq!(by_ns, -5_400_000_000_000);
        }
        let sent: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
            .filter_map(|it| step(&it.event))
            .collect();
        assert_eq!(sent, [-5_400_000_000_000]);
        for connection in connections {
            connection.close().await;
        }
    });
}

#[test]
fn data_noticed_together_with_the_timer_is_read_before_silence_is_checked() {
    in_simulated_time(async {
        let sim = Sim::builder().updates_per_second(0.2).start().await.unwrap();
        let sim = Arc::new(sim);
        let (cable, lane) = (Cable { sim, cut: Arc::default() }, EventLane::default());
        let mut events = lane.subscribe();
        let credentials = Credentials::new(API_KEY, ACCESS_TOKEN);
        let config = ConnectionConfig::default();
        let (connection, mut driven) =
            Driven::new(cable, config, credentials, (), &lane, 0).unwrap();
        connection.subscribe(&TOKENS, Mode::Full).unwrap();
        for _ in 0..10 {
            poll_fn(|cx| driven.poll_recv(cx)).await.unwrap();
            let mut next = || poll_fn(|cx| driven.poll_recv(cx)).now_or_never().flatten();
            while next().is_some() {}
            while events.try_recv().is_ok() {}
            // Longer than ticks may be missing.
            sleep(9 * THRESHOLD).await;
            IS_UNNOTICED.set(true);
            assert!(next().is_some(), "frames wait");
            assert!(!IS_UNNOTICED.get());
            let found = events.try_recv();
            assert!(found.is_err(), "{found:?}");
        }
    });
}

#[test]
fn a_text_keeps_no_block_of_the_read_buffer() {
    in_simulated_time(async {
        let sim = Arc::new(Sim::builder().start().await.unwrap());
        let (cable, lane) = (Cable { sim, cut: Arc::default() }, EventLane::default());
        let mut events = lane.subscribe();
        let credentials = Credentials::new(API_KEY, ACCESS_TOKEN);
        let config = ConnectionConfig::default();
        let connection = Connection::spawn_on(cable, config, credentials, (), &lane, 1).unwrap();
        let text = loop {
            if let Event::Text { text, .. } = events.recv().await.unwrap().event {
                break text;
            }
        };
        assert!(text.is_unique(), "its memory is its own");
        connection.close().await;
    });
}

#[test]
fn the_last_activity_is_the_second_of_the_last_frame_or_pong() {
    in_simulated_time(async {
        let sim = Arc::new(Sim::builder().no_heartbeats().start().await.unwrap());
        let last = Arc::new(AtomicU64::new(0));
        let last_activity = Some(Arc::clone(&last));
        let config = ConnectionConfig { last_activity, ..Default::default() };
        let (connection, _record) = connected(&sim, config).await;
        let unix_s = || Cable::wall_clock().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let silent_s = || unix_s() - last.load(Ordering::Relaxed);
        assert!(silent_s() <= 1, "{}", silent_s());
        // Now the server only answers pings, for less time than a feed may be silent.
        sim.pause().await;
        sleep(SECOND).await;
        let frames = connection.stats().frames;
        let mut longest = 0;
        for _ in 0..14 {
            sleep(SECOND).await;
            longest = longest.max(silent_s());
        }
        assert_eq!(connection.stats().frames, frames);
        assert!(longest >= THRESHOLD.as_secs() - 1, "nothing else was received: {longest}");
        assert!(silent_s() < THRESHOLD.as_secs(), "a pong counts: {}", silent_s());
        connection.close().await;
    });
}

#[test]
fn a_sleep_before_a_delay_does_not_shorten_it() {
    in_simulated_time(async {
        let sim = Arc::new(Sim::builder().heartbeat_every(2 * SECOND).start().await.unwrap());
        let (connection, record) = connected(&sim, ConnectionConfig::default()).await;
        sim.revoke_token(API_KEY);
        sim.drop_all();
        let is_parked = |seen: &Seen| matches!(seen.events.last(), Some((_, Event::Parked(_))));
        record.until("the park", RECOVERY, is_parked).await;
        SLEPT.set(8 * 3_600 * SECOND);
        sleep(SECOND).await;
        let busy = Refusal::new(429, "").retry_after("300");
        sim.at_next_handshake(API_KEY, Fault::refuse(busy));
        sim.set_access_token(API_KEY, "of today");
        let credentials = Credentials::new(API_KEY, "of today");
        connection.set_credentials(credentials);
        let is_refused = |seen: &Seen| matches!(seen.events.last(), Some((_, Event::Retry { .. })));
        record.until("the refusal", SECOND, is_refused).await;
        let start = Instant::now();
        record.until("the next attempt", 400 * SECOND, |seen| !is_refused(seen)).await;
        assert!(start.elapsed() >= 299 * SECOND, "after {:?}", start.elapsed());
        connection.close().await;
    });
}

/// Days that once failed.
const REGRESSIONS: [u64; 0] = [];

#[test]
fn trading_days_keep_every_guarantee() {
    for seed in REGRESSIONS {
        run_days(seed..seed + 1);
    }
    run_days(0..10);
}

/// `KITE_DAYS=5000 cargo test --release -p kite-conn --lib -- --ignored --nocapture thousands`
#[test]
#[ignore = "minutes: thousands of days"]
fn thousands_of_trading_days_keep_every_guarantee() {
    let days = std::env::var("KITE_DAYS").map_or(2_000, |days| days.parse().unwrap());
    let started = std::time::Instant::now();
    let (sockets, ticks) = run_days(0..days);
    println!("{days} days, {sockets} sockets, {ticks} ticks in {:.1?}", started.elapsed());
}
