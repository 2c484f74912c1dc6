//! What all handlers read.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kite_manager::{Manager, Snapshot, Stamp};
use kite_nats::PublisherStats;
use kite_relay::RelayStats;
use kite_tape::RecorderStats;
use parking_lot::Mutex;

use crate::bars::Length;
use crate::events::Live;
use crate::incidents::Incidents;
use crate::metrics;
use crate::names::InstrumentNames;
use crate::readiness::Readiness;
use crate::status::{RecorderStatus, Status};

/// How long a sample is used.
const SAMPLE_FOR: Duration = Duration::from_secs(1);

pub(crate) type RelayReader = Box<dyn Fn() -> RelayStats + Send + Sync>;
pub(crate) type RecorderReader = Box<dyn Fn() -> RecorderStats + Send + Sync>;
pub(crate) type NatsReader = Box<dyn Fn() -> PublisherStats + Send + Sync>;
pub(crate) type ExpiryReader = Box<dyn Fn() -> Option<SystemTime> + Send + Sync>;

/// Where the state is read from.
pub(crate) struct Sources {
    pub(crate) manager: Manager,
    pub(crate) names: Arc<dyn InstrumentNames>,
    pub(crate) relay: Option<RelayReader>,
    pub(crate) recorder: Option<(PathBuf, RecorderReader)>,
    pub(crate) nats: Option<NatsReader>,
    pub(crate) token_expires: Option<ExpiryReader>,
    /// The bars that are kept, by length.
    pub(crate) lengths: Vec<Length>,
    pub(crate) incidents: Mutex<Incidents>,
    pub(crate) live: Live,
    /// The last sample and its time.
    last: Mutex<Option<(Instant, Arc<Sampled>)>>,
}

/// What all handlers read. Cheap to clone.
#[derive(Clone)]
pub(crate) struct State(Arc<Sources>);

impl Deref for State {
    type Target = Sources;

    fn deref(&self) -> &Sources {
        &self.0
    }
}

/// The state at one time, encoded once for each format that is asked for.
#[derive(Debug)]
pub(crate) struct Sampled {
    pub(crate) status: Status,
    json: OnceLock<Bytes>,
    metrics: OnceLock<Bytes>,
}

impl State {
    /// Returns the state, at most a second old. It is sampled at most once a second for all.
    pub(crate) fn snapshot(&self) -> Arc<Sampled> {
        let now = Instant::now();
        let mut last = self.last.lock();
        if let Some((at, sampled)) = &*last
            && now.duration_since(*at) < SAMPLE_FOR
        {
            return Arc::clone(sampled);
        }
        let sampled = Arc::new(Sampled {
            status: self.sample(),
            json: OnceLock::new(),
            metrics: OnceLock::new(),
        });
        *last = Some((now, Arc::clone(&sampled)));
        sampled
    }
}

impl From<Sources> for State {
    fn from(sources: Sources) -> Self {
        Self(Arc::new(sources))
    }
}

impl Sources {
    /// Creates the sources of a manager without relay and recorder, for a server that has this many
    /// connections.
    pub(crate) fn new(
        manager: Manager,
        names: Arc<dyn InstrumentNames>,
        connections: usize,
    ) -> Self {
        Self {
            manager,
            names,
            relay: None,
            recorder: None,
            nats: None,
            token_expires: None,
            lengths: Vec::new(),
            incidents: Mutex::default(),
            live: Live::new(connections),
            last: Mutex::default(),
        }
    }

    fn sample(&self) -> Status {
        let feed = self.manager.snapshot();
        let recorder = self.recorder.as_ref();
        let recorder = recorder.map(|(directory, read)| RecorderStatus::new(directory, read()));
        let expires = self.token_expires.as_ref().and_then(|read| read());
        let expires = expires.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Status {
            version: env!("CARGO_PKG_VERSION"),
            sampled_ns: Stamp::now().as_nanos(),
            readiness: Readiness::new(&feed, recorder.as_ref()),
            last_frame_unix_ms: last_frame_unix_ms(&feed),
            token_expires_unix_s: expires.map(|since| since.as_secs()),
            incidents: self.incidents.lock().clone(),
            relay: self.relay.as_ref().map(|read| read().into()),
            recorder,
            candles: self.lengths.iter().map(Length::status).collect(),
            nats: self.nats.as_ref().map(|read| read().into()),
            feed,
        }
    }
}

fn last_frame_unix_ms(feed: &Snapshot) -> Option<u64> {
    let last = feed.connections.iter().filter_map(|it| it.last_delivery_ns).max()?;
    Some(Stamp::from_nanos(last).to_unix_ns() / 1_000_000)
}

impl Sampled {
    /// Returns the status as JSON.
    pub(crate) fn json(&self) -> Bytes {
        // Nothing of it fails to serialise: its keys are texts and numbers.
        let encode = || serde_json::to_vec(&self.status).unwrap_or_default().into();
        self.json.get_or_init(encode).clone()
    }

    /// Returns the metrics in the text format of Prometheus.
    pub(crate) fn metrics(self: &Arc<Self>, manager: &Manager) -> Bytes {
        self.metrics.get_or_init(|| metrics::encode(self, &manager.distributions())).clone()
    }
}
