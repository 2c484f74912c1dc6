//! What a chart shows, in words: the instrument, the time, and the prices from start to end.

use kite_wire::ist::{DAY_S, Day};
use kite_wire::{Price, Segment};

use super::{Candle, Chart};
use crate::format::numbers::{compact, counted, price};

/// Returns the days and the length of the bars, and what differs from these in the columns, as far as
/// it fits into the width.
pub(crate) fn times(chart: &Chart<'_>, secs: i64, left_out_days: usize, width: usize) -> String {
    let mut parts = vec![chart.every.to_string()];
    let traded = || chart.candles.iter().filter(|candle| candle.is_traded);
    let day = |candle: &Candle| Day::at_unix_s(candle.start.into());
    match (traded().map(day).min(), traded().map(day).max()) {
        (Some(first), Some(last)) if first == last => parts.push(first.to_string()),
        (Some(first), Some(last)) => parts.push(format!("{first} to {last}")),
        _ => {}
    }
    if secs > i64::from(chart.every.as_secs()) {
        parts.push(format!("drawn as {}", length(secs)));
    }
    if left_out_days > 0 {
        parts.push(format!("first {} left out", counted(left_out_days as u64, "day")));
    }
    joined(&parts, width)
}

/// Returns open, high, low and close of all candles, the change from open to close, and the volume,
/// as far as they fit into the width; `None` without a trade.
pub(crate) fn prices(chart: &Chart<'_>, width: usize) -> Option<String> {
    let mut traded = chart.candles.iter().filter(|candle| candle.is_traded);
    let mut sum = *traded.next()?;
    traded.for_each(|candle| sum.add(candle));
    let segment = chart.segment();
    let shown = |raw| price(Price::new(raw, segment));
    let mut parts = vec![
        format!("open {}", shown(sum.open)),
        format!("high {}", shown(sum.high)),
        format!("low {}", shown(sum.low)),
        format!("close {}", shown(sum.close)),
    ];
    parts.extend(change(&sum, segment));
    parts.extend(sum.volume.map(|volume| format!("volume {}", compact(volume))));
    Some(joined(&parts, width))
}

/// Returns how many of these parts fit into the width, two blanks apart.
pub(crate) fn fitting<'a>(parts: impl IntoIterator<Item = &'a str>, width: usize) -> usize {
    let ends = parts.into_iter().scan(0, |end, part| {
        *end += part.chars().count() + if *end > 0 { 2 } else { 0 };
        Some(*end)
    });
    ends.take_while(|end| *end <= width).count()
}

/// Joins the parts that fit into the width.
pub(crate) fn joined(parts: &[String], width: usize) -> String {
    let fitting = fitting(parts.iter().map(String::as_str), width);
    parts.iter().take(fitting).map(String::as_str).collect::<Vec<_>>().join("  ")
}

/// Returns the change from open to close in percent, if it has a meaning.
fn change(sum: &Candle, segment: Segment) -> Option<String> {
    let [open, close] = [sum.open, sum.close].map(|raw| Price::new(raw, segment).to_f64());
    (sum.open > 0).then(|| crate::format::numbers::percent((close - open) / open * 100.0))
}

/// Formats the length of a column: `10m`.
fn length(secs: i64) -> String {
    let every =
        u32::try_from(secs.min(DAY_S)).ok().and_then(|it| kite_candles::Every::from_secs(it).ok());
    every.map(|every| every.to_string()).unwrap_or_default()
}
