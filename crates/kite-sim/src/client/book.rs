//! The subscriptions of one socket, and the frames built from them.
//!
//! Performs no I/O and reads no clock; the socket's task passes in the elapsed time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kite_server::{Cut, Cutter, LatestPackets, LimitExceeded, Subscriptions};
use kite_wire::{
    EncodeError, Frame, FrameEncoder, MAX_INSTRUMENTS, Mode, PacketKind, ParsedCommand,
};
use parking_lot::Mutex;

use crate::market::{Clock, Exchange, Walk};
use crate::replay::Subscriber;

/// Maximum time that is caught up on after a delay, unless updates are rarer. Updates due earlier
/// are never sent.
const MAX_BACKLOG: Duration = Duration::from_millis(250);
/// Time for which updates are gathered, unless the rate requires less.
const SLICE: Duration = Duration::from_millis(50);
const DAY_S: f64 = 86_400.0;
/// Maximum number of ticks in a frame of a fault.
const FAULT_TICKS: usize = 100;
/// A frame without packets.
const EMPTY_FRAME_BYTES: usize = 2;

/// Returns the interval between checks for due updates, at this many updates per second and
/// instrument.
///
/// Up to one update per second, all instruments share a frame, so that hours of simulated time cost
/// little.
pub(crate) fn period(rate: f64) -> Duration {
    let period = Duration::from_secs_f64((1.0 / rate).min(DAY_S));
    if rate <= 1.0 { period } else { period.min(SLICE) }
}

/// The instruments of one socket with their modes.
#[derive(Debug, Default)]
pub(crate) struct Book {
    subscriptions: Subscriptions<Walk>,
    /// Position of the next update.
    cursor: usize,
    /// Updates due, with the fraction of the next.
    due: f64,
    /// Positions of the instruments in the frame being built.
    framed: Vec<usize>,
    buffer: BytesMut,
    /// The market's clock; `None` if time advances with the steps of each instrument.
    clock: Option<Arc<Clock>>,
    /// The source of packets in a replay, instead of the market.
    latest: Option<Arc<Mutex<LatestPackets>>>,
}

/// Which state of an instrument goes into a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Present,
    Next,
}

impl Book {
    /// Creates an empty book whose packets are stamped by the market's clock, if it runs.
    pub(crate) fn new(clock: &Arc<Clock>) -> Self {
        Self { clock: Some(Arc::clone(clock)), ..Self::default() }
    }

    /// Reads packets from a replay after this call.
    pub(crate) fn follow(&mut self, latest: Arc<Mutex<LatestPackets>>) {
        self.latest = Some(latest);
    }

    /// Returns the instruments and their modes.
    pub(crate) fn modes(&self) -> BTreeMap<u32, Mode> {
        self.subscriptions.modes()
    }

    /// Applies a command, up to `limit` instruments; returns its snapshot, if any.
    ///
    /// # Errors
    /// Returns an error if the instruments would exceed `limit`; nothing has changed then.
    pub(crate) fn obey(
        &mut self,
        command: ParsedCommand<'_>,
        limit: usize,
        exchange: &Exchange,
    ) -> Result<Option<Bytes>, LimitExceeded> {
        let is_known = |token| exchange.trades(token);
        let add = |token| Walk::new(exchange, token);
        let tokens = self.subscriptions.obey(command, limit, is_known, add)?;
        Ok(self.snapshot(&tokens))
    }

    /// Builds a frame of the current state of these instruments; `None` if none of them is
    /// subscribed, or if a replay has not read any of them yet.
    fn snapshot(&mut self, tokens: &[u32]) -> Option<Bytes> {
        self.frame_of(tokens, Moment::Present)
    }

    /// Builds a frame of the next state of these instruments; `None` if none of them is subscribed.
    pub(crate) fn next_of(&mut self, tokens: &[u32]) -> Option<Bytes> {
        self.frame_of(tokens, Moment::Next)
    }

    /// Advances time. Each instrument is due `rate` times per second.
    pub(crate) fn elapse(&mut self, elapsed: Duration, rate: f64) {
        let elapsed = elapsed.min(MAX_BACKLOG.max(period(rate)));
        self.due =
            self.due.fract() + self.subscriptions.len() as f64 * rate * elapsed.as_secs_f64();
    }

    /// Builds a frame of updates that are due, each instrument at most once; `None` if none are
    /// due.
    pub(crate) fn next_due(&mut self) -> Option<Bytes> {
        let count = (self.due as usize).min(self.subscriptions.len()).min(MAX_INSTRUMENTS);
        if count == 0 {
            return None;
        }
        self.due -= count as f64;
        self.in_turn(count)
    }

    /// Builds a frame of the next state of some instruments, whether or not they are due; `None` if
    /// none of them is subscribed.
    pub(crate) fn next_some(&mut self) -> Option<Bytes> {
        self.in_turn(FAULT_TICKS.min(self.subscriptions.len()))
    }

    /// Counts the packets of a frame of this book as sent, as far as a client can decode them;
    /// returns their number.
    pub(crate) fn confirm(&self, frame: &[u8]) -> u64 {
        let mut count = 0;
        for packet in Frame::walk(frame).packets() {
            if let Some(subscription) = self.subscriptions.get(packet.instrument_token()) {
                subscription.owned.confirm(packet.as_bytes());
                count += 1;
            }
        }
        count
    }

    /// Builds a frame of the next state of this many instruments, at most all, starting at the
    /// cursor.
    fn in_turn(&mut self, count: usize) -> Option<Bytes> {
        let (start, total) = (self.cursor, self.subscriptions.len());
        self.framed.clear();
        self.framed.extend((start..start + count).map(|position| position % total));
        self.cursor = (start + count).checked_rem(total)?;
        self.frame(Moment::Next)
    }

