//! What handles and listeners see of a connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tracing::{info, warn};

use super::mailbox::Mailbox;
use crate::observe::{Counters, Event, EventSender, Phase, Status};

/// Where the handles and listeners look: counts, status, events.
///
/// It says closed when the task is gone, however it went: a sink that panics on this task takes
/// the connection with it, and so does a runtime that shuts down.
pub(crate) struct Reporter {
    pub(crate) events: EventSender,
    pub(crate) counters: Arc<Counters>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Reporter {
    pub(super) fn set_status(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }

    /// Tells the end, as the last thing of all.
    pub(super) fn finish(&self) {
        info!(conn = self.events.connection(), event = Event::Closed.name(), "{}", Event::Closed);
        self.close();
        self.events.send(Event::Closed);
    }

    fn close(&self) {
        // First: who sees the connection closed is refused.
        self.mailbox.end();
        self.counters.socket.up_since.set(0);
        self.set_status(|status| status.phase = Phase::Closed);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if self.status.borrow().phase == Phase::Closed {
            return;
        }
        if self.counters.sink_panicked.swap(false, Ordering::AcqRel) {
            warn!(conn = self.events.connection(), "the sink panicked, closing");
            self.events.send(Event::DeliveryFailed);
        }
        self.finish();
    }
}
