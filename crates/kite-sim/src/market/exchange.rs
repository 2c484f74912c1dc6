//! All instruments traded so far, shared by the sockets subscribed to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kite_wire::Frame;
use parking_lot::Mutex;

use super::clock::Clock;
use super::instrument::Instrument;
use super::sent::Sent;

/// Instrument tokens below this have a segment but no identifier.
const FIRST_TOKEN: u32 = 256;

/// One instrument and the totals sent of it.
#[derive(Debug)]
pub(super) struct Traded {
    pub(super) instrument: Instrument,
    pub(super) sent: Sent,
    /// Number of jumps, which are moves not sent to any socket.
    pub(super) jumps: u64,
    /// Its state after the last jump; sockets with an older state continue from it.
    pub(super) landed: Option<Box<Instrument>>,
}

impl Traded {
    fn jump(&mut self, by: impl FnOnce(&mut Instrument)) {
        by(&mut self.instrument);
        self.jumps += 1;
        self.landed = Some(Box::new(self.instrument.clone()));
    }
}

/// The market as the sockets see it. An instrument exists once a socket has subscribed to it, and
/// keeps its state while no socket is subscribed.
#[derive(Debug)]
pub(crate) struct Exchange {
    seed: u64,
    clock: Arc<Clock>,
    unknown: BTreeSet<u32>,
    /// The only instruments traded, if set.
    listed: Option<BTreeSet<u32>>,
    floor: Mutex<Floor>,
}

#[derive(Debug, Default)]
struct Floor {
    /// Trading days since the first.
    day: u32,
    traded: BTreeMap<u32, Arc<Mutex<Traded>>>,
}

impl Exchange {
    pub(crate) fn new(
        seed: u64,
        clock: Clock,
        unknown: BTreeSet<u32>,
        listed: Option<BTreeSet<u32>>,
    ) -> Self {
        Self { seed, clock: Arc::new(clock), unknown, listed, floor: Mutex::default() }
    }

    /// Returns whether this token names an instrument.
    pub(crate) fn trades(&self, token: u32) -> bool {
        let is_listed = self.listed.as_ref().is_none_or(|listed| listed.contains(&token));
        token >= FIRST_TOKEN && is_listed && !self.unknown.contains(&token)
    }

    /// Returns the clock.
    pub(crate) fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Returns an instrument, listing it first if necessary.
    pub(super) fn traded(&self, token: u32) -> Arc<Mutex<Traded>> {
        let mut floor = self.floor.lock();
        let day = floor.day;
        let list = || {
            let mut instrument = Instrument::new(self.seed, token, self.clock.start_unix_s());
            (0..day).for_each(|_| instrument.next_day());
            let sent = Sent::default();
            Arc::new(Mutex::new(Traded { instrument, sent, jumps: 0, landed: None }))
        };
        Arc::clone(floor.traded.entry(token).or_insert_with(list))
    }

    /// Returns the newest state of an instrument.
    pub(crate) fn newest(&self, token: u32) -> Instrument {
        self.traded(token).lock().instrument.clone()
    }

    /// Moves instruments by steps that are not sent to any socket.
    pub(crate) fn advance(&self, tokens: &[u32], steps: u64) {
        for &token in tokens.iter().filter(|&&token| self.trades(token)) {
            let traded = self.traded(token);
            traded.lock().jump(|instrument| (0..steps).for_each(|_| instrument.advance()));
        }
    }

    /// Starts the next trading day for all instruments.
    pub(crate) fn next_day(&self) {
        let mut floor = self.floor.lock();
        floor.day += 1;
        self.clock.next_day();
        for traded in floor.traded.values() {
            traded.lock().jump(Instrument::next_day);
        }
    }

    /// Counts the packets of a frame as sent, regardless of subscriptions; returns their number.
    pub(crate) fn confirm(&self, frame: &[u8]) -> u64 {
        let packets = Frame::walk(frame).packets();
        let count = packets.len() as u64;
        for packet in packets {
            self.traded(packet.instrument_token()).lock().sent.add(packet.as_bytes());
        }
        count
    }

    /// Returns totals for every instrument of which anything was sent.
    pub(crate) fn sent(&self) -> BTreeMap<u32, Sent> {
        let floor = self.floor.lock();
        let sent = floor.traded.iter().map(|(&token, traded)| (token, traded.lock().sent));
        sent.filter(|(_, sent)| sent.ticks > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use kite_wire::Mode;

    use super::*;

    const START: u32 = 1_754_279_100;

    fn exchange<const N: usize>(unknown: [u32; N]) -> Exchange {
        Exchange::new(1, Clock::of_steps(START), unknown.into(), None)
    }

    #[test]
    fn an_instrument_keeps_its_state_between_subscriptions() {
        let exchange = exchange([]);
        exchange.traded(408_065).lock().instrument.advance();
        assert_eq!(exchange.traded(408_065).lock().instrument.step(), 1);
    }

    #[test]
    fn an_instrument_listed_late_is_on_the_same_day() {
        let exchange = exchange([]);
        let early = exchange.traded(408_065);
        exchange.next_day();
        exchange.next_day();
        let late = exchange.traded(884_737);
        let time = |traded: &Mutex<Traded>| {
            traded.lock().instrument.tick(Mode::Full).full().unwrap().exchange_timestamp
        };
        assert_eq!([time(&early), time(&late)], [START + 2 * 86_400; 2]);
    }

    #[test]
    fn unknown_tokens_and_bare_segments_are_not_traded() {
        let exchange = exchange([408_065]);
        let trades = |token| exchange.trades(token);
        assert_eq!([0, 9, 255, 408_065].map(trades), [false; 4]);
        assert!(trades(256) && trades(884_737) && trades(u32::MAX));
    }

    #[test]
    fn with_a_list_only_its_instruments_are_traded() {
        let listed = Some([408_065, 884_737, 9].into());
        let exchange = Exchange::new(1, Clock::of_steps(START), [884_737].into(), listed);
        let trades = |token| exchange.trades(token);
        assert_eq!([408_065, 884_737, 9, 738_561].map(trades), [true, false, false, false]);
    }
}
