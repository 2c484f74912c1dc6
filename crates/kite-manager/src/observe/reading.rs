//! A connection and its instruments, captured under the manager's lock and evaluated without it.

use kite_conn::{Connection, Distributions, Stamp};

use crate::account_id::AccountId;
use crate::observe::figures::Figures;
use crate::observe::rates::Rates;
use crate::observe::snapshot::{ConnectionSnapshot, Unseen};

/// A connection and its instruments.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) account: AccountId,
    pub(crate) connection: usize,
    pub(crate) open: Connection,
    /// Ticks that it received of instruments that had left it.
    pub(crate) departed_ticks: u64,
    /// The instruments that it carries, sorted.
    pub(crate) instruments: Vec<u32>,
    /// Its instruments that no connection streams, sorted.
    pub(crate) dark: Vec<u32>,
    pub(crate) rates: Rates,
}

impl Reading {
    /// Returns the instruments that have not ticked on this connection.
    pub(crate) fn unseen(self) -> Unseen {
        let seen = self.open.instruments();
        let is_unseen =
            |token: &u32| seen.binary_search_by_key(token, |instrument| instrument.token).is_err();
        let tokens = self.instruments.into_iter().filter(is_unseen).collect();
        Unseen { account: self.account, connection: self.connection, tokens }
    }

    pub(super) fn take(self, now: Stamp) -> (ConnectionSnapshot, Distributions) {
        let (status, stats) = (self.open.status(), self.open.stats());
        let distributions = self.open.distributions();
        let parked = status.parked.as_ref().map(ToString::to_string);
        let failed = || status.last_failure.as_ref().map(ToString::to_string);
        let seconds = |since: Stamp| now.since(since).as_secs_f64();
        let (losses, rates) = (self.open.losses_by_kind(), self.rates.read(now, &stats));
        let snapshot = ConnectionSnapshot {
            account: self.account.clone(),
            connection: self.connection,
            phase: status.phase,
            epoch: status.epoch,
            failure: parked.or_else(failed),
            instruments: self.instruments.len(),
            dark: self.dark.len(),
            dark_tokens: self.dark.clone(),
            uptime_s: stats.up_since.map_or(0.0, seconds),
            silent_s: stats.last_message.map(seconds),
            last_message_ns: stats.last_message.map(Stamp::as_nanos),
            last_delivery_ns: stats.last_delivery.map(Stamp::as_nanos),
            last_round_trip_ns: stats.round_trip.and_then(|it| u64::try_from(it.as_nanos()).ok()),
            figures: Figures {
                departed_ticks: self.departed_ticks,
                ..Figures::new(&stats, &losses, rates, &distributions)
            },
            unseen: self.unseen().tokens.len(),
        };
        (snapshot, distributions)
    }
}
