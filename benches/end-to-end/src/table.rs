//! Tables of medians, with ratios to the first row within the same round.

use std::fmt;

use crate::client_process::Outcome;
use crate::load::Load;

/// The outcomes of a row, by round.
#[derive(Debug)]
pub struct Row {
    pub label: String,
    pub load: Load,
    pub outcomes: Vec<Outcome>,
}

/// Median, minimum and maximum of some values.
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Returns the spread of these values; not numbers if there are none.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(values.len() / 2), min: at(0), max: at(values.len().saturating_sub(1)) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.min, self.max)
    }
}

/// Formats the ratio of two rows by round: median, minimum and maximum.
pub fn ratio(row: &Row, base: &Row, of: impl Fn(&Outcome) -> f64) -> String {
    let pairs = row.outcomes.iter().zip(&base.outcomes);
    Spread::of(pairs.map(|(ours, bare)| of(ours) / of(bare))).to_string()
}

fn median(row: &Row, of: impl Fn(&Outcome) -> f64) -> f64 {
    Spread::of(row.outcomes.iter().map(of)).median
}

/// Returns the CPU nanoseconds per tick that reached the application.
fn cpu_ns(outcome: &Outcome) -> f64 {
    (outcome.user_s + outcome.system_s) * 1e9 / outcome.ticks as f64
}

/// Prints rows, with ratios to the first row of the same load. Delivered is the minimum of all
/// runs.
pub fn print(rows: &[Row]) {
    let Some(base) = rows.first() else { return };
    let paced = base.load.rate > 0;
    let measured: &[&str] = if paced {
        &["p50 µs", "ratio", "p99 µs", "ratio", "p99.9", "longest"]
    } else {
        &["M ticks/s"]
    };
    let first = ["client", "CPU ns per tick", "user", "ratio"];
    let columns = [&first[..], measured, &["MB", "sent, M", "delivered", "lost"]].concat();
    println!("| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
    for row in rows {
        // The first row of the same load.
        let base = rows.iter().find(|base| base.load == row.load).unwrap_or(base);
        let user = median(row, |it| it.user_s * 1e9 / it.ticks as f64);
        print!("| {} | {:.1} | {user:.1} ", row.label, median(row, cpu_ns));
        print!("| {} ", ratio(row, base, cpu_ns));
        if paced {
            for (at, with_ratio) in [(0, true), (1, true), (2, false), (3, false)] {
                print!("| {:.1} ", median(row, |it| it.latency_us[at]));
                if with_ratio {
                    print!("| {} ", ratio(row, base, |it| it.latency_us[at]));
                }
            }
        } else {
            print!("| {:.1} ", median(row, |it| it.ticks as f64 / it.wall_s / 1e6));
        }
        let sent = row.load.ticks();
        let megabytes = median(row, |it| it.peak_bytes as f64 / 1e6);
        let all = row.outcomes.iter().map(|it| it.ticks as f64 / sent as f64);
        let delivered = Spread::of(all).min * 100.0;
        let lost: u64 = row.outcomes.iter().map(|it| it.lost).sum();
        println!("| {megabytes:.1} | {:.2} | {delivered:.2} % | {lost} |", sent as f64 / 1e6);
    }
}
