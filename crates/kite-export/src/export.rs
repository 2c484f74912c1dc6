//! The settings of an export, and the export itself.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use kite_tape::{Damage, ReadConfig, Reel, SilenceDetector, TapeFile, Windows};
use kite_wire::Segment;
use kite_wire::ist::Day;
use kite_wire::tape::Ending;
use parquet::basic::ZstdLevel;
use parquet::file::metadata::KeyValue;

use crate::arrow::{ColumnError, EventRows, TickBatches, TickSchema};
use crate::bars::Bars;
use crate::error::{ExportError, Target};
use crate::layout;
use crate::memory::{self, Batches, MemoryEvents, MemoryTicks, NoTicks};
use crate::output::OutputFile;
use crate::parquet::{ParquetEvents, ParquetSettings, open_ticks, tick_files};
use crate::partition::{Partition, Partitions};
use crate::partitioned::{self, PartitionedTicks};
use crate::permit::{Permit, resolved};
use crate::run::{Progress, Run};
use crate::scratch::{Held, Scratch};
use crate::selection::Selection;
use crate::settings::{Format, Prices, TimeUnit, TimeZone, Times};
use crate::summary::Summary;
use crate::symbols::Symbols;
use crate::table::{EventTable, TickFiles, TickTable};
use crate::text::{CHUNK_ROWS, TextEvents, TextFiles, TextKind, TextSettings, TextTicks};
use crate::tree::OutputTree;

type OnProgress<'a> = dyn FnMut(Progress) + Send + 'a;
type OnDamage<'a> = dyn FnMut(&Damage) + Send + 'a;

/// Default rows of a Parquet row group.
const ROW_GROUP_ROWS: usize = 131_072;

/// Maximum rows of a Parquet row group.
const MOST_ROW_GROUP_ROWS: usize = 1 << 22;

/// Maximum number of threads; more are never started.
const MOST_THREADS: usize = 64;

/// Default compression level of Parquet. Higher levels cost more time than the saved space is
/// worth.
const ZSTD_LEVEL: i32 = 3;

/// An export of tapes to a table. Set its options, then call [`Export::to_file`],
/// [`Export::to_writer`], [`Export::to_partitions`] or [`Export::to_batches`].
///
/// Memory is bounded. Parquet holds two row groups of about 500 bytes per row with market depth and
/// 200 without, which is 140 MB or 60 MB by default; CSV and JSON lines hold about 5 MB per thread.
///
/// ```no_run
/// use kite_export::{Export, Format};
/// use kite_tape::Reel;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let reel = Reel::open(["recordings"])?;
/// let summary = Export::new(&reel)
///     .events("day-events.parquet")
///     .on_damage(|damage| eprintln!("{damage}"))
///     .to_file("day.parquet", Format::Parquet)?;
/// println!("{} rows, {} gaps", summary.rows, summary.gaps);
/// # Ok(())
/// # }
/// ```
#[must_use = "an export does nothing until it is given a destination"]
pub struct Export<'a> {
    pub(crate) reel: Reel,
    pub(crate) selection: Selection,
    read_past: Option<Duration>,
    pub(crate) schema: TickSchema,
    crlf: bool,
    json_prices_as_text: bool,
    events: Option<PathBuf>,
    quiet_after: Duration,
    permit: Permit,
    row_group_rows: usize,
    zstd_level: i32,
    threads: usize,
    cancel: Option<&'a AtomicBool>,
    on_progress: Option<Box<OnProgress<'a>>>,
    on_damage: Option<Box<OnDamage<'a>>>,
}

impl<'a> Export<'a> {
    /// Exports everything on the tapes.
    pub fn new(reel: &Reel) -> Self {
        let mut permit = Permit::default();
        permit.keep(reel.files().iter().map(TapeFile::path));
        Self {
            reel: reel.clone(),
            selection: Selection::default(),
            read_past: None,
            schema: TickSchema::default(),
            crlf: false,
            json_prices_as_text: false,
            events: None,
            quiet_after: SilenceDetector::QUIET_AFTER,
            permit,
            row_group_rows: ROW_GROUP_ROWS,
            zstd_level: ZSTD_LEVEL,
            threads: 0,
            cancel: None,
            on_progress: None,
            on_damage: None,
        }
    }

