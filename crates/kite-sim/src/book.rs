//! The subscriptions of one socket, and the frames made of them.
//!
//! No socket and no clock here: the socket's task says how much time has passed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kite_wire::{EncodeError, Frame, FrameEncoder, MAX_INSTRUMENTS, Mode, PacketKind};

use crate::exchange::{Exchange, Traded, lock};
use crate::market::Instrument;
use crate::replay::Present;

/// Most time that is made up for after a delay, unless updates are rarer; what would have come
/// before is never sent.
const MAX_BACKLOG: Duration = Duration::from_millis(250);
/// Updates are gathered for this long, unless the rate asks for shorter.
const SLICE: Duration = Duration::from_millis(50);
const DAY_S: f64 = 86_400.0;
/// Most ticks in a frame that a fault makes.
const FAULT_TICKS: usize = 100;
/// A frame without packets.
const EMPTY_FRAME_BYTES: usize = 2;

/// Gives the time between two looks at what is due, at this many updates per second and instrument.
///
/// Up to one a second, all instruments share a frame: hours of simulated time cost little then.
pub(crate) fn period(rate: f64) -> Duration {
    let period = Duration::from_secs_f64((1.0 / rate).min(DAY_S));
    if rate <= 1.0 { period } else { period.min(SLICE) }
}

/// One instrument of a socket.
#[derive(Debug)]
struct Subscription {
    token: u32,
    mode: Mode,
    traded: Arc<Mutex<Traded>>,
    /// As this socket was last sent it: its state is a function of the step, so that each socket
    /// can walk by itself and misses none.
    instrument: Instrument,
    /// The jumps of the market that this state has seen.
    jumps: u64,
}

/// The instruments of one socket with their modes.
#[derive(Debug, Default)]
pub(crate) struct Book {
    subscriptions: Vec<Subscription>,
    position_by_token: HashMap<u32, usize>,
    /// Where the next update is due.
    cursor: usize,
    /// Updates due, with the fraction of the next.
    due: f64,
    /// Positions of the frame in the making.
    framed: Vec<usize>,
    buffer: BytesMut,
    /// Where packets come from in a replay: all states are this one.
    present: Option<Arc<Mutex<Present>>>,
}

/// A command would give a socket more instruments than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitExceeded;

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Obeyed {
    /// Instruments named that the exchange trades, rising and each once.
    pub(crate) tokens: Vec<u32>,
    /// Those of them that were not subscribed before, or in another mode.
    pub(crate) changed: Vec<u32>,
}

/// Which state of an instrument goes into a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Present,
    Next,
}

impl Book {
    /// Takes packets from the present of a replay from now on.
    pub(crate) fn follow(&mut self, present: Arc<Mutex<Present>>) {
        self.present = Some(present);
    }

