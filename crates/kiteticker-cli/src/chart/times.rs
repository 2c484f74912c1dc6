//! The axis of times: which columns are labelled with the time of day, and which with the date.

use kite_wire::ist::Day;

use super::columns::{Column, Columns, Content};
use super::labels::Line;

/// Steps between two labels, in seconds.
const STEPS: [i64; 15] =
    [1, 5, 10, 30, 60, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 14_400, 21_600, 43_200];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A label and where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) column: usize,
    pub(super) at: usize,
    pub(super) text: String,
}

/// Where columns are and how large letters are, in cells or pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure<F> {
    /// Length of the line.
    pub(super) len: usize,
    /// Width of a letter.
    pub(super) letter: usize,
    /// Returns where the label of a column of this many letters starts.
    pub(super) place: F,
}

/// Returns the labels with times of day; of a chart with a column a day, none.
pub(super) fn clocks(
    columns: &Columns,
    measure: Measure<impl Fn(usize, usize) -> usize>,
) -> Vec<Label> {
    if columns.are_daily() {
        return Vec::new();
    }
    let text = |column: &Column| clock(column.start, columns.secs);
    let mut line = Line::new(measure.len, measure.letter);
    let mut labels = Vec::new();
    let mut add = |at: usize, column: &Column| {
        let text = text(column);
        let place = (measure.place)(at, text.len());
        let fits = line.take(place, text.len() * measure.letter);
        if fits {
            labels.push(Label { column: at, at: place, text });
        }
        fits
    };
    let shown =
        || columns.columns.iter().enumerate().filter(|(_, it)| it.content != Content::Break);
    // The start of each day comes first.
    for (at, column) in shown().filter(|(_, column)| column.is_first) {
        add(at, column);
    }
    let letters = columns.columns.first().map_or(5, |first| text(first).len());
    let step = step(columns, letters, &measure);
    for (at, column) in shown().filter(|(_, column)| is_on(column, step, columns)) {
        add(at, column);
    }
    labels.sort_by_key(|label| label.at);
    labels
}

/// Returns the labels with dates: of each day, or of as many as fit.
pub(super) fn dates(
    columns: &Columns,
    measure: Measure<impl Fn(usize, usize) -> usize>,
) -> Vec<Label> {
    let mut line = Line::new(measure.len, measure.letter);
    let mut labels = Vec::new();
    for (at, column) in columns.columns.iter().enumerate().filter(|(_, column)| column.is_first) {
        let text = short_date(column.start);
        let place = (measure.place)(at, text.len());
        if line.take(place, text.len() * measure.letter) {
            labels.push(Label { column: at, at: place, text });
        }
    }
    labels
}

/// Returns the smallest step at which labels do not overlap.
fn step(
    columns: &Columns,
    letters: usize,
    measure: &Measure<impl Fn(usize, usize) -> usize>,
) -> i64 {
    let needed = (letters + 2) * measure.letter;
    let last = columns.columns.len().saturating_sub(1);
    let (from, to) = ((measure.place)(0, letters), (measure.place)(last, letters));
    let per_column = to.saturating_sub(from) as f64 / last.max(1) as f64;
    let fits = |step: &i64| *step as f64 / columns.secs as f64 * per_column >= needed as f64;
    STEPS.into_iter().filter(|step| step % columns.secs == 0).find(fits).unwrap_or(i64::MAX)
}

/// Returns whether a column starts at a multiple of the step: of the clock if columns do, else of
/// the session.
fn is_on(column: &Column, step: i64, columns: &Columns) -> bool {
    let origin = if columns.open_s % columns.secs == 0 { 0 } else { columns.open_s };
    (of_day(column.start) - origin) % step == 0
}

/// Returns the seconds since midnight in India.
fn of_day(time: u32) -> i64 {
    i64::from(time) - Day::at_unix_s(time.into()).start_unix_s()
}

/// Formats the time of day, with seconds if columns are shorter than a minute.
pub(super) fn clock(time: u32, secs: i64) -> String {
    let of_day = of_day(time);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    match secs % 60 {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    }
}

/// Formats the day of the month and the month: `23 Nov`.
fn short_date(time: u32) -> String {
    let (_, month, day) = Day::at_unix_s(time.into()).date();
    let month = MONTHS.get(usize::from(month).saturating_sub(1)).copied().unwrap_or_default();
    format!("{day} {month}")
}
