//! Records what was sent on each socket.
//!
//! A receiver that chains its frames can prove that they are a prefix of what was sent.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kite_server::End;
use kite_wire::Mode;
use parking_lot::Mutex;

use super::{book::Book, unread};
use crate::fault::FaultKind;
use crate::hash::{hash, mix};

/// A rolling hash of frames; equal chains mean the same frames in the same order.
///
/// ```
/// use kite_sim::Chain;
///
/// let (mut a, mut b) = (Chain::default(), Chain::default());
/// for frame in [b"first", b"other"] {
///     a.add(frame);
/// }
/// for frame in [b"other", b"first"] {
///     b.add(frame);
/// }
/// assert_ne!(a, b);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Chain(u64);

impl Chain {
    /// Adds a frame, which is the payload of a binary message.
    pub fn add(&mut self, frame: &[u8]) {
        self.0 = mix(self.0 ^ mix(hash(frame)));
    }
}

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SocketEnd {
    /// The simulator reset it because of a fault.
    Reset,
    /// The simulator ended the stream without a close frame because of a fault.
    EndOfStream,
    /// The simulator sent a close frame.
    Closed,
    /// The simulator dropped it: [`Sim::drop_all`](crate::Sim::drop_all), a restart or a stop.
    Dropped,
    /// The client sent a close frame.
    ClientClosed,
    /// The client disconnected without a close frame, or broke the protocol.
    ClientGone,
    /// The client reset the connection without a close frame, as the operating system does if a
    /// program ends or closes a connection with unread bytes.
    ClientReset,
    /// The client left a frame unread for too long.
    ClientStuck,
    /// The client had not closed its side when [`Sim::finish`](crate::Sim::finish) stopped waiting.
    ClientStayed,
}

impl From<End> for SocketEnd {
    fn from(end: End) -> Self {
        match end {
            End::ClientClosed => Self::ClientClosed,
            End::ClientGone | End::Violation(_) => Self::ClientGone,
            End::ClientReset => Self::ClientReset,
            End::ClientStuck => Self::ClientStuck,
            End::Closing | End::Leaving | End::Finishing => Self::Closed,
            End::Reset => Self::Reset,
            End::Finish => Self::EndOfStream,
            End::Dropped => Self::Dropped,
        }
    }
}

/// The record of one socket.
///
/// Its frames are the binary messages of at least two bytes that were handed to the operating
/// system whole. They include market frames, damaged frames and those of
/// [`Sim::send_binary`](crate::Sim::send_binary), but not heartbeats. The last frames before a
/// socket's end may never have arrived.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketRecord {
    /// Number of the socket, unique in the simulator and ascending.
    pub id: u64,
    /// The client's address; `None` in memory.
    pub peer: Option<SocketAddr>,
    /// How it ended; `None` while it is open.
    pub end: Option<SocketEnd>,
    /// Market packets in its frames that a client can decode.
    pub ticks: u64,
    /// Text frames sent, without the greeting.
    pub texts: u64,
    /// About how many bytes waited in the operating system's buffers for a client that left them
    /// unread, without those that the simulator could not write; `None` if the client did not, or if the
    /// number is not known: in memory, after a reset, and except on Linux.
    pub unread_bytes: Option<u64>,
    /// Its subscriptions, or those at its end.
    pub subscriptions: BTreeMap<u32, Mode>,
    /// Faults that struck it, in order.
    pub faults: Vec<FaultKind>,
    /// The chain after each frame.
    chains: Vec<Chain>,
}

impl SocketRecord {
    fn new(id: u64, peer: Option<SocketAddr>) -> Self {
        let (subscriptions, faults, chains) = Default::default();
        let (end, ticks, texts, unread_bytes) = (None, 0, 0, None);
        Self { id, peer, end, ticks, texts, unread_bytes, subscriptions, faults, chains }
    }

    /// Returns the number of frames sent.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.chains.len()
    }

    /// Returns whether the client has left something unread, as far as is known: it stopped
    /// reading, had not closed its side at the end, or reset the connection after something other
    /// than the greeting was sent to it.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        match self.end {
            Some(SocketEnd::ClientReset) => self.frames() > 0 || self.texts > 0,
            end => matches!(end, Some(SocketEnd::ClientStuck | SocketEnd::ClientStayed)),
        }
    }

    /// Returns the chain of all frames sent.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chains.last().copied().unwrap_or_default()
    }

    /// Returns whether the first `frames` frames sent have this chain.
    #[must_use]
    pub fn has_prefix(&self, frames: usize, chain: Chain) -> bool {
        match frames.checked_sub(1) {
            None => chain == Chain::default(),
            Some(last) => self.chains.get(last) == Some(&chain),
        }
    }
}

impl fmt::Debug for SocketRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Thousands of chains or subscriptions would be unreadable.
        f.debug_struct("SocketRecord")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("end", &self.end)
            .field("frames", &self.frames())
            .field("ticks", &self.ticks)
            .field("texts", &self.texts)
            .field("subscriptions", &self.subscriptions.len())
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// The records of all sockets, until forgotten.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    lines: Mutex<BTreeMap<u64, Arc<Line>>>,
    /// Whether clients are waited for, so that a dropped socket is one whose client stayed.
    is_finishing: Arc<AtomicBool>,
}

/// One socket's record.
#[derive(Debug)]
struct Line {
    api_key: String,
    book: Arc<Mutex<Book>>,
    record: Mutex<SocketRecord>,
}

