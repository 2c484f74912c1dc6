//! A line on the terminal that is rewritten every second while a command runs.

use std::io::{self, Write as _};
use std::time::Duration;

use kite_conn::{OneLine, Severity};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::console::output::Output;
use crate::exit::CliError;

const EVERY: Duration = Duration::from_secs(1);
/// Returns to the start of the line and erases it (ECMA-48).
const CLEAR_LINE: &str = "\r\u{1b}[K";

/// The line; removed on drop. Without a terminal nothing is drawn.
#[derive(Debug)]
pub(crate) struct StatusLine {
    output: Output,
    every: Interval,
    /// The text shown; empty if none.
    shown: String,
}

impl StatusLine {
    pub(crate) fn new(output: Output) -> Self {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { output, every, shown: String::new() }
    }

    /// Waits until the line is due to be rewritten.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn due(&mut self) {
        match self.output.is_live {
            true => drop(self.every.tick().await),
            false => std::future::pending().await,
        }
    }

    /// Writes the line.
    pub(crate) fn show(&mut self, line: &str) {
        if self.output.is_live {
            let line = OneLine(line).to_string();
            self.shown = line.chars().take(self.output.columns_err() - 1).collect();
            self.write();
        }
    }

    /// Writes a note above the line.
    pub(crate) fn note(&mut self, text: &str) {
        self.clear();
        self.output.note(text);
        self.write();
    }

    /// Writes an event above the line, as a note, a warning or an error.
    pub(crate) fn event(&mut self, severity: Severity, text: &str) {
        self.clear();
        self.output.event(severity, text);
        self.write();
    }

    /// Writes an error above the line.
    pub(crate) fn error(&mut self, error: &CliError) {
        self.clear();
        self.output.error(error);
        self.write();
    }

    /// Writes a warning above the line.
    pub(crate) fn warn(&mut self, text: &str) {
        self.clear();
        self.output.warn(text);
        self.write();
    }

    fn write(&self) {
        if !self.shown.is_empty() {
            // If standard error is closed, the failure cannot be reported anywhere.
            let mut err = io::stderr().lock();
            let _ = write!(err, "{CLEAR_LINE}{}", self.shown).and_then(|()| err.flush());
        }
    }

    fn clear(&self) {
        if !self.shown.is_empty() {
            let _ = write!(io::stderr().lock(), "{CLEAR_LINE}");
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}
