//! One account: its credentials, its connections and their instruments.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kite_conn::{
    Connection, ConnectionConfig, Credentials, Pacer, Phase, Reconnect, SpawnError, Stamp,
    SubscribeError, TokenSourceError,
};
use kite_wire::Mode;

use crate::account_id::AccountId;
use crate::balance::{Balancer, Failover, Plan, Standing};
use crate::config::{MAX_CONNECTIONS, ManagerConfig};
use crate::error::CapacityError;
use crate::manager::AccountSource;
use crate::manager::renewal::Renewal;
use crate::observe::{Rates, Reading};
use crate::pacing::{AccountPacer, Pace};
use crate::stream::Hub;

/// Maximum time one handshake may delay the account's other connections.
const LONGEST_TURN: Duration = Duration::from_secs(2);

/// The state of one account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: AccountId,
    pub(crate) credentials: Credentials,
    pub(crate) renewal: Renewal,
    pub(crate) balancer: Balancer,
    pub(crate) failover: Failover,
    /// The connections of the current run, or of the last one while stopped.
    pub(crate) open: Vec<Connection>,
    pacer: Arc<dyn Pacer>,
    rates: Vec<Rates>,
    /// Tick count of each instrument at the last observation.
    observed: HashMap<u32, u64>,
    hub: Hub,
    /// The hub's slot of the first connection.
    first_slot: usize,
}

impl Account {
    /// Creates an account; its connections have the slots of `hub` starting with `first_slot`.
    pub(crate) fn new(
        name: AccountId,
        credentials: Credentials,
        config: &ManagerConfig,
        hub: Hub,
        first_slot: usize,
    ) -> Self {
        // Settings are validated at the start. Until then an invalid one must not allocate more
        // than a valid one.
        let connections = config.connections.min(MAX_CONNECTIONS);
        let limit = config.connection.instrument_limit.min(kite_conn::MAX_INSTRUMENTS);
        let turn = config.connection.transport.connect_timeout.min(LONGEST_TURN);
        let pace = Pace { stagger: config.stagger, ..Pace::new(turn) };
        Self {
            name,
            credentials,
            renewal: Renewal::new(config.connection.reconnect.delay_cap),
            balancer: Balancer::new(connections, limit),
            failover: Failover::new(connections, None, Instant::now()),
            open: Vec::new(),
            pacer: Arc::new(AccountPacer::new(pace)),
            rates: Vec::new(),
            observed: HashMap::new(),
            hub,
            first_slot,
        }
    }

    /// Returns the number of its connections.
    pub(crate) fn connections(&self) -> usize {
        self.balancer.counts().len()
    }

    /// Returns the slot of its first connection.
    pub(crate) fn first_slot(&self) -> usize {
        self.first_slot
    }

    /// Creates the connections of a run with `make`, which receives the slot, and subscribes their
    /// instruments.
    pub(crate) fn connect(
        &mut self,
        config: &ManagerConfig,
        now: Stamp,
        source: Option<&AccountSource>,
        mut make: impl FnMut(usize, ConnectionConfig, Credentials) -> Result<Connection, SpawnError>,
    ) -> Result<(), SpawnError> {
        // Every connection is new, so instruments handed over in the last run return first.
        for number in 0..self.connections() {
            let plan = self.balancer.plan_give_back(number);
            self.balancer.apply(&plan);
        }
        self.renewal.cancel();
        let mut open = Vec::new();
        for (number, instruments) in self.balancer.distribution().into_iter().enumerate() {
            let slot = self.first_slot + number;
            let common = &config.connection;
            let connection = ConnectionConfig {
                pacer: Some(Arc::clone(&self.pacer)),
                token_source: source.map(|source| source.of(number)),
                reconnect: Reconnect {
                    // Connections with the same seed would reconnect at the same time.
                    jitter_seed: common.reconnect.jitter_seed.wrapping_add(slot as u64),
                    ..common.reconnect
                },
                ..common.clone()
            };
            let connection = make(slot, connection, self.credentials.clone())?;
            post(&connection, instruments.into_iter().map(|(token, mode)| (token, Some(mode))));
            open.push(connection);
        }
        self.rates = vec![Rates::from(now); open.len()];
        self.failover = Failover::new(open.len(), config.failover, now.to_instant());
        for number in 0..open.len() {
            self.balancer.set_standing(number, self.failover.standing(number));
        }
        self.observed.clear();
        self.open = open;
        Ok(())
    }

