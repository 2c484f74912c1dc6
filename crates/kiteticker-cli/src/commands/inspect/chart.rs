//! Ticks per second over time, drawn with characters.

use std::collections::BTreeMap;

use crate::format::numbers;
use crate::format::times::{self, SECOND_NS};

const ROWS: usize = 6;
/// Width of the labels of the vertical axis.
const MARGIN: usize = 9;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws the ticks per second in `width` columns; returns an empty string if there are none.
pub(super) fn ticks(seconds: &BTreeMap<u64, u64>, width: usize, ascii: bool) -> String {
    let (Some((&first, _)), Some((&last, _))) =
        (seconds.first_key_value(), seconds.last_key_value())
    else {
        return String::new();
    };
    let columns = width.saturating_sub(MARGIN + 2).clamp(10, 200);
    let rates = rates(seconds, first, last, columns);
    let most = rates.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }

    let mut chart = String::new();
    for row in (0..ROWS).rev() {
        let label = match row {
            _ if row == ROWS - 1 => number(most),
            _ if row == ROWS / 2 - 1 => number(most / 2.0),
            _ => String::new(),
        };
        let axis = if ascii { '|' } else { '┤' };
        let bars: String = rates.iter().map(|rate| cell(rate / most, row, ascii)).collect();
        chart += &format!("{label:>MARGIN$} {axis}{}\n", bars.trim_end());
    }
    let (corner, line) = if ascii { ("+", "-") } else { ("┼", "─") };
    chart += &format!("{:>MARGIN$} {corner}{}\n", 0, line.repeat(rates.len()));
    chart += &labels(first, last, rates.len());
    chart
}

/// Returns the average rate of each column. Every column is the same whole number of seconds wide,
/// so that rates compare.
fn rates(seconds: &BTreeMap<u64, u64>, first: u64, last: u64, columns: usize) -> Vec<f64> {
    let each = (last - first + 1).div_ceil(columns as u64);
    let used = (last - first) / each + 1;
    let mut rates = vec![0.0; used as usize];
    for (second, ticks) in seconds {
        rates[((second - first) / each) as usize] += *ticks as f64 / each as f64;
    }
    // The last column may cover fewer seconds.
    let rest = (last - first) % each + 1;
    if let Some(rate) = rates.last_mut() {
        *rate *= each as f64 / rest as f64;
    }
    rates
}

/// Returns the character of a bar of this height (0 to 1) in a row counted from the bottom.
fn cell(height: f64, row: usize, ascii: bool) -> char {
    let eighths = (height * (ROWS * 8) as f64).ceil() as usize;
    let here = eighths.saturating_sub(row * 8).min(8);
    match ascii {
        true if here >= 4 || here > 0 && row == 0 => '#',
        true => ' ',
        false => EIGHTHS[here],
    }
}

/// Returns the labels below the axis: the times in India at the start, the middle and the end.
fn labels(first: u64, last: u64, columns: usize) -> String {
    let clock = |second: u64| times::ist(second * SECOND_NS).clock();
    let mut line = " ".repeat(MARGIN + 2) + &clock(first);
    let mut put = |label: String, ends_at: usize| {
        // A label without two blanks before it is omitted.
        if let Some(blanks) = ends_at.checked_sub(line.len() + label.len())
            && blanks >= 2
        {
            line += &" ".repeat(blanks);
            line += &label;
        }
    };
    put(clock(first + (last - first) / 2), MARGIN + 2 + columns / 2 + 4);
    put(format!("{} IST", clock(last)), MARGIN + 2 + columns.max(30));
    line + "\n"
}

fn number(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { numbers::grouped(rate.round() as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 23 November 2026, 09:15 in India.
    const OPENING_S: u64 = 1_795_405_500;

    fn seconds(ticks: impl IntoIterator<Item = u64>) -> BTreeMap<u64, u64> {
        (OPENING_S..).zip(ticks).collect()
    }

    #[test]
    fn bars_stand_on_the_axis_with_times_below() {
        let chart = ticks(&seconds([1, 2, 3, 4, 5, 6]), 40, true);
        let lines: Vec<&str> = chart.lines().collect();
        assert_eq!(
            lines,
            [
                "      6.0 |     #",
                "          |    ##",
                "          |   ###",
                "      3.0 |  ####",
                "          | #####",
                "          |######",
                "        0 +------",
                "           09:15:00          09:15:05 IST",
            ]
        );
    }

    #[test]
    fn a_bar_ends_in_eighths_of_a_row() {
        let chart = ticks(&seconds([48, 1, 0, 24]), 40, false);
        let bottom = chart.lines().nth(ROWS - 1);
        assert_eq!(bottom, Some("          ┤█▁ █"));
    }

    #[test]
    fn long_days_are_averaged_into_the_columns() {
        let chart = ticks(&seconds(std::iter::repeat_n(2_000, 22_500)), 80, true);
        assert_eq!(chart.lines().count(), ROWS + 2);
        assert!(chart.starts_with("    2,000 |####"), "{chart}");
        assert!(chart.lines().all(|line| line.chars().count() <= 80), "{chart}");
        assert!(chart.contains("12:22:29") && chart.contains("15:29:59 IST"), "{chart}");
    }

    #[test]
    fn without_ticks_nothing_is_drawn() {
        assert_eq!(ticks(&BTreeMap::new(), 80, true), "");
        assert_eq!(ticks(&seconds([0, 0]), 80, true), "");
    }
}
