//! The part of the tapes that the bars of a time range are made from.

use kite_candles::Config;
use kite_tape::Windows;
use kite_wire::ist::Day;

use crate::selection::Selection;

const NS_PER_S: u64 = 1_000_000_000;

/// Returns the stretches of a recording that the bars within `windows` are made from: each from the
/// start of its day and, at most to the end of the day, until its last bars can no longer change.
#[must_use]
pub fn windows_of_bars(windows: &Windows, configs: &[Config]) -> Windows {
    let tail_ns = longest_tail_ns(configs);
    Windows::new(windows.iter().map(|it| first_ns(it.start)..end_ns(it.end, tail_ns)))
}

/// Extends a selection likewise.
pub(super) fn extend(selection: &mut Selection, configs: &[Config]) {
    let tail_ns = longest_tail_ns(configs);
    if let Some(windows) = &selection.windows {
        selection.windows = Some(windows_of_bars(windows, configs));
    }
    selection.from_unix_ns = first_ns(selection.from_unix_ns);
    selection.to_unix_ns = selection.to_unix_ns.map(|to| end_ns(to, tail_ns));
}

fn first_ns(unix_ns: u64) -> u64 {
    midnight_ns(Day::at_unix_ns(unix_ns))
}

fn end_ns(unix_ns: u64, tail_ns: u64) -> u64 {
    let last = Day::at_unix_ns(unix_ns.saturating_sub(1));
    let next = Day::from_unix_days(i64::from(last.unix_days()) + 1);
    next.map_or(u64::MAX, midnight_ns).min(unix_ns.saturating_add(tail_ns)).max(unix_ns)
}

fn longest_tail_ns(configs: &[Config]) -> u64 {
    configs.iter().map(tail_ns).max().unwrap_or(0)
}

/// Returns the time after the start of a bar in which packets can change it.
fn tail_ns(config: &Config) -> u64 {
    let grace_ns = u64::try_from(config.grace.as_nanos()).unwrap_or(u64::MAX);
    u64::from(config.every.as_secs())
        .saturating_mul(NS_PER_S)
        .saturating_add(grace_ns.saturating_mul(2))
        .saturating_add(2 * NS_PER_S)
}

fn midnight_ns(day: Day) -> u64 {
    u64::try_from(day.start_unix_s()).unwrap_or(0).saturating_mul(NS_PER_S)
}
