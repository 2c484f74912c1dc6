//! The unified channel, which carries the messages of all accounts, each tagged with its account.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use kite_manager::{OrderItem, Orders};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::manager::multi::ApiKeyId;
use crate::manager::ring::{Backlog, LagCount, Ring};
use crate::manager::texts::{TooManyTexts, dropped_text, most_bytes};
use crate::models::{TickerMessage, from_text};

type Tagged = (ApiKeyId, TickerMessage);

/// The ring of the unified channel.
#[derive(Debug, Clone)]
pub(crate) struct Unified {
    capacity: usize,
    ring: Ring<Tagged>,
    lag: LagCount,
}

impl Unified {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, ring: Ring::new(capacity), lag: LagCount::default() }
    }

    /// Returns a new ring that keeps the lag counter of this one.
    pub(crate) fn renewed(&self) -> Self {
        Self { lag: self.lag.clone(), ..Self::new(self.capacity) }
    }

    pub(crate) fn take(&self) -> broadcast::Receiver<Tagged> {
        self.ring.take(&self.lag)
    }

    /// Returns the counter of messages dropped before the first receiver was taken.
    pub(crate) fn lag(&self) -> &LagCount {
        &self.lag
    }

    /// Returns the sender for an account.
    pub(crate) fn of(&self, api: &ApiKeyId) -> ToUnified {
        ToUnified { api: api.clone(), ring: self.ring.clone(), lag: self.lag.clone() }
    }
}

/// An account's sender to the unified channel.
#[derive(Debug, Clone)]
pub(crate) struct ToUnified {
    api: ApiKeyId,
    ring: Ring<Tagged>,
    lag: LagCount,
}

impl ToUnified {
    pub(crate) fn api(&self) -> &ApiKeyId {
        &self.api
    }

    /// Sends to all receivers; returns whether any exist.
    pub(crate) fn send(&self, message: &TickerMessage) -> bool {
        // Checked first, because the tag is an allocation.
        self.ring.has_receiver() && self.ring.send((self.api.clone(), message.clone()))
    }

    /// Sends the message of a text, which takes up to `bytes`.
    pub(crate) fn send_text(&self, api: ApiKeyId, message: TickerMessage, bytes: usize) {
        if let Err(TooManyTexts) = self.ring.send_text((api.clone(), message), bytes) {
            self.lag.add(1);
            self.ring.send((api, dropped_text(bytes)));
        }
    }

    pub(crate) fn backlog(&self) -> Backlog {
        self.ring.backlog()
    }

    pub(crate) fn release(&self) {
        self.ring.release();
    }
}

/// The order updates of all accounts without duplicates. Kite sends each update on every socket of
/// an account.
#[derive(Debug, Clone)]
pub(crate) struct OrdersOnce {
    orders: Arc<Mutex<Orders>>,
}

impl OrdersOnce {
    pub(crate) fn new(orders: Orders) -> Self {
        Self { orders: Arc::new(Mutex::new(orders)) }
    }

    /// Sends the queued order updates. Must be called at every event of every connection. An event
    /// that reaches a sink is already queued here, so no update is missed or waits for long.
    pub(crate) fn pass_on(&self, unified: &ToUnified) {
        let mut orders = self.orders.lock();
        let taking = async {
            while let Ok(item) = orders.try_recv() {
                match item {
                    OrderItem::Update(update) => {
                        let api = ApiKeyId::new(update.account.as_str());
                        let message = from_text(&update.message);
                        unified.send_text(api, message, most_bytes(&update.text));
                    }
                    OrderItem::Lagged { missed } => {
                        unified.ring.send((unified.api.clone(), missed_events(missed)));
                    }
                    _ => {}
                }
            }
        };
        // Unconstrained, because the queue would seem empty if the connection's task has used up
        // its budget. The future never pends.
        let taking = pin!(tokio::task::unconstrained(taking));
        let _ = taking.poll(&mut Context::from_waker(Waker::noop()));
    }
}

fn missed_events(missed: u64) -> TickerMessage {
    TickerMessage::Error(format!(
        "{missed} events of all accounts were lost to lag, possibly including order updates: \
         check Kite's order book"
    ))
}
