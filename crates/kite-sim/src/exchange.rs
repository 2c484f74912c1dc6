//! All instruments traded so far, shared by the sockets that hold them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::market::Instrument;
use crate::stats::Sent;

/// Instrument tokens below this have no identifier beside their segment.
const FIRST_TOKEN: u32 = 256;

/// One instrument and what was sent of it.
#[derive(Debug)]
pub(crate) struct Traded {
    pub(crate) instrument: Instrument,
    pub(crate) sent: Sent,
}

/// The market as the sockets see it: an instrument exists from its first subscription on, and
/// keeps its state when nobody is subscribed.
#[derive(Debug)]
pub(crate) struct Exchange {
    seed: u64,
    start_unix_s: u32,
    unknown: BTreeSet<u32>,
    traded: Mutex<BTreeMap<u32, Arc<Mutex<Traded>>>>,
}

impl Exchange {
    pub(crate) fn new(seed: u64, start_unix_s: u32, unknown: BTreeSet<u32>) -> Self {
        Self { seed, start_unix_s, unknown, traded: Mutex::default() }
    }

    /// Says whether this token names an instrument.
    pub(crate) fn trades(&self, token: u32) -> bool {
        token >= FIRST_TOKEN && !self.unknown.contains(&token)
    }

    /// Gives an instrument, listed now if it was not.
    pub(crate) fn traded(&self, token: u32) -> Arc<Mutex<Traded>> {
        let list = || {
            let instrument = Instrument::new(self.seed, token, self.start_unix_s);
            Arc::new(Mutex::new(Traded { instrument, sent: Sent::default() }))
        };
        Arc::clone(lock(&self.traded).entry(token).or_insert_with(list))
    }

    /// Gives what was sent, per instrument of which anything was.
    pub(crate) fn sent(&self) -> BTreeMap<u32, Sent> {
        let traded = lock(&self.traded);
        let sent = traded.iter().map(|(&token, traded)| (token, lock(traded).sent));
        sent.filter(|(_, sent)| sent.ticks > 0).collect()
    }
}

/// Locks a mutex of plain data, which is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instrument_keeps_its_state_between_subscriptions() {
        let exchange = Exchange::new(1, 0, BTreeSet::new());
        lock(&exchange.traded(408_065)).instrument.advance();
        assert_eq!(lock(&exchange.traded(408_065)).instrument.step(), 1);
    }

    #[test]
    fn unknown_tokens_and_bare_segments_are_not_traded() {
        let exchange = Exchange::new(1, 0, [408_065].into());
        let trades = |token| exchange.trades(token);
        assert_eq!([0, 9, 255, 408_065].map(trades), [false; 4]);
        assert!(trades(256) && trades(884_737) && trades(u32::MAX));
    }
}
