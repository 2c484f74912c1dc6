//! A line on the terminal that is written anew every second while a command runs.

use std::io::{self, Write as _};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::console::output::Output;

const EVERY: Duration = Duration::from_secs(1);
/// To the line's beginning, and everything behind it gone (ECMA-48).
const ANEW: &str = "\r\u{1b}[K";

/// The line; it is taken away when this is dropped. Without a terminal there is none.
#[derive(Debug)]
pub(crate) struct StatusLine {
    output: Output,
    every: Interval,
    /// What stands there; empty where nothing does.
    shown: String,
}

impl StatusLine {
    pub(crate) fn new(output: Output) -> Self {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { output, every, shown: String::new() }
    }

    /// Waits until the line is to be written again.
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
            self.shown = line.chars().take(self.output.columns_err() - 1).collect();
            self.write();
        }
    }

    /// Tells of something; the line goes on below it.
    pub(crate) fn note(&mut self, text: &str) {
        self.clear();
        self.output.note(text);
        self.write();
    }

    fn write(&self) {
        if !self.shown.is_empty() {
            // Where standard error is gone there is nobody left to tell.
            let mut err = io::stderr().lock();
            let _ = write!(err, "{ANEW}{}", self.shown).and_then(|()| err.flush());
        }
    }

    fn clear(&self) {
        if !self.shown.is_empty() {
            let _ = write!(io::stderr().lock(), "{ANEW}");
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}
