//! What happens to the connections and to the manager, and the order updates, each once.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::future::poll_fn;
use kite_conn::{Event, Stamp, Tagged};
use kite_wire::text::TextMessage;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::unconstrained;

use crate::account::AccountId;
use crate::balancer::Move;
use crate::manager::{Seat, Seats, Shared};
use crate::orders::OrderFilter;

/// Something that happened to a connection of a manager, or to the manager itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// Something happened to a connection.
    Connection {
        /// Which.
        seat: Seat,
        /// What.
        event: Event,
    },
    /// Instruments went to another connection: theirs has been down for too long, or is stable
    /// again.
    Moved {
        /// The account whose connections these are.
        account: AccountId,
        /// Which instruments, from where and to where.
        moves: Arc<[Move]>,
        /// Whether they return to the connection that they were subscribed on.
        back: bool,
    },
    /// A connection has been down for too long, and nowhere else is room for these instruments.
    Dark {
        /// The account.
        account: AccountId,
        /// The connection's number within the account.
        connection: usize,
        /// Its instruments that nobody streams now.
        tokens: Arc<[u32]>,
    },
    /// This listener fell behind and missed so many events; it goes on with the oldest kept.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// What the manager tells of itself.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    Moved { account: AccountId, moves: Arc<[Move]>, back: bool },
    Dark { account: AccountId, connection: usize, tokens: Arc<[u32]> },
}

impl Shared {
    /// Tells all listeners; none is fine.
    pub(crate) fn tell(&self, notice: Notice) {
        let _ = self.notices.send(notice);
    }
}

/// Listens to a manager; made by [`Manager::events`](crate::Manager::events). A stream that ends
/// when the manager is gone; a lag is an item of it, not its end.
#[derive(Debug)]
pub struct Events {
    seats: Seats,
    connections: Receiving<Tagged>,
    notices: Receiving<Notice>,
}

impl Events {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self {
            seats: shared.seats(),
            connections: Receiving::new(shared.events.subscribe()),
            notices: Receiving::new(shared.notices.subscribe()),
        }
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
            notice.map(|notice| match notice {
                Ok(Notice::Moved { account, moves, back }) => {
                    ManagerEvent::Moved { account, moves, back }
                }
                Ok(Notice::Dark { account, connection, tokens }) => {
                    ManagerEvent::Dark { account, connection, tokens }
                }
                Err(missed) => ManagerEvent::Lagged { missed },
            })
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

/// An order update and the account it is of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OrderUpdate {
    /// The account.
    pub account: AccountId,
    /// What it says: [`TextMessage::Order`] or [`TextMessage::UnreadableOrder`].
    pub message: Arc<TextMessage>,
    /// The text as received.
    pub text: Bytes,
    /// When the first copy of it was read from a socket.
    pub received: Stamp,
}

/// What [`Orders`] gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum OrderItem {
    /// An order update.
    Update(OrderUpdate),
    /// This listener fell behind and missed so many events, order updates possibly among them: ask
    /// Kite's order book.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// Listens to order updates; made by [`Manager::orders`](crate::Manager::orders). Kite sends each
/// on every socket of the account: this passes on one of the copies, and an update that was sent
/// twice twice. A stream that ends when the manager is gone.
#[derive(Debug)]
pub struct Orders {
    seats: Seats,
    connections: Receiving<Tagged>,
    filters: Vec<OrderFilter>,
}

impl Orders {
    pub(crate) fn new(shared: &Shared) -> Self {
        let filters = shared.accounts.iter().map(|_| OrderFilter::new()).collect();
        let connections = Receiving::new(shared.events.subscribe());
        Self { seats: shared.seats(), connections, filters }
    }

    /// Gives the next update; `None` once the manager is gone and all was taken.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn recv(&mut self) -> Option<OrderItem> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Gives an update that waits; `None` if none does.
    pub fn try_recv(&mut self) -> Option<OrderItem> {
        poll_once(self)
    }

    /// Gives the update that an event brings, if it brings one that has not been told.
    fn update(&mut self, tagged: Tagged) -> Option<OrderUpdate> {
        let Seat { account: name, connection, .. } = self.seats.seat(tagged.connection);
        let filter = self.filters.get_mut(self.seats.account(tagged.connection))?;
        let (text, message, received) = match tagged.event {
            Event::Text { text, message, received } => (text, message, received),
            Event::Up { .. } => {
                filter.on_up(connection, tagged.at);
                return None;
            }
            _ => return None,
        };
        let is_order =
            matches!(*message, TextMessage::Order(_) | TextMessage::UnreadableOrder { .. });
        if !is_order {
            return None;
        }
        let is_new = filter.is_new(connection, &text, received);
        is_new.then_some(OrderUpdate { account: name, message, text, received })
    }
}

impl Stream for Orders {
    type Item = OrderItem;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<OrderItem>> {
        let this = self.get_mut();
        loop {
            let item = match std::task::ready!(this.connections.poll_recv(cx)) {
                Some(Ok(tagged)) => this.update(tagged).map(OrderItem::Update),
                Some(Err(missed)) => Some(OrderItem::Lagged { missed }),
                None => return Poll::Ready(None),
            };
            if item.is_some() {
                return Poll::Ready(item);
            }
        }
    }
}

/// Takes what a stream has ready; nobody is woken for the rest.
fn poll_once<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    // Not held back by what the task has done before: what waits is there.
    let next = unconstrained(poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)));
    match pin!(next).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(item) => item,
        Poll::Pending => None,
    }
}

type Received<T> = (Result<T, RecvError>, broadcast::Receiver<T>);

/// A broadcast receiver that can be polled. Its future is kept between polls, so that its place
/// among the waiting is.
struct Receiving<T> {
    next: Pin<Box<dyn Future<Output = Received<T>> + Send>>,
    has_ended: bool,
}

impl<T: Clone + Send + 'static> Receiving<T> {
    fn new(receiver: broadcast::Receiver<T>) -> Self {
        Self { next: Box::pin(receive(receiver)), has_ended: false }
    }

    /// Gives the next item, or how many were missed; `None` once the sender is gone.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, u64>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let (received, receiver) = std::task::ready!(self.next.as_mut().poll(cx));
        self.next = Box::pin(receive(receiver));
        Poll::Ready(match received {
            Ok(item) => Some(Ok(item)),
            Err(RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(RecvError::Closed) => {
                self.has_ended = true;
                None
            }
        })
    }
}

async fn receive<T: Clone>(mut receiver: broadcast::Receiver<T>) -> Received<T> {
    (receiver.recv().await, receiver)
}

impl<T> std::fmt::Debug for Receiving<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiving").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use kite_conn::Credentials;
    use tokio::task::coop::poll_proceed;

    use super::*;
    use crate::{Manager, ManagerConfig};

    #[tokio::test]
    async fn what_waits_is_there_for_a_task_that_has_used_up_its_turn() {
        let manager = Manager::new(Credentials::new("key", "token"), ManagerConfig::default());
        let mut events = manager.events();
        let (account, tokens) = (AccountId::default(), Arc::from([256]));
        manager.shared.tell(Notice::Dark { account, connection: 1, tokens });
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
