//! Tells what happens: counts it, logs it, keeps the status true to it, and hands it on.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use tracing::{debug, info, warn};

use super::network::Network;
use super::{Driver, nanos, now};
use crate::clock::Stamp;
use crate::deliver::{Notice, Sink};
use crate::error::ErrorChain;
use crate::observe::{Event, Phase, Status};

impl<S: Sink, O: Network> Driver<S, O> {
    /// Counts, logs and tells an event, and keeps the status true to it.
    pub(super) fn tell(&mut self, event: Event) {
        let (conn, epoch) = (self.reporter.events.connection(), self.session.epoch());
        let counts = &self.reporter.counters.socket;
        match &event {
            Event::Opening { attempt } => {
                debug!(conn, attempt, "opening");
                self.reporter.set_status(|status| {
                    status.phase = Phase::Opening;
                    status.parked = None;
                });
            }
            Event::Up { instruments, .. } => {
                info!(conn, epoch, instruments, "connection up");
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
            Event::Renewing { attempt, refused } => {
                debug!(conn, attempt, refused, "asking for credentials");
                self.reporter.set_status(|status| {
                    status.phase = Phase::Renewing;
                    status.parked = None;
                });
            }
            Event::RenewalFailed { attempt, error } => {
                // Not its cause: that is the application's own text, which may hold a token.
                warn!(conn, attempt, %error, "no credentials");
                counts.errors.add(1);
            }
            Event::FeedSilent { silence, grace } => {
                warn!(conn, epoch, ?silence, ?grace, "pongs come, the feed does not");
            }
            Event::TicksStale { silence, instruments } => {
                warn!(conn, epoch, ?silence, instruments, "no ticks");
            }
            Event::TicksResumed { silence } => info!(conn, epoch, ?silence, "ticks again"),
            Event::Suspended { slept } => warn!(conn, epoch, ?slept, "the machine slept"),
            Event::LimitRefused { message, instruments } => {
                warn!(conn, epoch, text = ?message, instruments, "instruments refused");
            }
            Event::Down { cause, .. } => {
                warn!(conn, epoch, %cause, "connection lost");
                counts.losses.add(1);
                counts.losses_by_kind[cause.kind() as usize].add(1);
                counts.errors.add(1);
                counts.up_since.set(0);
                self.lost = Some(Stamp::at(now()));
            }
            Event::OpenFailed { attempt, error } => {
                warn!(conn, attempt, error = %ErrorChain(error), "opening failed");
                counts.errors.add(1);
                self.reporter.set_status(|status| status.last_failure = Some(error.clone()));
            }
            Event::Retry { attempt, delay } => {
                debug!(conn, attempt, ?delay, "next try set");
                self.reporter.set_status(|status| status.phase = Phase::Waiting);
            }
            Event::Parked(reason) => {
                warn!(conn, reason = %ErrorChain(reason), "connection parked");
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
            Event::DeliveryFailed => {
                warn!(conn, "the sink is gone, closing");
                self.reporter.counters.sink_panicked.store(false, Ordering::Release);
            }
            Event::TextUnreadable { error, untold, .. } => {
                warn!(conn, %error, untold, "text frame unreadable");
            }
            Event::Text { .. }
            | Event::Gap(_)
            | Event::FrameDamaged { .. }
            | Event::PacketsSkipped { .. } => {}
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
        self.outlet.event(Notice { event, at, instruments });
    }
}
