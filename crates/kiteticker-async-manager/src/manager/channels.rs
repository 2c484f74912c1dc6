//! The published channels, which are the rings of each connection, and the sink that fills them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kite_conn::{Batch, Event, Severity, Sink, Stamp};
use kite_manager::Seat;
use serde_json::json;
use tokio::sync::broadcast;
use tokio::time::{Sleep, sleep};

use crate::manager::catch_up::CatchUp;
use crate::manager::config::MAX_BUFFER;
use crate::manager::multi::ApiKeyId;
use crate::manager::ring::{Backlog, LagCount, Ring};
use crate::manager::texts::{TooManyTexts, dropped_text, most_bytes};
use crate::manager::unified::{OrdersOnce, ToUnified, Unified};
use crate::models::{TickBatch, TickerMessage, from_text};

/// Time after the first ticks for which a ring waits for its first receiver. Programs subscribe
/// first and take their channels afterwards, and must not miss the first snapshot.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// Number of bytes of frames a ring keeps for its first receiver, ten seconds of a full account's
/// ticks. Limits the memory of a ring that is never read.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// The same for raw frames once the message channel has a receiver, because few programs read both,
/// and those that do take both together.
const KEPT_BESIDE: usize = 1024 * 1024;

/// Interval at which a connection that waits for its receivers looks whether they have caught up.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The rings of all connections for one run of a manager. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    capacity: usize,
    /// Number of connections of each account.
    per_account: usize,
    rings: Vec<Rings>,
    unified: Option<Unified>,
}

/// The rings of one connection.
#[derive(Debug, Clone)]
struct Rings {
    /// The connection's index within its account, from 0.
    connection: usize,
    messages: Ring<TickerMessage>,
    /// `None` with several accounts.
    raw: Option<Ring<Bytes>>,
    /// `Some` with several accounts.
    unified: Option<ToUnified>,
    lag: LagCount,
}

impl Rings {
    /// Sends to the message channel and to the unified channel; returns whether each has receivers.
    fn send(&self, message: TickerMessage) -> (bool, bool) {
        let unified = self.unified.as_ref().is_some_and(|unified| unified.send(&message));
        (self.messages.send(message), unified)
    }

    /// Sends the message of a text, which takes up to `bytes`. The unified channel gets each order
    /// update once, from [`OrdersOnce`].
    fn send_text(&self, message: TickerMessage, bytes: usize) {
        if let Some(unified) = &self.unified
            && !matches!(message, TickerMessage::OrderPostback(_))
        {
            unified.send_text(unified.api().clone(), message.clone(), bytes);
        }
        if let Err(TooManyTexts) = self.messages.send_text(message, bytes) {
            self.lag.add(1);
            self.messages.send(dropped_text(bytes));
        }
    }

    fn release(&self) {
        self.messages.release();
        if let Some(raw) = &self.raw {
            raw.release();
        }
        if let Some(unified) = &self.unified {
            unified.release();
        }
    }
}

impl Channels {
    /// Creates rings of this capacity. An invalid capacity, which `start` rejects, costs one slot.
    pub(crate) fn new(connections: usize, capacity: usize) -> Self {
        let capacity = valid_or_one(capacity);
        let rings = |connection| Rings {
            connection,
            messages: Ring::new(capacity),
            raw: Some(Ring::new(capacity)),
            unified: None,
            lag: LagCount::default(),
        };
        let rings = (0..connections).map(rings).collect();
        Self { capacity, per_account: connections, rings, unified: None }
    }

    /// Creates message rings for this many connections of each account, account by account, and
    /// one unified ring. There are no raw rings.
    pub(crate) fn of_accounts(apis: &[ApiKeyId], connections: usize, capacity: usize) -> Self {
        let capacity = valid_or_one(capacity);
        let unified = Unified::new(capacity);
        let rings = apis.iter().flat_map(|api| {
            let unified = &unified;
            (0..connections).map(move |connection| Rings {
                connection,
                messages: Ring::new(capacity),
                raw: None,
                unified: Some(unified.of(api)),
                lag: LagCount::default(),
            })
        });
        let rings = rings.collect();
        Self { capacity, per_account: connections, rings, unified: Some(unified) }
    }

