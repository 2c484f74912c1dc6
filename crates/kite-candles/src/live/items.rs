//! Bars from the items of a merged stream.
//!
//! No stream and no clock here: the caller passes in items and the time.

use alloc::vec::Vec;

use kite_manager::{AccountId, Gap, Packet, StreamItem, TaggedBatch};

use crate::bar::{Bar, Item};
use crate::candles::{Affected, Candles, Config, ConfigError};
use crate::counts::Counts;

/// Makes bars from the items of a [`TickStream`](kite_manager::TickStream), for programs that read
/// the stream themselves. [`CandleStream`](crate::CandleStream) reads it and has a timer.
///
/// | item | effect |
/// |---|---|
/// | ticks | packets of their connection; an instrument that was subscribed again has missed what was traded since its last packet, if the stream marks that ([`StreamConfig::mark_first`](kite_manager::StreamConfig::mark_first)) |
/// | `Down` | what the instruments on the connection trade until their next packet is missed |
/// | `Gap` | nothing if the loss was seen; else its instruments missed what was traded in it |
/// | `Dropped` | all instruments of the connection missed what was traded since its last frame |
/// | `Conflated` with replaced packets | its instruments missed what was traded since the connection's last frame |
#[derive(Debug)]
pub struct LiveCandles {
    candles: Candles,
    connections: Vec<Connection>,
    /// Until when a feed is known to have run.
    last_unix_ns: u64,
}

/// What is known of a connection. Its place in the list is the number of the source.
#[derive(Debug)]
struct Connection {
    account: AccountId,
    number: usize,
    is_up: bool,
    /// When its last frame was received.
    last_unix_ns: u64,
    /// Since when frames were dropped that its next frame shows the end of.
    dropped_since: Option<u64>,
    lost: Option<Lost>,
}

/// A socket that was lost, until frames of the next one follow.
#[derive(Debug, Clone, Copy)]
struct Lost {
    epoch: u32,
    since_unix_ns: u64,
}

