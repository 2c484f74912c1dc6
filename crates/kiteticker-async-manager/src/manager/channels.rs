//! The published channels: two rings a connection, and the sink that fills them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kite_conn::{Batch, ErrorChain, Event, Sink, Stamp};
use serde_json::json;
use tokio::sync::broadcast;

use crate::models::{TickBatch, TickerMessage, from_text};

/// How long after the first ticks a ring waits for its first taker: programs subscribe first and
/// take their channels afterwards, and shall not miss the first snapshot.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// The rings of all connections for one run of a manager.
#[derive(Debug)]
pub(crate) struct Channels {
    rings: Vec<Rings>,
}

#[derive(Debug, Clone)]
struct Rings {
    messages: Ring<TickerMessage>,
    raw: Ring<Bytes>,
    lag: LagCount,
}

impl Channels {
    /// Makes rings of this capacity; one that no start accepts costs a single slot.
    pub(crate) fn new(connections: usize, capacity: usize) -> Self {
        // Slots are allocated here: the largest lawful ring has gigabytes of them.
        let capacity = if (1..=kite_manager::MAX_QUEUE).contains(&capacity) { capacity } else { 1 };
        let rings = || Rings {
            messages: Ring::new(capacity),
            raw: Ring::new(capacity),
            lag: LagCount::default(),
        };
        Self { rings: std::iter::repeat_with(rings).take(connections).collect() }
    }

    /// Gives the sink of one connection.
    pub(crate) fn sink(&self, connection: usize, raw_only: bool) -> RingSink {
        RingSink {
            connection,
            raw_only,
            rings: self.rings[connection].clone(),
            first_ticks: None,
            keeping: true,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rings.len()
    }

    pub(crate) fn messages(&self, connection: usize) -> Option<broadcast::Receiver<TickerMessage>> {
        self.rings.get(connection).map(|rings| rings.messages.take())
    }

    pub(crate) fn raw(&self, connection: usize) -> Option<broadcast::Receiver<Bytes>> {
        self.rings.get(connection).map(|rings| rings.raw.take())
    }

    /// Gives the count of what a connection's subscribers lose to lag.
    pub(crate) fn lag(&self, connection: usize) -> Option<LagCount> {
        self.rings.get(connection).map(|rings| rings.lag.clone())
    }

    /// Makes new rings in the place of these, and forgets nothing that was counted.
    pub(crate) fn renewed(&self, capacity: usize) -> Self {
        let mut renewed = Self::new(self.rings.len(), capacity);
        for (new, old) in renewed.rings.iter_mut().zip(&self.rings) {
            new.lag = old.lag.clone();
        }
        renewed
    }

    /// Counts lag from zero.
    pub(crate) fn reset_lag(&self) {
        for rings in &self.rings {
            rings.lag.0.store(0, Ordering::Relaxed);
        }
    }

    /// Gives each connection's messages lost to lag, as far as its subscribers have found out.
    pub(crate) fn lagged(&self) -> Vec<u64> {
        self.rings.iter().map(|rings| rings.lag.get()).collect()
    }

    pub(crate) fn receiver_count(&self) -> usize {
        self.rings.iter().map(|rings| rings.messages.takers()).sum()
    }

    /// Tells every message channel that no further message will come.
    pub(crate) fn say_closed(&self) {
        for (connection, rings) in self.rings.iter().enumerate() {
            let closed = connection_message(connection, "closed", None);
            rings.messages.send(TickerMessage::ClosingMessage(closed));
        }
    }
}

/// Counts messages lost to lag, shared by the subscribers of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct LagCount(Arc<AtomicU64>);

impl LagCount {
    pub(crate) fn add(&self, lost: u64) {
        self.0.fetch_add(lost, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A broadcast ring that keeps its messages for the first taker.
#[derive(Debug)]
struct Ring<T> {
    sender: broadcast::Sender<T>,
    kept: Arc<Mutex<Option<broadcast::Receiver<T>>>>,
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), kept: Arc::clone(&self.kept) }
    }
}

impl<T: Clone> Ring<T> {
    fn new(capacity: usize) -> Self {
        let (sender, kept) = broadcast::channel(capacity);
        Self { sender, kept: Arc::new(Mutex::new(Some(kept))) }
    }

    fn unkeep(&self) -> Option<broadcast::Receiver<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn take(&self) -> broadcast::Receiver<T> {
        self.unkeep().unwrap_or_else(|| self.sender.subscribe())
    }

    /// Sends to all receivers; without any it is a no-op.
    fn send(&self, message: T) {
        let _ = self.sender.send(message);
    }

