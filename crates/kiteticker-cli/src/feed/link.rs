//! Keeps a feed connected: waits for the server, and for a new token, for as long as it takes.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use kite_conn::{Event, OpenError, ParkReason, Phase, Severity};
use kite_manager::{Events, Manager, ManagerEvent, Seat};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::console::logs;
use crate::exit::CliError;
use crate::feed::TokenFiles;
use crate::feed::at_end::AtEnd;
use crate::feed::outage::{Outage, Wait};
use crate::feed::refusal;
use crate::feed::token_wait::TokenWait;
use crate::format::times;

/// Interval of checking the connections.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The reason of an outage that waits for a new access token.
const NO_TOKEN: &str = "no valid access token";

/// What has happened to the connections.
#[derive(Debug)]
pub(crate) enum News {
    /// A connection is up for the first time.
    Up,
    /// An event of a connection, or that events were missed.
    Event(ManagerEvent),
    /// Something else for the user to know.
    Note(Severity, String),
}

impl News {
    /// Returns the line that a command without a screen prints, and how much it matters, if it does
    /// there: a connection is up, data may be missing, or no longer is. Attempts to connect are left out: what is waited
    /// for is reported at the first, then each minute and when the reason changes. So are events
    /// that `-v` logs.
    pub(crate) fn line(&self) -> Option<(Severity, String)> {
        let event = match self {
            Self::Up => return None,
            Self::Note(severity, text) => return Some((*severity, text.clone())),
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
        matters.then(|| (event.severity(), event.to_string()))
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
    /// The accounts whose tokens come from files, by their index.
    token_waits: BTreeMap<usize, TokenWait>,
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
        token_files: TokenFiles,
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
            token_waits: token_files
                .into_iter()
                .map(|(index, account, file)| (index, TokenWait::new(account, file)))
                .collect(),
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
                _ = self.seconds.tick() => self.on_second(),
            }
        }
    }

    /// Returns whether instruments are not received because a connection has given up or waits for a
    /// token, or because the server was never reached although it was tried.
    pub(crate) fn lacks_connections(&self) -> bool {
        self.count_parked().0 > 0
            || self.waits_for_token()
            || (!self.is_up && self.outage.is_said())
    }

    /// Returns which connections are missing, for the end of a command.
    pub(crate) fn at_end(&self) -> AtEnd {
        AtEnd::new(self.lacks_connections(), &self.manager.snapshot())
    }

    fn waits_for_token(&self) -> bool {
        self.token_waits.values().any(TokenWait::lasts)
    }

    fn on_event(&mut self, event: ManagerEvent) -> Result<(), CliError> {
        if let ManagerEvent::Connection { seat, event } = &event
            && let Some(wait) = self.token_waits.get_mut(&seat.account_index)
            && let Some((severity, note)) = wait.on_event(seat, event)
        {
            self.outage = Outage::said_at(Instant::now(), NO_TOKEN.into());
            self.news.push_back(News::Note(severity, note));
        }
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
        let (parked, connections) = self.count_parked();
        if parked < connections {
            let text = format!("{seat} gave up: {reason}");
            self.news.push_back(News::Note(Severity::Error, text));
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
        let statuses = self.manager.statuses();
        let live = statuses.iter().filter(|(it, _)| it.phase == Phase::Live).count();
        // Events may have been missed.
        if live > 0 {
            self.on_up();
        }
        let is_any_waiting = statuses.iter().any(|(it, _)| it.phase == Phase::Renewing);
        let notes = self.token_waits.values_mut().filter_map(|it| it.on_second(is_any_waiting));
        self.news.extend(notes.map(|(severity, note)| News::Note(severity, note)));
        // A parked connection was reported when it was parked.
        let down = statuses.iter().map(|(it, _)| it);
        let down = down.filter(|it| !matches!(it.phase, Phase::Live | Phase::Parked));
        // A refused token is said with the wait for a new one.
        let is_said = |failure: &OpenError| !self.token_waits.is_empty() && failure.is_auth();
        let failure = down.clone().find_map(|it| it.last_failure.as_ref());
        let failure = failure.filter(|failure| !is_said(failure));
        let which = match statuses.len() {
            1 => String::new(),
            all => format!(" on {} of {all} connections", down.count()),
        };
        let fewer = live.max(1);
        let fewer = (self.has_choice && fewer < statuses.len()).then_some(fewer);
        let tokens = self.token_waits.values().filter(|it| it.lasts()).map(TokenWait::what);
        let tokens: Vec<String> = tokens.collect();
        let wait = match tokens.is_empty() {
            false => Some(Wait { what: tokens.join(" and "), reason: NO_TOKEN.into() }),
            true => failure.map(|failure| {
                let advice = refusal::advice(failure, fewer).map(|it| format!("; {it}"));
                let reason = failure.to_string();
                let advice = advice.unwrap_or_default();
                let what = format!("{}{which}: {reason}{advice}", self.server);
                Wait { what, reason: reason.into() }
            }),
        };
        if let Some((lasts, what)) = self.outage.on_second(Instant::now(), wait) {
            let lasts = lasts.map(|it| format!(" for {}", times::span(it))).unwrap_or_default();
            let text = format!("waiting{lasts} for {what}");
            self.news.push_back(News::Note(Severity::Warning, text));
        }
    }
}

