//! The event lane, a small broadcast channel, separate from the ticks, for any number of
//! subscribers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use super::event::Event;
use crate::clock::Stamp;

/// Number of events buffered for a slow subscriber.
const CAPACITY: usize = 1_024;

/// An event and the connection it happened to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tagged {
    /// The connection's number, as passed when it was created.
    pub connection: usize,
    /// What happened.
    pub event: Event,
    /// When it was sent.
    pub at: Stamp,
}

/// The lane that receives the events of one or several connections.
#[derive(Debug, Clone)]
pub struct EventLane {
    sender: broadcast::Sender<Tagged>,
    /// Number of the last step of the wall clock that was sent.
    step: Arc<AtomicU64>,
}

impl Default for EventLane {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(CAPACITY), step: Arc::default() }
    }
}

impl EventLane {
    /// Returns a receiver for events sent after this call. One that falls more than 1,024 events
    /// behind receives the number of missed events ([`broadcast::error::RecvError::Lagged`]).
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Tagged> {
        self.sender.subscribe()
    }

    /// Returns a sender for the events of a connection.
    pub(crate) fn sender(&self, connection: usize) -> EventSender {
        EventSender { lane: self.clone(), connection }
    }
}

/// Sends the events of one connection.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    lane: EventLane,
    connection: usize,
}

impl EventSender {
    /// Sends to all subscribers, if any.
    pub(crate) fn send(&self, event: Event) {
        let _ =
            self.lane.sender.send(Tagged { connection: self.connection, event, at: Stamp::now() });
    }

    /// Returns whether the wall clock's step with this number, from 1, is to be sent: whether no
    /// connection of the lane has sent it.
    pub(crate) fn admits_step(&self, number: u64) -> bool {
        self.lane.step.fetch_max(number, Ordering::Relaxed) < number
    }

    /// Returns the connection's number.
    pub(crate) fn connection(&self) -> usize {
        self.connection
    }
}