    fn frame_of(&mut self, tokens: &[u32], moment: Moment) -> Option<Bytes> {
        self.framed.clear();
        self.framed.extend(tokens.iter().filter_map(|&token| self.subscriptions.position(token)));
        self.frame(moment)
    }

    fn frame(&mut self, moment: Moment) -> Option<Bytes> {
        if self.framed.is_empty() {
            return None;
        }
        let largest = 2 + self.framed.len() * (2 + PacketKind::Full.packet_len());
        // The socket has dropped the previous frame, so this reuses its memory.
        self.buffer.resize(largest, 0);
        let length = match self.encode(moment) {
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

    fn encode(&mut self, moment: Moment) -> Result<usize, EncodeError> {
        let mut encoder = FrameEncoder::new(&mut self.buffer)?;
        if let Some(latest) = &self.latest {
            let latest = latest.lock();
            for &position in &self.framed {
                let held = self.subscriptions.at(position);
                if let Some(packet) = latest.packet(held.token, held.mode) {
                    encoder.push_bytes(packet)?;
                }
            }
            return Ok(encoder.finish().len());
        }
        let now_unix_s = self.clock.as_ref().and_then(|clock| clock.running_unix_s());
        for &position in &self.framed {
            let held = self.subscriptions.at(position);
            let tick = match moment {
                Moment::Present => held.owned.present(held.mode, now_unix_s),
                Moment::Next => held.owned.next(held.mode, now_unix_s),
            };
            encoder.push(&tick)?;
        }
        Ok(encoder.finish().len())
    }
}

impl Subscriber for Book {
    fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    fn cut(&self, cutter: &mut Cutter, bytes: &Bytes, frame: &Frame<'_>) -> Cut {
        cutter.cut(bytes, frame, |token| self.subscriptions.get(token).map(|held| held.mode))
    }
}

#[cfg(test)]
mod tests {
    use kite_wire::Command;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn exchange() -> Exchange {
        Exchange::new(1, Clock::of_steps(0), [9_999 << 8 | 1].into(), None)
    }

    fn token(index: u32) -> u32 {
        (index + 1) << 8 | 1
    }

    fn tokens_of(frame: &[u8]) -> Vec<u32> {
        let frame = Frame::walk(frame);
        assert_eq!((frame.fault(), frame.skipped()), (None, 0));
        frame.packets().map(|packet| packet.instrument_token()).collect()
    }

    fn obey(book: &mut Book, exchange: &Exchange, command: Command<'_>) -> Option<Bytes> {
        let text = command.to_string();
        book.obey(ParsedCommand::parse(&text).unwrap(), 3_000, exchange).unwrap()
    }

    fn book(exchange: &Exchange, count: u32) -> Book {
        let mut book = Book::default();
        let tokens: Vec<u32> = (0..count).map(token).collect();
        obey(&mut book, exchange, Command::Subscribe(&tokens)).unwrap();
        book
    }

    #[test]
    fn unsubscribing_keeps_the_others_findable() {
        let exchange = exchange();
        let mut book = book(&exchange, 5);
        obey(&mut book, &exchange, Command::Unsubscribe(&[0, 3, 77].map(token)));
        obey(&mut book, &exchange, Command::Mode(Mode::Full, &[token(4)])).unwrap();
        let modes = [(1, Mode::Quote), (2, Mode::Quote), (4, Mode::Full)];
        assert_eq!(book.modes(), modes.map(|(index, mode)| (token(index), mode)).into());
        let frame = book.snapshot(&(0..5).map(token).collect::<Vec<_>>()).unwrap();
        assert_eq!(tokens_of(&frame), [1, 2, 4].map(token));
        obey(&mut book, &exchange, Command::Unsubscribe(&[1, 2, 4].map(token)));
        book.elapse(SECOND, 9.0);
        assert_eq!(book.next_due(), None);
    }

    #[test]
    fn every_instrument_is_updated_at_its_rate_in_turn() {
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
    fn a_long_delay_is_not_caught_up_on() {
        let exchange = exchange();
        let mut book = book(&exchange, 4);
        book.elapse(SECOND * 100, 4.0);
        let frames: Vec<_> = std::iter::from_fn(|| book.next_due()).collect();
        assert_eq!(frames.iter().map(|frame| tokens_of(frame).len()).sum::<usize>(), 4);
    }

    #[test]
    fn rare_updates_are_checked_rarely_and_not_lost() {
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
    fn a_jump_of_the_market_reaches_every_socket_without_its_steps() {
        let exchange = exchange();
        let (mut one, mut two) = (book(&exchange, 1), book(&exchange, 1));
        one.next_of(&[token(0)]).unwrap();
        exchange.advance(&[token(0), 9_999 << 8 | 1], 10);
        let next = two.next_of(&[token(0)]).unwrap();
        assert_eq!(one.next_of(&[token(0)]), Some(next));
        assert_eq!(exchange.newest(token(0)).step(), 12);
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
    fn two_sockets_receive_the_same_steps() {
        let exchange = exchange();
        let (mut one, mut two) = (book(&exchange, 1), book(&exchange, 1));
        for _ in 0..3 {
            let first = one.next_of(&[token(0)]).unwrap();
            assert_eq!(two.next_of(&[token(0)]), Some(first));
        }
        assert_eq!(exchange.newest(token(0)).step(), 3);
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
        assert_eq!(late.snapshot(&[token(0)]), ahead.last().cloned(), "it starts at the newest");
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
