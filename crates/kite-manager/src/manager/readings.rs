//! What can be read of a manager at any time, running or not.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_conn::{Connection, Distributions, InstrumentStats, Phase, Stamp};
use kite_wire::Mode;

use crate::manager::Manager;
use crate::manager::account::Account;
use crate::observe::{Reading, Snapshot, Unseen};
use crate::seat::Seat;

impl Manager {
    /// Gives the instruments of each connection and their modes: account by account in the order
    /// they were given, within each by connection number.
    #[must_use]
    pub fn distribution(&self) -> Vec<BTreeMap<u32, Mode>> {
        self.lock().accounts.iter().flat_map(Account::distribution).collect()
    }

    /// Gives the instruments that are subscribed and have not ticked on their connection since,
    /// for those connections that have any. How a token that does not exist shows, and one that
    /// has not traded yet: an illiquid option may stay here for hours, but the snapshot after a
    /// subscription comes at once.
    #[must_use]
    pub fn unseen(&self) -> Vec<Unseen> {
        let readings: Vec<Reading> =
            self.lock().accounts.iter().flat_map(Account::readings).collect();
        readings.into_iter().map(Reading::unseen).filter(|it| !it.tokens.is_empty()).collect()
    }

    /// Gives what is known of every instrument that ticked: when last, how often, its volume; by
    /// connection and, within it, by rising token. An instrument that went to another connection
    /// is known on both.
    #[must_use]
    pub fn instruments(&self) -> Vec<(Seat, InstrumentStats)> {
        let (seats, connections) = (&self.core.seats, self.lock().connections());
        let of = |(slot, connection): (usize, &Connection)| {
            let seat = seats.seat(slot);
            connection.instruments().into_iter().map(move |it| (seat.clone(), it))
        };
        connections.iter().enumerate().flat_map(of).collect()
    }

    /// Says whether it has been started and not stopped since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lock().started.is_some()
    }

    /// Says whether a socket is up at this moment.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let connections = self.lock().connections();
        connections.iter().any(|connection| connection.status().phase == Phase::Live)
    }

    /// Reads the state of all connections: counts, rates, quantiles. While stopped it is that of
    /// the last run. Any number of readers get the same rates.
    ///
    /// The manager's lock is held only to see which connections there are.
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

    /// Reads how latencies, frame sizes and outages are distributed, over all connections of all
    /// accounts.
    #[must_use]
    pub fn distributions(&self) -> Distributions {
        let connections = self.lock().connections();
        connections.iter().fold(Distributions::default(), |all, connection| {
            all.merged(&connection.distributions())
        })
    }
}