    /// Keeps records received at or after this time, in nanoseconds since the Unix epoch. Blocks
    /// that end before it are not read, and their damage is not reported.
    pub fn from(mut self, unix_ns: u64) -> Self {
        self.selection.from_unix_ns = unix_ns;
        self
    }

    /// Keeps records received before this time, in nanoseconds since the Unix epoch.
    ///
    /// The tapes are still read to their end, to find gaps that overlap the time range but were
    /// recorded later, and frames stamped by a clock that stepped back. See [`Export::read_past`].
    pub fn to(mut self, unix_ns: u64) -> Self {
        self.selection.to_unix_ns = Some(unix_ns);
        self
    }

    /// Keeps records received within these windows, such as the trading hours of several days;
    /// replaces [`Export::from`] and [`Export::to`].
    pub fn windows(mut self, windows: Windows) -> Self {
        let (from, to) = windows.span().unwrap_or((0, 0));
        self.selection.from_unix_ns = from;
        self.selection.to_unix_ns = Some(to);
        self.selection.windows = Some(windows);
        self
    }

    /// Stops reading this long after the end of the time range. This is faster, but gaps recorded
    /// later, such as at the end of a longer disconnection, stay unknown.
    pub fn read_past(mut self, time: Duration) -> Self {
        self.read_past = Some(time);
        self
    }

    /// Keeps only these instruments.
    pub fn tokens(mut self, instrument_tokens: impl IntoIterator<Item = u32>) -> Self {
        self.selection.tokens = Some(instrument_tokens.into_iter().collect());
        self
    }

    /// Keeps instruments only on these days in India, and of [`Export::tokens`] those among them. A
    /// token is reused for another instrument after its contract has expired.
    pub fn tokens_by_day(mut self, tokens: impl IntoIterator<Item = (Day, u32)>) -> Self {
        self.selection.tokens_by_day = Some(tokens.into_iter().collect());
        self
    }

    /// Keeps only these segments, and of [`Export::tokens`] those in these segments.
    pub fn segments(mut self, segments: impl IntoIterator<Item = Segment>) -> Self {
        self.selection.segments = Some(segments.into_iter().collect());
        self
    }

    /// Keeps only these columns of [`tick_columns`](crate::tick_columns), in this order, in Parquet
    /// and in memory.
    ///
    /// # Errors
    /// Returns a [`ColumnError`] as [`TickSchema::columns`] does.
    pub fn columns<N: AsRef<str>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, ColumnError> {
        self.schema = self.schema.columns(names)?;
        Ok(self)
    }

    /// Sets the type of prices in Parquet. Default: [`Prices::Decimal`].
    pub fn prices(mut self, prices: Prices) -> Self {
        self.schema.prices = prices;
        self
    }

    /// Sets the format of times in CSV and JSON lines. Default: [`Times::Rfc3339`].
    pub fn times(mut self, times: Times) -> Self {
        self.schema.times.text = times;
        self
    }

    /// Sets the precision of receive times, in every format. Default: [`TimeUnit::Nanoseconds`].
    pub fn time_unit(mut self, unit: TimeUnit) -> Self {
        self.schema.times.unit = unit;
        self
    }

    /// Sets the time zone in which times are written, in every format. Default: [`TimeZone::Utc`].
    pub fn time_zone(mut self, zone: TimeZone) -> Self {
        self.schema.times.zone = zone;
        self
    }

    /// Sets whether the 30 columns of market depth are written. Default: yes.
    pub fn depth(mut self, wanted: bool) -> Self {
        self.schema = self.schema.depth(wanted);
        self
    }

    /// Ends lines of CSV with CR and LF, as RFC 4180 requires. Default: LF alone, which all readers
    /// accept and shell tools expect.
    pub fn crlf(mut self, wanted: bool) -> Self {
        self.crlf = wanted;
        self
    }

    /// Writes prices in JSON as strings, for readers that parse numbers as `f64`. Default: numbers
    /// with their exact digits.
    pub fn json_prices_as_text(mut self, wanted: bool) -> Self {
        self.json_prices_as_text = wanted;
        self
    }

    /// Adds the column `symbol`. The lookup returns the symbol that an instrument token has on a day
    /// in India, such as `NSE:INFY`: a token is reused for another instrument after its contract has
    /// expired. It is called once per instrument and day by each thread.
    pub fn symbols(
        mut self,
        lookup: impl Fn(Day, u32) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.schema = self.schema.symbols(lookup);
        self
    }

