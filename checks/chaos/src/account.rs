//! One connection under test, its account at the simulator, and the state of both.

mod final_check;
mod injection;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use kite_conn::{
    Connection, ConnectionConfig, Credentials, Endpoint, EventLane, EventReceiver, Liveness,
    Reconnect, Tls, TokenSource, Transport,
};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::failure::{ChaosError, Failure};
use crate::fault_deck::{Deal, Deck};
use crate::frame_check::FrameCheck;
use crate::options::Options;
use crate::recorder::Recorder;
use crate::simulator::Simulator;
use crate::subscriptions::Subscriptions;
use crate::tally::Tally;
use crate::timing::{
    CLOSE_DEADLINE, CONNECT_TIMEOUT, RECONNECT_DELAY, RECONNECT_DELAY_CAP, SILENCE_THRESHOLD,
    STABLE_AFTER, STALE_AFTER,
};

/// One in this many requests to a token source fails.
const SOURCE_FAILS_EVERY: u64 = 7;

/// A connection, its account at the simulator, and the state of both.
pub(crate) struct Account {
    number: usize,
    api_key: String,
    simulator: Arc<Simulator>,
    pub(crate) connection: Connection,
    pub(crate) recorder: Arc<Recorder>,
    lane: EventReceiver,
    subscriptions: Subscriptions,
    deck: Deck,
    random: Rng,
    /// The token of the day, as a login would return it.
    token: Arc<Mutex<String>>,
    renews: bool,
    is_tls: bool,
    pub(crate) frame_check: FrameCheck,
    tally: Arc<Mutex<Tally>>,
    /// Events received on the lane, by name.
    lane_events: BTreeMap<&'static str, u64>,
    pub(crate) failures: Vec<Failure>,
    restarts: u64,
    /// Faults whose effects are compared as sums.
    dealt: DealtSums,
}

/// Number of faults injected of the kinds that are compared as sums.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DealtSums {
    pub(crate) damaging: u64,
    pub(crate) unknown_packets: u64,
}

/// Returns the credentials that an account begins with.
pub(crate) fn credentials(connection: usize) -> (String, String) {
    (format!("chaos-{connection}"), format!("token-{connection}-0"))
}

impl Account {
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Opens a connection and subscribes it.
    pub(crate) fn open(
        options: &Options,
        number: usize,
        simulator: Arc<Simulator>,
        tally: Arc<Mutex<Tally>>,
    ) -> Result<Self, ChaosError> {
        let (api_key, token) = credentials(number);
        let is_tls = options.is_tls(number);
        // Both ways of renewal, on both transports.
        let renews = number % 4 < 2;
        let token = Arc::new(Mutex::new(token));
        let tls = match simulator.sim.certificate_der() {
            Some(certificate) => Tls::only([certificate]).map_err(ChaosError::Tls)?,
            None => Tls::default(),
        };
        let config = ConnectionConfig {
            endpoint: Endpoint::parse(&simulator.sim.endpoint()).map_err(ChaosError::Endpoint)?,
            token_source: renews.then(|| source(Arc::clone(&token))),
            transport: Transport { connect_timeout: CONNECT_TIMEOUT, tls, ..Default::default() },
            reconnect: Reconnect {
                delay: RECONNECT_DELAY,
                delay_cap: RECONNECT_DELAY_CAP,
                stable_after: STABLE_AFTER,
                jitter_seed: options.seed ^ number as u64,
                ..Default::default()
            },
            liveness: Liveness {
                silence_threshold: SILENCE_THRESHOLD,
                stale_after: STALE_AFTER,
                close_deadline: CLOSE_DEADLINE,
            },
            ..ConnectionConfig::default()
        };
        let recorder = Arc::<Recorder>::default();
        let subscriptions = Subscriptions::new(number);
        simulator.join(Arc::clone(&recorder));
        recorder.state().gaps.expect(subscriptions.permanent().clone());
        let events = EventLane::default();
        let lane = events.subscribe();
        let credentials = Credentials::new(&*api_key, &*token.lock());
        let connection = Connection::spawn(config, credentials, recorder.sink(), &events, number)
            .map_err(ChaosError::Spawn)?;
        let desired = subscriptions.desired().iter().map(|(&token, &mode)| (token, Some(mode)));
        connection.apply(desired).map_err(ChaosError::Subscribe)?;
        Ok(Self {
            number,
            api_key,
            restarts: simulator.restarts(),
            simulator,
            connection,
            recorder,
            lane,
            subscriptions,
            deck: Deck::new(options.seed, number, is_tls, &options.skip),
            random: Rng::with_seed(!options.seed ^ number as u64),
            token,
            renews,
            is_tls,
            frame_check: FrameCheck::default(),
            tally,
            lane_events: BTreeMap::new(),
            failures: Vec::new(),
            dealt: DealtSums::default(),
        })
    }

    pub(crate) fn fail(&mut self, deal: Option<&Deal>, what: String) {
        let mut state = self.recorder.state();
        let also = state.take_wrong().map(|wrong| format!(" ({wrong})")).unwrap_or_default();
        let failure = Failure {
            connection: self.number,
            over: if self.is_tls { "TLS" } else { "TCP" },
            ordinal: deal.map(|deal| deal.ordinal),
            fault: deal.map(|deal| format!("{deal:?}")),
            what: what + &also,
            history: state.history(),
        };
        drop(state);
        self.failures.push(failure);
    }

    /// Returns how the server's subscriptions differ from the desired ones.
    fn desired_mismatch(&self) -> Option<String> {
        let records = self.simulator.sim.sockets(&self.api_key);
        let open = records.iter().rfind(|record| record.end.is_none());
        let subscribed = open.map(|record| &record.subscriptions);
        let desired = self.subscriptions.desired();
        if self.connection.desired() != *desired {
            return Some("the connection's desired set is not the one passed to it".into());
        }
        (subscribed != Some(desired))
            .then(|| format!("the server has {subscribed:?}, desired is {desired:?}"))
    }

    /// Counts the events received on the lane.
    fn count_lane_events(&mut self) -> Result<(), String> {
        loop {
            match self.lane.try_recv() {
                Ok(tagged) if tagged.connection == self.number => {
                    *self.lane_events.entry(tagged.event.name()).or_insert(0) += 1;
                }
                Ok(tagged) => return Err(format!("an event from another connection: {tagged:?}")),
                Err(broadcast::error::TryRecvError::Lagged(lost)) => {
                    return Err(format!("the lane lost {lost} events"));
                }
                Err(_) => return Ok(()),
            }
        }
    }
}

/// Creates a token source that returns the token of the day and sometimes fails.
fn source(token: Arc<Mutex<String>>) -> TokenSource {
    let asked = Arc::new(AtomicU64::new(0));
    TokenSource::new(move |request| {
        let count = 1 + asked.fetch_add(1, Ordering::Relaxed);
        let token = token.lock().clone();
        async move {
            if count.is_multiple_of(SOURCE_FAILS_EVERY) {
                return Err("the login page is down");
            }
            Ok(request.current.with_access_token(token))
        }
    })
}
