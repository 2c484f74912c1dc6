//! Order updates, each once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::future::poll_fn;
use kite_conn::{Event, Stamp, Tagged};
use kite_wire::text::TextMessage;
use tokio::sync::broadcast;

use crate::account_id::AccountId;
use crate::events::order_filter::OrderFilter;
use crate::events::receiving::{Receiving, poll_once};
use crate::seat::{Seat, Seats};

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
    pub(crate) fn new(seats: Seats, connections: broadcast::Receiver<Tagged>) -> Self {
        let filters = seats.accounts().iter().map(|_| OrderFilter::new()).collect();
        Self { seats, connections: Receiving::new(connections), filters }
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
        let Seat { account, account_index, connection } = self.seats.seat(tagged.connection);
        let filter = self.filters.get_mut(account_index)?;
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
        is_new.then_some(OrderUpdate { account, message, text, received })
    }
}

impl Stream for Orders {
    type Item = OrderItem;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<OrderItem>> {
        let this = self.get_mut();
        loop {
            let item = match ready!(this.connections.poll_recv(cx)) {
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