    /// Sets the time after which a connection counts as silent in [`Summary::silences`] and in the
    /// table of events. Default: 5 seconds.
    pub fn quiet_after(mut self, time: Duration) -> Self {
        self.quiet_after = time;
        self
    }

    /// Also writes the table of events, to this file: in the format of its extension, or that of the
    /// ticks if it has none. It has gaps, text frames, notes, heartbeats, silences and damage.
    pub fn events(mut self, path: impl Into<PathBuf>) -> Self {
        self.events = Some(path.into());
        self
    }

    /// Allows existing files to be replaced once the new ones are complete, except for the tapes of
    /// this export and all others. Default: no.
    pub fn overwrite(mut self, allowed: bool) -> Self {
        self.permit.overwrite = allowed;
        self
    }

    /// Keeps these files from being replaced, whichever of their names is used, for example a list
    /// that the symbols come from.
    pub fn keep(mut self, paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        self.permit.keep(paths);
        self
    }

    /// Sets where the temporary files are known, so that they can be removed before the process
    /// exits.
    pub fn scratch(mut self, scratch: &Scratch) -> Self {
        self.permit.scratch = scratch.clone();
        self
    }

    /// Sets the rows of a Parquet row group, from 1 to 4,194,304. Default: 131,072. Readers skip
    /// row groups by their statistics; larger groups need more memory.
    pub fn row_group_rows(mut self, rows: usize) -> Self {
        self.row_group_rows = rows;
        self
    }

    /// Sets the compression level of Parquet, from 1 to 22. Default: 3.
    pub fn zstd_level(mut self, level: i32) -> Self {
        self.zstd_level = level;
        self
    }

    /// Sets the number of threads that encode, at most 64; half as many read ahead. Default, or
    /// with 0: the number of cores. Rows and their order do not depend on it.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Cancels once the flag is true. The flag is checked for every record.
    pub fn cancel_on(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Reports progress, at most every 8,192 rows and records, and at the end.
    pub fn on_progress(mut self, callback: impl FnMut(Progress) + Send + 'a) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    /// Reports each part of the tapes that could not be read, with file and offset.
    pub fn on_damage(mut self, callback: impl FnMut(&Damage) + Send + 'a) -> Self {
        self.on_damage = Some(Box::new(callback));
        self
    }

    /// Makes bars of these lengths from the packets instead of a table of ticks.
    pub fn bars(self, configs: impl IntoIterator<Item = kite_candles::Config>) -> Bars<'a> {
        Bars::new(self, configs)
    }

    /// Writes the table of ticks to a file. The file appears under its name only when it is
    /// complete, as does the file of events.
    ///
    /// # Errors
    /// Returns an [`ExportError`] if the export failed; no file is left.
    pub fn to_file(self, path: impl AsRef<Path>, format: Format) -> Result<Summary, ExportError> {
        self.file_with(path.as_ref(), format, |export, out, target| {
            export.open_ticks(Destination::File(out, target), format)
        })
    }

    /// Writes the table that `open` opens to a file.
    pub(crate) fn file_with(
        mut self,
        path: &Path,
        format: Format,
        open: impl for<'w> FnOnce(&Self, &'w mut (dyn Write + Send), Target) -> Opened<'w>,
    ) -> Result<Summary, ExportError> {
        let events = self.events.as_deref();
        if events.is_some_and(|events| resolved(events) == resolved(path)) {
            return Err(ExportError::OneFileForTwo { path: path.into() });
        }
        self.check()?;
        let mut ticks = OutputFile::create(path, &self.permit)?;
        let mut events = self.create_events()?;
        let table = open(&self, &mut ticks, Target::File(path.into()))?;
        let summary = self.write(table, events.as_mut(), format)?;
        ticks.sync()?;
        let held = self.hold(events.as_ref())?;
        // The ticks last, so that if they exist, the events do too.
        let events = events.map(|events| events.persist(&held)).transpose()?;
        ticks.persist(&held).inspect_err(|_| {
            if let Some(path) = events {
                // The first error matters more than one of the cleanup.
                let _ = std::fs::remove_file(path);
            }
        })?;
        Ok(summary)
    }

