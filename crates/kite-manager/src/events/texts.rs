//! The listener for text messages of Kite, which passes each on once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::future::poll_fn;
use kite_conn::{Event, EventReceiver, Stamp, Tagged, TryRecvError};
use kite_wire::text::TextMessage;

use crate::account_id::AccountId;
use crate::blocking::block_on;
use crate::events::RunEvents;
use crate::events::order_filter::OrderFilter;
use crate::events::receiving::{Receiving, poll_once};
use crate::seat::{Seat, Seats};

/// A text message and the account that received it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TextUpdate {
    /// The account.
    pub account: AccountId,
    /// The parsed message.
    pub message: Arc<TextMessage>,
    /// The text as received.
    pub text: Bytes,
    /// When the first copy was read from a socket.
    pub received: Stamp,
}

/// An item of [`Texts`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TextItem {
    /// A text message.
    Update(TextUpdate),
    /// This listener fell behind and missed events, possibly including texts.
    Lagged {
        /// Number of missed events.
        missed: u64,
    },
}

/// Receives text messages of every type; created by [`Manager::texts`](crate::Manager::texts).
///
/// Kite sends order updates and broadcasts on every socket of an account. Only one of the copies is
/// passed on, but a text that Kite sent twice is passed on twice. The stream ends with the run that
/// it was created for.
#[derive(Debug)]
pub struct Texts {
    seats: Seats,
    connections: Receiving<EventReceiver>,
    filters: Vec<OrderFilter>,
    only_orders: bool,
}

impl Texts {
    pub(crate) fn new(seats: Seats, run: &RunEvents) -> Self {
        let filters = seats.accounts().iter().map(|_| OrderFilter::new()).collect();
        let connections = Receiving::new(run.connections.subscribe());
        Self { seats, connections, filters, only_orders: false }
    }

    /// Creates a listener that neither receives nor remembers other texts than order updates.
    pub(super) fn only_orders(seats: Seats, run: &RunEvents) -> Self {
        Self { only_orders: true, ..Self::new(seats, run) }
    }

    /// Returns the next text; `None` once the run has ended and all texts were read.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn recv(&mut self) -> Option<TextItem> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Waits for the next text on a thread that runs no async code; `None` as for `recv`.
    ///
    /// # Panics
    /// Panics if called from async code.
    pub fn blocking_recv(&mut self) -> Option<TextItem> {
        block_on(self.recv())
    }

    /// Returns a text if one is queued.
    ///
    /// # Errors
    /// Returns [`TryRecvError::Empty`] if none is queued, and [`TryRecvError::Ended`] where `recv`
    /// returns `None`.
    pub fn try_recv(&mut self) -> Result<TextItem, TryRecvError> {
        poll_once(self)
    }

    /// Returns the text of an event, if it has one that was not passed on before.
    fn update(&mut self, tagged: Tagged) -> Option<TextUpdate> {
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
        if self.only_orders && !is_order {
            return None;
        }
        let is_new = filter.is_new(connection, &text, received);
        is_new.then_some(TextUpdate { account, message, text, received })
    }
}

impl Stream for Texts {
    type Item = TextItem;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TextItem>> {
        let this = self.get_mut();
        loop {
            let item = match ready!(this.connections.poll_recv(cx)) {
                Some(Ok(tagged)) => this.update(tagged).map(TextItem::Update),
                Some(Err(missed)) => Some(TextItem::Lagged { missed }),
                None => return Poll::Ready(None),
            };
            if item.is_some() {
                return Poll::Ready(item);
            }
        }
    }
}
