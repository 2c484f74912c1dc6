//! Tells what happens: counts it, logs it, keeps the status true to it, and hands it on.

use std::collections::BTreeMap;

use tracing::{debug, info, warn};

use super::network::Network;
use super::{Driver, nanos, now};
use crate::clock::Stamp;
use crate::deliver::{Notice, Sink};
use crate::observe::{Event, Phase, Severity, Status};

impl<S: Sink, O: Network> Driver<S, O> {
    /// Counts, logs and tells an event, and keeps the status true to it.
    pub(super) fn tell(&mut self, event: Event) {
        let (conn, epoch) = (self.reporter.events.connection(), self.session.epoch());
        let counts = &self.reporter.counters.socket;
        log(conn, epoch, &event);
        match &event {
            Event::Opening { .. } => {
                self.reporter.set_status(|status| {
                    status.phase = Phase::Opening;
                    status.parked = None;
                });
            }
            Event::Up { .. } => {
                counts.connects.add(1);
                let up = Stamp::at(now());
                counts.up_since.set(up.as_nanos());
                if let Some(lost) = self.lost.take() {
                    counts.outages_ns.record(nanos(up.since(lost)));
                }
                self.reporter.set_status(|status| {
                    *status = Status { phase: Phase::Live, epoch, ..Status::default() };
                });
            }
            Event::Renewing { .. } => {
                self.reporter.set_status(|status| {
                    status.phase = Phase::Renewing;
                    status.parked = None;
                });
            }
            Event::RenewalFailed { .. } => counts.errors.add(1),
            Event::Down { cause, .. } => {
                counts.losses.add(1);
                counts.losses_by_kind[cause.kind() as usize].add(1);
                counts.errors.add(1);
                counts.up_since.set(0);
                self.lost = Some(Stamp::at(now()));
            }
            Event::OpenFailed { error, .. } => {
                counts.errors.add(1);
                self.reporter.set_status(|status| status.last_failure = Some(error.clone()));
            }
            Event::Retry { .. } => {
                self.reporter.set_status(|status| status.phase = Phase::Waiting);
            }
            Event::Parked(reason) => {
                self.reporter.set_status(|status| {
                    status.phase = Phase::Parked;
                    status.parked = Some(reason.clone());
                });
            }
            // The reporter tells it, once the sink has had all.
            Event::Closed => {
                self.deliver(event, Stamp::at(now()));
                return;
            }
            _ => {}
        }
        self.reporter.events.send(event.clone());
        self.deliver(event, Stamp::at(now()));
    }

    /// Hands an event to the sink, in order with the frames.
    pub(super) fn deliver(&mut self, event: Event, at: Stamp) {
        let instruments = match &event {
            Event::Down { .. } => self.session.told().clone(),
            Event::Up { .. } => self.session.desired().clone(),
            _ => BTreeMap::new(),
        };
        self.intake.on_notice(Notice { event, at, instruments });
    }
}

/// Logs an event, except the server's texts, which are the application's, and the end, which the
/// reporter logs.
fn log(conn: usize, epoch: u32, event: &Event) {
    let name = event.name();
    match (event, event.severity()) {
        (Event::Text { .. } | Event::Closed, _) => {}
        (_, Severity::Detail) => debug!(conn, epoch, event = name, "{event}"),
        (_, Severity::Notice | Severity::Recovery) => info!(conn, epoch, event = name, "{event}"),
        (_, Severity::Warning | Severity::Error) => warn!(conn, epoch, event = name, "{event}"),
    }
}