    /// Writes the table of ticks to a writer, such as the standard output. The events go to their
    /// file, if one was named.
    ///
    /// # Errors
    /// Returns an [`ExportError`] if the export failed; the writer keeps the bytes written so far,
    /// but no file is left.
    pub fn to_writer(
        self,
        mut out: impl Write + Send,
        format: Format,
    ) -> Result<Summary, ExportError> {
        self.writer_with(&mut out, format, |export, out, target| {
            export.open_ticks(Destination::File(out, target), format)
        })
    }

    /// Writes the table that `open` opens to a writer.
    pub(crate) fn writer_with(
        mut self,
        out: &mut (dyn Write + Send),
        format: Format,
        open: impl for<'w> FnOnce(&Self, &'w mut (dyn Write + Send), Target) -> Opened<'w>,
    ) -> Result<Summary, ExportError> {
        self.check()?;
        let mut events = self.create_events()?;
        let table = open(&self, out, Target::Writer)?;
        let summary = self.write(table, events.as_mut(), format)?;
        let held = self.hold(events.as_ref())?;
        events.map(|events| events.persist(&held)).transpose()?;
        Ok(summary)
    }

    /// Writes the table of ticks to a tree of files, one in each partition, such as
    /// `date=2026-11-23/symbol=NSE%3AINFY/ticks.parquet` for [`Partition::Date`] and
    /// [`Partition::Symbol`]. The directory is created if necessary; partitions are added to those it
    /// has. The column of a key is left out of the files, because readers add it from the path.
    ///
    /// At most 256 files are open at the same time. For more partitions the tapes are read again for
    /// each 256. Memory holds up to 1,048,576 rows of 208 bytes in addition to that of a single file.
    ///
    /// The files appear only when all are complete. A directory with files partitioned by other keys
    /// is an error, because readers would count rows twice.
    ///
    /// # Errors
    /// Returns an [`ExportError`] if the export failed; no file is left.
    pub fn to_partitions(
        mut self,
        directory: impl AsRef<Path>,
        by: impl IntoIterator<Item = Partition>,
        format: Format,
    ) -> Result<Summary, ExportError> {
        let by: Vec<_> = by.into_iter().collect();
        if let Some((_, &key)) = by.iter().enumerate().find(|&(at, key)| by[..at].contains(key)) {
            return Err(ExportError::RepeatedPartition { key });
        }
        self.check()?;
        layout::check(directory.as_ref(), &by, &partitioned::file_name(format))?;
        let mut tree = OutputTree::create(directory.as_ref(), &self.permit)?;
        let mut events = self.create_events()?;
        let table = self.open_ticks(Destination::Tree(&mut tree, by), format)?;
        let summary = self.write(table, events.as_mut(), format)?;
        let held = self.hold(events.as_ref())?;
        let events = events.map(|events| events.persist(&held)).transpose()?;
        tree.persist(&held).inspect_err(|_| {
            if let Some(path) = events {
                let _ = std::fs::remove_file(path);
            }
        })?;
        Ok(summary)
    }

    /// Returns the table of ticks as record batches, equal to what Parquet has. Other threads read and
    /// build ahead, so that memory holds a few batches of 16,384 rows, 11 MB each with market depth.
    ///
    /// # Errors
    /// Returns an [`ExportError`] if a setting is wrong. Reading may fail later.
    pub fn to_batches(self) -> Result<Batches, ExportError>
    where
        'a: 'static,
    {
        self.check()?;
        Ok(Batches::new(self.schema.arrow(), move |out| self.read_ticks(out)))
    }

    /// Returns the table of events as record batches, without the ticks. The selection of
    /// instruments has no effect on it, except for the counts.
    ///
    /// # Errors
    /// Returns an [`ExportError`] if a setting is wrong. Reading may fail later.
    pub fn to_event_batches(self) -> Result<Batches, ExportError>
    where
        'a: 'static,
    {
        self.check()?;
        let schema = EventRows::new(self.schema.times).schema().clone();
        Ok(Batches::new(schema, move |out| self.read_events(out)))
    }

    /// Reads the ticks into memory. Blocks.
    fn read_ticks(mut self, out: memory::Output) -> Result<Summary, ExportError> {
        let schema = self.schema.clone();
        let builder = || TickBatches::new(&schema);
        let ticks = MemoryTicks::new(out, self.thread_count(), builder)?;
        self.run(Box::new(ticks), None)
    }

    /// Reads the events into memory. Blocks.
    fn read_events(mut self, out: memory::Output) -> Result<Summary, ExportError> {
        let ticks = NoTicks::new(&out);
        let events = MemoryEvents::new(out, EventRows::new(self.schema.times));
        self.run(Box::new(ticks), Some(Box::new(events)))
    }

    /// Syncs the events, then holds the temporary files so that all or none get their names.
    fn hold<'s>(&'s self, events: Option<&OutputFile>) -> Result<Held<'s>, ExportError> {
        events.map_or(Ok(()), OutputFile::sync)?;
        self.permit.scratch.hold()
    }

    fn create_events(&self) -> Result<Option<OutputFile>, ExportError> {
        let path = self.events.as_deref();
        path.map(|path| OutputFile::create(path, &self.permit)).transpose()
    }

    pub(crate) fn check(&self) -> Result<(), ExportError> {
        let Selection { from_unix_ns, to_unix_ns, .. } = self.selection;
        if let Some(to_unix_ns) = to_unix_ns.filter(|&to| to <= from_unix_ns) {
            return Err(ExportError::EmptyTimeRange { from_unix_ns, to_unix_ns });
        }
        let rows = i64::try_from(self.row_group_rows).unwrap_or(i64::MAX);
        within("rows of a row group", rows, 1, MOST_ROW_GROUP_ROWS as i64)?;
        within("zstd level", self.zstd_level.into(), 1, 22)
    }

    /// Reads the tapes into the tables.
    pub(crate) fn write<'w>(
        &'w mut self,
        ticks: Box<dyn TickTable + 'w>,
        events: Option<&'w mut OutputFile>,
        format: Format,
    ) -> Result<Summary, ExportError> {
        let events = events.map(|file| self.open_events(file, format)).transpose()?;
        self.run(ticks, events)
    }

    /// Returns the number of threads that encode.
    fn thread_count(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if self.threads == 0 { cores() } else { self.threads }.min(MOST_THREADS)
    }

    /// Reads the tapes into these tables.
    fn run<'w>(
        &'w mut self,
        ticks: Box<dyn TickTable + 'w>,
        events: Option<Box<dyn EventTable + 'w>>,
    ) -> Result<Summary, ExportError> {
        let threads = self.thread_count();
        let to_unix_ns = self.selection.to_unix_ns;
        let past = self.read_past.map(|it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX));
        let reel = self.reel.clone();
        let entries_from = |from_unix_ns| {
            reel.entries_with(ReadConfig { from_unix_ns, threads: threads.div_ceil(2) })
        };
        let run = Run {
            selection: &self.selection,
            stop_unix_ns: to_unix_ns.zip(past).map(|(to, past)| to.saturating_add(past)),
            len_bytes: self.reel.len_bytes(),
            bytes_before: 0,
            cancel: self.cancel,
            on_progress: self.on_progress.as_deref_mut(),
            on_damage: self.on_damage.as_deref_mut(),
            ticks,
            events,
            silences: SilenceDetector::new(self.quiet_after),
            unseen: self.selection.named(),
            summary: Summary::default(),
        };
        let endings = self.reel.files().iter().filter_map(|file| match file.ending() {
            torn @ Ending::Torn { .. } if file.is_cut_off() => {
                let ending = format!("{}: {torn}", file.path().display());
                Some((ending, file.span().map(|(_, last)| last)))
            }
            _ => None,
        });
        let losses = self.reel.passed_over().iter().filter(|file| file.is_loss());
        run.finish(entries_from, endings, losses.map(ToString::to_string))
    }

    fn open_ticks<'w>(&self, destination: Destination<'w>, format: Format) -> Opened<'w> {
        if self.schema.is_chosen() && format != Format::Parquet {
            return Err(ExportError::ColumnsOfText { format });
        }
        let threads = self.thread_count();
        let by_symbol =
            matches!(&destination, Destination::Tree(_, by) if by.contains(&Partition::Symbol));
        let symbols = self.schema.symbols.as_ref().filter(|_| !by_symbol);
        let parquet = || -> Result<_, ExportError> {
            let schema = self.schema.clone();
            Ok(ParquetSettings {
                schema: if by_symbol { schema.without_symbol()? } else { schema },
                row_group_rows: self.row_group_rows,
                level: self.level()?,
                threads,
                metadata: self.metadata(),
            })
        };
        let text = self.text_settings(format);
        let (tree, by) = match (destination, text) {
            (Destination::Tree(tree, by), _) => (tree, by),
            (Destination::File(out, target), None) => return open_ticks(out, target, parquet()?),
            (Destination::File(out, target), Some(settings)) => {
                let files = TextFiles::new(settings, symbols, threads)?;
                return Ok(Box::new(TextTicks::new(out, target, files)?));
            }
        };
        let (files, most_rows): (Box<dyn TickFiles<_>>, _) = match text {
            None => (tick_files(parquet()?)?, self.row_group_rows),
            Some(settings) => (Box::new(TextFiles::new(settings, symbols, threads)?), CHUNK_ROWS),
        };
        let partitions = Partitions::new(by, self.schema.symbols.as_ref().map(Symbols::cached));
        let file_name = partitioned::file_name(format);
        Ok(Box::new(PartitionedTicks::new(tree, files, partitions, file_name, most_rows)))
    }

    fn open_events<'w>(
        &self,
        file: &'w mut OutputFile,
        format: Format,
    ) -> Result<Box<dyn EventTable + 'w>, ExportError> {
        let target = Target::File(file.path().into());
        let format = Format::of_path(file.path()).unwrap_or(format);
        Ok(match self.text_settings(format) {
            Some(settings) => Box::new(TextEvents::new(file, target, settings)?),
            None => {
                let (level, metadata) = (self.level()?, self.metadata());
                Box::new(ParquetEvents::new(file, target, self.schema.times, level, metadata)?)
            }
        })
    }

    pub(crate) fn text_settings(&self, format: Format) -> Option<TextSettings> {
        let kind = match format {
            Format::Parquet => return None,
            Format::Csv => TextKind::Csv { crlf: self.crlf },
            Format::JsonLines => TextKind::JsonLines { prices_as_text: self.json_prices_as_text },
        };
        Some(TextSettings { kind, times: self.schema.times, depth: self.schema.has_depth() })
    }

    pub(crate) fn level(&self) -> Result<ZstdLevel, ExportError> {
        let value = self.zstd_level;
        ZstdLevel::try_new(value).map_err(|_| out_of_limits("zstd level", value.into(), 1, 22))
    }

    /// Returns metadata on the origin of a Parquet file's rows.
    pub(crate) fn metadata(&self) -> Vec<KeyValue> {
        let tapes = self.reel.files().iter().map(|file| format!("{:016x}", file.tape().tape_id()));
        let prices = match self.schema.prices {
            Prices::Decimal => "decimal(18, 7)",
            Prices::Float => "double",
        };
        let time = |unix_ns: u64| Some(unix_ns.to_string());
        [
            ("version", Some(env!("CARGO_PKG_VERSION").to_owned())),
            ("tapes", Some(tapes.collect::<Vec<_>>().join(","))),
            ("prices", Some(prices.to_owned())),
            ("time_zone", Some(self.schema.times.zone.name().to_owned())),
            ("from_unix_ns", time(self.selection.from_unix_ns)),
            ("to_unix_ns", self.selection.to_unix_ns.and_then(time)),
        ]
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .map(|(key, value)| KeyValue::new(format!("kite-export.{key}"), value))
        .collect()
    }
}

/// A table of rows from packets.
type Opened<'w> = Result<Box<dyn TickTable + 'w>, ExportError>;

/// Where the table of ticks is written.
enum Destination<'w> {
    File(&'w mut (dyn Write + Send), Target),
    Tree(&'w mut OutputTree, Vec<Partition>),
}

impl fmt::Debug for Export<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("reel", &self.reel)
            .field("selection", &self.selection)
            .field("schema", &self.schema)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

fn within(name: &'static str, value: i64, least: i64, most: i64) -> Result<(), ExportError> {
    let is_within = (least..=most).contains(&value);
    if is_within { Ok(()) } else { Err(out_of_limits(name, value, least, most)) }
}

fn out_of_limits(name: &'static str, value: i64, least: i64, most: i64) -> ExportError {
    ExportError::Setting { name, value, least, most }
}
