//! A recording sink, and a connection to a simulator that uses it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use kite_conn::{
    Batch, Connection, ConnectionConfig, Credentials, Endpoint, Event, EventLane, Liveness,
    Reconnect, Sink,
};
use kite_sim::{ACCESS_TOKEN, API_KEY, Chain, Sent, Sim};
use tokio::sync::watch;

/// Timeout for each step, generous for slow machines. A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a sink received.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) events: Vec<Event>,
    /// Ticks of each instrument, comparable with the simulator's record.
    pub(crate) ticks: BTreeMap<u32, Sent>,
    /// What each socket delivered, comparable with the simulator's record.
    pub(crate) sockets: BTreeMap<u32, Received>,
    pub(crate) heartbeats: u64,
    pub(crate) frames: u64,
    /// Socket of the last frame.
    pub(crate) epoch: u32,
    /// Whether the sink has been dropped.
    pub(crate) ended: bool,
}

impl Seen {
    /// Returns the number of events that match.
    pub(crate) fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is_it(event)).count()
    }

    pub(crate) fn losses(&self) -> usize {
        self.count(|event| matches!(event, Event::Down { .. }))
    }
}

/// The frames of one socket, as the simulator chains them: heartbeats left out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Received {
    pub(crate) frames: usize,
    pub(crate) chain: Chain,
}

/// The test's side of a [`Recorder`].
#[derive(Debug)]
pub(crate) struct Probe {
    seen: watch::Sender<Seen>,
    open: AtomicBool,
    waker: Mutex<Arc<AtomicWaker>>,
    panics: AtomicBool,
}

impl Probe {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            seen: watch::Sender::default(),
            open: AtomicBool::new(true),
            waker: Mutex::default(),
            panics: AtomicBool::new(false),
        })
    }

    /// Returns a sink that records into this probe.
    pub(crate) fn sink(self: &Arc<Self>) -> Recorder {
        Recorder(Arc::clone(self))
    }

    /// Sets whether the sink accepts frames.
    pub(crate) fn take_frames(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
        self.waker.lock().unwrap().wake();
    }

    /// Creates the sink panic at the next frame.
    pub(crate) fn panic_at_the_next_frame(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }

    /// Passes what was received to `look`.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.borrow())
    }

    /// Waits until what was received satisfies a condition.
    #[track_caller]
    pub(crate) fn until(
        &self,
        what: &str,
        mut holds: impl FnMut(&Seen) -> bool,
    ) -> impl Future<Output = ()> {
        let mut seen = self.seen.subscribe();
        async move {
            let waiting = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| holds(seen))).await;
            let reached = waiting.is_ok_and(|seen| seen.is_ok());
            assert!(reached, "timed out waiting for {what}; seen {:?}", self.seen.borrow().events);
        }
    }
}

/// A sink that records everything into its probe.
#[derive(Debug)]
pub(crate) struct Recorder(Arc<Probe>);

impl Sink for Recorder {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.waker.lock().unwrap().register(cx.waker());
        if self.0.open.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn on_batch(&mut self, batch: &Batch) {
        assert!(!self.0.panics.load(Ordering::SeqCst), "this sink panics as requested");
        self.0.seen.send_modify(|seen| {
            seen.frames += 1;
            assert_eq!(batch.sequence, seen.frames, "a gap, or a frame twice");
            assert!(batch.epoch >= seen.epoch, "an old socket's frame after a new one's");
            seen.epoch = batch.epoch;
            seen.heartbeats += u64::from(batch.ticks.as_bytes().len() == 1);
            if batch.frame().len() > 1 {
                let socket = seen.sockets.entry(batch.epoch).or_default();
                socket.frames += 1;
                socket.chain.add(batch.frame());
            }
            for packet in batch.ticks.packets() {
                let sent = seen.ticks.entry(packet.instrument_token()).or_default();
                sent.add(packet.as_bytes());
            }
        });
    }

    fn on_event(&mut self, event: &Event) {
        self.0.seen.send_modify(|seen| seen.events.push(event.clone()));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.seen.send_modify(|seen| seen.ended = true);
    }
}

/// Settings that fail and recover in milliseconds, and never mistake a slow machine for a dead
/// peer.
pub(crate) fn config(sim: &Sim) -> ConnectionConfig {
    ConnectionConfig {
        endpoint: Endpoint::parse(&sim.endpoint()).unwrap(),
        reconnect: Reconnect {
            delay: Duration::from_millis(10),
            delay_cap: Duration::from_millis(50),
            jitter_seed: 1,
            ..Default::default()
        },
        liveness: Liveness {
            silence_threshold: Duration::from_secs(60),
            close_deadline: Duration::from_secs(10),
            ..Default::default()
        },
        ..Default::default()
    }
}

pub(crate) fn credentials() -> Credentials {
    Credentials::new(API_KEY, ACCESS_TOKEN)
}

tokio::task_local! {
    static DRIVEN: ();
}

/// Runs a test whose connections are driven by their consumers.
pub(crate) async fn driven<F: Future>(test: F) -> F::Output {
    DRIVEN.scope((), test).await
}

/// Returns a connection and the probe it delivers to.
pub(crate) fn connect(config: ConnectionConfig) -> (Connection, Arc<Probe>) {
    let probe = Probe::new();
    let lane = EventLane::default();
    if DRIVEN.try_with(|()| ()).is_err() {
        let connection = Connection::spawn(config, credentials(), probe.sink(), &lane, 0).unwrap();
        return (connection, probe);
    }
    let (connection, mut stream) =
        Connection::in_place_with(config, credentials(), probe.sink(), &lane, 0).unwrap();
    let beside = Arc::clone(&probe);
    tokio::spawn(async move {
        let mut frames = 0;
        while let Some(batch) = stream.recv().await {
            frames += 1;
            beside.look(|seen| {
                assert_eq!(batch.sequence, seen.frames, "the sink received it, and none after it");
                assert_eq!(frames, seen.frames - seen.heartbeats, "a frame is missing");
            });
        }
    });
    (connection, probe)
}

/// Waits for the simulator, with a timeout.
pub(crate) async fn sim_until(sim: &Sim, what: &str, holds: impl FnMut(&Sim) -> bool) {
    let reached = tokio::time::timeout(PATIENCE, sim.wait_until(holds)).await;
    assert!(
        reached.is_ok(),
        "timed out waiting for {what}; {:?}, {:?}",
        sim.stats(),
        sim.subscriptions()
    );
}

/// Waits for anything else, with a timeout.
pub(crate) async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("timed out waiting for {what}"),
    }
}
