//! Bars as rows on standard output, one as each ends.

use std::collections::HashMap;

use kite_candles::{Bar, Every, Item};
use kite_export::BarLines;
use kite_tape::Windows;
use kite_wire::UnixSeconds;

use super::super::report::NO_BAR;
use super::super::table::cells;
use crate::console::output::{DIM, Output, YELLOW};
use crate::exit::CliError;
use crate::format::numbers::{counted, grouped};
use crate::format::times::ist;
use crate::instruments::names::{Named, Names};

/// Bars that are named in the report of those that had not ended.
const MOST_NAMED: usize = 10;

/// The columns of the table after the start and the instrument, with their widths.
const COLUMNS: [(&str, usize); 8] = [
    ("open", 11),
    ("high", 11),
    ("low", 11),
    ("close", 11),
    ("volume", 11),
    ("oi", 11),
    ("missed", 7),
    ("missed volume", 13),
];

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
    /// The width of the instruments in the table.
    width: usize,
    /// `None` for the table.
    lines: Option<BarLines>,
    /// The times whose bars are printed, those that lie in them at least in part; `None` is all.
    shown: Option<Windows>,
    has_header: bool,
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
            width: labels.values().map(|name| name.chars().count()).max().unwrap_or_default(),
            labels,
            lines: match form {
                Form::Table => None,
                Form::Csv => Some(BarLines::live_csv(several)),
                Form::JsonLines => Some(BarLines::live_json(several)),
            },
            shown: None,
            has_header: false,
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
        let mut text = String::new();
        if !std::mem::replace(&mut self.has_header, true) {
            text += &self.header();
        }
        text += &self.row(every, item);
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
    pub(super) fn warn_if_none(&self) -> bool {
        let is_none = self.bars == 0 && self.unfinished.is_empty();
        if is_none {
            self.output.warn(NO_BAR);
        }
        is_none
    }

    fn is_shown(&self, bar: &Bar) -> bool {
        let last_ns = bar.end.unix_ns().saturating_sub(1);
        let overlaps = |shown: &Windows| shown.overlap(bar.start.unix_ns(), last_ns);
        self.labels.contains_key(&bar.instrument_token) && self.shown.as_ref().is_none_or(overlaps)
    }

    fn header(&self) -> String {
        let mut text = format!("{:<8}  {:<width$}", "start", "", width = self.width);
        if self.lengths.len() > 1 {
            text += "  every";
        }
        for (name, width) in COLUMNS {
            text += &format!("  {name:>width$}");
        }
        self.output.paint(DIM, text.trim_end()) + "\n"
    }

    fn row(&self, every: Every, item: &Item) -> String {
        let bar = item.bar();
        let [start, values @ ..] = cells(bar, every);
        let name = self.labels.get(&bar.instrument_token).map_or("", String::as_str);
        let mut text = format!("{start:<8}  {name:<width$}", width = self.width);
        if self.lengths.len() > 1 {
            text += &format!("  {:>5}", every.to_string());
        }
        for (value, (_, width)) in values.iter().zip(COLUMNS) {
            text += &format!("  {value:>width$}");
        }
        let mut remarks = bar.flags.to_string();
        if let Item::Correction(_) = item {
            remarks = format!("corrected {remarks}");
        }
        let remarks = self.output.paint(YELLOW, remarks.trim_end());
        format!("{text}  {remarks}").trim_end().to_owned() + "\n"
    }
}