    /// Returns the index of a connection's rings.
    pub(crate) fn place(&self, seat: &Seat) -> usize {
        seat.account_index * self.per_account + seat.connection
    }

    /// Returns the sink that fills the rings at this index. With several accounts it also passes on
    /// their order updates.
    pub(crate) fn sink(
        &self,
        place: usize,
        raw_only: bool,
        orders: Option<OrdersOnce>,
    ) -> RingSink {
        RingSink {
            raw_only,
            rings: self.rings[place].clone(),
            orders,
            first_ticks: None,
            kept_bytes: 0,
            keeping: true,
            messages: CatchUp::default(),
            raw: CatchUp::default(),
            unified: CatchUp::default(),
            is_check_due: false,
            waiting: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rings.len()
    }

    pub(crate) fn messages(&self, place: usize) -> Option<broadcast::Receiver<TickerMessage>> {
        self.rings.get(place).map(|rings| rings.messages.take(&rings.lag))
    }

    pub(crate) fn raw(&self, place: usize) -> Option<broadcast::Receiver<Bytes>> {
        let rings = self.rings.get(place)?;
        rings.raw.as_ref().map(|raw| raw.take(&rings.lag))
    }

    /// Returns the unified channel; `None` with a single account.
    pub(crate) fn unified(&self) -> Option<&Unified> {
        self.unified.as_ref()
    }

    /// Returns the counter of messages that a connection's subscribers lost to lag.
    pub(crate) fn lag(&self, place: usize) -> Option<LagCount> {
        self.rings.get(place).map(|rings| rings.lag.clone())
    }

    /// Returns new rings that keep the counters of these.
    pub(crate) fn renewed(&self) -> Self {
        let capacity = self.capacity;
        let unified = self.unified.as_ref().map(Unified::renewed);
        let renew = |rings: &Rings| Rings {
            connection: rings.connection,
            messages: Ring::new(capacity),
            raw: rings.raw.as_ref().map(|_| Ring::new(capacity)),
            unified: unified
                .as_ref()
                .zip(rings.unified.as_ref())
                .map(|(all, one)| all.of(one.api())),
            lag: rings.lag.clone(),
        };
        let rings = self.rings.iter().map(renew).collect();
        Self { capacity, per_account: self.per_account, rings, unified }
    }

    /// Resets the lag counters.
    pub(crate) fn reset_lag(&self) {
        for rings in &self.rings {
            rings.lag.reset();
        }
        if let Some(unified) = &self.unified {
            unified.lag().reset();
        }
    }

    /// Returns the number of messages that each connection's subscribers have lost to lag, as far
    /// as they have noticed.
    pub(crate) fn lagged(&self) -> Vec<u64> {
        self.rings.iter().map(|rings| rings.lag.get()).collect()
    }

    pub(crate) fn receiver_count(&self) -> usize {
        self.rings.iter().map(|rings| rings.messages.receivers()).sum()
    }

    /// Sends the closing message to every message channel.
    pub(crate) fn send_closed(&self) {
        for rings in &self.rings {
            let closed = connection_message(rings.connection, "closed", None);
            rings.send(TickerMessage::ClosingMessage(closed));
        }
    }
}

/// Returns the capacity, or 1 if it is invalid, because slots are allocated up front, about a
/// hundred bytes each.
fn valid_or_one(capacity: usize) -> usize {
    if (1..=MAX_BUFFER).contains(&capacity) { capacity } else { 1 }
}

/// Fills the rings of one connection.
#[derive(Debug)]
pub(crate) struct RingSink {
    raw_only: bool,
    rings: Rings,
    orders: Option<OrdersOnce>,
    first_ticks: Option<Stamp>,
    /// Bytes of frames since the first ticks.
    kept_bytes: usize,
    /// Whether the rings may still keep messages for their first receiver.
    keeping: bool,
    /// Whether to wait for the receivers of the rings.
    messages: CatchUp,
    raw: CatchUp,
    unified: CatchUp,
    /// Whether any of them must be checked before the next frame.
    is_check_due: bool,
    /// Ends when the receivers are looked at again.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl RingSink {
    fn stop_keeping_in_time(&mut self, now: Stamp, bytes: usize) {
        let first = *self.first_ticks.get_or_insert(now);
        self.kept_bytes += bytes;
        if self.kept_bytes > KEPT_BESIDE
            && let Some(raw) = &self.rings.raw
            && !self.rings.messages.is_kept()
        {
            raw.release();
        }
        if now.since(first) >= KEPT_FOR || self.kept_bytes > KEPT_BYTES {
            self.rings.release();
            self.keeping = false;
        }
    }
}

impl RingSink {
    /// Waits for the receivers of all rings that must be checked.
    #[inline(never)]
    fn poll_caught_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.messages.is_due() || self.raw.is_due() || self.unified.is_due() {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            if self.must_wait() {
                self.waiting = Some(Box::pin(sleep(LOOK_AGAIN)));
            }
        }
        self.is_check_due = false;
        Poll::Ready(())
    }

