//! Bars from the records of a tape.
//!
//! No file here: the caller reads the tape and passes in its records and packets.

use alloc::vec::Vec;

use kite_wire::Packet;
use kite_wire::tape::{Gap, GapReason, Received, RecordKind, Source};

use crate::bar::Item;
use crate::candles::{Affected, Candles, Config, ConfigError};
use crate::counts::Counts;

/// Makes bars of one or several lengths from the records of a tape, each bar once, when it can no
/// longer change.
///
/// A gap concerns the instruments of its connection. If the notes of a recorder say when a
/// connection was lost, an instrument that has moved to another one by the time of the gap's record
/// has a gap too, up to its first packet there.
///
/// Items are passed to `out` with the index of their configuration.
///
/// ```
/// use kite_candles::{Config, RecordedCandles};
/// use kite_wire::tape::{Received, RecordKind, Source};
/// use kite_wire::Frame;
///
/// let mut candles = RecordedCandles::new([Config::default()])?;
/// let mut bars = Vec::new();
/// // For each record of a tape:
/// let received = Received { recv_unix_ns: 2, source: Source { account: 0, connection: 1 } };
/// let (kind, payload) = (RecordKind::Binary, [0]);
/// candles.on_record(received, kind, &payload, &mut |_, item| bars.push(item));
/// for packet in Frame::walk(&payload).packets() {
///     candles.on_packet(received, packet, &mut |_, item| bars.push(item));
/// }
/// let counts = candles.finish(&mut |_, item| bars.push(item));
/// assert_eq!((counts.len(), bars.len()), (1, 0));
/// # Ok::<(), kite_candles::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct RecordedCandles {
    all: Vec<Candles>,
    connections: Vec<Connection>,
    last_unix_ns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    source: Source,
    /// When anything was last received.
    last_unix_ns: u64,
}

impl RecordedCandles {
    /// Makes the bars of these configurations.
    ///
    /// # Errors
    /// Returns [`ConfigError`] if a setting is out of range.
    pub fn new(configs: impl IntoIterator<Item = Config>) -> Result<Self, ConfigError> {
        Self::of(configs.into_iter().map(Candles::batch))
    }

    /// Makes the bars of these configurations as a running feed does, for a tape that is replayed:
    /// each when it has ended, and again as a correction if it changes later.
    ///
    /// # Errors
    /// Returns [`ConfigError`] if a setting is out of range.
    pub fn live(configs: impl IntoIterator<Item = Config>) -> Result<Self, ConfigError> {
        Self::of(configs.into_iter().map(Candles::live))
    }

    fn of(all: impl Iterator<Item = Result<Candles, ConfigError>>) -> Result<Self, ConfigError> {
        Ok(Self { all: all.collect::<Result<_, _>>()?, connections: Vec::new(), last_unix_ns: 0 })
    }

    /// Handles a record, before the packets in it. Each record shows that the recorder was running,
    /// so pass all of them, heartbeats and those without chosen instruments included.
    pub fn on_record(
        &mut self,
        received: Received,
        kind: RecordKind,
        payload: &[u8],
        out: &mut impl FnMut(usize, Item),
    ) {
        let now = received.recv_unix_ns;
        match kind {
            // Before the time of its record, because it may be of a later day than the gap's start.
            RecordKind::Gap => self.on_gap(received, payload, out),
            RecordKind::Event => self.on_note(received, payload, out),
            _ => self.note_received(received),
        }
        self.last_unix_ns = self.last_unix_ns.max(now);
        for (nth, candles) in self.all.iter_mut().enumerate() {
            candles.advance(now, &mut |item| out(nth, item));
        }
    }

    /// Handles a packet of the record that was passed in last.
    pub fn on_packet(
        &mut self,
        received: Received,
        packet: Packet<'_>,
        out: &mut impl FnMut(usize, Item),
    ) {
        let Received { recv_unix_ns, source } = received;
        for (nth, candles) in self.all.iter_mut().enumerate() {
            let mut out = |item| out(nth, item);
            candles.on_packet_from(number(source), packet, recv_unix_ns, &mut out);
        }
    }

