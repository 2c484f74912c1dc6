//! Bars as a table for people: one block for each instrument and length.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kite_candles::{Bar, Every};
use kite_export::BarRow;

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

    pub(super) fn text(&self, output: Output) -> String {
        let blocks: Vec<_> = self.blocks.iter().map(|block| block.text(output)).collect();
        let mut text = blocks.join("\n");
        if !self.left_out.is_empty() {
            let more = grouped(self.left_out.len() as u64);
            let advice = "choose some with --instruments, or write all with --to bars.csv";
            text += &output.paint(DIM, format_args!("\nand {more} more: {advice}\n"));
        }
        text
    }
}

impl Block {
    /// Returns the block with a heading, a row for each bar, and the date where it changes.
    fn text(&self, output: Output) -> String {
        let has_volume = self.bars.iter().any(|bar| bar.volume.is_some());
        let has_interest = self.bars.iter().any(|bar| bar.open_interest.is_some_and(|it| it > 0));
        let has_missed = self.bars.iter().any(|bar| bar.missed_ms + bar.missed_volume > 0);
        let columns = [
            ("start", true),
            ("open", true),
            ("high", true),
            ("low", true),
            ("close", true),
            ("volume", has_volume),
            ("oi", has_interest),
            ("missed", has_missed),
            ("missed volume", has_missed && has_volume),
        ];
        let shown: Vec<usize> = (0..columns.len()).filter(|at| columns[*at].1).collect();
        let rows: Vec<_> = self.bars.iter().map(|bar| cells(bar, self.every)).collect();
        let width = |at: usize| {
            let widths = rows.iter().map(|row| row[at].chars().count());
            widths.chain([columns[at].0.len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = shown.iter().map(|at| width(*at)).collect();
        let line = |cell: &dyn Fn(usize) -> String, flags: &str| {
            let cells =
                shown.iter().zip(&widths).map(|(at, width)| format!("{:>width$}", cell(*at)));
            let cells = cells.collect::<Vec<_>>().join("  ");
            format!("{cells}  {}", output.paint(YELLOW, flags)).trim_end().to_owned() + "\n"
        };

        let mut text = format!("{}  {}\n", output.paint(BOLD, &self.name), self.every);
        if self.earlier > 0 {
            let earlier = grouped(self.earlier);
            text += &output.paint(DIM, format_args!("after {earlier} earlier bars\n"));
        }
        text += &output.paint(DIM, line(&|at| columns[at].0.to_owned(), "").trim_end());
        text.push('\n');
        let mut date = String::new();
        for (bar, row) in self.bars.iter().zip(&rows) {
            let its = ist(bar.start.unix_ns()).date();
            if self.every != Every::DAY && its != date {
                text += &output.paint(DIM, format_args!("{its}\n"));
                date = its;
            }
            text += &line(&|at| row[at].clone(), &bar.flags.to_string());
        }
        text
    }
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
