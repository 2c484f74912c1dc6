//! Bars as a table for people: one block for each instrument and length.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kite_candles::{Bar, Every};
use kite_export::BarRow;

use super::columns::{self, HEADINGS, Layout};
use crate::console::output::{BOLD, DIM, Output, YELLOW};
use crate::format::numbers::{grouped, price};
use crate::format::times::{ist, span};

/// Bars of each block if there are several instruments: the last ones.
const SHOWN_OF_SEVERAL: usize = 10;

/// Blocks that are shown; a screen has room for few.
const MOST_BLOCKS: usize = 20;

/// The bars to show.
#[derive(Debug, Default)]
pub(super) struct Table {
    blocks: Vec<Block>,
    tokens: BTreeSet<u32>,
    /// Blocks beyond the most that are shown.
    left_out: BTreeSet<(u32, Every)>,
}

#[derive(Debug)]
struct Block {
    token: u32,
    every: Every,
    name: String,
    bars: VecDeque<Bar>,
    /// Bars before these.
    earlier: u64,
}

impl Block {
    fn keep(&mut self, most: usize) {
        let too_many = self.bars.len().saturating_sub(most);
        self.bars.drain(..too_many);
        self.earlier += too_many as u64;
    }
}

impl Table {
    pub(super) fn push(&mut self, row: BarRow<'_>) {
        let (token, every) = (row.bar.instrument_token, row.every);
        let at = self.blocks.iter().position(|it| (it.token, it.every) == (token, every));
        let at = match at {
            Some(at) => at,
            None if self.blocks.len() >= MOST_BLOCKS => {
                self.left_out.insert((token, every));
                return;
            }
            None => {
                let name = row.symbol.map_or_else(|| token.to_string(), str::to_owned);
                let (bars, earlier) = (VecDeque::new(), 0);
                self.blocks.push(Block { token, every, name, bars, earlier });
                self.tokens.insert(token);
                self.blocks.len() - 1
            }
        };
        if let Some(block) = self.blocks.get_mut(at) {
            block.bars.push_back(*row.bar);
        }
        if self.tokens.len() > 1 {
            self.blocks.iter_mut().for_each(|block| block.keep(SHOWN_OF_SEVERAL));
        }
    }

    /// Returns the table, as wide as the terminal.
    pub(super) fn text(&self, output: Output) -> String {
        let width = output.room();
        let blocks: Vec<_> = self.blocks.iter().map(|block| block.text(output, width)).collect();
        let mut text = blocks.join("\n");
        if !self.left_out.is_empty() {
            let more = grouped(self.left_out.len() as u64);
            let advice = "choose some with --instruments, or write all with --to bars.csv";
            let text_of_more = output.wrapped(&format!("and {more} more: {advice}"), 0);
            text += &output.paint(DIM, format_args!("\n{text_of_more}\n"));
        }
        text
    }
}

impl Block {
    /// Returns the block with a heading, a row for each bar, and the date where it changes. Columns
    /// that do not fit into the width are left out.
    fn text(&self, output: Output, width: usize) -> String {
        let rows: Vec<_> = self.bars.iter().map(|bar| cells(bar, self.every)).collect();
        let widest = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        // Columns without a value are left out.
        let widths = std::array::from_fn(|at| match widest(at) {
            0 => 0,
            widest => widest.max(HEADINGS[at].len()),
        });
        let flags: Vec<String> = self.bars.iter().map(|bar| bar.flags.to_string()).collect();
        let most = flags.iter().map(String::len).max().unwrap_or(0);
        let layout = Layout::new(&widths, most, width);
        let head: String = format!("{}  {}", self.name, self.every).chars().take(width).collect();
        let (name, length) = head.rsplit_once("  ").unwrap_or((&head, ""));
        let mut text =
            format!("{}  {length}", output.paint(BOLD, name)).trim_end().to_owned() + "\n";
        if self.earlier > 0 {
            let earlier = grouped(self.earlier);
            text += &output.paint(DIM, format_args!("after {earlier} earlier bars\n"));
        }
        text += &output.paint(DIM, layout.row(&HEADINGS, width).trim_end());
        text.push('\n');
        let mut date = String::new();
        for ((bar, row), flags) in self.bars.iter().zip(&rows).zip(&flags) {
            let its = ist(bar.start.unix_ns()).date();
            if self.every != Every::DAY && its != date {
                text += &output.paint(DIM, format_args!("{its}\n"));
                date = its;
            }
            let flags: Vec<&str> = flags.split_whitespace().collect();
            text += &line(&layout.row(row, width), &flags, layout.flags, output);
        }
        text
    }
}

/// Returns a row and the remarks on it that fit, without blanks at the end.
pub(super) fn line(row: &str, remarks: &[&str], width: usize, output: Output) -> String {
    let remarks = columns::remarks(remarks, width);
    if remarks.is_empty() {
        return row.trim_end().to_owned() + "\n";
    }
    format!("{row}  {}\n", output.paint(YELLOW, remarks))
}

/// Returns the cells of a bar: its start, its prices and volumes, and what it misses.
pub(super) fn cells(bar: &Bar, every: Every) -> [String; 9] {
    let start = ist(bar.start.unix_ns());
    let start = match every {
        Every::DAY => start.date(),
        every if every.as_secs().is_multiple_of(60) => start.clock()[..5].to_owned(),
        _ => start.clock(),
    };
    let number = |number: Option<u64>| number.map(grouped).unwrap_or_default();
    let over_zero = |count: u64| Some(count).filter(|count| *count > 0);
    let missed = over_zero(bar.missed_ms).map(|ms| span(Duration::from_millis(ms)));
    [
        start,
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        number(bar.volume),
        number(bar.open_interest.map(u64::from)),
        missed.unwrap_or_default(),
        number(over_zero(bar.missed_volume)),
    ]
}
