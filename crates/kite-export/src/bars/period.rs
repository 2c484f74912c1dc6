//! The part of the tapes that the bars of a time range are made from.

use kite_candles::Config;
use kite_tape::Windows;
use kite_wire::ist::Day;

use crate::selection::Selection;

const NS_PER_S: u64 = 1_000_000_000;

/// Extends a selection to the start of its days and, at most to the end of them, until its last bars
/// can no longer change.
pub(super) fn extend(selection: &mut Selection, configs: &[Config]) {
    let tail_ns = configs.iter().map(tail_ns).max().unwrap_or(0);
    let from = |unix_ns: u64| midnight_ns(Day::at_unix_ns(unix_ns));
    let to = |unix_ns: u64| {
        let last = Day::at_unix_ns(unix_ns.saturating_sub(1));
        let next = Day::from_unix_days(i64::from(last.unix_days()) + 1);
        next.map_or(u64::MAX, midnight_ns).min(unix_ns.saturating_add(tail_ns)).max(unix_ns)
    };
    if let Some(windows) = &selection.windows {
        let days = windows.iter().map(|window| from(window.start)..to(window.end));
        selection.windows = Some(Windows::new(days));
    }
    selection.from_unix_ns = from(selection.from_unix_ns);
    selection.to_unix_ns = selection.to_unix_ns.map(to);
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
