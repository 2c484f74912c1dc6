//! A manager's state at one instant, as plain data.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kite_conn::{Distributions, Phase, Stamp};
use serde::{Deserialize, Serialize};

use crate::account_id::AccountId;
use crate::observe::figures::Figures;
use crate::observe::phase;
use crate::observe::reading::Reading;

/// The state of a manager at one instant. Plain data without secrets.
///
/// When serialised, the fields of [`Snapshot::total`] and [`ConnectionSnapshot::figures`] are
/// flattened into the surrounding object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// When the snapshot was taken, in milliseconds since the Unix epoch by the local wall clock.
    pub unix_ms: u64,
    /// Seconds since the start; zero while stopped.
    pub uptime_s: f64,
    /// Subscribed instruments, whether connected or not.
    pub instruments: usize,
    /// Instruments that have not ticked on their connection.
    pub unseen: usize,
    /// Instruments that no connection streams.
    pub dark: usize,
    /// Connections whose socket is up.
    pub live: usize,
    /// Seconds since any connection last received anything; `None` if nothing was received.
    pub silent_s: Option<f64>,
    /// All connections together.
    #[serde(flatten)]
    pub total: Figures,
    /// The connections, account by account, by number; empty before the first start.
    pub connections: Vec<ConnectionSnapshot>,
}

/// The state of one connection at one instant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// The account's name.
    pub account: AccountId,
    /// The connection's number within the account, from 0.
    pub connection: usize,
    /// Its phase. Serialised as `opening`, `renewing`, `live`, `waiting`, `parked` or `closed`.
    #[serde(with = "phase")]
    pub phase: Phase,
    /// Number of its current or last socket, from 1.
    pub epoch: u32,
    /// Why it is parked, or why the last connection attempt failed.
    pub failure: Option<String>,
    /// Instruments that it carries.
    pub instruments: usize,
    /// Its instruments that have not ticked on it.
    pub unseen: usize,
    /// Its instruments that no connection streams, because it has been down for too long and no
    /// other connection has room for them.
    pub dark: usize,
    /// The instruments counted by [`ConnectionSnapshot::dark`], sorted.
    pub dark_tokens: Vec<u32>,
    /// Seconds since the current socket came up; zero while it is down.
    pub uptime_s: f64,
    /// Seconds since anything was received, on this socket or an earlier one; `None` if nothing
    /// was.
    pub silent_s: Option<f64>,
    /// When anything was last received, by the clock of [`Stamp`] (nanoseconds that are comparable
    /// only within this process).
    pub last_message_ns: Option<u64>,
    /// When a frame was last delivered, by the same clock.
    pub last_delivery_ns: Option<u64>,
    /// Round-trip time of the last ping in nanoseconds; `None` before the first pong.
    pub last_round_trip_ns: Option<u64>,
    /// Counts, rates and quantiles.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Instruments that are subscribed on a connection and have not ticked there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unseen {
    /// The account.
    pub account: AccountId,
    /// The connection's number within the account.
    pub connection: usize,
    /// The instruments, sorted.
    pub tokens: Vec<u32>,
}

impl Snapshot {
    /// Evaluates readings of connections. `subscribed` counts all instruments, even before the
    /// first start.
    pub(crate) fn new(
        readings: Vec<Reading>,
        subscribed: usize,
        uptime: Duration,
        now: Stamp,
    ) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut snapshot = Self {
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
            uptime_s: uptime.as_secs_f64(),
            instruments: subscribed,
            ..Self::default()
        };
        let mut distributions = Distributions::default();
        for reading in readings {
            let (connection, measured) = reading.take(now);
            distributions = distributions.merged(&measured);
            snapshot.add(connection);
        }
        snapshot.total = snapshot.total.with_quantiles(&distributions);
        snapshot
    }

    fn add(&mut self, connection: ConnectionSnapshot) {
        self.unseen += connection.unseen;
        self.dark += connection.dark;
        self.live += usize::from(connection.phase == Phase::Live);
        self.silent_s = match (self.silent_s, connection.silent_s) {
            (Some(all), Some(one)) => Some(all.min(one)),
            (all, one) => all.or(one),
        };
        self.total.add(&connection.figures);
        self.connections.push(connection);
    }
}