    /// Returns whether to wait for the receivers of any ring.
    fn must_wait(&mut self) -> bool {
        let (now, rings) = (Instant::now(), &self.rings);
        let must_wait = |catch_up: &mut CatchUp, backlog: &dyn Fn() -> Option<Backlog>| {
            catch_up.is_due() && backlog().is_some_and(|backlog| catch_up.must_wait(now, backlog))
        };
        must_wait(&mut self.messages, &|| Some(rings.messages.backlog()))
            || must_wait(&mut self.raw, &|| rings.raw.as_ref().map(Ring::backlog))
            || must_wait(&mut self.unified, &|| rings.unified.as_ref().map(ToUnified::backlog))
    }
}

impl Sink for RingSink {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_check_due { self.poll_caught_up(cx) } else { Poll::Ready(()) }
    }

    fn on_batch(&mut self, batch: &Batch) {
        if self.keeping && !batch.ticks.is_empty() {
            self.stop_keeping_in_time(batch.received, batch.ticks.as_bytes().len());
        }
        let bytes = batch.ticks.as_bytes();
        if let Some(raw) = &self.rings.raw
            && raw.send(bytes.clone())
        {
            self.is_check_due |= self.raw.on_sent(bytes.len());
        }
        if !batch.ticks.is_empty() && !self.raw_only {
            let ticks = TickBatch::new(batch.ticks.clone(), batch.received);
            let (messages, unified) = self.rings.send(TickerMessage::Ticks(ticks));
            if messages {
                self.is_check_due |= self.messages.on_sent(bytes.len());
            }
            if unified {
                self.is_check_due |= self.unified.on_sent(bytes.len());
            }
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Text { text, message, .. } => {
                self.rings.send_text(from_text(message), most_bytes(text));
            }
            event => {
                if let Some(message) = message_of(self.rings.connection, event) {
                    self.rings.send(message);
                }
            }
        }
        if let (Some(orders), Some(unified)) = (&self.orders, &self.rings.unified) {
            orders.pass_on(unified);
        }
    }
}

