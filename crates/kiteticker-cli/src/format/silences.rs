//! Silences and steps of the clock, as text and as JSON, for every command that finds them.

use std::time::Duration;

use kite_tape::{Silence, SilenceKind, Silences, Source};
use serde_json::{Value, json};

use crate::format::numbers::counted;
use crate::format::times::{ist, span};

/// Number of silences, and of steps of the clock, that are listed.
const MOST_SHOWN: usize = 10;

/// Returns the number and the total duration of the silences; `None` without any.
pub(crate) fn total(found: &Silences) -> Option<String> {
    let count = counted(found.silences.len() as u64, "silence");
    (!found.silences.is_empty()).then(|| format!("{count}, {} in total", span(found.total())))
}

/// Returns the longest silences, one a line; the first is the longest.
pub(crate) fn longest(found: &Silences) -> Vec<String> {
    found.longest(MOST_SHOWN).iter().map(line).collect()
}

fn line(silence: &Silence) -> String {
    let Source { account, connection } = silence.source;
    let kind = match silence.kind {
        SilenceKind::NoTicks => "no ticks",
        _ => "no frames",
    };
    format!(
        "{} to {} IST  {:>8}  account {} connection {}: {kind}",
        ist(silence.from_unix_ns).clock_millis(),
        ist(silence.to_unix_ns).clock_millis(),
        span(silence.duration()),
        u32::from(account) + 1,
        u32::from(connection) + 1,
    )
}

/// Returns the steps of the clock, one a line.
pub(crate) fn clock_steps(found: &Silences) -> Vec<String> {
    let line = |step: &kite_tape::ClockStep| {
        let at = ist(step.at_unix_ns);
        let direction = if step.by_ms < 0 { "back" } else { "forward" };
        let by = span(Duration::from_millis(step.by_ms.unsigned_abs()));
        format!("{} {} IST: the clock was set {direction} by {by}", at.date(), at.clock_millis())
    };
    found.clock_steps.iter().take(MOST_SHOWN).map(line).collect()
}

/// Returns all of it as lines, for a command without a layout of its own.
pub(crate) fn lines(found: &Silences) -> Vec<String> {
    let mut lines: Vec<String> = total(found).into_iter().collect();
    lines.extend(longest(found).iter().map(|line| format!("  {line}")));
    lines.extend(clock_steps(found));
    let more = found.clock_steps.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        lines.push(format!("and {}", counted(more as u64, "more step")));
    }
    lines
}

/// Adds all silences and steps of the clock to a report.
pub(crate) fn add_json(report: &mut Value, found: &Silences) {
    report["silences"] = found
        .silences
        .iter()
        .map(|silence| {
            json!({
                "account": silence.source.account,
                "connection": silence.source.connection,
                "kind": silence.kind.name(),
                "from_unix_ns": silence.from_unix_ns,
                "to_unix_ns": silence.to_unix_ns,
            })
        })
        .collect();
    report["clock_steps"] = found
        .clock_steps
        .iter()
        .map(|step| json!({"at_unix_ns": step.at_unix_ns, "by_ms": step.by_ms}))
        .collect();
}
