//! What was made and what was not, in words and as JSON.

use kite_candles::{Counts, Every};
use kite_export::BarSummary;
use serde_json::{Value, json};

use crate::console::output::Output;
use crate::format::numbers::{self, counted, grouped};
use crate::format::{silences, sizes};
use crate::instruments::names::Names;

/// Packets out of order up to which there is no warning, and one for how many packets there may be.
const TOLERATED: (u64, u64) = (10, 100);

/// Returns the totals on one line.
pub(super) fn text(summary: &BarSummary) -> String {
    let tapes = &summary.tapes;
    let mut text = counted(summary.bars, "bar");
    if tapes.bytes_written > 0 {
        text += &format!(", {}", sizes::bytes(tapes.bytes_written));
    }
    for (count, what) in [
        (summary.incomplete, "incomplete bar"),
        (tapes.gaps, "gap"),
        (tapes.unknown_packets, "packet of unknown length"),
        (tapes.damaged_frames, "damaged frame"),
        (tapes.torn_files, "file cut off"),
        (tapes.unreadable_files, "unreadable file"),
    ] {
        if count > 0 {
            text += &format!(", {}", counted(count, what));
        }
    }
    text
}

/// Notes what bars were made from, what is in none of them, and the silences.
pub(super) fn details(summary: &BarSummary, output: Output) {
    if let Some((_, counts)) = summary.counts.first() {
        output.note(packets(counts));
    }
    for (every, counts) in &summary.counts {
        outside(*every, counts).iter().for_each(|line| output.note(line));
    }
    silences::lines(&summary.tapes.silences).iter().for_each(|line| output.note(line));
}

/// Notes what the bars of a running feed were made from, and what is in none of them. Warns of gaps
/// that not all bars show, and returns whether there are any; also of many packets out of order.
pub(super) fn live(counts: &[(Every, Counts)], output: Output) -> bool {
    if let Some((_, counts)) = counts.first() {
        output.note(packets(counts));
    }
    for (every, counts) in counts {
        outside(*every, counts).iter().for_each(|line| output.note(line));
    }
    warn_of_counts(counts, output)
}

/// Warns of what the counts show. Returns whether bars lack a flag.
fn warn_of_counts(counts: &[(Every, Counts)], output: Output) -> bool {
    let mut has_late = false;
    for (every, counts) in counts {
        has_late |= warn_of_late_gaps(*every, counts, output);
    }
    if let Some(text) = counts.first().and_then(|(_, counts)| many_out_of_order(counts)) {
        output.warn(text);
    }
    has_late
}

/// Returns the warning if many packets were ignored.
fn many_out_of_order(counts: &Counts) -> Option<String> {
    let Counts { out_of_order: ignored, packets, .. } = *counts;
    let (few, one_in) = TOLERATED;
    (ignored > few && ignored.saturating_mul(one_in) > packets).then(|| {
        let of = counted(packets, "packet");
        format!(
            "{} of {of} were ignored: older than the packet before, as from a source with another clock",
            grouped(ignored)
        )
    })
}

/// Warns of gaps that not all bars show. Returns whether there are any.
fn warn_of_late_gaps(every: Every, counts: &Counts, output: Output) -> bool {
    if counts.late_gaps > 0 {
        let gaps = counted(counts.late_gaps, "gap");
        output.warn(format_args!("{gaps} of instruments are not marked in all bars of {every}"));
    }
    counts.late_gaps > 0
}

/// Returns the counts of packets, which are the same for all lengths.
fn packets(counts: &Counts) -> String {
    let mut text = format!("from {}", counted(counts.packets, "packet"));
    for (count, what) in [
        (counts.trades, "with trades"),
        (counts.baselines, "to compare with only"),
        (counts.out_of_order, "out of order"),
    ] {
        if count > 0 {
            text += &format!(", {} {what}", grouped(count));
        }
    }
    text
}

