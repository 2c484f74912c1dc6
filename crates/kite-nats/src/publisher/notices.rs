//! The task that publishes events and order updates, which never wait behind ticks of ours.

use std::sync::atomic::Ordering::Relaxed;

use kite_manager::{AccountId, Events, Manager, ManagerEvent, OrderItem, OrderUpdate, Orders};
use tokio::sync::watch;

use super::{Ended, Sender};
use crate::json;
use crate::subject::Subjects;

/// See the module.
#[derive(Debug)]
pub(super) struct Notices {
    pub(super) manager: Manager,
    pub(super) sender: Sender,
    pub(super) subjects: Vec<(AccountId, Subjects)>,
    pub(super) events: Events,
    pub(super) orders: Orders,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Notices {
    /// Publishes until the publisher stops.
    pub(super) async fn run(mut self) {
        // Fails only if the client has ended with its runtime.
        let _ = self.publish().await;
    }

    async fn publish(&mut self) -> Result<(), Ended> {
        loop {
            tokio::select! {
                _ = self.stopping.changed() => return self.publish_rest().await,
                event = self.events.recv() => match event {
                    Some(event) => self.publish_event(&event).await?,
                    None => self.events = self.manager.events(),
                },
                order = self.orders.recv() => match order {
                    Some(order) => self.publish_order(order).await?,
                    None => self.orders = self.manager.orders(),
                },
            }
        }
    }

    /// Publishes what is queued.
    async fn publish_rest(&mut self) -> Result<(), Ended> {
        loop {
            let (event, order) = (self.events.try_recv(), self.orders.try_recv());
            if let Ok(event) = &event {
                self.publish_event(event).await?;
            }
            match order {
                Ok(order) => self.publish_order(order).await?,
                Err(_) if event.is_err() => return Ok(()),
                Err(_) => {}
            }
        }
    }

    async fn publish_event(&mut self, event: &ManagerEvent) -> Result<(), Ended> {
        if let ManagerEvent::Lagged { missed } = event {
            self.sender.figures.missed_events.fetch_add(*missed, Relaxed);
        }
        let Some((account, value)) = json::event(event) else { return Ok(()) };
        for (of, subjects) in &self.subjects {
            if account.is_none_or(|account| account == of) {
                self.sender.send_json(subjects.event(), of, &value).await?;
            }
        }
        self.sender.figures.events.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn publish_order(&mut self, order: OrderItem) -> Result<(), Ended> {
        let update = match order {
            OrderItem::Update(update) => update,
            // The listener for events has a queue of the same size, and publishes what it missed.
            OrderItem::Lagged { missed } => {
                tracing::warn!(missed, "order updates may not have been published");
                return Ok(());
            }
            _ => return Ok(()),
        };
        let OrderUpdate { account, text, received, .. } = update;
        let Some((_, subjects)) = self.subjects.iter().find(|it| it.0 == account) else {
            return Ok(());
        };
        let headers = self.sender.headers(&account, received.to_unix_ns());
        if self.sender.send(subjects.order().into(), headers, text).await? {
            self.sender.figures.orders.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}
