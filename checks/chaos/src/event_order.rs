//! The valid order of the events of one connection.
//!
//! Every loss and every failure is followed by a retry or parking, every retry by an attempt, every
//! attempt by its outcome, and nothing follows the end.

use kite_conn::Event;

use crate::timing::RECONNECT_DELAY_CAP;

/// The state of a connection, from its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    New,
    Opening,
    Renewing,
    Live,
    /// Lost or failed: a retry or parking must follow.
    Failed,
    Waiting,
    Parked,
    /// The token source failed: an attempt or a retry must follow.
    WithoutCredentials,
    Closed,
}

/// Follows the events of one connection.
#[derive(Debug, Default)]
pub(crate) struct EventOrder {
    stage: Stage,
    epoch: u32,
    /// The announced attempt.
    attempt: Option<u32>,
    /// Whether the end was requested.
    is_closing: bool,
}

impl EventOrder {
    /// Returns the epoch of the open socket, if there is one.
    pub(crate) fn live_epoch(&self) -> Option<u32> {
        (self.stage == Stage::Live).then_some(self.epoch)
    }

    /// Notes that the connection is being closed.
    pub(crate) fn expect_end(&mut self) {
        self.is_closing = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Records an event; returns what is wrong with it, if anything.
    pub(crate) fn check(&mut self, event: &Event) -> Option<String> {
        let before = self.stage;
        let wrong = |reason: &str| Some(format!("{event:?} after {before:?}: {reason}"));
        let (is_valid, next) = match event {
            Event::Opening { .. } => (
                matches!(
                    before,
                    Stage::New
                        | Stage::Waiting
                        | Stage::Parked
                        | Stage::Renewing
                        | Stage::WithoutCredentials
                ),
                Stage::Opening,
            ),
            Event::Renewing { .. } => (before == Stage::Waiting, Stage::Renewing),
            Event::RenewalFailed { .. } => (before == Stage::Renewing, Stage::WithoutCredentials),
            Event::Up { .. } => (before == Stage::Opening, Stage::Live),
            Event::OpenFailed { .. } => (before == Stage::Opening, Stage::Failed),
            Event::Down { .. } => (before == Stage::Live, Stage::Failed),
            Event::Retry { .. } => {
                (matches!(before, Stage::Failed | Stage::WithoutCredentials), Stage::Waiting)
            }
            Event::Parked(_) => (before == Stage::Failed, Stage::Parked),
            Event::Closed { .. } => (self.is_closing && before != Stage::Closed, Stage::Closed),
            _ => (before != Stage::Closed, before),
        };
        self.stage = next;
        if !is_valid {
            return wrong("out of order");
        }
        match event {
            Event::Up { epoch, .. } => {
                if *epoch != self.epoch + 1 {
                    return wrong("not the next epoch");
                }
                (self.epoch, self.attempt) = (*epoch, None);
            }
            Event::Down { epoch, .. } if *epoch != self.epoch => {
                return wrong("not the current epoch");
            }
            Event::Retry { attempt, delay } => {
                self.attempt = Some(*attempt);
                if *delay > RECONNECT_DELAY_CAP {
                    return wrong("a delay above the cap");
                }
            }
            Event::Parked(_) => self.attempt = None,
            Event::Opening { attempt } | Event::Renewing { attempt, .. }
                if self.attempt.is_some_and(|announced| announced != *attempt) =>
            {
                return wrong("not the announced attempt");
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kite_conn::{LossCause, Stamp};

    use super::*;

    fn down(epoch: u32) -> Event {
        Event::Down { epoch, cause: LossCause::Eof, last_heard: Stamp::now() }
    }

    fn retry(attempt: u32) -> Event {
        Event::Retry { attempt, delay: Duration::from_millis(1) }
    }

    /// Returns the index of the first invalid event.
    fn first_wrong(events: &[Event]) -> Option<usize> {
        let mut event_order = EventOrder::default();
        events.iter().position(|event| event_order.check(event).is_some())
    }

    #[test]
    fn a_loss_must_be_followed_by_a_retry() {
        let opening = |attempt| Event::Opening { attempt };
        let up = |epoch| Event::Up { epoch, instruments: 1 };
        assert_eq!(first_wrong(&[opening(1), up(1), down(1), retry(2), opening(2), up(2)]), None);
        assert_eq!(first_wrong(&[opening(1), up(1), down(1), opening(2)]), Some(3));
        assert_eq!(first_wrong(&[opening(1), up(1), down(1), retry(2), opening(3)]), Some(4));
        assert_eq!(first_wrong(&[opening(1), up(1), down(1), down(1)]), Some(3));
        assert_eq!(first_wrong(&[opening(1), up(2)]), Some(1));
        assert_eq!(first_wrong(&[opening(1), up(1), up(2)]), Some(2));
        assert_eq!(
            first_wrong(&[opening(1), up(1), Event::Closed { clean: true }]),
            Some(2),
            "not requested"
        );
    }

    #[test]
    fn nothing_follows_the_end() {
        let mut event_order = EventOrder::default();
        event_order.expect_end();
        assert_eq!(event_order.check(&Event::Closed { clean: true }), None);
        assert!(event_order.is_closed());
        assert!(event_order.check(&Event::DeliveryFailed).is_some());
    }
}