impl fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use kite_conn::{Credentials, TokenFile};
    use tokio::time::timeout;

    use super::*;

    fn refused(server: &kite_sim::Sim, connections: usize, file: Option<&TokenFile>) -> Manager {
        let builder = Manager::builder()
            .account("main", Credentials::new("sim_api_key", "another"))
            .endpoint(server.endpoint().parse().unwrap())
            .connections(connections)
            .connection(|it| it.token_source = file.map(TokenFile::source));
        builder.build().unwrap()
    }

    /// Waits until the link waits for a token, or returns its error.
    async fn outcome(link: &mut Link<'_>) -> Result<(), CliError> {
        while !link.waits_for_token() {
            link.next().await?;
        }
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_refused_token_is_announced_once_for_all_connections() {
        let server = kite_sim::Sim::builder().start().await.unwrap();
        let refused_token = tempfile::NamedTempFile::new().unwrap();
        let text = "api_key = sim_api_key\naccess_token = another\n";
        std::fs::write(refused_token.path(), text).unwrap();
        let file = TokenFile::new(refused_token.path());
        let manager = refused(&server, 3, Some(&file));
        let mut link = Link::open(&manager, "a server", vec![(0, None, file)]).unwrap();
        let mut lines = Vec::new();
        let are_waiting = || {
            let connections = manager.snapshot().connections;
            connections.iter().all(|it| it.phase == Phase::Renewing)
        };
        while !(are_waiting() && link.waits_for_token()) {
            // Those that wait after the first are no news.
            if let Ok(news) = timeout(Duration::from_millis(1), link.next()).await {
                lines.extend(news.unwrap().line().map(|(_, text)| text));
            }
        }
        for _ in 0..3 {
            link.on_second();
        }
        while let Some(news) = link.news.pop_front() {
            lines.extend(news.line().map(|(_, text)| text));
        }
        let line = "access token refused; waiting for a new access_token in ";
        assert!(lines.len() == 1 && lines[0].starts_with(line), "{lines:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_that_is_refused_without_delay_is_an_error_or_waits_for_a_new_one_each_time() {
        let server = kite_sim::Sim::builder().start().await.unwrap();
        // The refusal may come before the link is returned, and be read later.
        for round in 0..50 {
            let file = (round % 2 == 0).then(|| TokenFile::new("of a test"));
            let has_file = file.is_some();
            let manager = refused(&server, 1, file.as_ref());
            let files = file.into_iter().map(|file| (0, None, file)).collect();
            let mut link = Link::open(&manager, "a server", files).unwrap();
            while manager.snapshot().connections[0].phase == Phase::Opening {
                tokio::task::yield_now().await;
            }
            match timeout(Duration::from_secs(30), outcome(&mut link)).await.unwrap() {
                Ok(()) => {
                    assert!(has_file && manager.is_running());
                    manager.set_access_token("sim_access_token");
                    let live = server.wait_until(|server| server.stats().connections_open == 1);
                    timeout(Duration::from_secs(30), live).await.unwrap();
                    manager.stop().await;
                }
                Err(error) => {
                    assert!(!has_file, "{error}");
                    assert_eq!(error.to_string(), "cannot start the feed");
                }
            }
        }
    }
}
