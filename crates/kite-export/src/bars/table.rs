//! Makes bars from the records of tapes and passes them on in order.

use std::cell::RefCell;
use std::rc::Rc;

use kite_candles::{Bar, Counts, Every, Flags, Item, RecordedCandles};
use kite_tape::{Damage, Entry};
use kite_wire::Packet;
use kite_wire::ist::Day;
use kite_wire::tape::Received;

use super::BarRow;
use crate::error::ExportError;
use crate::selection::Selection;
use crate::summary::Summary;
use crate::symbols::CachedSymbols;
use crate::table::TickTable;

/// Maximum number of bars that are held to be put in order.
const MOST_HELD: usize = 1 << 21;

/// Takes bars in some format.
pub(crate) trait Rows {
    fn push(&mut self, row: BarRow<'_>) -> Result<(), ExportError>;

    /// Returns whether the caller has no more use for the rows, so that reading ends.
    fn is_abandoned(&self) -> bool {
        false
    }

    /// Writes the remaining rows, and returns the size of all in bytes.
    fn finish(&mut self, summary: &Summary) -> Result<u64, ExportError>;
}

/// Passes rows to a function.
pub(super) struct ForEach<F>(pub(super) F);

impl<F: FnMut(BarRow<'_>)> Rows for ForEach<F> {
    fn push(&mut self, row: BarRow<'_>) -> Result<(), ExportError> {
        (self.0)(row);
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> Result<u64, ExportError> {
        Ok(0)
    }
}

/// What bars to make.
pub(super) struct Plan {
    pub(super) candles: RecordedCandles,
    pub(super) lengths: Vec<Every>,
    /// The time range of the bars that are passed on.
    pub(super) shown: Selection,
    pub(super) symbols: Option<CachedSymbols>,
    /// Where the totals are put at the end.
    pub(super) totals: Rc<RefCell<Totals>>,
}

impl Plan {
    /// Returns whether there are bars of several lengths.
    pub(super) fn is_several(&self) -> bool {
        self.lengths.len() > 1
    }
}

/// What was made.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) bars: u64,
    pub(super) incomplete: u64,
    pub(super) counts: Vec<(Every, Counts)>,
}

/// The table of bars, which takes the packets of ticks.
pub(super) struct BarTable<'w> {
    /// `None` once they are finished.
    candles: Option<RecordedCandles>,
    lengths: Vec<Every>,
    shown: Selection,
    symbols: Option<CachedSymbols>,
    totals: Rc<RefCell<Totals>>,
    /// The day of the latest record.
    day: Day,
    /// Bars that were not passed on, each with the index of its length.
    held: Vec<(usize, Bar)>,
    rows: Box<dyn Rows + 'w>,
}

impl<'w> BarTable<'w> {
    pub(super) fn new(plan: Plan, rows: Box<dyn Rows + 'w>) -> Self {
        let Plan { candles, lengths, shown, symbols, totals } = plan;
        let (candles, day) = (Some(candles), Day::at_unix_s(0));
        Self { candles, lengths, shown, symbols, totals, day, held: Vec::new(), rows }
    }

    /// Passes on the first bars, all or half of them.
    fn pass_on(&mut self, all: bool) -> Result<(), ExportError> {
        self.held.sort_unstable_by_key(|(nth, bar)| (bar.start, *nth, bar.instrument_token));
        let count = if all { self.held.len() } else { self.held.len() / 2 };
        let mut totals = self.totals.borrow_mut();
        for (nth, bar) in self.held.drain(..count) {
            let symbols = self.symbols.as_mut();
            let symbol = symbols.and_then(|it| it.name(bar.start.unix_ns(), bar.instrument_token));
            let every = self.lengths.get(nth).copied().unwrap_or(Every::MINUTE);
            self.rows.push(BarRow { bar: &bar, every, symbol })?;
            totals.bars += 1;
            totals.incomplete += u64::from(is_incomplete(bar.flags));
        }
        Ok(())
    }
}

/// Returns the function that holds the bars in the time range.
fn hold<'h>(
    held: &'h mut Vec<(usize, Bar)>,
    shown: &'h Selection,
) -> impl FnMut(usize, Item) + use<'h> {
    move |nth, item| {
        let bar = *item.bar();
        let last_ns = bar.end.unix_ns().saturating_sub(1);
        if shown.overlaps(bar.start.unix_ns(), last_ns) {
            held.push((nth, bar));
        }
    }
}

/// Returns whether trades are missing in a bar.
fn is_incomplete(flags: Flags) -> bool {
    [Flags::PARTIAL_START, Flags::GAP, Flags::VOLUME_FELL].iter().any(|it| flags.contains(*it))
}

impl TickTable for BarTable<'_> {
    fn on_record(&mut self, entry: &Entry) -> Result<(), ExportError> {
        if let Some(candles) = &mut self.candles {
            let mut out = hold(&mut self.held, &self.shown);
            candles.on_record(entry.received, entry.kind, &entry.payload, &mut out);
        }
        let day = Day::at_unix_ns(entry.recv_unix_ns());
        if day > self.day {
            self.day = day;
            self.pass_on(true)?;
        }
        Ok(())
    }

    fn on_damage(&mut self, damage: &Damage) -> Result<(), ExportError> {
        if let Some(candles) = &mut self.candles {
            let mut out = hold(&mut self.held, &self.shown);
            candles.on_damage(damage.from_unix_ns, damage.to_unix_ns, &mut out);
        }
        Ok(())
    }

    fn push(&mut self, received: Received, packet: Packet<'_>) -> Result<(), ExportError> {
        if let Some(candles) = &mut self.candles {
            let mut out = hold(&mut self.held, &self.shown);
            candles.on_packet(received, packet, &mut out);
        }
        if self.held.len() >= MOST_HELD { self.pass_on(false) } else { Ok(()) }
    }

    fn is_abandoned(&self) -> bool {
        self.rows.is_abandoned()
    }

    fn finish(&mut self, summary: &Summary) -> Result<(u64, u64), ExportError> {
        if let Some(candles) = self.candles.take() {
            let counts = candles.finish(&mut hold(&mut self.held, &self.shown));
            self.totals.borrow_mut().counts = self.lengths.iter().copied().zip(counts).collect();
        }
        self.pass_on(true)?;
        let rows = self.totals.borrow().bars;
        let bytes = self.rows.finish(&Summary { rows, ..summary.clone() })?;
        Ok((1, bytes))
    }
}
