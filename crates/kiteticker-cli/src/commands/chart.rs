//! `kite chart`: draws the bars of an instrument from tapes.

mod file;
mod text;

use std::path::{Path, PathBuf};

use clap::Args;
use kite_candles::Every;
use kite_export::{BarSummary, Bars, ExportError};

use crate::args::bars::PlacingArgs;
use crate::args::period::Period;
use crate::args::select::SelectArgs;
use crate::bars::{self, Choice};
use crate::blocking;
use crate::chart::{Candle, Chart};
use crate::commands::export;
use crate::console::output::Output;
use crate::console::paths;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::format::numbers;
use crate::instruments::names::{NameError, Named};

const EXAMPLES: &str = "\
Examples:
  kite chart tapes NSE:INFY
  kite chart tapes NSE:INFY --every 1m --day 2026-11-23
  kite chart tapes 'NSE:NIFTY 50' --from 09:15 --until 10:30 --every 15s
  kite chart tapes NSE:INFY --to infy.svg
  kite chart tapes NSE:INFY --every 1m --to infy.png

If there are more bars than columns, a column has several, and the heading shows
its length. Time without a feed is shaded. Letters below the chart mark bars
that are not exact, see docs/candles.md.";

/// Draw the bars of an instrument from tapes, in the terminal or as a picture
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    allow_missing_positional = true,
    override_usage = "kite chart [OPTIONS] <TAPE>... <INSTRUMENT>"
)]
pub(crate) struct ChartArgs {
    /// Tape files, or directories that contain them
    #[arg(value_name = "TAPE")]
    tapes: Vec<PathBuf>,
    /// EXCHANGE:SYMBOL or token
    #[arg(value_name = "INSTRUMENT")]
    instrument: String,
    /// Length of the bars, from 1s to 1d [5m]
    #[arg(long, value_name = "LENGTH", default_value = "5m", hide_default_value = true)]
    every: Every,
    /// Picture to write instead: .svg or .png
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Replace an existing picture
    #[arg(long, requires = "to")]
    overwrite: bool,
    #[command(flatten)]
    placing: PlacingArgs,
    /// Kite's instruments CSV [names on the tapes, or the list of the day]
    #[arg(long, value_name = "CSV")]
    instruments_file: Option<PathBuf>,
    #[command(flatten)]
    period: Period,
}

impl ChartArgs {
    /// Returns an error unless there are tapes and one instrument.
    fn check(&self) -> Result<(), CliError> {
        let example = "write the tapes and one instrument: kite chart tapes NSE:INFY";
        if self.tapes.is_empty() {
            let missing = if Path::new(&self.instrument).exists() { "instrument" } else { "tape" };
            return Err(CliError::usage(format!("the {missing} is missing")).help(example));
        }
        let is_name = |path: &&PathBuf| path.to_string_lossy().contains(':') && !path.exists();
        if let Some(name) = self.tapes.iter().find(is_name) {
            let error = format!("{} is no tape: a chart has one instrument", paths::shown(name));
            return Err(CliError::usage(error).help(example));
        }
        Ok(())
    }
}

/// Reads the tapes and draws.
pub(crate) async fn run(args: ChartArgs, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    args.check()?;
    let target = args.to.as_deref().map(|to| file::checked(to, args.overwrite)).transpose()?;
    let choice = Choice {
        tapes: &args.tapes,
        instruments_file: args.instruments_file.as_deref(),
        period: &args.period,
        instruments: std::slice::from_ref(&args.instrument),
        select: &SelectArgs::new(Vec::new(), Vec::new()),
    };
    let Some(chosen) = choice.find(output, &stop).await? else { return Ok(Status::Interrupted) };
    // Unknown names were reported.
    let unknown = |error: NameError| CliError::usage(error.to_string());
    let named = chosen.names.resolve(&args.instrument).map_err(unknown)?;
    let mut config = args.placing.config(args.every, &chosen.names)?;
    // Filled bars show where there was no feed.
    config.build_with_no_updates = true;
    let (sessions, lacks_parts) = (config.sessions.clone(), chosen.lacks_parts);
    let scratch = stop.scratch().clone();
    let making = blocking::run("making bars", move || {
        let mut candles = Vec::new();
        let push = |bars: Bars<'_>| bars.for_each(|row| candles.push(Candle::from(row.bar)));
        let made = bars::make(chosen, vec![config], output, &stop, |export| export, push);
        made.map(|summary| (summary, candles))
    });
    let (summary, candles) = match making.await? {
        Ok(made) => made,
        Err(ExportError::Cancelled { .. }) => return Ok(Status::Interrupted),
        Err(error) => return Err(export::failed("cannot make bars", error)),
    };
    let tapes = &summary.tapes;
    if tapes.damage > 0 {
        let lost = numbers::lost_records(tapes.records_lost, tapes.damage_of_unknown_size);
        output.warn(format_args!("parts of the tapes cannot be read: {lost}"));
    }
    if !candles.iter().any(|candle| candle.is_traded) {
        return Err(no_bars(&named, &summary));
    }
    let (token, every) = (named.token, args.every);
    let chart = Chart { token, every, sessions: &sessions, candles: &candles };
    match target {
        Some(target) => {
            file::write(&chart, &named.name, target, args.overwrite, &scratch)?;
            output.line(format_args!("{} in {}", named.name, paths::shown(target.0)))?;
        }
        None => output.text(&text::drawn(&chart, &named.name, output))?,
    }
    let is_damaged = tapes.damage + tapes.unreadable_records + tapes.unreadable_files > 0;
    Ok(Status::done(is_damaged || lacks_parts))
}

/// Returns why an instrument has no bars.
fn no_bars(named: &Named, summary: &BarSummary) -> CliError {
    let name = &named.name;
    let counts = summary.counts.first().map(|(_, counts)| *counts).unwrap_or_default();
    match (counts.packets, counts.outside_trades) {
        (0, _) => {
            CliError::found_nothing(format!("no tick of {name} is in this part of the tapes"))
                .help("kite inspect shows the instruments and times of tapes")
        }
        (_, 0) => {
            CliError::found_nothing(format!("no trade of {name} is in this part of the tapes"))
        }
        (_, outside) => CliError::found_nothing(format!(
            "no trade of {name} is within the trading session; {} outside it",
            numbers::counted(outside, "packet")
        ))
        .help("--sessions names a file with other hours"),
    }
}