    /// Handles a part of the tape that cannot be read, with the times of the records before and
    /// after it, as far as they are known. What it held is missing for all instruments.
    pub fn on_damage(
        &mut self,
        from_unix_ns: Option<u64>,
        to_unix_ns: Option<u64>,
        out: &mut impl FnMut(usize, Item),
    ) {
        let from = from_unix_ns.unwrap_or(self.last_unix_ns);
        match to_unix_ns {
            Some(to) => self.add_gap(Affected::All, from, to, out),
            None => self.lose(Affected::All, from, out),
        }
    }

    /// Ends all bars at the last record, and passes on those that were not passed on. The time from
    /// there to the end of a bar is missed. Returns the counts of each configuration.
    pub fn finish(mut self, out: &mut impl FnMut(usize, Item)) -> Vec<Counts> {
        self.lose(Affected::All, self.last_unix_ns, out);
        let counts = self.all.into_iter().enumerate();
        counts.map(|(nth, candles)| candles.finish(&mut |item| out(nth, item))).collect()
    }

    fn on_gap(&mut self, received: Received, payload: &[u8], out: &mut impl FnMut(usize, Item)) {
        // One that is too short is reported by the reader of the tape.
        let Some(gap) = Gap::from_bytes(payload) else { return };
        let Received { recv_unix_ns, source } = received;
        let known = |unix_ns: u64| Some(unix_ns).filter(|unix_ns| *unix_ns != 0);
        let to = known(gap.to_unix_ns).unwrap_or(recv_unix_ns);
        let from = known(gap.from_unix_ns).unwrap_or(self.last_unix_ns).min(to);
        if source.connection != Source::RECORDER.connection {
            return self.add_gap(Affected::Source(number(source)), from, to, out);
        }
        // A recorder's own: of its accounts, which on a merged tape begin with this one.
        let first_account = if source == Source::RECORDER { 0 } else { source.account };
        for nth in 0..self.connections.len() {
            let Some(its) = self.connections.get(nth).map(|it| it.source) else { break };
            if its.account < first_account {
                continue;
            }
            let affected = Affected::Source(number(its));
            match gap.reason {
                // Its connections of the next run begin with snapshots.
                GapReason::RecorderStopped => self.lose(affected, from, out),
                _ => self.add_gap(affected, from, to, out),
            }
        }
    }

    /// Handles a note of the recorder: the loss or the end of a connection, or a cut, before which
    /// the tape has nothing.
    fn on_note(&mut self, received: Received, payload: &[u8], out: &mut impl FnMut(usize, Item)) {
        let Some(note) = payload.strip_prefix(br#"{"event":""#.as_slice()) else { return };
        let Received { recv_unix_ns, source } = received;
        if source == Source::RECORDER {
            if note.starts_with(br#"cut""#) {
                self.lose(Affected::All, self.last_unix_ns, out);
            }
        } else if note.starts_with(br#"down""#) || note.starts_with(br#"closed""#) {
            let last = self.connections.iter().find(|it| it.source == source);
            let from = last.map_or(recv_unix_ns, |it| it.last_unix_ns);
            self.lose(Affected::Source(number(source)), from, out);
        }
    }

    fn note_received(&mut self, received: Received) {
        let Received { recv_unix_ns, source } = received;
        match self.connections.iter_mut().find(|it| it.source == source) {
            Some(connection) => connection.last_unix_ns = recv_unix_ns,
            None => self.connections.push(Connection { source, last_unix_ns: recv_unix_ns }),
        }
    }

    fn add_gap(
        &mut self,
        affected: Affected<'_>,
        from_unix_ns: u64,
        to_unix_ns: u64,
        out: &mut impl FnMut(usize, Item),
    ) {
        for (nth, candles) in self.all.iter_mut().enumerate() {
            candles.on_gap(affected, from_unix_ns, to_unix_ns, &mut |item| out(nth, item));
        }
    }

    fn lose(
        &mut self,
        affected: Affected<'_>,
        from_unix_ns: u64,
        out: &mut impl FnMut(usize, Item),
    ) {
        for (nth, candles) in self.all.iter_mut().enumerate() {
            candles.on_lost(affected, from_unix_ns, &mut |item| out(nth, item));
        }
    }
}

/// Returns the number of a connection as a source of packets.
fn number(source: Source) -> u32 {
    (u32::from(source.account) << 8) | u32::from(source.connection)
}
