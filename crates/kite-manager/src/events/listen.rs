//! What happens to the connections and to the manager.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::future::poll_fn;
use kite_conn::Tagged;
use tokio::sync::broadcast;

use crate::events::ManagerEvent;
use crate::events::receiving::{Receiving, poll_once};
use crate::seat::Seats;

/// Listens to a manager; made by [`Manager::events`](crate::Manager::events). A stream that ends
/// when the manager is gone; a lag is an item of it, not its end.
#[derive(Debug)]
pub struct Events {
    seats: Seats,
    connections: Receiving<Tagged>,
    notices: Receiving<ManagerEvent>,
}

impl Events {
    pub(crate) fn new(
        seats: Seats,
        connections: broadcast::Receiver<Tagged>,
        notices: broadcast::Receiver<ManagerEvent>,
    ) -> Self {
        Self { seats, connections: Receiving::new(connections), notices: Receiving::new(notices) }
    }

    /// Gives the next event; `None` once the manager is gone and all was taken.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn recv(&mut self) -> Option<ManagerEvent> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Gives an event that waits; `None` if none does.
    pub fn try_recv(&mut self) -> Option<ManagerEvent> {
        poll_once(self)
    }
}

impl Stream for Events {
    type Item = ManagerEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ManagerEvent>> {
        let this = self.get_mut();
        // Notices first: they are few, and what they tell of has happened before.
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
    async fn what_waits_is_there_for_a_task_that_has_used_up_its_turn() {
        let manager = Manager::new(Credentials::new("key", "token"), ManagerConfig::default());
        let mut events = manager.events();
        let (account, tokens) = (AccountId::default(), Arc::from([256]));
        manager.core.tell(ManagerEvent::Dark { account, connection: 1, tokens });
        let event = poll_fn(|cx| {
            while let Poll::Ready(proceeding) = poll_proceed(cx) {
                proceeding.made_progress();
            }
            Poll::Ready(events.try_recv())
        });
        assert!(matches!(event.await, Some(ManagerEvent::Dark { connection: 1, .. })));
        assert!(events.try_recv().is_none());
    }

    #[tokio::test]
    async fn listeners_do_not_keep_a_manager_alive() {
        let manager = Manager::new(Credentials::new("key", "token"), ManagerConfig::default());
        let (mut events, mut orders) = (manager.events(), manager.orders());
        drop(manager);
        assert!(events.recv().await.is_none());
        assert!(orders.recv().await.is_none());
    }
}
