//! When to say that connections are down, or another thing that lasts.

use std::time::Duration;

use tokio::time::Instant;

/// Interval of repeating it.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Decides when to say that connections are down: when an attempt has failed, then each minute.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// When it began, and when it was last said.
    said: Option<(Instant, Instant)>,
}

impl Outage {
    /// Returns an outage that has begun and was said now.
    pub(super) fn said_at(now: Instant) -> Self {
        Self { said: Some((now, now)) }
    }

    /// Takes what is waited for, if anything is. Returns it if it is to be said, and how long it has
    /// lasted if it was said before.
    pub(crate) fn on_second(
        &mut self,
        now: Instant,
        what: Option<String>,
    ) -> Option<(Option<Duration>, String)> {
        let Some(what) = what else {
            self.said = None;
            return None;
        };
        match &mut self.said {
            None => {
                self.said = Some((now, now));
                Some((None, what))
            }
            Some((began, said)) if now.duration_since(*said) >= SAY_EVERY => {
                *said = now;
                Some((Some(now.duration_since(*began)), what))
            }
            Some(_) => None,
        }
    }

    pub(super) fn is_said(&self) -> bool {
        self.said.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_said_when_an_attempt_fails_and_then_each_minute_until_it_ends() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut outage = Outage::default();
        let mut said = Vec::new();
        for at in 0..200_u32 {
            let is_down = !(at < 3 || (150..160).contains(&at));
            let failure = is_down.then(|| "refused".to_owned());
            if let Some((lasts, _)) = outage.on_second(begin + at * second, failure) {
                said.push((at, lasts.map(|it| it.as_secs())));
            }
        }
        assert_eq!(said, [(3, None), (63, Some(60)), (123, Some(120)), (160, None)]);
    }
}
