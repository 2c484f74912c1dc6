//! The listener for events of the connections and of the manager.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::future::poll_fn;
use kite_conn::{EventReceiver, TryRecvError};
use tokio::sync::broadcast;

use crate::blocking::block_on;
use crate::events::receiving::{Receiving, poll_once};
use crate::events::{ManagerEvent, RunEnd, RunEvents};
use crate::seat::Seats;

/// Receives the events of one run of a manager; created by
/// [`Manager::events`](crate::Manager::events). The stream ends with the run, after
/// [`ManagerEvent::Stopped`]; a lag is an item and does not end it.
#[derive(Debug)]
pub struct Events {
    seats: Seats,
    connections: Receiving<EventReceiver>,
    notices: Receiving<broadcast::Receiver<ManagerEvent>>,
    /// `None` once the end was returned.
    end: Option<RunEnd>,
}

impl Events {
    pub(crate) fn new(seats: Seats, run: &RunEvents) -> Self {
        Self {
            seats,
            connections: Receiving::new(run.connections.subscribe()),
            notices: Receiving::new(run.notices.subscribe()),
            end: Some(run.end.clone()),
        }
    }

    /// Returns the next event; `None` once the run has ended and all events were read, the last of
    /// which is [`ManagerEvent::Stopped`]. Also `None`, without it, if the manager was dropped
    /// before the run was started.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn recv(&mut self) -> Option<ManagerEvent> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Waits for the next event on a thread that runs no async code; `None` as for `recv`.
    ///
    /// # Panics
    /// Panics if called from async code.
    pub fn blocking_recv(&mut self) -> Option<ManagerEvent> {
        block_on(self.recv())
    }

    /// Returns an event if one is queued.
    ///
    /// # Errors
    /// Returns [`TryRecvError::Empty`] if none is queued, and [`TryRecvError::Ended`] where `recv`
    /// returns `None`.
    pub fn try_recv(&mut self) -> Result<ManagerEvent, TryRecvError> {
        poll_once(self)
    }
}

impl Stream for Events {
    type Item = ManagerEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ManagerEvent>> {
        let this = self.get_mut();
        // Notices come first, because they are few and report what has happened earlier.
        let notice = this.notices.poll_recv(cx).map(|notice| {
            notice.map(|notice| notice.unwrap_or_else(|missed| ManagerEvent::Lagged { missed }))
        });
        if let Poll::Ready(Some(event)) = notice {
            return Poll::Ready(Some(event));
        }
        let event = this.connections.poll_recv(cx).map(|tagged| {
            tagged.map(|tagged| match tagged {
                Ok(tagged) => ManagerEvent::Connection {
                    seat: this.seats.seat(tagged.connection),
                    event: tagged.event,
                },
                Err(missed) => ManagerEvent::Lagged { missed },
            })
        });
        match (event, notice) {
            (Poll::Ready(None), Poll::Pending) => Poll::Pending,
            // No connection and no manager is left that could send.
            (Poll::Ready(None), _) => {
                let stopped = this.end.take().and_then(|end| end.stopped());
                Poll::Ready(stopped.map(ManagerEvent::Stopped))
            }
            (event, _) => event,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kite_conn::Credentials;
    use tokio::task::coop::poll_proceed;

    use super::*;
    use crate::{AccountId, Manager, ManagerConfig};

    #[tokio::test]
    async fn queued_events_are_returned_to_a_task_without_coop_budget() {
        let manager = Manager::new(Credentials::new("key", "token"), ManagerConfig::default());
        let mut events = manager.events();
        let (account, tokens) = (AccountId::default(), Arc::from([256]));
        manager.core.notify(ManagerEvent::Dark { account, connection: 1, tokens });
        let event = poll_fn(|cx| {
            while let Poll::Ready(proceeding) = poll_proceed(cx) {
                proceeding.made_progress();
            }
            Poll::Ready(events.try_recv())
        });
        assert!(matches!(event.await, Ok(ManagerEvent::Dark { connection: 1, .. })));
        assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Empty);
    }

    #[tokio::test]
    async fn listeners_do_not_keep_a_manager_alive() {
        let manager = Manager::new(Credentials::new("key", "token"), ManagerConfig::default());
        let (mut events, mut orders) = (manager.events(), manager.orders());
        drop(manager);
        assert!(events.recv().await.is_none());
        assert!(orders.recv().await.is_none());
        assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Ended);
        assert_eq!(orders.try_recv().unwrap_err(), TryRecvError::Ended);
    }
}