/// Returns what is in no bar of this length.
fn outside(every: Every, counts: &Counts) -> Option<String> {
    let (trades, volume) = (counts.outside_trades, counts.outside_volume);
    (trades > 0).then(|| {
        let trades = counted(trades, "packet");
        let volume = grouped(volume);
        format!("in no bar of {every}: {trades} outside the session, with a volume of {volume}")
    })
}

/// Warns of what is missing or damaged. Returns whether anything is.
pub(super) fn warn(summary: &BarSummary, names: &Names, output: Output) -> bool {
    let tapes = &summary.tapes;
    // Files that cannot be read were reported before.
    if tapes.damage > 0 {
        let lost = numbers::lost_records(tapes.records_lost, tapes.damage_of_unknown_size);
        output.warn(format_args!("parts of the tapes cannot be read: {lost}"));
    }
    warn_of_unseen(&tapes.unseen_tokens, names, output);
    let has_late = warn_of_counts(&summary.counts, output);
    if summary.bars == 0 {
        output.warn(no_bars(&summary.counts));
    }
    let damages = tapes.damage + tapes.unreadable_records + tapes.unreadable_files;
    damages > 0 || !tapes.unseen_tokens.is_empty() || has_late || summary.bars == 0
}

/// Warns of instruments without a packet.
pub(super) fn warn_of_unseen(tokens: &[u32], names: &Names, output: Output) {
    for token in tokens {
        output.warn(format_args!("no tick of {} is on the tapes", names.label(*token)));
        if let Some(text) = names.exchange_token_warning(*token) {
            output.warn(text);
        }
    }
}

/// Returns why there is no bar.
pub(super) fn no_bars(counts: &[(Every, Counts)]) -> String {
    let counts = counts.first().map(|(_, counts)| *counts).unwrap_or_default();
    match (counts.packets, counts.outside_trades) {
        (0, _) => "no bar was made: there are no packets".to_owned(),
        (_, 0) => "no bar was made: there are no trades".to_owned(),
        (_, outside) => format!(
            "no bar was made: {} with trades outside the session and none within it; \
             --sessions names a file with other hours",
            counted(outside, "packet"),
        ),
    }
}

pub(super) fn as_json(summary: &BarSummary) -> Value {
    let tapes = &summary.tapes;
    let lengths = summary.counts.iter().map(|(every, counts)| {
        json!({
            "every": every.to_string(),
            "packets": counts.packets,
            "baselines": counts.baselines,
            "out_of_order": counts.out_of_order,
            "trades": counts.trades,
            "outside_trades": counts.outside_trades,
            "volume": counts.volume,
            "outside_volume": counts.outside_volume,
            "late_gaps": counts.late_gaps,
        })
    });
    let mut report = json!({
        "bars": summary.bars,
        "incomplete": summary.incomplete,
        "bytes": tapes.bytes_written,
        "lengths": lengths.collect::<Vec<_>>(),
        "frames": tapes.frames,
        "packets_left_out": tapes.packets_left_out,
        "unknown_packets": tapes.unknown_packets,
        "damaged_frames": tapes.damaged_frames,
        "gaps": tapes.gaps,
        "frames_missing": tapes.frames_missing,
        "damages": tapes.damage,
        "records_lost": tapes.records_lost,
        "torn_files": tapes.torn_files,
        "unreadable_files": tapes.unreadable_files,
        "unseen": tapes.unseen_tokens,
        "complete": tapes.is_complete(),
    });
    silences::add_json(&mut report, &tapes.silences);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_ignored_packets_are_warned_of() {
        let warning = |out_of_order, packets| {
            let mut counts = Counts::default();
            (counts.out_of_order, counts.packets) = (out_of_order, packets);
            many_out_of_order(&counts)
        };
        let text = warning(212, 596).expect("a warning");
        assert!(text.starts_with("212 of 596 packets were ignored: older than"), "{text}");
        assert_eq!(warning(10, 20), None);
        assert_eq!(warning(11, 1_100), None);
        assert!(warning(11, 1_099).is_some());
    }
}
