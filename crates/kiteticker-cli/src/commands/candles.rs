//! `kite candles`: makes bars from tapes, or of a running feed.

mod columns;
mod live;
mod report;
mod table;

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kite_candles::{Config, Every};
use kite_export::{ExportError, Format};
use kite_wire::Mode;

use self::table::Table;
use crate::args::bars::{self as bars_args, BarArgs};
use crate::args::feed::SourceArgs;
use crate::args::period::Period;
use crate::args::quiet::Quiet;
use crate::args::select::SelectArgs;
use crate::bars::{self, Choice};
use crate::blocking;
use crate::commands::export;
use crate::console::output::Output;
use crate::console::paths;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::instruments::names::Names;

const EXAMPLES: &str = "\
Examples:
  kite candles tapes --instruments NSE:INFY
  kite candles tapes --every 5m --to bars.parquet
  kite candles tapes --every 1m,15m,1d --to bars.csv --day 2026-11-23
  kite candles --live NSE:INFY 'NSE:NIFTY 50' --every 1m
  kite candles tapes --every 1h --fill --select 'NIFTY nearest ATM+-5' --to -

Without --to, bars are a table on a terminal and CSV elsewhere. The options of
times choose bars and do not change them. docs/candles.md describes the rules of
bars, the columns and the flags.";

const USAGE: &str = "\
kite candles [OPTIONS] <TAPE>...
       kite candles --live [OPTIONS] [INSTRUMENT]...";

/// Make bars (candles) from tapes, or of a running feed
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct CandlesArgs {
    /// Tape files, or directories that contain them; with --live, instruments
    #[arg(value_name = "TAPE", required_unless_present = "live")]
    inputs: Vec<PathBuf>,
    /// Length of the bars, 1s to 1d; several with commas [1m]
    #[arg(long, value_name = "LENGTH", value_delimiter = ',')]
    every: Vec<Every>,
    #[command(flatten)]
    bars: BarArgs,
    /// Output file: .parquet, .csv or .jsonl; or - for stdout
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// parquet, csv, jsonl or table [from the file name]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    format: Option<FormatName>,
    /// Prices in Parquet: decimal (exact) or float [decimal]
    #[arg(long, value_name = "KIND", hide_possible_values = true)]
    prices: Option<export::PricesName>,
    /// Replace an existing file
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
    #[command(flatten)]
    live: LiveArgs,
}

/// Bars of a running feed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Bars of a running feed")]
struct LiveArgs {
    /// Print bars of a running feed as they end; the arguments are instruments
    #[arg(long, conflicts_with_all = ["to", "overwrite", "prices", "instruments", "json"])]
    live: bool,
    /// With --live: file with more instruments, one per line, or - for stdin
    #[arg(long, value_name = "FILE", requires = "live")]
    list: Option<PathBuf>,
    /// With --list: end with an error if the file names unknown instruments
    #[arg(long, requires = "list")]
    strict: bool,
    /// With --live: mode, ltp, quote or full [full]
    #[arg(long, value_name = "MODE", requires = "live")]
    mode: Option<Mode>,
    #[command(flatten)]
    source: SourceArgs,
}

/// The part of the tapes to make bars of.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Parquet,
    Csv,
    #[value(alias = "ndjson")]
    Jsonl,
    Table,
}

/// Where the bars go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Destination {
    /// A table for people, on standard output.
    Table,
    Stdout(Format),
    File(PathBuf, Format),
}

impl CandlesArgs {
    fn destination(&self, output: Output) -> Result<Destination, CliError> {
        let file = self.to.as_ref().filter(|to| to.as_os_str() != "-");
        let format = match self.format {
            Some(FormatName::Table) if file.is_some() => {
                return Err(CliError::usage("--format table is for standard output")
                    .help("use parquet, csv or jsonl for a file"));
            }
            Some(FormatName::Table) => return Ok(Destination::Table),
            Some(FormatName::Parquet) => Some(Format::Parquet),
            Some(FormatName::Csv) => Some(Format::Csv),
            Some(FormatName::Jsonl) => Some(Format::JsonLines),
            None => None,
        };
        let Some(file) = file else {
            return Ok(match format {
                None if self.to.is_none() && output.is_terminal() => Destination::Table,
                format => Destination::Stdout(format.unwrap_or(Format::Csv)),
            });
        };
        let format = format.or_else(|| Format::of_path(file)).ok_or_else(|| {
            let to = paths::shown(file);
            CliError::usage(format!("cannot infer the format from the name {to}"))
                .help("use the extension .parquet, .csv or .jsonl, or add --format")
        })?;
        Ok(Destination::File(file.clone(), format))
    }

