//! Keeps a feed connected: waits for the server, and for a new token, for as long as it takes.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use kite_conn::{Credentials, Event, ParkReason, Phase, Severity};
use kite_manager::{Events, Manager, ManagerEvent, Seat};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::console::{logs, paths};
use crate::exit::CliError;
use crate::feed::credentials;
use crate::feed::outage::Outage;
use crate::feed::refusal;
use crate::format::times;

/// Interval of checking the connections and the file for a new token.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The warning at the end of a command that [`Link::lacks_connections`].
pub(crate) const LACKS_CONNECTIONS: &str =
    "at the end a connection was refused, or the server had not been reached";

/// Credentials and the file they came from, in which a new token will appear.
#[derive(Debug, Clone)]
pub(crate) struct Renewal {
    pub(crate) path: PathBuf,
    pub(crate) current: Credentials,
}

/// What has happened to the connections.
#[derive(Debug)]
pub(crate) enum News {
    /// A connection is up for the first time.
    Up,
    /// An event of a connection, or that events were missed.
    Event(ManagerEvent),
    /// Something else for the user to know.
    Note(String),
}

impl News {
    /// Returns the line that a command without a screen prints, if it matters there: a connection is
    /// up, data may be missing, or no longer is. Attempts to connect are left out: what is waited
    /// for is reported at the first and then each minute. So are events that `-v` logs.
    pub(crate) fn line(&self) -> Option<String> {
        let event = match self {
            Self::Up => return None,
            Self::Note(text) => return Some(text.clone()),
            Self::Event(event) => event,
        };
        let matters = match event {
            ManagerEvent::Connection { event: Event::OpenFailed { .. }, .. } => false,
            // Logged in the same words, except for texts of the server.
            ManagerEvent::Connection { event, .. }
                if logs::are_shown() && !matches!(event, Event::Text { .. }) =>
            {
                false
            }
            ManagerEvent::Connection { event: Event::Up { .. }, .. } => true,
            _ => event.severity() >= Severity::Recovery,
        };
        matters.then(|| event.to_string())
    }
}

/// Opens the connections of a manager, and follows them.
pub(crate) struct Link<'m> {
    manager: &'m Manager,
    /// The server's name in notes.
    server: String,
    events: Events,
    have_events_ended: bool,
    /// What is known and has not been returned yet.
    news: VecDeque<News>,
    seconds: Interval,
    is_up: bool,
    renewal: Option<Renewal>,
    is_waiting_for_token: bool,
    /// Cancel safe, unlike a read that is awaited in place.
    reading: Option<JoinHandle<Option<Credentials>>>,
    outage: Outage,
    /// Whether the user may choose the number of connections.
    has_choice: bool,
}

impl<'m> Link<'m> {
    /// Starts to open the connections. Only a refused token ends their attempts.
    ///
    /// # Errors
    /// Returns an error if the manager cannot be started at all.
    pub(crate) fn open(
        manager: &'m Manager,
        server: impl Into<String>,
        renewal: Option<Renewal>,
    ) -> Result<Self, CliError> {
        let events = manager.events();
        // Not `start`, which stops the manager if the token is refused or after `connect_timeout`.
        manager
            .begin()
            .map_err(|error| CliError::unable("cannot start the feed").because(error))?;
        let mut seconds = interval(CHECK_EVERY);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Ok(Self {
            manager,
            server: server.into(),
            events,
            have_events_ended: false,
            news: VecDeque::new(),
            seconds,
            is_up: false,
            renewal,
            is_waiting_for_token: false,
            reading: None,
            outage: Outage::default(),
            has_choice: false,
        })
    }