impl Line {
    fn record(&self) -> SocketRecord {
        let book = self.book.lock();
        let mut record = self.record.lock().clone();
        if record.end.is_none() {
            record.subscriptions = book.modes();
        }
        record
    }

    fn note_unread(&self, address: SocketAddr) {
        let mut record = self.record.lock();
        if let (None, Some(peer)) = (record.end, record.peer) {
            record.unread_bytes = unread::bytes(address, peer);
        }
    }
}

impl Ledger {
    /// Opens the record of a socket just accepted.
    pub(crate) fn open(
        &self,
        id: u64,
        api_key: &str,
        peer: Option<SocketAddr>,
        book: &Arc<Mutex<Book>>,
    ) -> Entry {
        let line = Arc::new(Line {
            api_key: api_key.to_owned(),
            book: Arc::clone(book),
            record: Mutex::new(SocketRecord::new(id, peer)),
        });
        self.lines.lock().insert(id, Arc::clone(&line));
        Entry { line, is_finishing: Arc::clone(&self.is_finishing) }
    }

    /// Records sockets that are dropped from now on as those of clients that stayed.
    pub(crate) fn finish(&self) {
        self.is_finishing.store(true, Ordering::Relaxed);
    }

    /// Notes what the clients of the open sockets have not read.
    pub(crate) fn note_unread(&self, address: SocketAddr) {
        for line in self.lines.lock().values() {
            line.note_unread(address);
        }
    }

    /// Returns the records of the sockets whose clients have not read everything.
    pub(crate) fn unfinished(&self) -> Vec<SocketRecord> {
        let lines = self.lines.lock();
        let is_unfinished = |line: &&Arc<Line>| line.record.lock().is_unfinished();
        lines.values().filter(is_unfinished).map(|line| line.record()).collect()
    }

    /// Returns the records of an account in order of acceptance.
    pub(crate) fn records(&self, api_key: &str) -> Vec<SocketRecord> {
        let lines = self.lines.lock();
        lines.values().filter(|line| line.api_key == api_key).map(|line| line.record()).collect()
    }

    pub(crate) fn forget_ended(&self, api_key: &str) {
        self.lines
            .lock()
            .retain(|_, line| line.api_key != api_key || line.record.lock().end.is_none());
    }
}

/// A socket's access to its record. Dropping it without an end records the socket as dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    line: Arc<Line>,
    is_finishing: Arc<AtomicBool>,
}

impl Entry {
    /// Adds a frame that was sent, with its packets of the market.
    pub(crate) fn add(&self, frame: &[u8], ticks: u64) {
        if frame.len() < 2 {
            return;
        }
        let mut record = self.line.record.lock();
        let mut chain = record.chain();
        chain.add(frame);
        record.chains.push(chain);
        record.ticks += ticks;
    }

    pub(crate) fn add_text(&self) {
        self.line.record.lock().texts += 1;
    }

    pub(crate) fn add_fault(&self, kind: FaultKind) {
        self.line.record.lock().faults.push(kind);
    }

    pub(crate) fn ticks(&self) -> u64 {
        self.line.record.lock().ticks
    }

    /// Notes what the client has not read.
    pub(crate) fn note_unread(&self, address: SocketAddr) {
        self.line.note_unread(address);
    }

    /// Records how the socket ended; the first end counts.
    pub(crate) fn end(&self, end: SocketEnd) {
        let mut book = self.line.book.lock();
        let mut record = self.line.record.lock();
        if record.end.is_none() {
            record.end = Some(end);
            // The book would keep its instruments as long as the record.
            record.subscriptions = std::mem::take(&mut *book).modes();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let is_finishing = self.is_finishing.load(Ordering::Relaxed);
        self.end(if is_finishing { SocketEnd::ClientStayed } else { SocketEnd::Dropped });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_proven_by_its_chain_only() {
        let ledger = Ledger::default();
        let entry = ledger.open(7, "key", None, &Arc::default());
        let mut chains = vec![Chain::default()];
        for frame in [b"one".as_slice(), b"two", b"one"] {
            entry.add(frame, 1);
            let mut chain = *chains.last().unwrap();
            chain.add(frame);
            chains.push(chain);
        }
        entry.add(&[0], 0);
        let [record] = ledger.records("key").try_into().unwrap();
        assert_eq!((record.frames(), record.ticks, record.chain()), (3, 3, chains[3]));
        for (frames, &chain) in chains.iter().enumerate() {
            for claimed in 0..5 {
                assert_eq!(record.has_prefix(claimed, chain), claimed == frames);
            }
        }
    }

    #[test]
    fn only_ended_sockets_of_the_account_are_forgotten() {
        let ledger = Ledger::default();
        let open = ledger.open(1, "key", None, &Arc::default());
        ledger.open(2, "key", None, &Arc::default()).end(SocketEnd::Reset);
        drop(ledger.open(3, "other", None, &Arc::default()));
        let ends = |key: &str| ledger.records(key).iter().map(|r| r.end).collect::<Vec<_>>();
        assert_eq!(ends("key"), [None, Some(SocketEnd::Reset)]);
        ledger.forget_ended("key");
        assert_eq!(ends("key"), [None]);
        assert_eq!(ends("other"), [Some(SocketEnd::Dropped)]);
        drop(open);
        assert_eq!(ends("key"), [Some(SocketEnd::Dropped)]);
    }
}
