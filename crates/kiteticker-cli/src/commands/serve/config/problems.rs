//! What is wrong with a file of settings: all of it, each with its line.

use std::cell::RefCell;

use kite_conn::ErrorChain;

use crate::exit::{CliError, Status};

/// One thing that is wrong. No text contains a value of the file, which may be a secret in the wrong
/// place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Counted from 1.
    pub(super) line: usize,
    /// The key and what is wrong with it.
    pub(super) text: String,
    pub(super) help: Option<String>,
    /// [`Status::Usage`] for what the file says, [`Status::Unable`] for what it needs and is not
    /// there.
    pub(super) status: Status,
}

/// More problems of one file are counted, not shown.
const MOST_SHOWN: usize = 20;

/// Returns the error of a file with these problems. If there are several, each is passed to `show`.
pub(super) fn error(
    mut problems: Vec<Problem>,
    file: &str,
    mut show: impl FnMut(CliError),
) -> CliError {
    let count = problems.len();
    // Something to be written differently comes first: the rest may follow from it.
    let is_usage = problems.iter().any(|problem| problem.status == Status::Usage);
    let summary = match (count, problems.pop()) {
        (1, Some(only)) => return only.error(file),
        (_, last) => {
            problems.extend(last);
            format!("{file} has {count} errors")
        }
    };
    for problem in problems.into_iter().take(MOST_SHOWN) {
        show(problem.error(file));
    }
    if is_usage { CliError::usage(summary) } else { CliError::unable(summary) }
}

impl Problem {
    /// Returns the problem as an error of the command.
    fn error(self, file: &str) -> CliError {
        let what = format!("{file}, line {}: {}", self.line, self.text);
        let error = match self.status {
            Status::Usage => CliError::usage(what),
            _ => CliError::unable(what),
        };
        match self.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

/// Collects the problems of a file.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Notes what is wrong with what the file says.
    pub(super) fn add(&self, line: usize, text: impl Into<String>) {
        self.push(line, text.into(), None, Status::Usage);
    }

    /// Does the same, with advice.
    pub(super) fn add_with(&self, line: usize, text: impl Into<String>, help: impl Into<String>) {
        self.push(line, text.into(), Some(help.into()), Status::Usage);
    }

    /// Notes that something that the file needs is not there.
    pub(super) fn lacks(&self, line: usize, text: impl Into<String>) {
        self.push(line, text.into(), None, Status::Unable);
    }

    /// Notes the error of what a key names.
    pub(super) fn add_error(&self, line: usize, key: &str, status: Status, error: &CliError) {
        let text = format!("{key}: {}", ErrorChain(error));
        self.push(line, text, error.advice().map(str::to_owned), status);
    }

    pub(super) fn has_any(&self) -> bool {
        !self.0.borrow().is_empty()
    }

    /// Returns the problems by line.
    pub(super) fn sorted(self) -> Vec<Problem> {
        let mut all = self.0.into_inner();
        all.sort_by_key(|problem| problem.line);
        all.dedup();
        all
    }

    fn push(&self, line: usize, text: String, help: Option<String>, status: Status) {
        self.0.borrow_mut().push(Problem { line, text, help, status });
    }
}
