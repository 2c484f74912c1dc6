//! `kite inspect`: what is on tapes, and whether it is whole.

mod chart;
mod json;
mod survey;
mod text;

use std::path::PathBuf;

use clap::Args;
use kite_tape::Reel;

use self::survey::Survey;
use crate::blocking;
use crate::console::output::Output;
use crate::console::progress::Bar;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::tapes;
use crate::instruments::names::Names;

const EXAMPLES: &str = "\
Examples:
  kite inspect tapes
  kite inspect kite-2026-11-23.ktape --gaps
  kite inspect tapes --verify
  kite inspect tapes --json | jq .ticks

Exit status: 0 when all could be read, 1 when something is damaged or cut off.";

/// Say what is on tapes: span, instruments, gaps, rates, damage
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inspect {
    /// Tapes, or directories of them
    #[arg(value_name = "TAPE", required = true)]
    tapes: Vec<PathBuf>,
    /// List every gap, not only the longest
    #[arg(long)]
    gaps: bool,
    /// Say only whether every record can be read
    #[arg(long, conflicts_with = "gaps")]
    verify: bool,
    /// How many of the busiest instruments to list [10]
    #[arg(long, value_name = "N", default_value_t = 10, hide_default_value = true)]
    top: usize,
    /// Kite's instruments CSV; default: the cached list
    #[arg(long, value_name = "CSV")]
    instruments_file: Option<PathBuf>,
    /// Print for machines
    #[arg(long)]
    json: bool,
}

/// Reads the tapes through and says what is on them.
pub(crate) async fn run(asked: Inspect, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let reel = tapes::open_and_warn(&asked.tapes, output).await?;
    let names = Names::cached(asked.instruments_file.as_deref(), output).await?;
    let surveying = {
        let (reel, stop) = (reel.clone(), stop.clone());
        blocking::run("reading the tapes", move || survey(&reel, output, &stop))
    };
    let survey = surveying.await?;
    if !survey.is_whole {
        output.warn("ended before the tapes did: what follows is of their beginning");
    }
    if asked.json {
        output.json(&json::of(&survey, &names, asked.top))?;
    } else {
        if !asked.verify {
            output.text(&text::survey(&survey, &names, asked.top, asked.gaps, output))?;
        }
        output.text(&text::verdict(&survey, output))?;
    }
    Ok(if survey.has_damage() { Status::Findings } else { Status::Done })
}

fn survey(reel: &Reel, output: Output, stop: &Stop) -> Survey {
    let mut survey = Survey::of_files(reel);
    let mut entries = tapes::read(reel, 0);
    let bar = Bar::bytes(output, reel.len_bytes(), "reading");
    let mut count = 0_u64;
    while let Some(entry) = entries.next() {
        survey.take(entry);
        count += 1;
        if count.is_multiple_of(tapes::LOOK_EVERY) {
            bar.at(entries.position_bytes());
            if stop.is_asked() {
                survey.is_whole = false;
                break;
            }
        }
    }
    bar.done();
    survey.unknown_kinds = entries.tally().unknown_kinds;
    survey
}
