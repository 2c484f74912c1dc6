//! The checks, their outcomes, and the sheet that collects them.

use std::time::{Duration, Instant};

use kite_conn::{ErrorChain, OneLine};
use serde_json::json;

use crate::console::output::{self, Output};
use crate::exit::CliError;
use crate::format::numbers;

/// The column at which the text of a check starts.
const INDENT: usize = 30;

/// One thing that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Proxy,
    Dns,
    Tcp,
    Tls,
    Clock,
    Credentials,
    Handshake,
    Token,
    Heartbeat,
    Ticks,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Clock => "clock",
            Self::Credentials => "credentials",
            Self::Handshake => "handshake",
            Self::Token => "token",
            Self::Heartbeat => "heartbeat",
            Self::Ticks => "ticks",
        }
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Warn,
    Fail,
    Skipped,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
        }
    }
}

/// The outcome of a check, with a description and advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    pub(super) text: String,
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ok, text: text.into(), advice: None }
    }

    pub(super) fn skipped(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, ..Self::ok(text) }
    }

    pub(super) fn warn(text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warn, text: text.into(), advice: Some(advice.into()) }
    }

    pub(super) fn fail(text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fail, ..Self::warn(text, advice) }
    }

    pub(super) fn error(error: &CliError) -> Self {
        let advice = error.advice().map(str::to_owned);
        Self { outcome: Outcome::Fail, text: ErrorChain(error).to_string(), advice }
    }
}

#[derive(Debug)]
struct Entry {
    check: Check,
    finding: Finding,
    took: Option<Duration>,
}

/// All checks so far; each is printed as it ends, unless the output is JSON.
#[derive(Debug)]
pub(super) struct Sheet {
    output: Output,
    is_printed: bool,
    entries: Vec<Entry>,
}

impl Sheet {
    pub(super) fn new(output: Output, is_printed: bool) -> Self {
        Self { output, is_printed, entries: Vec::new() }
    }

    /// Runs a check; returns its result for later checks, if it has one.
    pub(super) async fn run<T>(
        &mut self,
        check: Check,
        checking: impl Future<Output = (Finding, Option<T>)>,
    ) -> Result<Option<T>, CliError> {
        let begun = Instant::now();
        let (finding, result) = checking.await;
        self.add(check, finding, Some(begun.elapsed()))?;
        Ok(result)
    }

    /// Records a check as skipped because an earlier one failed.
    pub(super) fn skip<T>(&mut self, check: Check) -> Result<Option<T>, CliError> {
        let cause = self.entries.iter().rfind(|entry| entry.finding.outcome == Outcome::Fail);
        let text = cause.map_or("not reached", |_| "because of the failure above");
        self.add(check, Finding::skipped(text), None)?;
        Ok(None)
    }

    /// Records the finding of a check.
    pub(super) fn add(
        &mut self,
        check: Check,
        finding: Finding,
        took: Option<Duration>,
    ) -> Result<(), CliError> {
        let took = took.filter(|_| finding.outcome != Outcome::Skipped);
        if self.is_printed {
            self.print(check, &finding, took)?;
        }
        self.entries.push(Entry { check, finding, took });
        Ok(())
    }

    fn print(
        &self,
        check: Check,
        finding: &Finding,
        took: Option<Duration>,
    ) -> Result<(), CliError> {
        let style = match finding.outcome {
            Outcome::Ok => output::GREEN,
            Outcome::Warn => output::YELLOW,
            Outcome::Fail => output::RED,
            Outcome::Skipped => output::DIM,
        };
        let outcome = self.output.paint(style, format_args!("{:<7}", finding.outcome.name()));
        let took = took.map(millis).map_or_else(String::new, |ms| format!("{ms:.0} ms"));
        let name = check.name();
        let text = self.output.wrapped(&OneLine(&finding.text).to_string(), INDENT);
        self.output.line(format_args!("{outcome} {name:<11} {took:>8}  {text}"))?;
        if let Some(advice) = &finding.advice {
            let help = self.output.paint(output::BOLD, "help:");
            let advice = self.output.wrapped(advice, INDENT + "help: ".len());
            self.output.line(format_args!("{:INDENT$}{help} {advice}", ""))?;
        }
        Ok(())
    }

    /// Returns whether no network check failed.
    pub(super) fn is_reached(&self) -> bool {
        let network = [Check::Dns, Check::Tcp, Check::Tls];
        let of_network = |entry: &&Entry| network.contains(&entry.check);
        self.entries.iter().filter(of_network).all(|it| it.finding.outcome != Outcome::Fail)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.count(Outcome::Fail) > 0
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.entries.iter().filter(|entry| entry.finding.outcome == outcome).count()
    }

    /// Returns a one-line summary.
    pub(super) fn summary(&self) -> String {
        match (self.count(Outcome::Fail), self.count(Outcome::Warn)) {
            (0, 0) => "all checks passed".to_owned(),
            (0, warnings) => {
                format!("nothing failed, {}", numbers::counted(warnings as u64, "warning"))
            }
            (failures, _) => format!("{} failed", numbers::counted(failures as u64, "check")),
        }
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        let one = |entry: &Entry| {
            json!({
                "check": entry.check.name(),
                "verdict": entry.finding.outcome.name(),
                "ms": entry.took.map(millis),
                "says": entry.finding.text,
                "help": entry.finding.advice,
            })
        };
        self.entries.iter().map(one).collect()
    }
}

/// Returns milliseconds with three decimals.
fn millis(took: Duration) -> f64 {
    took.as_micros() as f64 / 1e3
}
