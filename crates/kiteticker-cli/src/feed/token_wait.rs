//! Whether an account waits for a new access token, so that a wait is announced once for all its
//! connections.

use std::collections::BTreeSet;

use kite_conn::{Event, OpenError, Severity, TokenFile, TokenFileError};
use kite_manager::Seat;

use crate::console::paths;

/// An account whose tokens come from a file, and its wait for one.
#[derive(Debug)]
pub(super) struct TokenWait {
    /// The account's name, if there are several.
    account: Option<String>,
    file: TokenFile,
    /// The connections that have not received credentials yet.
    waiting: BTreeSet<Seat>,
    /// The last refusal of the credentials.
    refusal: Option<OpenError>,
    /// What is wrong with the file, as it was said last.
    problem: Option<TokenFileError>,
}

impl TokenWait {
    pub(super) fn new(account: Option<String>, file: TokenFile) -> Self {
        Self { account, file, waiting: BTreeSet::new(), refusal: None, problem: None }
    }

    /// Returns whether a token is waited for.
    pub(super) fn lasts(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns what is waited for.
    pub(super) fn what(&self) -> String {
        format!("a new access_token in {}", paths::shown(self.file.path()))
    }

    /// Handles an event of a connection of the account; returns the note to print, if a wait has
    /// begun or ended.
    pub(super) fn on_event(&mut self, seat: &Seat, event: &Event) -> Option<(Severity, String)> {
        match event {
            Event::OpenFailed { error, .. } if error.is_auth() => {
                self.refusal = Some(error.clone());
                None
            }
            Event::Renewing { refused: true, .. } => {
                let lasts = self.lasts();
                self.waiting.insert(seat.clone());
                (!lasts).then(|| self.begun())
            }
            // The others receive the same credentials.
            Event::Opening { .. } if self.waiting.contains(seat) => Some(self.ended()),
            _ => None,
        }
    }

    /// Looks at the file's problem, and ends the wait if no connection waits any more, although no
    /// event said so; returns the note to print.
    pub(super) fn on_second(&mut self, is_any_waiting: bool) -> Option<(Severity, String)> {
        if !self.lasts() {
            return None;
        }
        if !is_any_waiting {
            return Some(self.ended());
        }
        let problem = self.file.problem();
        if problem == self.problem {
            return None;
        }
        self.problem = problem;
        let problem = self.problem.as_ref()?;
        let file = paths::shown(self.file.path());
        Some((Severity::Warning, format!("cannot use {file} yet: {problem}")))
    }

    fn begun(&mut self) -> (Severity, String) {
        self.problem = None;
        let is_key = self.refusal.as_ref().is_some_and(OpenError::is_invalid_credentials);
        let (what, other) = match is_key {
            true => ("api_key or access token", "; another api_key needs a restart"),
            false => ("access token", ""),
        };
        let why = self.refusal.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let (account, new) = (self.of_account(), self.what());
        let text = format!("{what}{account} refused; waiting for {new}{other}{why}");
        (Severity::Warning, text)
    }

    fn ended(&mut self) -> (Severity, String) {
        self.waiting.clear();
        (Severity::Recovery, format!("found a new access token{}", self.of_account()))
    }

    fn of_account(&self) -> String {
        self.account.as_ref().map(|name| format!(" of {name}")).unwrap_or_default()
    }
}
