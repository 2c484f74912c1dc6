//! Bars as rows on standard output, one as each ends.

use std::collections::HashMap;

use kite_candles::{Bar, Counts, Every, Item};
use kite_export::BarLines;
use kite_tape::Windows;
use kite_wire::UnixSeconds;

use super::super::columns::{GAP, HEADINGS, Layout};
use super::super::report;
use super::super::table::{cells, line};
use crate::console::output::{DIM, Output};
use crate::exit::CliError;
use crate::format::numbers::{counted, grouped};
use crate::format::shortened::shortened;
use crate::format::times::ist;
use crate::instruments::names::{Named, Names};

/// Bars that are named in the report of those that had not ended.
const MOST_NAMED: usize = 10;

/// Widths that columns have before larger values are seen; none for those that may stay empty.
const WIDTHS: [usize; 9] = [5, 8, 8, 8, 8, 7, 0, 0, 0];

/// The longest name that is shown in a narrow terminal.
const NARROW_NAME: usize = 12;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Csv,
    JsonLines,
}

/// Prints rows.
pub(super) struct Rows {
    output: Output,
    lengths: Vec<Every>,
    symbols: HashMap<u32, String>,
    labels: HashMap<u32, String>,
    /// The length of the longest name.
    longest_name: usize,
    /// The widths of the columns, as large as the values so far.
    widths: [usize; 9],
    /// What the last heading shows.
    layout: Option<LiveLayout>,
    /// `None` for the table.
    lines: Option<BarLines>,
    /// The times whose bars are printed, those that lie in them at least in part; `None` is all.
    shown: Option<Windows>,
    bars: u64,
    corrections: u64,
    /// Length, start and token of the bars that had not ended.
    unfinished: Vec<(Every, UnixSeconds, u32)>,
}

impl Rows {
    pub(super) fn new(
        form: Form,
        lengths: Vec<Every>,
        instruments: &[Named],
        output: Output,
    ) -> Self {
        let several = lengths.len() > 1;
        let symbol = |named: &Named| Some((named.token, named.symbol()?.to_owned()));
        let labels: HashMap<u32, String> =
            instruments.iter().map(|named| (named.token, named.name.clone())).collect();
        Self {
            output,
            lengths,
            symbols: instruments.iter().filter_map(symbol).collect(),
            longest_name: labels.values().map(|it| it.chars().count()).max().unwrap_or_default(),
            widths: WIDTHS,
            layout: None,
            labels,
            lines: match form {
                Form::Table => None,
                Form::Csv => Some(BarLines::live_csv(several)),
                Form::JsonLines => Some(BarLines::live_json(several)),
            },
            shown: None,
            bars: 0,
            corrections: 0,
            unfinished: Vec::new(),
        }
    }

    /// Prints only bars that lie within these times, at least in part.
    pub(super) fn show(&mut self, windows: Option<Windows>) {
        self.shown = windows;
    }

    /// Prints what was passed on of the bars of a length, by its index. Those of instruments and
    /// times that were not asked for are left out.
    pub(super) fn print(&mut self, nth: usize, item: &Item) -> Result<(), CliError> {
        let token = item.bar().instrument_token;
        let Some(every) = self.lengths.get(nth).copied() else { return Ok(()) };
        if !self.is_shown(item.bar()) {
            return Ok(());
        }
        match item {
            Item::Bar(_) => self.bars += 1,
            Item::Correction(_) => self.corrections += 1,
        }
        if let Some(lines) = &mut self.lines {
            lines.push_item(every, self.symbols.get(&token).map(String::as_str), item);
            return self.output.exactly(&lines.take());
        }
        let text = self.row(every, item, self.output.room());
        self.output.text(&text)
    }

    /// Does the same with what is passed on at the end of the feed. Bars that have not ended by then
    /// are reported instead.
    pub(super) fn print_last(
        &mut self,
        nth: usize,
        item: &Item,
        end_unix_ns: u64,
    ) -> Result<(), CliError> {
        let bar = item.bar();
        if bar.end.unix_ns() <= end_unix_ns {
            return self.print(nth, item);
        }
        if let Some(every) = self.lengths.get(nth)
            && self.is_shown(bar)
        {
            self.unfinished.push((*every, bar.start, bar.instrument_token));
        }
        Ok(())
    }

    /// Notes how many bars were printed, and which had not ended.
    pub(super) fn report(&self, names: &Names) {
        let mut text = counted(self.bars, "bar");
        if self.corrections > 0 {
            text += &format!(", {}", counted(self.corrections, "correction"));
        }
        self.output.note(text);
        if self.unfinished.is_empty() {
            return;
        }
        let named = self.unfinished.iter().take(MOST_NAMED).map(|(every, start, token)| {
            format!("{} {} ({every})", names.label(*token), ist(start.unix_ns()).clock())
        });
        let mut named = named.collect::<Vec<_>>().join(", ");
        let more = self.unfinished.len().saturating_sub(MOST_NAMED);
        if more > 0 {
            named += &format!(" and {} more", grouped(more as u64));
        }
        let count = counted(self.unfinished.len() as u64, "bar");
        self.output.note(format_args!("{count} had not ended: {named}"));
    }

