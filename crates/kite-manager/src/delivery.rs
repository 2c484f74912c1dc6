//! The consumers of a manager, for a feed that a program does not receive from Kite's sockets.

use std::task::{Context, Poll};

use kite_conn::{Batch, ConfigError, Event, EventLane, Sink};
use kite_wire::{Command, Mode, TokenMap};

use crate::account_id::AccountId;
use crate::events::{Events, ManagerEvent, Orders, RunEvents, Texts};
use crate::latest::{Latest, LatestTick};
use crate::own_sinks::OwnSinks;
use crate::seat::{Seat, Seats};
use crate::stream::{Hub, StreamConfig, TickStream};

/// Delivers a feed that arrives in another way than over Kite's sockets, such as from another
/// process, to the consumers that a [`Manager`](crate::Manager) has: streams, the newest packets,
/// events and orders.
///
/// What arrives goes into one [`DeliverySink`] for each connection. The consumers end once all sinks
/// and clones of this handle have been dropped. Cheap to clone.
///
/// ```
/// use kite_manager::{AccountId, Delivery, StreamConfig};
///
/// # fn main() -> Result<(), kite_manager::ConfigError> {
/// let (delivery, sinks) = Delivery::new([AccountId::default()], 3);
/// let stream = delivery.stream(StreamConfig::default())?;
/// assert_eq!(sinks.len(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Delivery {
    seats: Seats,
    hub: Hub,
    latest: Latest,
    events: RunEvents,
}

/// Receives what arrives of one connection; created by [`Delivery::new`].
///
/// As a [`Sink`] it takes batches and events in order, and is not ready while a stream that blocks
/// has no room. Texts of an account that arrive once can go into any of its sinks.
#[derive(Debug)]
pub struct DeliverySink {
    seat: Seat,
    slot: usize,
    own: OwnSinks,
    events: EventLane,
    /// The instruments of which something has arrived.
    seen: TokenMap<()>,
}

impl Delivery {
    /// Creates a delivery for `connections` connections of each account. Returns its sinks, by
    /// account, then by connection.
    #[must_use]
    pub fn new(
        accounts: impl IntoIterator<Item = AccountId>,
        connections: usize,
    ) -> (Self, Vec<DeliverySink>) {
        let seats = Seats::new(accounts.into_iter().collect(), connections);
        let (hub, latest) = (Hub::new(&seats), Latest::new(seats.len()));
        let events = RunEvents::default();
        hub.begin();
        let sink = |slot| DeliverySink {
            seat: seats.seat(slot),
            slot,
            own: OwnSinks { hub: hub.sink(slot), latest: Some(latest.sink(slot)) },
            events: events.connections.clone(),
            seen: TokenMap::new(),
        };
        let sinks = (0..seats.len()).map(sink).collect();
        (Self { seats, hub, latest, events }, sinks)
    }

    /// Returns the accounts.
    #[must_use]
    pub fn accounts(&self) -> &[AccountId] {
        self.seats.accounts()
    }

    /// Returns a stream, as [`Manager::stream`](crate::Manager::stream). It begins with the next
    /// batch.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] if a setting is outside its range.
    pub fn stream(&self, config: StreamConfig) -> Result<TickStream, ConfigError> {
        self.hub.subscribe(&config)
    }

    /// Returns the table of every instrument's newest packet, as
    /// [`Manager::latest`](crate::Manager::latest).
    #[must_use]
    pub fn latest(&self) -> Latest {
        self.latest.clone()
    }

    /// Returns the connection that received a packet of [`Delivery::latest`].
    #[must_use]
    pub fn seat_of(&self, tick: &LatestTick) -> Seat {
        self.seats.seat(tick.slot())
    }

    /// Returns a listener for events, as [`Manager::events`](crate::Manager::events).
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.seats.clone(), &self.events)
    }

    /// Returns a listener for order updates, as [`Manager::orders`](crate::Manager::orders).
    #[must_use]
    pub fn orders(&self) -> Orders {
        Orders::new(self.seats.clone(), &self.events)
    }

    /// Returns a listener for text messages, as [`Manager::texts`](crate::Manager::texts).
    #[must_use]
    pub fn texts(&self) -> Texts {
        Texts::new(self.seats.clone(), &self.events)
    }

    /// Sends an event that is not one of a connection to the listeners.
    pub fn notify(&self, event: ManagerEvent) {
        // Fails only if there is no listener.
        let _ = self.events.notices.send(event);
    }

    /// Ends the streams once the sinks are dropped and all items were read.
    pub fn end(&self) {
        self.hub.end();
    }
}

impl DeliverySink {
    /// Returns the account and the number of the connection.
    #[must_use]
    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Receives packets that are no ticks, but the newest ones of their instruments, so that
    /// [`TaggedBatch::is_first`](crate::TaggedBatch::is_first) is true for them.
    pub fn on_snapshot(&mut self, batch: &Batch) {
        for mode in Mode::ALL {
            let packets = batch.ticks.packets().filter(|packet| packet.mode() == mode);
            let tokens: Vec<u32> = packets.map(|packet| packet.instrument_token()).collect();
            if !tokens.is_empty() {
                self.own.hub.on_command(Command::Subscribe(&tokens));
                self.own.hub.on_command(Command::Mode(mode, &tokens));
            }
        }
        self.on_batch(batch);
    }

    /// Receives that frames, at least one, were lost on their way here. Streams report them as
    /// [`StreamItem::Dropped`](crate::StreamItem::Dropped).
    pub fn on_lost(&mut self, frames: u64, ticks: u64) {
        self.own.hub.on_lost(frames, ticks);
    }

    /// Makes room for the instruments of a batch in the table of newest packets.
    fn admit(&mut self, batch: &Batch) {
        let tokens = batch.ticks.packets().map(|packet| packet.instrument_token());
        for token in tokens {
            if !self.seen.contains(token) {
                self.seen.insert(token, ());
                if let Some(latest) = &mut self.own.latest {
                    latest.on_command(Command::Subscribe(&[token]));
                }
            }
        }
    }
}

impl Sink for DeliverySink {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.own.poll_ready(cx)
    }

    fn on_batch(&mut self, batch: &Batch) {
        self.admit(batch);
        self.own.on_batch(batch);
    }

    fn on_event(&mut self, event: &Event) {
        self.events.report(self.slot, event.clone());
        self.own.on_event(event);
    }
}

#[cfg(test)]
mod tests;