    /// Gives the mode of an instrument; `None` if it is not subscribed.
    pub(crate) fn mode(&self, token: u32) -> Option<Mode> {
        self.position_by_token.get(&token).map(|&position| self.subscriptions[position].mode)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Gives the instruments and their modes.
    pub(crate) fn modes(&self) -> BTreeMap<u32, Mode> {
        self.subscriptions.iter().map(|held| (held.token, held.mode)).collect()
    }

    /// Subscribes instruments in a mode, or changes theirs to it.
    ///
    /// # Errors
    /// All together would be more than `limit`; nothing has changed then.
    pub(crate) fn set(
        &mut self,
        tokens: impl IntoIterator<Item = u32>,
        mode: Mode,
        limit: usize,
        exchange: &Exchange,
    ) -> Result<Obeyed, LimitExceeded> {
        let mut tokens: Vec<u32> =
            tokens.into_iter().filter(|&token| exchange.trades(token)).collect();
        tokens.sort_unstable();
        tokens.dedup();
        let is_new = |token: &&u32| !self.position_by_token.contains_key(token);
        if self.subscriptions.len() + tokens.iter().filter(is_new).count() > limit {
            return Err(LimitExceeded);
        }
        let mut changed = Vec::with_capacity(tokens.len());
        for &token in &tokens {
            let is_changed = match self.position_by_token.get(&token) {
                Some(&position) => {
                    let held = &mut self.subscriptions[position];
                    std::mem::replace(&mut held.mode, mode) != mode
                }
                None => {
                    self.position_by_token.insert(token, self.subscriptions.len());
                    let traded = exchange.traded(token);
                    let (instrument, jumps) = {
                        let newest = lock(&traded);
                        (newest.instrument.clone(), newest.jumps)
                    };
                    let fresh = Subscription { token, mode, traded, instrument, jumps };
                    self.subscriptions.push(fresh);
                    true
                }
            };
            if is_changed {
                changed.push(token);
            }
        }
        Ok(Obeyed { tokens, changed })
    }

    /// Ends subscriptions; tokens that are not subscribed are passed over.
    pub(crate) fn unsubscribe(&mut self, tokens: impl IntoIterator<Item = u32>) {
        for token in tokens {
            if let Some(position) = self.position_by_token.remove(&token) {
                self.subscriptions.swap_remove(position);
                if let Some(moved) = self.subscriptions.get(position) {
                    self.position_by_token.insert(moved.token, position);
                }
            }
        }
    }

    /// Makes a frame of the present state of these instruments; `None` if none is subscribed, or in a
    /// replay if the tape has had none of them.
    pub(crate) fn snapshot(&mut self, tokens: &[u32]) -> Option<Bytes> {
        self.frame_of(tokens, State::Present)
    }

    /// Makes a frame of the next state of these instruments; `None` if none is subscribed.
    pub(crate) fn next_of(&mut self, tokens: &[u32]) -> Option<Bytes> {
        self.frame_of(tokens, State::Next)
    }

    /// Notes that time has passed: each instrument is due `rate` times a second.
    pub(crate) fn elapse(&mut self, elapsed: Duration, rate: f64) {
        let elapsed = elapsed.min(MAX_BACKLOG.max(period(rate)));
        self.due =
            self.due.fract() + self.subscriptions.len() as f64 * rate * elapsed.as_secs_f64();
    }

    /// Makes a frame of updates that are due, each instrument at most once; `None` if none is.
    pub(crate) fn next_due(&mut self) -> Option<Bytes> {
        let count = (self.due as usize).min(self.subscriptions.len()).min(MAX_INSTRUMENTS);
        if count == 0 {
            return None;
        }
        self.due -= count as f64;
        self.in_turn(count)
    }

    /// Makes a frame of the next state of some instruments, whether or not they are due; `None` if
    /// none is subscribed.
    pub(crate) fn next_some(&mut self) -> Option<Bytes> {
        self.in_turn(FAULT_TICKS.min(self.subscriptions.len()))
    }

    /// Counts the packets of a frame of this book as sent, as far as a client can decode them;
    /// gives their number.
    pub(crate) fn confirm(&self, frame: &[u8]) -> u64 {
        let mut count = 0;
        for packet in Frame::walk(frame).packets() {
            if let Some(&position) = self.position_by_token.get(&packet.instrument_token()) {
                lock(&self.subscriptions[position].traded).sent.add(packet.as_bytes());
                count += 1;
            }
        }
        count
    }

    /// Makes a frame of the next state of this many instruments, at most all, from the cursor on.
    fn in_turn(&mut self, count: usize) -> Option<Bytes> {
        let (start, total) = (self.cursor, self.subscriptions.len());
        self.framed.clear();
        self.framed.extend((start..start + count).map(|position| position % total));
        self.cursor = (start + count).checked_rem(total)?;
        self.frame(State::Next)
    }

    fn frame_of(&mut self, tokens: &[u32], state: State) -> Option<Bytes> {
        self.framed.clear();
        self.framed.extend(tokens.iter().filter_map(|token| self.position_by_token.get(token)));
        self.frame(state)
    }

    fn frame(&mut self, state: State) -> Option<Bytes> {
        if self.framed.is_empty() {
            return None;
        }
        let largest = 2 + self.framed.len() * (2 + PacketKind::Full.packet_len());
        // The socket has let go of the frame before, so this takes its memory again.
        self.buffer.resize(largest, 0);
        let length = match self.encode(state) {
            Ok(length) => length,
            Err(error) => {
                tracing::error!(%error, packets = self.framed.len(), "frame not sent");
                return None;
            }
        };
        self.buffer.truncate(length);
        let frame = self.buffer.split().freeze();
        Some(frame).filter(|frame| frame.len() > EMPTY_FRAME_BYTES)
    }

    fn encode(&mut self, state: State) -> Result<usize, EncodeError> {
        let mut encoder = FrameEncoder::new(&mut self.buffer)?;
        if let Some(present) = &self.present {
            let present = lock(present);
            for &position in &self.framed {
                let held = &self.subscriptions[position];
                if let Some(packet) = present.packet(held.token, held.mode) {
                    encoder.push_bytes(packet)?;
                }
            }
            return Ok(encoder.finish().len());
        }
        for &position in &self.framed {
            let held = &mut self.subscriptions[position];
            let mut traded = lock(&held.traded);
            if held.jumps != traded.jumps
                && let Some(landed) = &traded.landed
            {
                held.jumps = traded.jumps;
                held.instrument.clone_from(landed);
            }
            if state == State::Next {
                held.instrument.advance();
                if traded.instrument.step() < held.instrument.step() {
                    traded.instrument.clone_from(&held.instrument);
                }
            }
            drop(traded);
            encoder.push(&held.instrument.tick(held.mode))?;
        }
        Ok(encoder.finish().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 5;
    const SECOND: Duration = Duration::from_secs(1);

    fn exchange() -> Exchange {
        Exchange::new(1, 0, [9_999 << 8 | 1].into())
    }

    fn token(index: u32) -> u32 {
        (index + 1) << 8 | 1
    }

    fn tokens_of(frame: &[u8]) -> Vec<u32> {
        let frame = Frame::walk(frame);
        assert_eq!((frame.fault(), frame.skipped()), (None, 0));
        frame.packets().map(|packet| packet.instrument_token()).collect()
    }

    fn book(exchange: &Exchange, count: u32) -> Book {
        let mut book = Book::default();
        book.set((0..count).map(token), Mode::Quote, 3_000, exchange).unwrap();
        book
    }

    #[test]
    fn a_command_beyond_the_limit_is_refused_whole() {
        let (exchange, mut book) = (exchange(), Book::default());
        book.set((0..4).map(token), Mode::Full, LIMIT, &exchange).unwrap();
        let refused = book.set([token(0), token(7), token(8)], Mode::Ltp, LIMIT, &exchange);
        assert_eq!(refused, Err(LimitExceeded));
        assert_eq!(book.modes(), (0..4).map(|index| (token(index), Mode::Full)).collect());
        // Known, repeated and unknown tokens take no room.
        let named = [token(0), token(4), token(4), 9_999 << 8 | 1, 255];
        let obeyed = book.set(named, Mode::Full, LIMIT, &exchange).unwrap();
        assert_eq!(obeyed.tokens, [token(0), token(4)]);
        assert_eq!(obeyed.changed, [token(4)]);
    }

    #[test]
    fn unsubscribing_keeps_the_others_findable() {
        let (exchange, mut book) = (exchange(), Book::default());
        book.set((0..5).map(token), Mode::Quote, LIMIT, &exchange).unwrap();
        book.unsubscribe([token(0), token(3), token(77)]);
        book.set([token(4)], Mode::Full, LIMIT, &exchange).unwrap();
        let modes = [(1, Mode::Quote), (2, Mode::Quote), (4, Mode::Full)];
        assert_eq!(book.modes(), modes.map(|(index, mode)| (token(index), mode)).into());
        let frame = book.snapshot(&(0..5).map(token).collect::<Vec<_>>()).unwrap();
        assert_eq!(tokens_of(&frame), [1, 2, 4].map(token));
        book.unsubscribe([1, 2, 4].map(token));
        book.elapse(SECOND, 9.0);
        assert_eq!(book.next_due(), None);
    }

    #[test]
    fn every_instrument_gets_its_rate_in_turn() {
        let exchange = exchange();
        let mut book = book(&exchange, 7);
        let mut updates = BTreeMap::new();
        for _ in 0..20 {
            book.elapse(SECOND / 20, 3.0);
            while let Some(frame) = book.next_due() {
                let tokens = tokens_of(&frame);
                tokens.into_iter().for_each(|token| *updates.entry(token).or_insert(0) += 1);
            }
        }
        assert_eq!(updates.len(), 7);
        assert!(updates.values().all(|&count| count == 3), "{updates:?}");
    }

    #[test]
    fn no_frame_holds_an_instrument_twice() {
        let exchange = exchange();
        let mut book = book(&exchange, 3);
        book.elapse(SECOND / 4, 12.0);
        let frames: Vec<_> = std::iter::from_fn(|| book.next_due()).collect();
        assert_eq!(frames.len(), 3);
        assert!(frames.iter().all(|frame| tokens_of(frame).len() == 3));
    }

    #[test]
    fn a_long_delay_is_not_made_up_for() {
        let exchange = exchange();
        let mut book = book(&exchange, 4);
        book.elapse(SECOND * 100, 4.0);
        let frames: Vec<_> = std::iter::from_fn(|| book.next_due()).collect();
        assert_eq!(frames.iter().map(|frame| tokens_of(frame).len()).sum::<usize>(), 4);
    }

    #[test]
    fn rare_updates_are_looked_at_rarely_and_none_is_lost() {
        assert_eq!(
            [0.5, 1.0, 2.0, 100.0].map(|rate| period(rate).as_millis()),
            [2_000, 1_000, 50, 10]
        );
        assert_eq!(period(f64::MIN_POSITIVE), Duration::from_secs(86_400));
        let exchange = exchange();
        let mut book = book(&exchange, 4);
        for _ in 0..5 {
            book.elapse(period(0.5), 0.5);
            assert_eq!(tokens_of(&book.next_due().unwrap()).len(), 4);
            assert_eq!(book.next_due(), None);
        }
    }

    #[test]
    fn a_jump_of_the_market_is_seen_by_all_and_its_steps_by_none() {
        let exchange = exchange();
        let (mut one, mut two) = (book(&exchange, 1), book(&exchange, 1));
        one.next_of(&[token(0)]).unwrap();
        exchange.advance(&[token(0), 9_999 << 8 | 1], 10);
        let next = two.next_of(&[token(0)]).unwrap();
        assert_eq!(one.next_of(&[token(0)]), Some(next));
        assert_eq!(lock(&exchange.traded(token(0))).instrument.step(), 12);
        exchange.next_day();
        let snapshot = one.snapshot(&[token(0)]).unwrap();
        let packet = Frame::walk(&snapshot).packets().next().and_then(|packet| packet.volume());
        assert_eq!(packet, Some(1));
        assert_eq!(two.snapshot(&[token(0)]), Some(snapshot));
    }

    #[test]
    fn faults_take_instruments_in_turn() {
        let exchange = exchange();
        assert_eq!(Book::default().next_some(), None);
        let mut book = book(&exchange, 150);
        let first = tokens_of(&book.next_some().unwrap());
        let second = tokens_of(&book.next_some().unwrap());
        assert_eq!((first.len(), second[0], second[50]), (FAULT_TICKS, token(100), token(0)));
    }

    #[test]
    fn two_sockets_see_the_same_steps() {
        let exchange = exchange();
        let (mut one, mut two) = (book(&exchange, 1), book(&exchange, 1));
        for _ in 0..3 {
            let first = one.next_of(&[token(0)]).unwrap();
            assert_eq!(two.next_of(&[token(0)]), Some(first));
        }
        assert_eq!(lock(&exchange.traded(token(0))).instrument.step(), 3);
    }

    #[test]
    fn no_socket_misses_a_step_that_another_caused() {
        let exchange = exchange();
        let (mut one, mut two) = (book(&exchange, 1), book(&exchange, 1));
        let next_of = |book: &mut Book| book.next_of(&[token(0)]).unwrap();
        let ahead: Vec<Bytes> = (0..5).map(|_| next_of(&mut one)).collect();
        let behind: Vec<Bytes> = (0..5).map(|_| next_of(&mut two)).collect();
        assert_eq!(ahead, behind);
        let mut late = book(&exchange, 1);
        assert_eq!(late.snapshot(&[token(0)]), ahead.last().cloned(), "it begins at the newest");
        assert_eq!(next_of(&mut late), next_of(&mut one));
    }

    #[test]
    fn only_confirmed_frames_count_as_sent() {
        let exchange = exchange();
        let mut book = book(&exchange, 2);
        let _lost = book.next_of(&[token(0)]).unwrap();
        assert!(exchange.sent().is_empty());
        let frame = book.next_of(&[token(1), token(0)]).unwrap();
        assert_eq!(book.confirm(&frame), 2);
        let sent = exchange.sent();
        assert_eq!(sent.keys().copied().collect::<Vec<_>>(), [token(0), token(1)]);
        assert!(sent.values().all(|sent| sent.ticks == 1));
    }
}
