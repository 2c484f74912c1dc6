//! What handles and subscribers see of a connection: events, counts, status.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::clock::now;
use super::mailbox::Mailbox;
use super::nanos;
use crate::clock::Stamp;
use crate::observe::{Counters, Event, EventSender, Phase, Severity, Status, Stopped};

/// The side of a connection that handles and subscribers read.
///
/// When dropped, it reports the end regardless of the cause, because a sink's panic ends the
/// connection's task, and so does a runtime's shutdown.
pub(crate) struct Reporter {
    pub(super) events: EventSender,
    pub(super) counters: Arc<Counters>,
    status: watch::Sender<Status>,
    pub(super) mailbox: Arc<Mailbox>,
    /// When the last socket was lost, while no other is open.
    lost: Option<Stamp>,
    /// How the connection ended. If nothing else is set, it did not end by itself.
    pub(super) stopped: Stopped,
}

impl Reporter {
    pub(crate) fn new(
        events: EventSender,
        counters: Arc<Counters>,
        status: watch::Sender<Status>,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        Self { events, counters, status, mailbox, lost: None, stopped: Stopped::default() }
    }

    /// Logs an event, counts it, updates the status, and sends it to the subscribers.
    pub(super) fn report(&mut self, event: &Event, epoch: u32) {
        self.log(event, epoch);
        self.count(event);
        self.update_status(event, epoch);
        self.events.send(event.clone());
    }

    /// Logs an event, except the server's text frames, which are for the application.
    fn log(&self, event: &Event, epoch: u32) {
        let (conn, name) = (self.events.connection(), event.name());
        match (event, event.severity()) {
            (Event::Text { .. }, _) => {}
            (_, Severity::Detail) => debug!(conn, epoch, event = name, "{event}"),
            (_, Severity::Notice | Severity::Recovery) => {
                info!(conn, epoch, event = name, "{event}");
            }
            (_, Severity::Warning | Severity::Error) => {
                warn!(conn, epoch, event = name, "{event}");
            }
        }
    }

    fn count(&mut self, event: &Event) {
        let counts = &self.counters.socket;
        match event {
            Event::Up { .. } => {
                counts.connects.add(1);
                let up = Stamp::at(now());
                counts.up_since.set(up.as_nanos());
                if let Some(lost) = self.lost.take() {
                    counts.outages_ns.record(nanos(up.since(lost)));
                }
            }
            Event::Down { cause, .. } => {
                counts.losses.add(1);
                counts.losses_by_kind[cause.kind() as usize].add(1);
                counts.errors.add(1);
                counts.up_since.set(0);
                self.lost = Some(Stamp::at(now()));
            }
            Event::OpenFailed { .. } | Event::RenewalFailed { .. } => counts.errors.add(1),
            Event::Closed { .. } => counts.up_since.set(0),
            _ => {}
        }
    }

    fn update_status(&self, event: &Event, epoch: u32) {
        self.status.send_if_modified(|status| {
            match event {
                Event::Opening { .. } => {
                    (status.phase, status.parked) = (Phase::Opening, None);
                }
                Event::Renewing { .. } => {
                    (status.phase, status.parked) = (Phase::Renewing, None);
                }
                Event::Up { .. } => {
                    *status = Status { phase: Phase::Live, epoch, ..Status::default() };
                }
                Event::OpenFailed { error, .. } => status.last_failure = Some(error.clone()),
                Event::Retry { .. } => status.phase = Phase::Waiting,
                Event::Parked(reason) => {
                    (status.phase, status.parked) = (Phase::Parked, Some(reason.clone()));
                }
                Event::Closed { .. } => {
                    (status.phase, status.stopped) = (Phase::Closed, Some(self.stopped.clone()));
                }
                _ => return false,
            }
            true
        });
    }

    /// Reports the end, as the last event.
    pub(super) fn finish(&mut self) {
        // Done first, so that requests made after the status is `Closed` are rejected.
        self.mailbox.end();
        let epoch = self.status.borrow().epoch;
        self.report(&Event::Closed { clean: self.stopped.clean }, epoch);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if self.status.borrow().phase == Phase::Closed {
            return;
        }
        if self.counters.sink_panicked.swap(false, Ordering::AcqRel) {
            let epoch = self.status.borrow().epoch;
            self.report(&Event::DeliveryFailed, epoch);
        }
        self.finish();
    }
}
