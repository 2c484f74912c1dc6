//! The lawful order of events: what may follow what on one connection.
//!
//! Every loss and every failure is followed by a retry or parking, every retry by a try, every try
//! by its outcome, and nothing follows the end.

use kite_conn::Event;

use crate::pace::RECONNECT_DELAY_CAP;

/// Where a connection's events have led.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    New,
    Opening,
    Renewing,
    Live,
    /// Lost or failed: a retry or parking has to follow.
    Fallen,
    Waiting,
    Parked,
    /// The token source failed: a try or a retry has to follow.
    WithoutCredentials,
    Closed,
}

/// Follows the events of one connection.
#[derive(Debug, Default)]
pub(crate) struct Course {
    stage: Stage,
    epoch: u32,
    /// The try that was announced.
    attempt: Option<u32>,
    /// Whether the end was asked for.
    is_closing: bool,
}

impl Course {
    /// Gives the present socket's number, if one is open.
    pub(crate) fn live_epoch(&self) -> Option<u32> {
        (self.stage == Stage::Live).then_some(self.epoch)
    }

    /// The connection is being asked to end.
    pub(crate) fn expect_end(&mut self) {
        self.is_closing = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Takes an event; says what is wrong with it here.
    pub(crate) fn follow(&mut self, event: &Event) -> Option<String> {
        let before = self.stage;
        let wrong = |reason: &str| Some(format!("{event:?} after {before:?}: {reason}"));
        let (is_lawful, next) = match event {
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
            Event::OpenFailed { .. } => (before == Stage::Opening, Stage::Fallen),
            Event::Down { .. } => (before == Stage::Live, Stage::Fallen),
            Event::Retry { .. } => {
                (matches!(before, Stage::Fallen | Stage::WithoutCredentials), Stage::Waiting)
            }
            Event::Parked(_) => (before == Stage::Fallen, Stage::Parked),
            Event::Closed => (self.is_closing && before != Stage::Closed, Stage::Closed),
            _ => (before != Stage::Closed, before),
        };
        self.stage = next;
        if !is_lawful {
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
                return wrong("not the present epoch");
            }
            Event::Retry { attempt, delay } => {
                self.attempt = Some(*attempt);
                if *delay > RECONNECT_DELAY_CAP {
                    return wrong("a delay beyond the cap");
                }
            }
            Event::Parked(_) => self.attempt = None,
            Event::Opening { attempt } | Event::Renewing { attempt, .. }
                if self.attempt.is_some_and(|announced| announced != *attempt) =>
            {
                return wrong("another try than the one announced");
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

    /// Gives the place of the first event that is wrong.
    fn first_wrong(events: &[Event]) -> Option<usize> {
        let mut course = Course::default();
        events.iter().position(|event| course.follow(event).is_some())
    }

    #[test]
    fn a_loss_has_to_be_followed_up() {
        let opening = |attempt| Event::Opening { attempt };
        let up = |epoch| Event::Up { epoch, instruments: 1 };
        assert_eq!(first_wrong(&[opening(1), up(1), down(1), retry(2), opening(2), up(2)]), None);
        assert_eq!(first_wrong(&[opening(1), up(1), down(1), opening(2)]), Some(3));
        assert_eq!(first_wrong(&[opening(1), up(1), down(1), retry(2), opening(3)]), Some(4));
        assert_eq!(first_wrong(&[opening(1), up(1), down(1), down(1)]), Some(3));
        assert_eq!(first_wrong(&[opening(1), up(2)]), Some(1));
        assert_eq!(first_wrong(&[opening(1), up(1), up(2)]), Some(2));
        assert_eq!(first_wrong(&[opening(1), up(1), Event::Closed]), Some(2), "nobody asked");
    }

    #[test]
    fn nothing_follows_the_end() {
        let mut course = Course::default();
        course.expect_end();
        assert_eq!(course.follow(&Event::Closed), None);
        assert!(course.is_closed());
        assert!(course.follow(&Event::DeliveryFailed).is_some());
    }
}