    fn takers(&self) -> usize {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        self.sender.receiver_count() - usize::from(kept)
    }
}

/// Gives a receiver whose channel has ended.
pub(crate) fn ended<T: Clone>() -> broadcast::Receiver<T> {
    broadcast::Sender::new(1).subscribe()
}

/// Fills the rings of one connection.
#[derive(Debug)]
pub(crate) struct RingSink {
    connection: usize,
    raw_only: bool,
    rings: Rings,
    first_ticks: Option<Stamp>,
    /// Whether the rings may still hold a receiver for their first taker.
    keeping: bool,
}

impl RingSink {
    fn stop_keeping_in_time(&mut self, now: Stamp) {
        let first = *self.first_ticks.get_or_insert(now);
        if now.since(first) >= KEPT_FOR {
            drop((self.rings.messages.unkeep(), self.rings.raw.unkeep()));
            self.keeping = false;
        }
    }
}

impl Sink for RingSink {
    fn on_batch(&mut self, batch: Batch) {
        if self.keeping && !batch.ticks.is_empty() {
            self.stop_keeping_in_time(batch.received);
        }
        self.rings.raw.send(batch.ticks.as_bytes().clone());
        if !self.raw_only && !batch.ticks.is_empty() {
            let ticks = TickBatch::new(batch.ticks, batch.received);
            self.rings.messages.send(TickerMessage::Ticks(ticks));
        }
    }

    fn on_event(&mut self, event: &Event) {
        if let Some(message) = message_of(self.connection, event) {
            self.rings.messages.send(message);
        }
    }
}

/// Gives what a message channel says of an event. The typed events say more, and lag cannot touch
/// them.
fn message_of(connection: usize, event: &Event) -> Option<TickerMessage> {
    let number = connection + 1;
    let error = |text: String| Some(TickerMessage::Error(format!("connection {number}: {text}")));
    match event {
        Event::Text(text) => Some(from_text(text)),
        Event::Up { epoch, .. } if *epoch > 1 => {
            Some(TickerMessage::Message(connection_message(connection, "up", Some(*epoch))))
        }
        Event::Down { cause, .. } => error(format!("lost, reconnecting: {cause}")),
        Event::OpenFailed { attempt, error: cause } => {
            error(format!("try {attempt} to connect failed: {}", ErrorChain(cause)))
        }
        Event::Parked(reason) => error(format!("parked: {}", ErrorChain(reason))),
        Event::FrameDamaged { fault, bytes_left, untold } => error(format!(
            "{fault}; {bytes_left} bytes cut off, {untold} damaged frames before it not told"
        )),
        Event::PacketsSkipped { length, packets, untold } => error(format!(
            "{packets} packets of unknown length skipped, the first of {length} bytes; \
             {untold} such frames before it not told"
        )),
        Event::TextUnreadable { error: cause } => error(format!("text frame unreadable: {cause}")),
        _ => None,
    }
}

fn connection_message(connection: usize, state: &str, epoch: Option<u32>) -> serde_json::Value {
    json!({ "type": "connection", "connection": connection + 1, "state": state, "epoch": epoch })
}

#[cfg(test)]
mod tests {
    use kite_wire::{Fields, FrameEncoder, Tick};

    use super::*;

    fn frame() -> Bytes {
        let tick = Tick { instrument_token: 408_065, last_price: 5, fields: Fields::Ltp };
        let mut buffer = [0; 12];
        let mut frame = FrameEncoder::new(&mut buffer).unwrap();
        frame.push(&tick).unwrap();
        Bytes::copy_from_slice(frame.finish())
    }

    fn deliver(sink: &mut RingSink, bytes: Bytes, received: Stamp) {
        let ticks = kite_wire::TickBatch::new(bytes).unwrap();
        sink.on_batch(Batch::new(ticks, received, 1, 1));
    }

    #[test]
    fn the_first_taker_gets_the_first_ticks_however_long_heartbeats_came_before() {
        let channels = Channels::new(1, 16);
        let mut sink = channels.sink(0, false);
        let start = Stamp::now().to_instant();
        let after = |seconds| Stamp::at(start + Duration::from_secs(seconds));
        deliver(&mut sink, Bytes::from_static(&[0]), after(0));
        deliver(&mut sink, Bytes::from_static(&[0]), after(60));
        deliver(&mut sink, frame(), after(61));
        deliver(&mut sink, frame(), after(70));
        let mut first = channels.messages(0).unwrap();
        assert_eq!(first.len(), 2);
        assert!(matches!(first.try_recv(), Ok(TickerMessage::Ticks(ticks)) if ticks.len() == 1));
        assert_eq!(channels.messages(0).unwrap().len(), 0, "only the first taker gets the past");
        assert_eq!(channels.raw(0).unwrap().len(), 4);
    }

    #[test]
    fn ten_seconds_after_the_first_ticks_nothing_is_kept_for_nobody() {
        let channels = Channels::new(1, 16);
        let mut sink = channels.sink(0, false);
        let start = Stamp::now().to_instant();
        deliver(&mut sink, frame(), Stamp::at(start));
        deliver(&mut sink, frame(), Stamp::at(start + KEPT_FOR));
        assert_eq!(channels.receiver_count(), 0);
        assert_eq!(channels.rings[0].messages.sender.receiver_count(), 0);
        assert_eq!(channels.messages(0).unwrap().len(), 0);
    }

    #[test]
    fn raw_only_leaves_the_message_channel_to_texts() {
        let channels = Channels::new(1, 16);
        let mut sink = channels.sink(0, true);
        deliver(&mut sink, frame(), Stamp::now());
        assert_eq!(channels.messages(0).unwrap().len(), 0);
        assert_eq!(channels.raw(0).unwrap().len(), 1);
    }
}
