//! The published channels: two rings a connection, and the sink that fills them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kite_conn::{Batch, ErrorChain, Event, Sink, Stamp};
use serde_json::json;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

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
        // Slots are allocated here, some hundred bytes each.
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
        self.rings.get(connection).map(|rings| rings.messages.take(&rings.lag))
    }

    pub(crate) fn raw(&self, connection: usize) -> Option<broadcast::Receiver<Bytes>> {
        self.rings.get(connection).map(|rings| rings.raw.take(&rings.lag))
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
    /// What the channel makes of the capacity asked for: the next power of two.
    slots: usize,
    kept: Arc<Mutex<Option<broadcast::Receiver<T>>>>,
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        let (sender, kept) = (self.sender.clone(), Arc::clone(&self.kept));
        Self { sender, slots: self.slots, kept }
    }
}

impl<T: Clone> Ring<T> {
    fn new(capacity: usize) -> Self {
        let (sender, kept) = broadcast::channel(capacity);
        let kept = Arc::new(Mutex::new(Some(kept)));
        Self { sender, slots: capacity.next_power_of_two(), kept }
    }

    fn kept(&self) -> MutexGuard<'_, Option<broadcast::Receiver<T>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unkeep(&self) -> Option<broadcast::Receiver<T>> {
        self.kept().take()
    }

    /// Lets go of the receiver for the first taker.
    fn let_go(&self) {
        // Dropped under the lock, so that `takers` counts it once or not at all.
        *self.kept() = None;
    }

    /// Gives a receiver: the kept one to the first taker, with what the ring still holds.
    fn take(&self, lag: &LagCount) -> broadcast::Receiver<T> {
        let Some(mut kept) = self.unkeep() else { return self.sender.subscribe() };
        // More than the ring has slots for: its first message would be the news of a lag, which
        // ends the loop of many a program. Nobody was promised what came before, so only count it.
        if kept.len() > self.slots
            && let Err(TryRecvError::Lagged(lost)) = kept.try_recv()
        {
            lag.add(lost);
        }
        kept
    }

    /// Sends to all receivers; without any it is a no-op.
    fn send(&self, message: T) {
        let _ = self.sender.send(message);
    }

    fn takers(&self) -> usize {
        let kept = self.kept();
        self.sender.receiver_count().saturating_sub(usize::from(kept.is_some()))
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
            self.rings.messages.let_go();
            self.rings.raw.let_go();
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
        Event::Text { message, .. } => Some(from_text(message)),
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
        Event::TextUnreadable { error: cause, .. } => {
            error(format!("text frame unreadable: {cause}"))
        }
        Event::Gap(gap) => Some(TickerMessage::Message(json!({
            "type": "gap",
            "connection": number,
            "epoch": gap.epoch,
            "seconds": gap.without_ticks().map(|gap| gap.as_secs_f64()),
            "instruments": gap.instruments.len(),
            "known_volume": gap.known_volume(),
        }))),
        Event::FeedSilent { silence, .. } => {
            error(format!("pongs come, but neither ticks nor heartbeats for {silence:.1?}"))
        }
        Event::RenewalFailed { error: cause, .. } => error(format!("no credentials: {cause}")),
        Event::TicksStale { .. } => {
            Some(TickerMessage::Message(connection_message(connection, "stale", None)))
        }
        Event::TicksResumed { .. } => {
            Some(TickerMessage::Message(connection_message(connection, "fresh", None)))
        }
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
    fn a_first_taker_who_comes_late_gets_what_the_ring_holds_without_news_of_a_lag() {
        let channels = Channels::new(1, 3);
        let mut sink = channels.sink(0, false);
        for _ in 0..9 {
            deliver(&mut sink, frame(), Stamp::now());
        }
        let mut first = channels.messages(0).unwrap();
        for _ in 0..4 {
            assert!(matches!(first.try_recv(), Ok(TickerMessage::Ticks(_))));
        }
        assert!(first.try_recv().is_err());
        assert_eq!(channels.lagged(), [5]);
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
