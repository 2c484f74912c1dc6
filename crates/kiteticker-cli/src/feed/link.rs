//! Keeps a feed connected: waits for the server, and for a new token, for as long as it takes.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use kite_conn::{Credentials, Event, ParkReason, Phase};
use kite_manager::{Events, Manager, ManagerEvent, Seat};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

use crate::exit::CliError;
use crate::feed::credentials;
use crate::format::times;

/// Interval of checking the connections and the file for a new token.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Interval of repeating that connections are down.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Credentials and the file they came from, in which a new token will appear.
#[derive(Debug, Clone)]
pub(crate) struct Renewal {
    pub(crate) path: PathBuf,
    pub(crate) current: Credentials,
}

/// What has happened to the connections.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A connection is up for the first time.
    Up,
    /// Something for the user to know.
    Note(String),
}

/// Opens the connections of a manager, and follows them.
pub(crate) struct Link<'m> {
    manager: &'m Manager,
    /// The server's name in notes.
    server: String,
    events: Events,
    have_events_ended: bool,
    seconds: Interval,
    is_up: bool,
    renewal: Option<Renewal>,
    is_waiting_for_token: bool,
    /// Cancel safe, unlike a read that is awaited in place.
    reading: Option<JoinHandle<Option<Credentials>>>,
    outage: Outage,
}

impl<'m> Link<'m> {
    /// Starts to open the connections. Only a refused token ends their attempts.
    ///
    /// # Errors
    /// Returns an error if the manager cannot be started at all.
    pub(crate) async fn open(
        manager: &'m Manager,
        server: impl Into<String>,
        renewal: Option<Renewal>,
    ) -> Result<Self, CliError> {
        let events = manager.events();
        // A start that waits gives up after half a minute. One that is dropped keeps opening.
        if let Ok(Err(error)) = timeout(Duration::ZERO, manager.start()).await {
            return Err(CliError::unable("cannot start the feed").because(error));
        }
        let mut seconds = interval(CHECK_EVERY);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Ok(Self {
            manager,
            server: server.into(),
            events,
            have_events_ended: false,
            seconds,
            is_up: false,
            renewal,
            is_waiting_for_token: false,
            reading: None,
            outage: Outage::default(),
        })
    }

    /// Waits for news.
    ///
    /// # Errors
    /// Returns an error if all connections have stopped and no new token can help.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<News, CliError> {
        loop {
            let note = tokio::select! {
                event = self.events.recv(), if !self.have_events_ended => match event {
                    Some(ManagerEvent::Connection { seat, event: Event::Parked(reason) }) => {
                        self.on_parked(&seat, reason)?
                    }
                    Some(_) => None,
                    None => {
                        self.have_events_ended = true;
                        None
                    }
                },
                found = read(&mut self.reading) => self.on_read(found),
                _ = self.seconds.tick() => self.on_second(),
            };
            let is_live =
                || self.manager.snapshot().connections.iter().any(|it| it.phase == Phase::Live);
            if !self.is_up && is_live() {
                self.is_up = true;
                return Ok(News::Up);
            }
            if let Some(note) = note {
                return Ok(News::Note(note));
            }
        }
    }

    /// Returns whether instruments are not received because a connection has given up or waits for a
    /// token, or because the server was never reached although it was tried.
    pub(crate) fn lacks_connections(&self) -> bool {
        self.count_parked().0 > 0 || (!self.is_up && self.outage.is_said())
    }

    fn on_parked(&mut self, seat: &Seat, reason: ParkReason) -> Result<Option<String>, CliError> {
        let needs_token = matches!(reason, ParkReason::Authentication(_));
        if let Some(renewal) = self.renewal.as_ref().filter(|_| needs_token) {
            let path = renewal.path.display();
            let is_said = std::mem::replace(&mut self.is_waiting_for_token, true);
            return Ok((!is_said).then(|| format!("waiting for a new access_token in {path}")));
        }
        let (parked, all) = self.count_parked();
        if parked < all {
            return Ok(Some(format!("{seat} gave up; the others continue")));
        }
        let what =
            if self.is_up { "all connections have stopped" } else { "cannot start the feed" };
        Err(CliError::unable(what).because(reason).help("run kite doctor to find the cause"))
    }

    fn count_parked(&self) -> (usize, usize) {
        let connections = self.manager.snapshot().connections;
        let parked = connections.iter().filter(|it| it.phase == Phase::Parked).count();
        (parked, connections.len())
    }

    fn on_second(&mut self) -> Option<String> {
        if let Some(renewal) = self.renewal.as_ref().filter(|_| self.is_waiting_for_token)
            && self.reading.is_none()
        {
            let Renewal { path, current } = renewal.clone();
            // A file that cannot be read yet, such as one being written, is checked again later.
            self.reading = Some(tokio::task::spawn_blocking(move || {
                let found = credentials::read(&path).ok()?;
                (found != current && found.api_key() == current.api_key()).then_some(found)
            }));
        }
        let connections = self.manager.snapshot().connections;
        let down = connections.iter().filter(|it| it.phase != Phase::Live);
        let failure = down.clone().find_map(|it| it.failure.clone());
        let (down, all) = (down.count(), connections.len());
        self.outage.on_second(Instant::now(), failure).map(|(lasts, failure)| {
            let which =
                if all > 1 { format!(" on {down} of {all} connections") } else { String::new() };
            let lasts = lasts.map(|it| format!(" for {}", times::span(it))).unwrap_or_default();
            format!("waiting{lasts} for {}{which}: {failure}", self.server)
        })
    }

    fn on_read(&mut self, found: Option<Credentials>) -> Option<String> {
        let found = found?;
        self.manager.set_access_token(found.access_token().expose());
        self.is_waiting_for_token = false;
        self.renewal.as_mut()?.current = found;
        Some("found a new access token".to_owned())
    }
}

impl fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Waits for a read to end; pends forever if there is none.
async fn read(reading: &mut Option<JoinHandle<Option<Credentials>>>) -> Option<Credentials> {
    let Some(handle) = reading else { return std::future::pending().await };
    let found = handle.await;
    *reading = None;
    found.ok().flatten()
}

/// Decides when to say that connections are down: when an attempt has failed, then each minute.
#[derive(Debug, Default)]
struct Outage {
    /// When it began, and when it was last said.
    said: Option<(Instant, Instant)>,
}

impl Outage {
    /// Takes the failure of a connection that is down, if there is one. Returns what to say, and how
    /// long it has lasted if it was said before.
    fn on_second(
        &mut self,
        now: Instant,
        failure: Option<String>,
    ) -> Option<(Option<Duration>, String)> {
        let Some(failure) = failure else {
            self.said = None;
            return None;
        };
        match &mut self.said {
            None => {
                self.said = Some((now, now));
                Some((None, failure))
            }
            Some((began, said)) if now.duration_since(*said) >= SAY_EVERY => {
                *said = now;
                Some((Some(now.duration_since(*began)), failure))
            }
            Some(_) => None,
        }
    }

    fn is_said(&self) -> bool {
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
