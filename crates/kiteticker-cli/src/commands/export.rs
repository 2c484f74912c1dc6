//! `kite export`: converts tapes to Parquet, CSV or JSON lines.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use kite_export::{Export, ExportError, Format, Partition, Prices, Summary, TimeUnit, TimeZone};
use kite_tape::{Reel, Windows};
use kite_wire::ist::Day;
use serde_json::json;

use crate::args::period::Period;
use crate::args::quiet::Quiet;
use crate::args::select::SelectArgs;
use crate::blocking;
use crate::console::output::Output;
use crate::console::paths;
use crate::console::progress::Bar;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::tapes;
use crate::format::numbers;
use crate::format::silences;
use crate::format::sizes;
use crate::instruments::names::Names;
use crate::instruments::selection::{self, Underlyings};

const EXAMPLES: &str = "\
Examples:
  kite export tapes --to day.parquet
  kite export tapes --to week.csv --from 09:15 --until 15:30
  kite export tapes --to day.csv --day 2026-11-23
  kite export tapes --to infy.parquet --instruments NSE:INFY --prices float
  kite export tapes --to atm.parquet --select 'NIFTY nearest ATM+-5'
  kite export tapes --to day.parquet --events events.parquet
  kite export tapes --to - --format jsonl | head
  kite export tapes --to ticks --partition-by date,symbol

Times are India's: 09:15 on each day of the tapes, 2026-11-23 (its midnight), or
2026-11-23T09:15; with an offset, 2026-11-23T03:45:00Z.
docs/export.md describes every column.";

/// Convert tapes to Parquet, CSV or JSON lines
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArgs {
    /// Tape files, or directories that contain them
    #[arg(value_name = "TAPE", required = true)]
    tapes: Vec<PathBuf>,
    /// Output file: .parquet, .csv or .jsonl; - for stdout; or a directory
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// parquet, csv or jsonl [from the file name]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    format: Option<FormatName>,
    /// One file for each date, symbol or both: date,symbol
    #[arg(long, value_name = "KEYS", value_delimiter = ',', hide_possible_values = true)]
    partition_by: Vec<PartitionName>,
    /// Prices in Parquet: decimal (exact) or float [decimal]
    #[arg(long, value_name = "KIND", hide_possible_values = true)]
    prices: Option<PricesName>,
    /// Receive times in ns or us: nanoseconds or microseconds [ns]
    #[arg(long, value_name = "UNIT", hide_possible_values = true)]
    times: Option<UnitName>,
    /// Time zone of the times: utc or ist [utc]
    #[arg(long, value_name = "ZONE", hide_possible_values = true)]
    time_zone: Option<ZoneName>,
    /// Omit the 30 columns of market depth
    #[arg(long)]
    no_depth: bool,
    /// File for gaps, silences, texts, heartbeats, damage; its name sets its format
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    overwrite: bool,
    /// Kite's instruments CSV [names on the tapes, or the list of the day]
    #[arg(long, value_name = "CSV")]
    instruments_file: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    quiet: Quiet,
    #[command(flatten)]
    part: Part,
}

/// The part of the tapes to export.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
struct Part {
    #[command(flatten)]
    period: Period,
    /// Names or tokens, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    instruments: Vec<String>,
    #[command(flatten)]
    select: SelectArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Parquet,
    Csv,
    #[value(alias = "ndjson")]
    Jsonl,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Parquet => Self::Parquet,
            FormatName::Csv => Self::Csv,
            FormatName::Jsonl => Self::JsonLines,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PartitionName {
    Date,
    Symbol,
}

impl From<PartitionName> for Partition {
    fn from(name: PartitionName) -> Self {
        match name {
            PartitionName::Date => Self::Date,
            PartitionName::Symbol => Self::Symbol,
        }
    }
}

/// The type of prices in Parquet.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PricesName {
    Decimal,
    Float,
}

