//! The listener for order updates, which passes each on once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::future::poll_fn;
use kite_conn::{Stamp, TryRecvError};
use kite_wire::text::TextMessage;

use crate::account_id::AccountId;
use crate::blocking::block_on;
use crate::events::RunEvents;
use crate::events::receiving::poll_once;
use crate::events::texts::{TextItem, TextUpdate, Texts};
use crate::seat::Seats;

/// An order update and its account.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OrderUpdate {
    /// The account.
    pub account: AccountId,
    /// The parsed message: [`TextMessage::Order`] or [`TextMessage::UnreadableOrder`].
    pub message: Arc<TextMessage>,
    /// The text as received.
    pub text: Bytes,
    /// When the first copy was read from a socket.
    pub received: Stamp,
}

/// An item of [`Orders`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum OrderItem {
    /// An order update.
    Update(OrderUpdate),
    /// This listener fell behind and missed events, possibly including order updates, so query
    /// Kite's order book.
    Lagged {
        /// Number of missed events.
        missed: u64,
    },
}

/// Receives order updates; created by [`Manager::orders`](crate::Manager::orders). Kite sends each
/// update on every socket of the account. Only one of the copies is passed on, but an update that
/// Kite sent twice is passed on twice. The stream ends with the run that it was created for.
#[derive(Debug)]
pub struct Orders {
    texts: Texts,
}

impl Orders {
    pub(crate) fn new(seats: Seats, run: &RunEvents) -> Self {
        Self { texts: Texts::only_orders(seats, run) }
    }

    /// Returns the next update; `None` once the run has ended and all updates were read.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn recv(&mut self) -> Option<OrderItem> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Waits for the next update on a thread that runs no async code; `None` as for `recv`.
    ///
    /// # Panics
    /// Panics if called from async code.
    pub fn blocking_recv(&mut self) -> Option<OrderItem> {
        block_on(self.recv())
    }

    /// Returns an update if one is queued.
    ///
    /// # Errors
    /// Returns [`TryRecvError::Empty`] if none is queued, and [`TryRecvError::Ended`] where `recv`
    /// returns `None`.
    pub fn try_recv(&mut self) -> Result<OrderItem, TryRecvError> {
        poll_once(self)
    }
}

impl Stream for Orders {
    type Item = OrderItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<OrderItem>> {
        let item = ready!(Pin::new(&mut self.texts).poll_next(cx));
        Poll::Ready(item.map(|item| match item {
            TextItem::Update(TextUpdate { account, message, text, received }) => {
                OrderItem::Update(OrderUpdate { account, message, text, received })
            }
            TextItem::Lagged { missed } => OrderItem::Lagged { missed },
        }))
    }
}
