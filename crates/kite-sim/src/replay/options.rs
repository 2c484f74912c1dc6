//! The settings of a replay.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kite_wire::tape::Source;

use super::reader::{Records, Tape};

/// Stretch of tape before the start that is read for the first snapshots.
const LOOK_BACK: Duration = Duration::from_secs(60);
/// Time for which subscriptions must stay unchanged before a replay starts on its own.
const SETTLE: Duration = Duration::from_millis(250);

const SLOWEST: f64 = 1e-3;
const FASTEST: f64 = 1e6;

/// Speed at which a tape is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Speed {
    /// This many times the recorded speed, from 0.001 to 1,000,000. If sockets or the machine do
    /// not keep up, frames are sent late, and then as fast as possible until the replay has caught
    /// up; no frame is lost.
    Times(f64),
    /// As fast as all clients read. While no client is subscribed, the tape does not advance.
    AsRead,
}

impl Speed {
    /// The recorded speed.
    pub const RECORDED: Self = Self::Times(1.0);

    /// Returns the nearest speed within the range.
    pub(crate) fn within_range(self) -> Self {
        match self {
            Self::Times(times) if times.is_nan() => Self::RECORDED,
            Self::Times(times) => Self::Times(times.clamp(SLOWEST, FASTEST)),
            Self::AsRead => Self::AsRead,
        }
    }
}

/// When a replay starts. [`Sim::begin_replay`](crate::Sim::begin_replay) starts it earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// Once this many sockets have subscribed and all subscriptions have settled; see
    /// [`Replay::settle`].
    Sockets(usize),
    /// When the simulator starts, even without clients.
    AtOnce,
    /// Only by [`Sim::begin_replay`](crate::Sim::begin_replay).
    OnRequest,
}

impl Start {
    /// Once any socket has subscribed.
    pub const FIRST_SUBSCRIPTION: Self = Self::Sockets(1);
}

/// A recorded tape that a simulator serves instead of its market.
///
/// ```no_run
/// # #[cfg(feature = "tape")]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kite_sim::{Replay, Sim, Speed, Start};
/// use kite_tape::Reel;
///
/// let reel = Reel::open(["recordings/2026-11-23.ktape"])?;
/// let replay = Replay::new(reel).speed(Speed::Times(10.0)).start(Start::Sockets(3));
/// let sim = Sim::builder().replay(replay).start().await?;
/// println!("{}", sim.endpoint());
/// sim.replay_finished().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Replay {
    pub(super) tape: Arc<dyn Tape>,
    pub(super) speed: Speed,
    pub(super) start: Start,
    pub(super) settle: Duration,
    pub(super) from_unix_ns: Option<u64>,
    pub(super) until_unix_ns: Option<u64>,
    pub(super) look_back: Duration,
    pub(super) longest_pause: Option<Duration>,
    pub(super) only: Option<BTreeSet<Source>>,
    pub(super) verbatim: Vec<Source>,
}

impl Replay {
    pub(super) fn of(tape: impl Tape) -> Self {
        Self {
            tape: Arc::new(tape),
            speed: Speed::RECORDED,
            start: Start::FIRST_SUBSCRIPTION,
            settle: SETTLE,
            from_unix_ns: None,
            until_unix_ns: None,
            look_back: LOOK_BACK,
            longest_pause: None,
            only: None,
            verbatim: Vec::new(),
        }
    }

    /// Sets the speed. Default [`Speed::RECORDED`].
    pub fn speed(mut self, speed: Speed) -> Self {
        self.speed = speed;
        self
    }

    /// Sets when the replay starts. Default [`Start::FIRST_SUBSCRIPTION`].
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets the time without commands after which a replay that waits for subscriptions starts.
    /// Default 250 ms, because a client sends `mode` after `subscribe` and frames between the two
    /// would be in quote mode.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// Starts with the first record received at or after a time, in nanoseconds since the Unix
    /// epoch. The default is the first record.
    pub fn from(mut self, unix_ns: u64) -> Self {
        self.from_unix_ns = Some(unix_ns);
        self
    }

    /// Ends before the first record received at or after a time, in nanoseconds since the Unix
    /// epoch. The default is the end of the tape.
    pub fn until(mut self, unix_ns: u64) -> Self {
        self.until_unix_ns = Some(unix_ns);
        self
    }

    /// Sets how much of the tape before [`Replay::from`] is read when the simulator starts, so that
    /// a subscribe before the replay's first frames is answered with a snapshot. Default one
    /// minute; zero disables snapshots from before the start. An instrument without a packet in
    /// this stretch has no snapshot until its first packet.
    pub fn look_back(mut self, stretch: Duration) -> Self {
        self.look_back = stretch;
        self
    }

    /// Shortens stretches of the tape in which nothing was received, for example while the recorder
    /// was off, to this length. Default: not shortened, so a night lasts a night.
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = Some(pause);
        self
    }

    /// Replays only these recorded connections. Default: all of them, to every client. If two
    /// connections carried the same instrument, its packets are sent twice.
    pub fn only(mut self, sources: impl IntoIterator<Item = Source>) -> Self {
        self.only = Some(sources.into_iter().collect());
        self
    }

    /// Sends sockets what recorded connections received, byte for byte and frame by frame. This
    /// includes packets of all instruments in the recorded modes, damaged frames, heartbeats and
    /// text frames, regardless of subscriptions. The sockets of an account are assigned these
    /// connections in turn, in order of connecting; with one source, all receive the same. Default:
    /// no sources, which replays by subscription.
    ///
    /// No snapshots are sent then, the simulator's own heartbeats pause while the replay runs, and
    /// a socket counts as subscribed once its handshake is done. To send nothing but the tape, see
    /// [`SimBuilder::no_heartbeats`](crate::SimBuilder::no_heartbeats) and
    /// [`SimBuilder::greet`](crate::SimBuilder::greet).
    pub fn verbatim(mut self, sources: impl IntoIterator<Item = Source>) -> Self {
        self.verbatim = sources.into_iter().collect();
        self
    }

    /// Returns whether a record of this source is replayed; the recorder's own gaps always are.
    pub(super) fn takes(&self, source: Source) -> bool {
        source == Source::RECORDER || self.only.as_ref().is_none_or(|only| only.contains(&source))
    }

    /// Returns the records starting with this time.
    pub(super) fn records(&self, from_unix_ns: u64) -> Records {
        self.tape.seek(from_unix_ns)
    }

    pub(super) fn is_verbatim(&self) -> bool {
        !self.verbatim.is_empty()
    }

    /// Returns the start of the replay in whole seconds, for the greeting.
    pub(crate) fn start_unix_s(&self) -> Option<u32> {
        let first = self.tape.span().map(|(first, _)| first);
        let start = self.from_unix_ns.max(first)?;
        u32::try_from(start / 1_000_000_000).ok()
    }

    /// Returns the speed if it is out of range.
    pub(crate) fn impossible_speed(&self) -> Option<f64> {
        match self.speed {
            Speed::Times(times) if !(SLOWEST..=FASTEST).contains(&times) => Some(times),
            _ => None,
        }
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("speed", &self.speed)
            .field("start", &self.start)
            .field("from_unix_ns", &self.from_unix_ns)
            .field("until_unix_ns", &self.until_unix_ns)
            .field("verbatim", &self.verbatim)
            .finish_non_exhaustive()
    }
}
