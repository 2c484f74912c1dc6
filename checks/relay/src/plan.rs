//! What a world consists of: instruments, clients and rates, all from its seed.

use std::time::Duration;

use fastrand::Rng;
use kite_manager::FailoverConfig;
use kite_relay::SlowClients;
use kite_wire::Mode;

/// Instruments that the relay always has in full mode, so that their values are known.
const FIXED: usize = 24;
/// Instruments that are subscribed only while clients ask for them; more than fit.
const OTHERS: usize = 90;

/// Instruments of all connections. Few, so that clients ask for more than fits.
const CAPACITY: usize = 80;
/// Room for all instruments, so that some of a lost connection can move.
const CAPACITY_TO_MOVE: usize = 120;

/// How long a connection is down before its instruments move, and up before they return.
const AWAY: Duration = Duration::from_millis(50);
const BACK: Duration = Duration::from_millis(300);

/// The settings of one relay with its server and its clients.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) policy: SlowClients,
    /// How long clients and server misbehave.
    pub(crate) time: Duration,
    /// Mean time between two faults on one socket upstream.
    pub(crate) fault_every: Duration,
    pub(crate) updates_per_second: f64,
    pub(crate) fixed: Vec<u32>,
    pub(crate) others: Vec<u32>,
    /// Accounts of the manager.
    pub(crate) accounts: usize,
    /// Connections of each account.
    pub(crate) connections: usize,
    /// Whether instruments move. If not, it is known which outage concerns them.
    pub(crate) failover: Option<FailoverConfig>,
    /// Whether the whole feed is lost for so long that heartbeats are withheld.
    pub(crate) has_dark_times: bool,
    /// One of the fixed instruments, whose packets mark that a command is applied.
    pub(crate) marker: u32,
}

impl Plan {
    pub(crate) fn new(seed: u64, policy: SlowClients, time: Duration) -> Self {
        let mut random = Rng::with_seed(seed);
        // NSE, and a few indices, which have neither volume nor depth.
        let token = |number: usize| {
            let segment = if number % 9 == 8 { 9 } else { 1 };
            ((1_000 + number as u32) << 8) | segment
        };
        let mut tokens: Vec<u32> = (1..=FIXED + OTHERS).map(token).collect();
        random.shuffle(&mut tokens[FIXED..]);
        let others = tokens.split_off(FIXED);
        let marker = tokens[0];
        // One account, two of one connection each, and two of two connections with failover.
        let (accounts, connections, fails_over) = match policy {
            SlowClients::DropOldest => (2, 1, false),
            SlowClients::Disconnect => (2, 2, true),
            _ => (1, 2, false),
        };
        Self {
            seed,
            policy,
            time,
            fault_every: Duration::from_secs(3),
            updates_per_second: 30.0,
            accounts,
            connections,
            failover: fails_over.then_some(FailoverConfig { after: AWAY, stable_after: BACK }),
            fixed: tokens,
            others,
            has_dark_times: policy == SlowClients::Conflate,
            marker,
        }
    }

    /// Returns the number of connections of all accounts.
    pub(crate) fn slots(&self) -> usize {
        self.accounts * self.connections
    }

    /// Returns the most instruments of one connection.
    pub(crate) fn instrument_limit(&self) -> usize {
        let capacity = if self.failover.is_some() { CAPACITY_TO_MOVE } else { CAPACITY };
        capacity / self.slots()
    }

    /// Returns the most instruments of all connections.
    pub(crate) fn capacity(&self) -> usize {
        self.instrument_limit() * self.slots()
    }

    /// Returns all instruments.
    pub(crate) fn all(&self) -> Vec<u32> {
        [&self.fixed[..], &self.others].concat()
    }

    pub(crate) fn fixed_in_full(&self) -> Vec<(u32, Mode)> {
        self.fixed.iter().map(|&token| (token, Mode::Full)).collect()
    }

    pub(crate) fn is_fixed(&self, token: u32) -> bool {
        self.fixed.contains(&token)
    }
}
