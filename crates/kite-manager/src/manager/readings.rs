//! State that can be read at any time, running or not.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_conn::{Connection, Distributions, InstrumentStats, Phase, Stamp, Stats, Status};
use kite_wire::Mode;

use crate::manager::Manager;
use crate::manager::account::Account;
use crate::observe::{Reading, Snapshot, Unseen};
use crate::seat::Seat;

impl Manager {
    /// Returns the instruments of each connection and their modes: by account in the order they
    /// were added, then by connection number.
    #[must_use]
    pub fn distribution(&self) -> Vec<BTreeMap<u32, Mode>> {
        self.lock().accounts.iter().flat_map(Account::distribution).collect()
    }

    /// Returns the instruments that have not ticked on their connection since they were subscribed,
    /// for those connections that have any. Tokens that do not exist stay in this list, and so do
    /// instruments that have not traded yet; an illiquid option may stay for hours. For all others
    /// the snapshot that follows a subscription arrives immediately.
    #[must_use]
    pub fn unseen(&self) -> Vec<Unseen> {
        let readings: Vec<Reading> =
            self.lock().accounts.iter().flat_map(Account::readings).collect();
        readings.into_iter().map(Reading::unseen).filter(|it| !it.tokens.is_empty()).collect()
    }

    /// Returns statistics of every instrument that has ticked: last tick, tick count and volume,
    /// sorted by connection, then by token. An instrument that moved to another connection is
    /// listed for both.
    #[must_use]
    pub fn instruments(&self) -> Vec<(Seat, InstrumentStats)> {
        let (seats, connections) = (&self.core.seats, self.lock().connections());
        let of = |(slot, connection): (usize, &Connection)| {
            let seat = seats.seat(slot);
            connection.instruments().into_iter().map(move |it| (seat.clone(), it))
        };
        connections.iter().enumerate().flat_map(of).collect()
    }

    /// Returns whether the manager has been started and not stopped since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lock().started.is_some()
    }

    /// Returns whether any socket is up.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let connections = self.lock().connections();
        connections.iter().any(|connection| connection.status().phase == Phase::Live)
    }

    /// Returns the status and counts of each connection, in the order of
    /// [`Manager::distribution`]. While stopped they are those of the last run; empty before the
    /// first start. Cheaper than [`Manager::snapshot`], which looks at each instrument.
    #[must_use]
    pub fn statuses(&self) -> Vec<(Status, Stats)> {
        let connections = self.lock().connections();
        connections.iter().map(|connection| (connection.status(), connection.stats())).collect()
    }

    /// Returns the state of all connections: counts, rates, quantiles. While stopped it is the
    /// state of the last run. Reading does not affect the rates that other readers get.
    ///
    /// The manager's lock is held only to list the connections.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = Stamp::now();
        let (readings, subscribed, started) = {
            let control = self.lock();
            let readings = control.accounts.iter().flat_map(Account::readings).collect();
            let subscribed = control.accounts.iter().map(Account::instruments).sum();
            (readings, subscribed, control.started)
        };
        let uptime = started.map_or(Duration::ZERO, |started| now.since(started));
        Snapshot::new(readings, subscribed, uptime, now)
    }

    /// Returns the distributions of latencies, frame sizes and outages across all connections of
    /// all accounts.
    #[must_use]
    pub fn distributions(&self) -> Distributions {
        let connections = self.lock().connections();
        connections.iter().fold(Distributions::default(), |all, connection| {
            all.merged(&connection.distributions())
        })
    }
}