/// Converts an event other than a text to the message sent to the channel. The typed events carry more detail and are
/// not affected by the channel's lag.
fn message_of(connection: usize, event: &Event) -> Option<TickerMessage> {
    let number = connection + 1;
    match event {
        Event::Up { epoch, .. } if *epoch > 1 => {
            Some(TickerMessage::Message(connection_message(connection, "up", Some(*epoch))))
        }
        Event::Gap(gap) => Some(TickerMessage::Message(json!({
            "type": "gap",
            "connection": number,
            "moved_from": gap.moved_from.map(|connection| connection + 1),
            "epoch": gap.epoch,
            "seconds": gap.without_ticks().map(|gap| gap.as_secs_f64()),
            "instruments": gap.instruments.len(),
            "known_volume": gap.known_volume(),
        }))),
        Event::TicksStale { .. } => {
            Some(TickerMessage::Message(connection_message(connection, "stale", None)))
        }
        Event::TicksResumed { .. } => {
            Some(TickerMessage::Message(connection_message(connection, "fresh", None)))
        }
        // The server's error message already reports the refusal. The others are not errors of the
        // connection: a suspension has lost nothing yet, neither has a clock that was set, and ticks
        // that were not subscribed are delivered.
        Event::LimitRefused { .. }
        | Event::Suspended { .. }
        | Event::ClockStepped { .. }
        | Event::NotSubscribed { .. } => None,
        _ if event.severity() >= Severity::Warning => {
            Some(TickerMessage::Error(format!("connection {number}: {event}")))
        }
        _ => None,
    }
}