impl LiveCandles {
    /// Makes bars as [`Candles::live`].
    ///
    /// # Errors
    /// Returns [`ConfigError`] if a setting is out of range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { candles: Candles::live(config)?, connections: Vec::new(), last_unix_ns: 0 })
    }

    /// Handles an item, and passes what follows from it to `out`.
    pub fn on_item(&mut self, item: &StreamItem, out: &mut impl FnMut(Item)) {
        match item {
            StreamItem::Ticks(ticks) => self.on_batch(ticks, None, out),
            StreamItem::Conflated { ticks, replaced } => {
                self.on_batch(ticks, Some(*replaced), out);
            }
            StreamItem::Dropped { account, connection, .. } => {
                let (_, connection) = self.connection(account, *connection);
                connection.dropped_since.get_or_insert(connection.last_unix_ns);
            }
            StreamItem::Up { account, connection, .. } => {
                self.connection(account, *connection).1.is_up = true;
            }
            StreamItem::Down { account, connection, epoch, last_heard, .. } => {
                let lost = Lost { epoch: *epoch, since_unix_ns: last_heard.to_unix_ns() };
                let (source, connection) = self.connection(account, *connection);
                (connection.is_up, connection.lost) = (false, Some(lost));
                self.last_unix_ns = self.last_unix_ns.max(lost.since_unix_ns);
                self.candles.on_lost(Affected::Source(source), lost.since_unix_ns, out);
            }
            StreamItem::Gap { gap, .. } => self.on_gap(gap, out),
            _ => {}
        }
    }

    /// Handles the passing of time: passes on the bars that have ended, though nothing was received.
    /// Call it at least once a second, so that bars end on time and the start of a day is noticed.
    /// Usually it costs a comparison.
    pub fn advance(&mut self, now_unix_ns: u64, out: &mut impl FnMut(Item)) {
        if self.connections.iter().any(|connection| connection.is_up) {
            self.last_unix_ns = self.last_unix_ns.max(now_unix_ns);
            self.candles.advance(now_unix_ns, out);
        } else {
            self.candles.advance_without_feed(now_unix_ns, out);
        }
    }

    /// Returns when [`LiveCandles::advance`] passes on something next, in nanoseconds since the Unix
    /// epoch; `None` if it does not before the next packet.
    #[must_use]
    pub fn next_due_unix_ns(&self) -> Option<u64> {
        self.candles.next_due_unix_ns()
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.candles.counts()
    }

    /// Handles the end of the stream, if another one follows, such as that of the manager's next run.
    /// What is traded until the next packet of each instrument is missed.
    pub fn on_stopped(&mut self, out: &mut impl FnMut(Item)) {
        for connection in &mut self.connections {
            // Sockets count from 1 again.
            (connection.is_up, connection.lost, connection.dropped_since) = (false, None, None);
        }
        self.candles.on_lost(Affected::All, self.last_unix_ns, out);
    }

    /// Returns the newest bars of an instrument, as [`Candles::newest`].
    pub fn newest(&self, instrument_token: u32) -> impl Iterator<Item = Bar> {
        self.candles.newest(instrument_token)
    }

    /// Passes on the bars that were not passed on, as they are. The time from now to the end of a bar
    /// that has not ended is missed. Returns the counts.
    pub fn finish(mut self, out: &mut impl FnMut(Item)) -> Counts {
        self.candles.on_lost(Affected::All, self.last_unix_ns, out);
        self.candles.finish(out)
    }

    /// Handles a frame; `replaced` is the number of packets that are not in it, if it was conflated.
    fn on_batch(&mut self, ticks: &TaggedBatch, replaced: Option<u64>, out: &mut impl FnMut(Item)) {
        let at = ticks.batch.received.to_unix_ns();
        let (source, connection) = self.connection(&ticks.account, ticks.connection);
        let before = core::mem::replace(&mut connection.last_unix_ns, at);
        let dropped_since = connection.dropped_since.take();
        let lost = connection.lost;
        // Conflated frames come after what happened between them, so that a loss may be newer than
        // some of the packets, or all.
        let is_of_next = lost.is_none_or(|lost| lost.epoch < ticks.batch.epoch);
        if is_of_next {
            (connection.is_up, connection.lost) = (true, None);
        }
        let is_whole = is_of_next && (replaced.is_none() || lost.is_none());
        self.last_unix_ns = self.last_unix_ns.max(at);
        self.candles.advance(at, out);
        if let Some(since) = dropped_since {
            self.candles.on_gap(Affected::Source(source), since, at, out);
        }
        if replaced.is_some_and(|replaced| replaced > 0) {
            let tokens: Vec<u32> = ticks.packets().map(Packet::instrument_token).collect();
            self.candles.on_gap(Affected::Tokens(&tokens), before, at, out);
        }
        for packet in ticks.packets() {
            if ticks.starts_subscription(&packet) {
                self.candles.on_subscribed(packet.instrument_token(), at, out);
            }
            self.candles.on_packet_from(source, packet, at, out);
        }
        if let Some(lost) = lost.filter(|_| !is_whole) {
            self.candles.on_lost(Affected::Source(source), lost.since_unix_ns, out);
        }
    }

    /// Handles the report of a gap. Usually it is known since the socket was lost. It is not if its
    /// instruments moved to a connection whose frames were read before that loss.
    fn on_gap(&mut self, gap: &Gap, out: &mut impl FnMut(Item)) {
        let tokens: Vec<u32> = gap.instruments.iter().map(|missed| missed.token).collect();
        let (from, to) = (gap.last_heard, gap.resumed.unwrap_or(gap.up));
        self.candles.on_gap(Affected::Tokens(&tokens), from.to_unix_ns(), to.to_unix_ns(), out);
    }

    /// Returns a connection, and its number as a source.
    fn connection(&mut self, account: &AccountId, number: usize) -> (u32, &mut Connection) {
        let found = |it: &Connection| it.number == number && it.account == *account;
        let at = self.connections.iter().position(found).unwrap_or_else(|| {
            self.connections.push(Connection {
                account: account.clone(),
                number,
                is_up: false,
                last_unix_ns: 0,
                dropped_since: None,
                lost: None,
            });
            self.connections.len() - 1
        });
        // There are few connections.
        (at as u32, &mut self.connections[at])
    }
}