    /// Advises fewer connections if the account has no more sockets.
    pub(crate) fn with_choice_of_connections(self) -> Self {
        Self { has_choice: true, ..self }
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
            if let Some(news) = self.news.pop_front() {
                return Ok(news);
            }
            tokio::select! {
                event = self.events.recv(), if !self.have_events_ended => match event {
                    Some(event) => self.on_event(event)?,
                    None => self.have_events_ended = true,
                },
                found = read(&mut self.reading) => self.on_read(found),
                _ = self.seconds.tick() => self.on_second(),
            }
        }
    }

    /// Returns whether instruments are not received because a connection has given up or waits for a
    /// token, or because the server was never reached although it was tried.
    pub(crate) fn lacks_connections(&self) -> bool {
        self.count_parked().0 > 0 || (!self.is_up && self.outage.is_said())
    }

    fn on_event(&mut self, event: ManagerEvent) -> Result<(), CliError> {
        match &event {
            // Reported with what follows from it, and only once for all connections.
            ManagerEvent::Connection { seat, event: Event::Parked(reason) } => {
                return self.on_parked(seat, reason.clone());
            }
            ManagerEvent::Connection { event: Event::Up { .. }, .. } => self.on_up(),
            _ => {}
        }
        self.news.push_back(News::Event(event));
        Ok(())
    }

    fn on_up(&mut self) {
        if !std::mem::replace(&mut self.is_up, true) {
            self.news.push_back(News::Up);
        }
    }

    fn on_parked(&mut self, seat: &Seat, reason: ParkReason) -> Result<(), CliError> {
        if let (Some(renewal), ParkReason::Authentication(why)) = (&self.renewal, &reason) {
            let path = paths::shown(&renewal.path);
            if !std::mem::replace(&mut self.is_waiting_for_token, true) {
                self.outage = Outage::said_at(Instant::now());
                let (what, other) = match why.is_invalid_credentials() {
                    true => ("api_key or access token", "; another api_key needs a restart"),
                    false => ("access token", ""),
                };
                self.note(format!(
                    "{what} refused; waiting for a new access_token in {path}{other}: {why}"
                ));
            }
            return Ok(());
        }
        let (parked, connections) = self.count_parked();
        if parked < connections {
            self.note(format!("{seat} gave up, the others continue: {reason}"));
            return Ok(());
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

    fn on_second(&mut self) {
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
        let statuses = self.manager.statuses();
        let live = statuses.iter().filter(|(it, _)| it.phase == Phase::Live).count();
        // Events may have been missed.
        if live > 0 {
            self.on_up();
        }
        // A parked connection was reported when it was parked.
        let down = statuses.iter().map(|(it, _)| it);
        let down = down.filter(|it| !matches!(it.phase, Phase::Live | Phase::Parked));
        let failure = down.clone().find_map(|it| it.last_failure.as_ref());
        let which = match statuses.len() {
            1 => String::new(),
            all => format!(" on {} of {all} connections", down.count()),
        };
        let fewer = live.max(1);
        let fewer = (self.has_choice && fewer < statuses.len()).then_some(fewer);
        let what = match &self.renewal {
            Some(renewal) if self.is_waiting_for_token => {
                Some(format!("a new access_token in {}", paths::shown(&renewal.path)))
            }
            _ => failure.map(|failure| {
                let advice = refusal::advice(failure, fewer).map(|it| format!("; {it}"));
                format!("{}{which}: {failure}{}", self.server, advice.unwrap_or_default())
            }),
        };
        if let Some((lasts, what)) = self.outage.on_second(Instant::now(), what) {
            let lasts = lasts.map(|it| format!(" for {}", times::span(it))).unwrap_or_default();
            self.note(format!("waiting{lasts} for {what}"));
        }
    }

    fn on_read(&mut self, found: Option<Credentials>) {
        let (Some(found), Some(renewal)) = (found, &mut self.renewal) else { return };
        self.manager.set_access_token(found.access_token().expose());
        self.is_waiting_for_token = false;
        renewal.current = found;
        self.note("found a new access token".to_owned());
    }

    fn note(&mut self, text: String) {
        self.news.push_back(News::Note(text));
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

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn refused(server: &kite_sim::Sim) -> Manager {
        let builder = Manager::builder()
            .account("main", Credentials::new("sim_api_key", "another"))
            .endpoint(server.endpoint().parse().unwrap())
            .connections(1);
        builder.build().unwrap()
    }

    /// Waits until the link waits for a token, or returns its error.
    async fn outcome(link: &mut Link<'_>) -> Result<(), CliError> {
        while !link.is_waiting_for_token {
            link.next().await?;
        }
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_refused_token_is_announced_once_for_all_connections() {
        let server = kite_sim::Sim::builder().start().await.unwrap();
        let current = Credentials::new("sim_api_key", "another");
        let builder = Manager::builder().account("main", current.clone());
        let manager =
            builder.endpoint(server.endpoint().parse().unwrap()).connections(3).build().unwrap();
        let renewal = Renewal { path: "of a test".into(), current };
        let mut link = Link::open(&manager, "a server", Some(renewal)).unwrap();
        let mut lines = Vec::new();
        let are_parked = || {
            let connections = manager.snapshot().connections;
            connections.iter().all(|it| it.phase == Phase::Parked)
        };
        while !(are_parked() && link.is_waiting_for_token) {
            // Those parked after the first are no news.
            if let Ok(news) = timeout(Duration::from_millis(1), link.next()).await {
                lines.extend(news.unwrap().line());
            }
        }
        for _ in 0..3 {
            link.on_second();
        }
        while let Some(news) = link.news.pop_front() {
            lines.extend(news.line());
        }
        let line = "access token refused; waiting for a new access_token in of a test: ";
        assert!(lines.len() == 1 && lines[0].starts_with(line), "{lines:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_that_is_refused_without_delay_is_an_error_or_waits_for_a_new_one_each_time() {
        let server = kite_sim::Sim::builder().start().await.unwrap();
        // The refusal may come before the link is returned, and be read later.
        for round in 0..50 {
            let manager = refused(&server);
            let current = Credentials::new("sim_api_key", "another");
            let renewal = Renewal { path: "of a test".into(), current };
            let has_renewal = round % 2 == 0;
            let renewal = has_renewal.then_some(renewal);
            let mut link = Link::open(&manager, "a server", renewal).unwrap();
            while manager.snapshot().connections[0].phase == Phase::Opening {
                tokio::task::yield_now().await;
            }
            match timeout(Duration::from_secs(30), outcome(&mut link)).await.unwrap() {
                Ok(()) => {
                    assert!(has_renewal && manager.is_running());
                    manager.set_access_token("sim_access_token");
                    let live = server.wait_until(|server| server.stats().connections_open == 1);
                    timeout(Duration::from_secs(30), live).await.unwrap();
                    manager.stop().await;
                }
                Err(error) => {
                    assert!(!has_renewal, "{error}");
                    assert_eq!(error.to_string(), "cannot start the feed");
                }
            }
        }
    }
}
