//! When to say that connections are down, or another thing that lasts.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::Instant;

/// Interval of repeating it.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Shortest time between reports of changed reasons: connections may fail in turns for different
/// ones.
const CHANGE_EVERY: Duration = Duration::from_secs(5);

/// What is waited for, and why.
#[derive(Debug)]
pub(crate) struct Wait {
    /// What to say.
    pub(crate) what: String,
    /// What of it is reported when it changes.
    pub(crate) reason: Cow<'static, str>,
}

/// Decides when to say that connections are down: when an attempt has failed, then each minute, and
/// when the reason changes.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    said: Option<Said>,
}

#[derive(Debug)]
struct Said {
    began: Instant,
    last: Instant,
    reason: Cow<'static, str>,
}

impl Outage {
    /// Returns an outage that has begun and was said now.
    pub(super) fn said_at(now: Instant, reason: Cow<'static, str>) -> Self {
        Self { said: Some(Said { began: now, last: now, reason }) }
    }

    /// Takes what is waited for, if anything is. Returns it if it is to be said, and how long it has
    /// lasted if it was said before.
    pub(crate) fn on_second(
        &mut self,
        now: Instant,
        wait: Option<Wait>,
    ) -> Option<(Option<Duration>, String)> {
        let Some(Wait { what, reason }) = wait else {
            self.said = None;
            return None;
        };
        let Some(said) = &mut self.said else {
            *self = Self::said_at(now, reason);
            return Some((None, what));
        };
        let every = if said.reason == reason { SAY_EVERY } else { CHANGE_EVERY };
        if now.duration_since(said.last) < every {
            return None;
        }
        (said.last, said.reason) = (now, reason);
        Some((Some(now.duration_since(said.began)), what))
    }

    pub(super) fn is_said(&self) -> bool {
        self.said.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the seconds at which something is said, how long it has lasted in seconds, and what.
    fn said(
        seconds: u32,
        reason_at: impl Fn(u32) -> Option<&'static str>,
    ) -> Vec<(u32, Option<u64>, String)> {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut outage = Outage::default();
        let mut said = Vec::new();
        for at in 0..seconds {
            let wait = reason_at(at)
                .map(|reason| Wait { what: format!("{reason} at {at}"), reason: reason.into() });
            if let Some((lasts, what)) = outage.on_second(begin + at * second, wait) {
                said.push((at, lasts.map(|it| it.as_secs()), what));
            }
        }
        said
    }

    #[test]
    fn an_outage_is_said_when_an_attempt_fails_and_then_each_minute_until_it_ends() {
        let is_down = |at| !(at < 3 || (150..160).contains(&at));
        let said = said(200, |at| is_down(at).then_some("refused"));
        let times: Vec<_> = said.iter().map(|(at, lasts, _)| (*at, *lasts)).collect();
        assert_eq!(times, [(3, None), (63, Some(60)), (123, Some(120)), (160, None)]);
    }

    #[test]
    fn a_changed_reason_is_said_when_it_changes_and_starts_a_new_minute() {
        let said = said(100, |at| Some(if at < 30 { "429" } else { "refused" }));
        let expected = [
            (0, None, "429 at 0".into()),
            (30, Some(30), "refused at 30".into()),
            (90, Some(90), "refused at 90".into()),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn reasons_that_change_each_second_are_said_at_most_every_five_seconds() {
        let said = said(13, |at| Some(if at % 2 == 0 { "429" } else { "refused" }));
        let times: Vec<_> = said.iter().map(|(at, ..)| *at).collect();
        assert_eq!(times, [0, 5, 10]);
    }
}
