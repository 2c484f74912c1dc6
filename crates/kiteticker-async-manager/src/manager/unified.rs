//! The channel that carries the messages of all accounts, each with its account.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use kite_manager::{OrderItem, Orders};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::manager::multi::ApiKeyId;
use crate::manager::ring::{LagCount, Ring};
use crate::models::{TickerMessage, from_text};

type Tagged = (ApiKeyId, TickerMessage);

/// The ring of all accounts.
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

    /// Makes a new ring in the place of this one, and forgets nothing that was counted.
    pub(crate) fn renewed(&self) -> Self {
        Self { lag: self.lag.clone(), ..Self::new(self.capacity) }
    }

    pub(crate) fn take(&self) -> broadcast::Receiver<Tagged> {
        self.ring.take(&self.lag)
    }

    /// Gives the count of what the first taker came too late for.
    pub(crate) fn lag(&self) -> &LagCount {
        &self.lag
    }

    /// Gives the way into it for an account.
    pub(crate) fn of(&self, api: &ApiKeyId) -> ToUnified {
        ToUnified { api: api.clone(), ring: self.ring.clone() }
    }
}

/// An account's way into the channel of all.
#[derive(Debug, Clone)]
pub(crate) struct ToUnified {
    api: ApiKeyId,
    ring: Ring<Tagged>,
}

impl ToUnified {
    pub(crate) fn api(&self) -> &ApiKeyId {
        &self.api
    }

    /// Sends to all receivers; says whether there are any.
    pub(crate) fn send(&self, message: &TickerMessage) -> bool {
        // A tag is an allocation.
        self.ring.is_heard() && self.ring.send((self.api.clone(), message.clone()))
    }

    pub(crate) fn let_go(&self) {
        self.ring.let_go();
    }
}

/// The order updates of all accounts, each once. Kite sends every one on every socket of an
/// account.
#[derive(Debug, Clone)]
pub(crate) struct OrdersOnce {
    orders: Arc<Mutex<Orders>>,
}

impl OrdersOnce {
    pub(crate) fn new(orders: Orders) -> Self {
        Self { orders: Arc::new(Mutex::new(orders)) }
    }

    /// Passes on what waits. To be called at every event of every connection: what a sink is told
    /// waits here already, so that no update is left behind and the wait stays short.
    pub(crate) fn pass_on(&self, unified: &ToUnified) {
        let mut orders = self.orders.lock();
        let taking = async {
            while let Some(item) = orders.try_recv() {
                unified.ring.send(match item {
                    OrderItem::Update(update) => {
                        (ApiKeyId::new(update.account.as_str()), from_text(&update.message))
                    }
                    OrderItem::Lagged { missed } => (unified.api.clone(), missed_events(missed)),
                    _ => continue,
                });
            }
        };
        // The task of the connection may have used up its turn, and then nothing would seem to
        // wait. It never pends.
        let taking = pin!(tokio::task::unconstrained(taking));
        let _ = taking.poll(&mut Context::from_waker(Waker::noop()));
    }
}

fn missed_events(missed: u64) -> TickerMessage {
    TickerMessage::Error(format!(
        "{missed} events of all accounts came too fast, order updates may be among them: ask \
         Kite's order book"
    ))
}
