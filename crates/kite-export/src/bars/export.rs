//! The settings of bars, and where they are written.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;

use kite_candles::{Config, Counts, Every, RecordedCandles};

use super::BarRow;
use super::period;
use super::table::{BarTable, ForEach, Plan, Rows, Totals};
use crate::arrow::BarColumns;
use crate::error::{ExportError, Target};
use crate::export::Export;
use crate::memory::{self, Batches, MemoryBars};
use crate::parquet::ParquetBars;
use crate::settings::{Format, TimeFormat, TimeUnit, TimeZone, Times};
use crate::summary::Summary;
use crate::symbols::Symbols;
use crate::text::TextBars;

/// How the times of bars are written in Parquet and in memory.
const TIMES: TimeFormat =
    TimeFormat { text: Times::Rfc3339, unit: TimeUnit::Microseconds, zone: TimeZone::Ist };

/// Bars made from tapes; created by [`Export::bars`], whose options apply.
///
/// The time range selects bars and never changes them: those that lie in it at least in part, each
/// made from all packets of its day. The bars of a day follow each other by their start, then by
/// length and token. Times are India's, with microseconds: [`Export::time_zone`],
/// [`Export::time_unit`] and [`Export::columns`] are not used.
///
/// Memory holds the bars of a day, at most 2,097,152 of them with 120 bytes each. Of a day with more,
/// the earlier half is written first, and those that can still change then come later.
///
/// ```no_run
/// use kite_export::kite_candles::Config;
/// use kite_export::{Export, Format};
/// use kite_tape::Reel;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let reel = Reel::open(["recordings"])?;
/// let bars = Export::new(&reel).bars([Config::default()]);
/// let summary = bars.to_file("bars.parquet", Format::Parquet)?;
/// println!("{} bars from {} packets", summary.bars, summary.tapes.rows);
/// # Ok(())
/// # }
/// ```
#[must_use = "bars are not made until they are given a destination"]
pub struct Bars<'a> {
    export: Export<'a>,
    configs: Vec<Config>,
}

/// The result of making bars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BarSummary {
    /// Number of bars.
    pub bars: u64,
    /// Of these, how many have a flag that says that trades are missing: `partial_start`, `gap` or
    /// `volume_fell`.
    pub incomplete: u64,
    /// What was counted for each length, of the whole days that were read.
    pub counts: Vec<(Every, Counts)>,
    /// What was read of the tapes: `rows` are the packets, `bytes_written` those of the bars.
    pub tapes: Summary,
}

impl<'a> Bars<'a> {
    pub(crate) fn new(export: Export<'a>, configs: impl IntoIterator<Item = Config>) -> Self {
        Self { export, configs: configs.into_iter().collect() }
    }

    /// Writes the bars to a file, which appears under its name only when it is complete.
    ///
    /// # Errors
    /// Returns an [`ExportError`] if a setting is out of range or the bars could not be written; no
    /// file is left.
    pub fn to_file(
        mut self,
        path: impl AsRef<Path>,
        format: Format,
    ) -> Result<BarSummary, ExportError> {
        let (plan, totals) = self.plan()?;
        let tapes = self.export.file_with(path.as_ref(), format, |export, out, target| {
            let rows = open(export, out, target, format, plan.is_several())?;
            Ok(Box::new(BarTable::new(plan, rows)))
        })?;
        Ok(summary(&totals, tapes))
    }

    /// Writes the bars to a writer, such as the standard output.
    ///
    /// # Errors
    /// Returns an [`ExportError`] if a setting is out of range or the bars could not be written; the
    /// writer keeps the bytes written so far.
    pub fn to_writer(
        mut self,
        mut out: impl Write + Send,
        format: Format,
    ) -> Result<BarSummary, ExportError> {
        let (plan, totals) = self.plan()?;
        let tapes = self.export.writer_with(&mut out, format, |export, out, target| {
            let rows = open(export, out, target, format, plan.is_several())?;
            Ok(Box::new(BarTable::new(plan, rows)))
        })?;
        Ok(summary(&totals, tapes))
    }

    /// Passes each bar to a function. [`Export::events`] is not used.
    ///
    /// # Errors
    /// Returns an [`ExportError`] if a setting is out of range, or the caller cancelled.
    pub fn for_each(mut self, each: impl FnMut(BarRow<'_>)) -> Result<BarSummary, ExportError> {
        let (plan, totals) = self.plan()?;
        let table = BarTable::new(plan, Box::new(ForEach(each)));
        let tapes = self.export.write(Box::new(table), None, Format::Csv)?;
        Ok(summary(&totals, tapes))
    }

    /// Returns the bars as record batches, equal to what Parquet has, in the order of a file.
    /// [`Export::events`] is not used.
    ///
    /// # Errors
    /// Returns an [`ExportError`] if a setting is out of range. Reading may fail later.
    pub fn to_batches(self) -> Result<Batches<BarSummary>, ExportError>
    where
        'a: 'static,
    {
        self.export.check()?;
        RecordedCandles::new(self.configs.iter().cloned())?;
        let schema = self.columns().schema().clone();
        Ok(Batches::new(schema, move |out| self.read(out)))
    }

    /// Reads the bars into memory. Blocks.
    fn read(mut self, out: memory::Output) -> Result<BarSummary, ExportError> {
        let columns = self.columns();
        let (plan, totals) = self.plan()?;
        let table = BarTable::new(plan, Box::new(MemoryBars::new(out, columns)));
        let tapes = self.export.write(Box::new(table), None, Format::Parquet)?;
        Ok(summary(&totals, tapes))
    }

    /// Returns columns without rows.
    fn columns(&self) -> BarColumns {
        BarColumns::new(self.configs.len() > 1, self.export.schema.prices, TIMES)
    }

    /// Checks the settings, and selects the whole days of the time range.
    fn plan(&mut self) -> Result<(Plan, Rc<RefCell<Totals>>), ExportError> {
        self.export.check()?;
        let shown = self.export.selection.clone();
        period::extend(&mut self.export.selection, &self.configs);
        let text = self.export.schema.times.text;
        self.export.schema.times = TimeFormat { text, ..TIMES };
        let lengths = self.configs.iter().map(|config| config.every).collect();
        let totals = Rc::default();
        let plan = Plan {
            candles: RecordedCandles::new(self.configs.drain(..))?,
            lengths,
            shown,
            symbols: self.export.schema.symbols.as_ref().map(Symbols::cached),
            totals: Rc::clone(&totals),
        };
        Ok((plan, totals))
    }
}

fn open<'w>(
    export: &Export<'_>,
    out: &'w mut (dyn Write + Send),
    target: Target,
    format: Format,
    several: bool,
) -> Result<Box<dyn Rows + 'w>, ExportError> {
    Ok(match export.text_settings(format) {
        Some(settings) => Box::new(TextBars::new(out, target, settings, several)),
        None => {
            let columns = BarColumns::new(several, export.schema.prices, export.schema.times);
            Box::new(ParquetBars::new(out, target, columns, export.level()?, export.metadata())?)
        }
    })
}

fn summary(totals: &RefCell<Totals>, tapes: Summary) -> BarSummary {
    let Totals { bars, incomplete, counts } = totals.take();
    BarSummary { bars, incomplete, counts, tapes }
}

impl fmt::Debug for Bars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bars")
            .field("export", &self.export)
            .field("configs", &self.configs)
            .finish()
    }
}