    pub(crate) fn subscribe(&mut self, tokens: &[u32], mode: Mode) -> Result<(), CapacityError> {
        let plan = self.balancer.plan_subscribe(tokens, mode)?;
        self.carry_out(&plan);
        self.note_dark();
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, tokens: &[u32]) {
        let plan = self.balancer.plan_unsubscribe(tokens);
        self.carry_out(&plan);
        self.failover.retry();
    }

    pub(crate) fn set_mode(&mut self, tokens: &[u32], mode: Mode) {
        let plan = self.balancer.plan_mode(tokens, mode);
        self.carry_out(&plan);
    }

    /// Applies a plan computed from the current state, and posts it to the connections.
    pub(crate) fn carry_out(&mut self, plan: &Plan) {
        self.balancer.apply(plan);
        for (number, changes) in plan.changes() {
            let (gone, here): (Vec<_>, Vec<_>) =
                changes.iter().partition(|(_, mode)| mode.is_none());
            let tokens = |all: Vec<(u32, _)>| all.into_iter().map(|it| it.0).collect::<Vec<_>>();
            let slot = self.first_slot + number;
            self.hub.leave(slot, &tokens(gone));
            self.hub.join(slot, &tokens(here));
            if plan.moves().is_empty()
                && let Some(connection) = self.open.get(number)
            {
                post(connection, changes.iter().copied());
            }
        }
        for ((from, to), instruments) in plan.transfers() {
            if let (Some(former), Some(next)) = (self.open.get(from), self.open.get(to)) {
                transfer(former, from, next, instruments);
            }
        }
    }

    /// New instruments may have gone to a lost connection because the others are full.
    fn note_dark(&mut self) {
        for number in 0..self.connections() {
            if !self.dark_on(number).is_empty() {
                self.failover.on_dark(number);
            }
        }
    }

    /// Returns, by connection, which of `tokens` (sorted) are dark.
    pub(crate) fn dark_among(&self, tokens: &[u32]) -> Vec<(usize, Vec<u32>)> {
        let among = |number| {
            let mut dark = self.dark_on(number);
            dark.retain(|token| tokens.binary_search(token).is_ok());
            (number, dark)
        };
        (0..self.connections()).map(among).filter(|(_, dark)| !dark.is_empty()).collect()
    }

    /// Returns the dark instruments of a connection: all of them if it is lost and not live.
    fn dark_on(&self, number: usize) -> Vec<u32> {
        let is_lost = self.failover.standing(number) == Standing::Lost;
        let is_live = self.open.get(number).is_some_and(|it| it.status().phase == Phase::Live);
        if !is_lost || is_live || self.balancer.counts().get(number) == Some(&0) {
            return Vec::new();
        }
        self.balancer.tokens_on(number)
    }

    pub(crate) fn set_access_token(&mut self, access_token: String) {
        self.renewal.cancel();
        self.set_credentials(Credentials::new(self.credentials.api_key(), access_token));
    }

    /// Handles the token source's answer to a question; returns the answer for the connections that
    /// wait for it.
    pub(crate) fn on_answer(
        &mut self,
        now: Instant,
        number: u64,
        answer: &Result<Credentials, TokenSourceError>,
    ) -> Result<Credentials, TokenSourceError> {
        if !self.renewal.on_answer(now, number, answer) {
            // Replaced by an access token that the application set meanwhile.
            return Ok(self.credentials.clone());
        }
        if let Ok(credentials) = answer
            && *credentials != self.credentials
        {
            self.set_credentials(credentials.clone());
        }
        answer.clone()
    }