    /// Returns an error for options that would have no effect on this destination.
    fn check(&self, destination: &Destination) -> Result<(), CliError> {
        let is_parquet = matches!(
            destination,
            Destination::Stdout(Format::Parquet) | Destination::File(_, Format::Parquet)
        );
        if self.prices.is_some() && !is_parquet {
            return Err(CliError::usage("--prices is for Parquet")
                .help("prices are exact decimals in the other formats"));
        }
        if self.json && !matches!(destination, Destination::File(..)) {
            return Err(CliError::usage("--json needs a file: --to FILE")
                .help("--format jsonl writes the bars themselves as JSON"));
        }
        Ok(())
    }

    /// Returns what bars to make, one configuration for each length.
    fn configs(&self, names: &Names) -> Result<Vec<Config>, CliError> {
        let default = [Every::MINUTE];
        let lengths = if self.every.is_empty() { &default[..] } else { &self.every };
        if let Some(every) = bars_args::repeated(lengths) {
            return Err(CliError::usage(format!("--every names {every} twice")));
        }
        lengths.iter().map(|every| self.bars.config(*every, names)).collect()
    }
}

/// Makes bars until the tapes end or the user stops it.
pub(crate) async fn run(args: CandlesArgs, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    if args.live.live {
        return live::run(args, output, stop).await;
    }
    if let Some(option) = args.live.source.given() {
        return Err(CliError::usage(format!("{option} needs --live")));
    }
    let destination = args.destination(output)?;
    args.check(&destination)?;
    let choice = Choice {
        tapes: &args.inputs,
        instruments_file: args.instruments_file.as_deref(),
        period: &args.part.period,
        instruments: &args.part.instruments,
        select: &args.part.select,
    };
    let Some(chosen) = choice.find(output, &stop).await? else { return Ok(Status::Interrupted) };
    let configs = args.configs(&chosen.names)?;
    let (names, lacks_parts) = (chosen.names.clone(), chosen.lacks_parts);
    let is_json = args.json;

    let to = destination.clone();
    let making = blocking::run("making bars", move || {
        let mut table = Table::default();
        let made = bars::make(
            chosen,
            configs,
            output,
            &stop,
            |export| {
                export
                    .prices(args.prices.map(Into::into).unwrap_or_default())
                    .quiet_after(args.quiet.after())
                    .overwrite(args.overwrite)
                    .keep(args.instruments_file.as_slice())
            },
            |bars| match &destination {
                Destination::Table => bars.for_each(|row| table.push(row)),
                Destination::Stdout(format) => bars.to_writer(io::stdout(), *format),
                Destination::File(path, format) => bars.to_file(path, *format),
            },
        );
        made.map(|summary| (summary, table))
    });
    let (summary, table) = match making.await? {
        Ok(made) => made,
        Err(ExportError::Cancelled { .. }) => {
            let is_file = matches!(to, Destination::File(..));
            let removed = if is_file { "; the file was removed" } else { "" };
            output.note(format_args!("interrupted before all bars were made{removed}"));
            return Ok(Status::Interrupted);
        }
        Err(error) => return Err(export::failed("cannot make bars", error)),
    };
    match &to {
        Destination::Table => {
            output.text(&table.text(output))?;
            output.note(report::text(&summary));
            report::details(&summary, output);
        }
        // With bars on standard output, the summary goes to standard error.
        Destination::Stdout(_) => {
            output.note(report::text(&summary));
            report::details(&summary, output);
        }
        Destination::File(..) if is_json => output.json(&report::as_json(&summary))?,
        Destination::File(path, _) => {
            let text = report::text(&summary);
            output.line(format_args!("{text} in {}", paths::shown(path)))?;
            report::details(&summary, output);
        }
    }
    let has_findings = report::warn(&summary, &names, output);
    Ok(Status::done(has_findings || lacks_parts))
}