fn connection_message(connection: usize, state: &str, epoch: Option<u32>) -> serde_json::Value {
    json!({ "type": "connection", "connection": connection + 1, "state": state, "epoch": epoch })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kite_wire::text::TextMessage;
    use kite_wire::{Fields, FrameEncoder, Tick};

    use super::*;
    use crate::manager::texts::MOST_TEXT_BYTES;

    fn frame() -> Bytes {
        let tick = Tick { instrument_token: 408_065, last_price: 5, fields: Fields::Ltp };
        let mut buffer = [0; 12];
        let mut frame = FrameEncoder::new(&mut buffer).unwrap();
        frame.push(&tick).unwrap();
        Bytes::copy_from_slice(frame.finish())
    }

    fn deliver(sink: &mut RingSink, bytes: Bytes, received: Stamp) {
        let ticks = kite_wire::TickBatch::new(bytes).unwrap();
        sink.on_batch(&Batch::new(ticks, received, 1, 1));
    }

    #[test]
    fn the_first_receiver_gets_the_first_ticks_after_any_number_of_heartbeats() {
        let channels = Channels::new(1, 16);
        let mut sink = channels.sink(0, false, None);
        let start = Stamp::now().to_instant();
        let after = |seconds| Stamp::at(start + Duration::from_secs(seconds));
        deliver(&mut sink, Bytes::from_static(&[0]), after(0));
        deliver(&mut sink, Bytes::from_static(&[0]), after(60));
        deliver(&mut sink, frame(), after(61));
        deliver(&mut sink, frame(), after(70));
        let mut first = channels.messages(0).unwrap();
        assert_eq!(first.len(), 2);
        assert!(matches!(first.try_recv(), Ok(TickerMessage::Ticks(ticks)) if ticks.len() == 1));
        assert_eq!(
            channels.messages(0).unwrap().len(),
            0,
            "only the first receiver gets earlier messages"
        );
        assert_eq!(channels.raw(0).unwrap().len(), 4);
    }

    #[test]
    fn a_late_first_receiver_gets_what_the_ring_holds_without_a_lag_error() {
        let channels = Channels::new(1, 3);
        let mut sink = channels.sink(0, false, None);
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
    fn ten_seconds_after_the_first_ticks_nothing_is_kept_any_more() {
        let channels = Channels::new(1, 16);
        let mut sink = channels.sink(0, false, None);
        let start = Stamp::now().to_instant();
        deliver(&mut sink, frame(), Stamp::at(start));
        deliver(&mut sink, frame(), Stamp::at(start + KEPT_FOR));
        assert_eq!(channels.receiver_count(), 0);
        assert_eq!(channels.messages(0).unwrap().len(), 0);
    }

    #[test]
    fn a_ring_without_a_receiver_keeps_a_limited_number_of_bytes() {
        let channels = Channels::new(1, 1_024);
        let mut sink = channels.sink(0, false, None);
        let raw_has_receiver = || channels.rings[0].raw.as_ref().is_some_and(Ring::has_receiver);
        let received = Stamp::now();
        for n in 0..=KEPT_BYTES / frame().len() {
            assert!(raw_has_receiver() && channels.rings[0].messages.has_receiver(), "{n}");
            deliver(&mut sink, frame(), received);
        }
        assert!(!raw_has_receiver() && !channels.rings[0].messages.has_receiver());
    }

    fn order(number: usize) -> Event {
        let filler = "x".repeat(10_000);
        let json = format!(
            r#"{{"type":"order","data":{{"order_id":"{number}","status_message":"{filler}"}}}}"#
        );
        let message = Arc::new(TextMessage::parse(&json).unwrap());
        let text = Bytes::copy_from_slice(json.as_bytes());
        Event::Text { text, message, received: Stamp::now() }
    }

    const ORDERS: usize = 12_000;

    #[test]
    fn order_updates_without_a_receiver_are_kept_up_to_a_number_of_bytes() {
        let channels = Channels::new(1, 16_384);
        let mut sink = channels.sink(0, false, None);
        let events: Vec<Event> = (0..ORDERS).map(order).collect();
        let spent = allocation_counter::measure(|| {
            events.iter().for_each(|event| sink.on_event(event));
        });
        assert!(spent.bytes_max < MOST_TEXT_BYTES as u64, "{spent:?}");
        assert_eq!(channels.lagged(), [0], "no receiver has missed anything");
        assert!(channels.messages(0).unwrap().is_empty());
        let lagged = channels.lagged()[0];
        assert!((300..1_000).contains(&lagged), "{lagged}");
        assert!(channels.messages(0).is_some());
        assert_eq!(channels.lagged(), [lagged], "only the first receiver has missed them");
    }

    #[test]
    fn order_updates_that_a_slow_receiver_has_no_room_for_are_counted_and_reported() {
        let channels = Channels::new(1, 16_384);
        let mut sink = channels.sink(0, false, None);
        let mut receiver = channels.messages(0).unwrap();
        let events: Vec<Event> = (0..ORDERS).map(order).collect();
        let spent = allocation_counter::measure(|| {
            events.iter().for_each(|event| sink.on_event(event));
        });
        let reports = ORDERS * 256;
        assert!(spent.bytes_current < (MOST_TEXT_BYTES + reports) as i64, "{spent:?}");
        let (mut orders, mut reported) = (0, 0);
        while let Ok(message) = receiver.try_recv() {
            match message {
                TickerMessage::OrderPostback(Ok(_)) => orders += 1,
                TickerMessage::Error(text) if text.contains("dropped") => reported += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(orders + reported, ORDERS);
        assert!(orders > 300, "{orders}");
        assert_eq!(channels.lagged(), [reported as u64]);
        sink.on_event(&order(0));
        let next = receiver.try_recv();
        assert!(matches!(next, Ok(TickerMessage::OrderPostback(Ok(_)))), "room again: {next:?}");
    }

    #[test]
    fn raw_frames_are_kept_up_to_a_mebibyte_once_the_messages_have_a_receiver() {
        let channels = Channels::new(1, 1_024);
        let mut sink = channels.sink(0, false, None);
        let mut taken = channels.messages(0).unwrap();
        let raw_has_receiver = || channels.rings[0].raw.as_ref().is_some_and(Ring::has_receiver);
        for n in 0..=KEPT_BESIDE / frame().len() {
            assert!(raw_has_receiver(), "{n}");
            deliver(&mut sink, frame(), Stamp::now());
            while taken.try_recv().is_ok() {}
        }
        assert!(!raw_has_receiver());
        deliver(&mut sink, frame(), Stamp::now());
        assert!(taken.try_recv().is_ok(), "an existing receiver keeps receiving");
    }

    #[test]
    fn with_raw_only_the_message_channel_carries_no_ticks() {
        let channels = Channels::new(1, 16);
        let mut sink = channels.sink(0, true, None);
        deliver(&mut sink, frame(), Stamp::now());
        assert_eq!(channels.messages(0).unwrap().len(), 0);
        assert_eq!(channels.raw(0).unwrap().len(), 1);
    }
}