    /// Replaces the credentials; connections that wait or are parked try again immediately.
    fn set_credentials(&mut self, credentials: Credentials) {
        self.credentials = credentials;
        for connection in &self.open {
            connection.set_credentials(self.credentials.clone());
        }
    }

    /// Removes the tokens that are subscribed; `tokens` must be sorted.
    pub(crate) fn retain_unknown(&self, tokens: &mut Vec<u32>) {
        self.balancer.retain_unknown(tokens);
    }

    /// Returns the subscribed tokens that are not in `wanted`.
    pub(crate) fn not_among(&self, wanted: &BTreeMap<u32, Mode>) -> Vec<u32> {
        let all = self.balancer.distribution().into_iter().flatten();
        all.map(|(token, _)| token).filter(|token| !wanted.contains_key(token)).collect()
    }

    /// Returns the maximum number of instruments per connection.
    pub(crate) fn limit(&self) -> usize {
        self.balancer.limit()
    }

    pub(crate) fn free(&self) -> usize {
        self.balancer.free()
    }

    pub(crate) fn instruments(&self) -> usize {
        self.balancer.counts().iter().sum()
    }

    pub(crate) fn distribution(&self) -> Vec<BTreeMap<u32, Mode>> {
        self.balancer.distribution()
    }

    /// Returns readings of its connections, which can be evaluated without the manager's lock.
    pub(crate) fn readings(&self) -> impl Iterator<Item = Reading> {
        let all = self.open.iter().zip(&self.rates).enumerate();
        all.map(|(number, (open, &rates))| Reading {
            account: self.name.clone(),
            connection: number,
            open: open.clone(),
            departed_ticks: self.hub.departed_ticks(self.first_slot + number),
            instruments: self.balancer.tokens_on(number),
            dark: self.dark_on(number),
            rates,
        })
    }

    /// Takes a sample of its connections' counts.
    pub(crate) fn sample(&mut self, now: Stamp) {
        for (open, rates) in self.open.iter().zip(&mut self.rates) {
            rates.sample(now, &open.stats());
        }
    }

    /// Reports the tick rate of each instrument since the last observation to the balancer.
    pub(crate) fn observe(&mut self, since: Duration) {
        let seconds = since.as_secs_f64().max(f64::MIN_POSITIVE);
        let mut observed = HashMap::new();
        for instrument in self.open.iter().flat_map(Connection::instruments) {
            let ticks = observed.entry(instrument.token).or_insert(0);
            *ticks += instrument.ticks;
        }
        for (token, ticks) in &observed {
            // Counts restart with a new subscription.
            let before = self.observed.get(token).copied().filter(|before| before <= ticks);
            if let Some(before) = before {
                self.balancer.observe(*token, (ticks - before) as f64 / seconds);
            }
        }
        self.observed = observed;
    }
}

/// Posts changes, which the balancer keeps within the connection's limit.
fn post(connection: &Connection, changes: impl Iterator<Item = (u32, Option<Mode>)>) {
    check_posted(connection.apply(changes));
}

/// Moves instruments from one connection to another, with what the other one needs to report their
/// gap.
fn transfer(former: &Connection, from: usize, next: &Connection, instruments: Vec<(u32, Mode)>) {
    let tokens: Vec<u32> = instruments.iter().map(|(token, _)| *token).collect();
    let handover = former.hand_over(&tokens, from);
    check_posted(next.take_over(instruments, handover));
}

fn check_posted(posted: Result<(), SubscribeError>) {
    // A closed connection belongs to a run that is being stopped; the next run subscribes
    // everything.
    debug_assert!(
        matches!(posted, Ok(()) | Err(SubscribeError::Closed)),
        "the balancer and the connection have the same limit: {posted:?}"
    );
}
