//! The event lane: small, apart from the ticks, open to any number of listeners.

use tokio::sync::broadcast;

use super::event::Event;
use crate::clock::Stamp;

/// Events kept for a listener that does not listen.
const CAPACITY: usize = 1_024;

/// An event and the connection it happened to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tagged {
    /// The connection's number, as given when it was made.
    pub connection: usize,
    /// What happened.
    pub event: Event,
    /// When it was told.
    pub at: Stamp,
}

/// The lane that the events of one or several connections go to.
#[derive(Debug, Clone)]
pub struct EventLane {
    sender: broadcast::Sender<Tagged>,
}

impl Default for EventLane {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(CAPACITY) }
    }
}

impl EventLane {
    /// Listens from now on. A listener more than 1,024 events behind is told how many it lost
    /// ([`broadcast::error::RecvError::Lagged`]).
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Tagged> {
        self.sender.subscribe()
    }

    /// Gives the sending side of one connection.
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
    /// Sends to all listeners; none is fine.
    pub(crate) fn send(&self, event: Event) {
        let _ =
            self.lane.sender.send(Tagged { connection: self.connection, event, at: Stamp::now() });
    }

    /// Gives the connection's number.
    pub(crate) fn connection(&self) -> usize {
        self.connection
    }
}