    /// Warns if there is no bar, not even one that had not ended. Returns whether that is so.
    pub(super) fn warn_if_none(&self, counts: &[(Every, Counts)]) -> bool {
        let is_none = self.bars == 0 && self.unfinished.is_empty();
        if is_none {
            self.output.warn(report::no_bars(counts));
        }
        is_none
    }

    fn is_shown(&self, bar: &Bar) -> bool {
        let last_ns = bar.end.unix_ns().saturating_sub(1);
        let overlaps = |shown: &Windows| shown.overlap(bar.start.unix_ns(), last_ns);
        self.labels.contains_key(&bar.instrument_token) && self.shown.as_ref().is_none_or(overlaps)
    }

    /// Returns the row of a bar, after a heading if the columns have changed.
    fn row(&mut self, every: Every, item: &Item, width: usize) -> String {
        let bar = item.bar();
        let cells = cells(bar, every);
        for ((widest, cell), heading) in self.widths.iter_mut().zip(&cells).zip(HEADINGS) {
            if !cell.is_empty() {
                *widest = (*widest).max(cell.chars().count()).max(heading.len());
            }
        }
        let layout = self.laid_out(width);
        let mut text = String::new();
        if self.layout.as_ref() != Some(&layout) {
            let row = layout.row(&HEADINGS, "", "every", width);
            text = self.output.paint(DIM, row.trim_end()) + "\n";
        }
        let name = self.labels.get(&bar.instrument_token).map_or("", String::as_str);
        let name = shortened(name, layout.name, if self.output.ascii { "." } else { "…" });
        let row = layout.row(&cells, &name, &every.to_string(), width);
        let flags = bar.flags.to_string();
        let corrected = matches!(item, Item::Correction(_)).then_some("corrected");
        let remarks: Vec<&str> = corrected.into_iter().chain(flags.split_whitespace()).collect();
        text += &line(&row, &remarks, layout.rest.flags, self.output);
        self.layout = Some(layout);
        text
    }

    /// Chooses what fits into the width.
    fn laid_out(&self, width: usize) -> LiveLayout {
        let name = self.longest_name.min(NARROW_NAME.max(width / 4));
        let length = if self.lengths.len() > 1 { EVERY } else { 0 };
        let before = [name, length].iter().filter(|it| **it > 0).map(|it| it + GAP).sum::<usize>();
        // Which flags the next bars have is not known.
        let rest = Layout::new(&self.widths, usize::MAX, width.saturating_sub(before));
        LiveLayout { name, length, rest }
    }
}

/// Width of the lengths of bars.
const EVERY: usize = 5;

/// What the rows show in a width.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LiveLayout {
    /// The width of names.
    name: usize,
    /// The width of the lengths of bars; 0 if all have the same.
    length: usize,
    rest: Layout,
}

impl LiveLayout {
    /// Returns a row without remarks: the start, the instrument, the length and the other columns.
    fn row<T: AsRef<str>>(&self, cells: &[T; 9], name: &str, every: &str, width: usize) -> String {
        let (first, rest) =
            self.rest.columns.split_first().map_or((0, &[][..]), |(it, rest)| (it.1, rest));
        let mut row = format!("{:<first$}  {name:<len$}", cells[0].as_ref(), len = self.name);
        if self.length > 0 {
            row += &format!("  {every:>len$}", len = self.length);
        }
        for (at, width) in rest {
            row += &format!("  {:>width$}", cells[*at].as_ref());
        }
        row.chars().take(width).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::output::ColorChoice;
    use crate::instruments::names::Names;

    #[test]
    fn rows_of_a_running_feed_fit_into_any_width() {
        let names = Names::built_in();
        let infy = names.resolve("NSE:INFY").unwrap();
        let output = Output::new(ColorChoice::Never, false, true);
        let rows = Rows::new(Form::Table, vec![Every::MINUTE, Every::DAY], &[infy], output);
        for width in 1..300 {
            let layout = rows.laid_out(width);
            let heading = layout.row(&HEADINGS, "", "every", width);
            assert!(heading.chars().count() <= width, "{width}: {heading}");
        }
        let heading = rows.laid_out(80).row(&HEADINGS, "", "every", 80);
        let words: Vec<&str> = heading.split_whitespace().collect();
        assert_eq!(words, ["start", "every", "high", "low", "close", "volume"]);
        let heading = rows.laid_out(40).row(&HEADINGS, "", "every", 40);
        let words: Vec<&str> = heading.split_whitespace().collect();
        assert_eq!(words, ["start", "every", "close"]);
    }
}