impl From<PricesName> for Prices {
    fn from(name: PricesName) -> Self {
        match name {
            PricesName::Decimal => Self::Decimal,
            PricesName::Float => Self::Float,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UnitName {
    Ns,
    Us,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ZoneName {
    Utc,
    Ist,
}

/// Exports until the tapes end or the user stops the export.
pub(crate) async fn run(args: ExportArgs, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let to_stdout = args.to.as_os_str() == "-";
    let is_tree = !args.partition_by.is_empty();
    if is_tree && to_stdout {
        return Err(CliError::usage("--partition-by writes files, not standard output")
            .help("name a directory with --to"));
    }
    let format = args.format.map(Format::from).or_else(|| Format::of_path(&args.to));
    let format = format.or_else(|| is_tree.then_some(Format::Parquet));
    let format = format.ok_or_else(|| {
        let to = paths::shown(&args.to);
        CliError::usage(format!("cannot infer the format from the name {to}"))
            .help("use the extension .parquet, .csv or .jsonl, or add --format")
    })?;
    let reel = tapes::open_and_warn(&args.tapes, output).await?;
    tapes::report_ends(&reel, output);
    let lacks_parts = tapes::lack_parts(&reel);
    let windows = args.part.period.windows(&reel)?;
    let names = Names::of_tapes(&reel, args.instruments_file.as_deref(), output).await?;
    let part = (&args.part.instruments[..], &args.part.select, Underlyings::LeftOut);
    let finding = selection::of_tapes(part, &reel, windows.as_ref(), &names, output, &stop);
    let Some(tokens) = stop.until_done(finding).await? else { return Ok(Status::Interrupted) };

    let (is_json, to, labels) = (args.json, args.to.clone(), names.clone());
    let exporting = blocking::run("the export", move || {
        export(args, &reel, Chosen { windows, tokens }, names, format, output, &stop)
    });
    let summary = match exporting.await? {
        Ok(summary) => summary,
        Err(ExportError::Cancelled { rows }) => {
            let rows = numbers::counted(rows, "row");
            let removed = match (to_stdout, is_tree) {
                (true, _) => "",
                (false, true) => "; the files were removed",
                (false, false) => "; the file was removed",
            };
            output.note(format_args!("interrupted after {rows}{removed}"));
            return Ok(Status::Interrupted);
        }
        Err(error) => return Err(failed("cannot export", error)),
    };
    // With rows on standard output, the summary goes to standard error.
    match (is_json, to_stdout) {
        (true, false) => output.json(&as_json(&summary))?,
        (false, false) => {
            output.line(format_args!("{} in {}", summary_text(&summary), paths::shown(&to)))?
        }
        (_, true) => output.note(summary_text(&summary)),
    }
    if !is_json || to_stdout {
        silences::lines(&summary.silences).iter().for_each(|line| output.note(line));
    }
    let is_damaged = summary.damage + summary.unreadable_records + summary.unreadable_files > 0;
    // Files that cannot be read were reported before.
    if summary.damage > 0 {
        let lost = numbers::lost_records(summary.records_lost, summary.damage_of_unknown_size);
        output.warn(format_args!("parts of the tapes cannot be read: {lost}"));
    }
    for token in &summary.unseen_tokens {
        output.warn(format_args!("no tick of {} was exported", labels.label(*token)));
        if let Some(text) = labels.exchange_token_warning(*token) {
            output.warn(text);
        }
    }
    Ok(Status::done(is_damaged || lacks_parts || !summary.unseen_tokens.is_empty()))
}

/// The part of the tapes to export, found on the tapes and in the names.
struct Chosen {
    windows: Option<Windows>,
    /// Empty for all instruments.
    tokens: BTreeSet<(Day, u32)>,
}

/// Runs the export. Blocks.
fn export(
    args: ExportArgs,
    reel: &Reel,
    chosen: Chosen,
    names: Names,
    format: Format,
    output: Output,
    stop: &Stop,
) -> Result<Summary, ExportError> {
    let bar = Bar::bytes(output, reel.len_bytes(), "exporting");
    let cancel = AtomicBool::new(false);
    let mut export = Export::new(reel)
        .symbols(move |day, token| names.known_on(day, token))
        .depth(!args.no_depth)
        .prices(args.prices.map(Prices::from).unwrap_or_default())
        .time_unit(match args.times {
            Some(UnitName::Us) => TimeUnit::Microseconds,
            _ => TimeUnit::Nanoseconds,
        })
        .time_zone(match args.time_zone {
            Some(ZoneName::Ist) => TimeZone::Ist,
            _ => TimeZone::Utc,
        })
        .quiet_after(args.quiet.after())
        .overwrite(args.overwrite)
        .keep(args.instruments_file.as_slice())
        .scratch(stop.scratch())
        .cancel_on(&cancel)
        .on_progress(|progress| {
            bar.of(progress.bytes_done, progress.bytes_total);
            cancel.store(stop.is_requested(), Ordering::Relaxed);
        })
        .on_damage(|damage| bar.above(|| output.warn(damage)));
    if let Some(windows) = chosen.windows {
        // A gap is recorded only when it ends, so read on past the last window; few gaps last
        // longer than this.
        export = export.windows(windows).read_past(Duration::from_nanos(tapes::READ_PAST_NS));
    }
    if !chosen.tokens.is_empty() {
        export = export.tokens_by_day(chosen.tokens);
    }
    if let Some(events) = &args.events {
        export = export.events(events);
    }
    let exported = if !args.partition_by.is_empty() {
        export.to_partitions(&args.to, args.partition_by.iter().map(|&it| it.into()), format)
    } else if args.to.as_os_str() == "-" {
        export.to_writer(io::stdout(), format)
    } else {
        export.to_file(&args.to, format)
    };
    bar.done();
    exported
}

/// Turns a failed export into an error of the command, which says what it cannot do.
pub(crate) fn failed(cannot: &'static str, error: ExportError) -> CliError {
    match error {
        ExportError::RepeatedPartition { key } => {
            CliError::usage(format!("--partition-by names {} twice", key.key()))
        }
        ExportError::Exists { path } => {
            CliError::unable(format!("{} already exists", paths::shown(&path)))
                .help("use --overwrite to replace it, or choose another name")
        }
        ExportError::Input { .. }
        | ExportError::Tape { .. }
        | ExportError::NoFileName { .. }
        | ExportError::OtherLayout { .. }
        | ExportError::OneFileForTwo { .. } => CliError::usage(cannot).because(error),
        error => CliError::unable(cannot).because(error),
    }
}

fn summary_text(summary: &Summary) -> String {
    let mut text = format!(
        "{}, {}",
        numbers::counted(summary.rows, "row"),
        sizes::bytes(summary.bytes_written)
    );
    if summary.files != 1 {
        text += &format!(", {}", numbers::counted(summary.files, "file"));
    }
    for (count, what) in [
        (summary.gaps, "gap"),
        (summary.unknown_packets, "packet of unknown length"),
        (summary.damaged_frames, "damaged frame"),
        (summary.torn_files, "file cut off"),
        (summary.unreadable_files, "unreadable file"),
    ] {
        if count > 0 {
            text += &format!(", {}", numbers::counted(count, what));
        }
    }
    text
}

fn as_json(summary: &Summary) -> serde_json::Value {
    let mut report = json!({
        "rows": summary.rows,
        "event_rows": summary.event_rows,
        "files": summary.files,
        "bytes": summary.bytes_written,
        "frames": summary.frames,
        "packets_left_out": summary.packets_left_out,
        "unknown_packets": summary.unknown_packets,
        "damaged_frames": summary.damaged_frames,
        "gaps": summary.gaps,
        "frames_missing": summary.frames_missing,
        "damages": summary.damage,
        "records_lost": summary.records_lost,
        "torn_files": summary.torn_files,
        "unreadable_files": summary.unreadable_files,
        "unseen": summary.unseen_tokens,
        "first_recv_unix_ns": summary.first_recv_unix_ns,
        "last_recv_unix_ns": summary.last_recv_unix_ns,
        "complete": summary.is_complete(),
    });
    silences::add_json(&mut report, &summary.silences);
    report
}
