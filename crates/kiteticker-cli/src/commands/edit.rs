//! `kite repair`, `kite cut` and `kite merge`: new tapes from recorded ones.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use kite_tape::{Cut, EditError, EditSummary, OnProgress, Reel};
use serde_json::json;

use crate::args::period::Period;
use crate::args::select::SelectArgs;
use crate::blocking;
use crate::console::output::Output;
use crate::console::paths;
use crate::console::progress::Bar;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::tapes;
use crate::format::numbers::{counted, lost_records};
use crate::format::sizes;
use crate::instruments::names::Names;
use crate::instruments::selection::{self, Underlyings};

const REPAIR_EXAMPLES: &str = "\
Examples:
  kite repair kite-2026-11-23.ktape --to repaired
  kite repair tapes --to repaired --json | jq .records_lost

Every record that can be read is written to a new tape of the same name. What
cannot be read becomes a gap. The tapes themselves are not changed.";

/// Write what can be read of damaged tapes to new ones
#[derive(Debug, Args)]
#[command(after_help = REPAIR_EXAMPLES)]
pub(crate) struct Repair {
    /// Tape files, or directories that contain them
    #[arg(value_name = "TAPE", required = true)]
    tapes: Vec<PathBuf>,
    #[command(flatten)]
    into: Into,
}

const CUT_EXAMPLES: &str = "\
Examples:
  kite cut tapes --from 09:15 --until 15:30 --to session
  kite cut tapes --day 2026-11-23 --to monday
  kite cut tapes --instruments NSE:INFY,NSE:TCS --to two
  kite cut tapes --select 'NIFTY nearest ATM+-5' --to atm

Each tape is written to a new one of the same name. Receive times and the bytes
of the records stay as they are; --instruments and --select cut packets out of
frames, with ATM not those of the underlying whose price is used. A gap that
overlaps the chosen times is kept. The tapes themselves are not changed.";

/// Write a part of tapes to new ones: chosen times and instruments
#[derive(Debug, Args)]
#[command(after_help = CUT_EXAMPLES)]
#[command(group(ArgGroup::new("chosen").args(["instruments", "contracts"]).multiple(true)))]
pub(crate) struct CutArgs {
    /// Tape files, or directories that contain them
    #[arg(value_name = "TAPE", required = true)]
    tapes: Vec<PathBuf>,
    #[command(flatten)]
    period: Period,
    /// Names or tokens, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    instruments: Vec<String>,
    #[command(flatten)]
    select: SelectArgs,
    /// Kite's instruments CSV [names on the tapes, or the list of the day]
    #[arg(long, value_name = "CSV", requires = "chosen")]
    instruments_file: Option<PathBuf>,
    #[command(flatten)]
    into: Into,
}

const MERGE_EXAMPLES: &str = "\
Examples:
  kite merge office cloud --to whole
  kite merge a/kite-2026-11-23.ktape b/kite-2026-11-23.ktape --to whole

For two recorders of the same instruments. All records of the first are kept.
Those of the second are added where the first misses something: in its gaps,
where it is damaged, and before its start and after its end. Accounts of the
second are numbered after those of the first; a note on the tape says so. The
gaps of the first stay listed. The tapes themselves are not changed.";

/// Fill the gaps of one recording with another of the same day
#[derive(Debug, Args)]
#[command(after_help = MERGE_EXAMPLES)]
pub(crate) struct Merge {
    /// The first recording: a tape file or a directory
    #[arg(value_name = "FIRST")]
    first: PathBuf,
    /// The recording that fills its gaps
    #[arg(value_name = "SECOND")]
    second: PathBuf,
    #[command(flatten)]
    into: Into,
}

/// Where the new tapes go.
#[derive(Debug, Args)]
struct Into {
    /// Directory for the new tapes; created if missing
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Repairs tapes.
pub(crate) async fn repair(args: Repair, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let reel = tapes::open_and_warn(&args.tapes, output).await?;
    let job = Job { is_loss: tapes::lack_parts(&reel), len_bytes: reel.len_bytes(), names: None };
    let edit = move |to: &Path, progress: OnProgress<'_>| kite_tape::repair(&reel, to, progress);
    job.run(args.into, edit, output, stop).await
}

/// Cuts tapes.
pub(crate) async fn cut(args: CutArgs, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let reel = tapes::open_and_warn(&args.tapes, output).await?;
    let windows = args.period.windows(&reel)?;
    let (names, tokens_by_day) = if args.instruments.is_empty() && args.select.is_empty() {
        (None, None)
    } else {
        let names = Names::of_tapes(&reel, args.instruments_file.as_deref(), output).await?;
        let part = (&args.instruments[..], &args.select, Underlyings::Added);
        let finding = selection::of_tapes(part, &reel, windows.as_ref(), &names, output, &stop);
        let Some(tokens) = stop.until_done(finding).await? else { return Ok(Status::Interrupted) };
        (Some(names), Some(tokens))
    };
    let part = Cut { windows, tokens_by_day, ..Cut::default() };
    let job = Job { is_loss: tapes::lack_parts(&reel), len_bytes: reel.len_bytes(), names };
    let edit =
        move |to: &Path, progress: OnProgress<'_>| kite_tape::cut(&reel, &part, to, progress);
    job.run(args.into, edit, output, stop).await
}

/// Merges two recordings.
pub(crate) async fn merge(args: Merge, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let first = tapes::open_and_warn(&[args.first], output).await?;
    let second = tapes::open_and_warn(&[args.second], output).await?;
    check_distinct(&first, &second)?;
    let job = Job {
        is_loss: tapes::lack_parts(&first) || tapes::lack_parts(&second),
        // The first recording is read before to find what it misses.
        len_bytes: 2 * first.len_bytes() + second.len_bytes(),
        names: None,
    };
    let edit =
        move |to: &Path, progress: OnProgress<'_>| kite_tape::merge(&first, &second, to, progress);
    job.run(args.into, edit, output, stop).await
}

/// Checks that a tape is not merged with itself.
fn check_distinct(first: &Reel, second: &Reel) -> Result<(), CliError> {
    let ids = |reel: &Reel| -> BTreeSet<u64> {
        reel.files().iter().map(|file| file.tape().tape_id()).collect()
    };
    let firsts = ids(first);
    match second.files().iter().find(|file| firsts.contains(&file.tape().tape_id())) {
        Some(file) => {
            let path = paths::shown(file.path());
            Err(CliError::usage(format!("{path} is the same tape as one of the first recording"))
                .help("name the tapes of two recorders"))
        }
        None => Ok(()),
    }
}

/// What is known before the work begins.
struct Job {
    /// Whether files could not be read.
    is_loss: bool,
    /// Bytes to read, for the progress bar.
    len_bytes: u64,
    /// Names of the selected instruments, if some are.
    names: Option<Names>,
}

impl Job {
    async fn run(
        self,
        Into { to, json }: Into,
        edit: impl FnOnce(&Path, OnProgress<'_>) -> Result<EditSummary, EditError> + Send + 'static,
        output: Output,
        stop: Stop,
    ) -> Result<Status, CliError> {
        tapes::check_directory(("--to", &to))?;
        let len_bytes = self.len_bytes;
        let directory = to.clone();
        let writing = blocking::run("writing the tapes", move || {
            let _held = stop.hold();
            let bar = Bar::bytes(output, len_bytes, "writing");
            let done = edit(&directory, &mut |bytes| {
                bar.at(bytes);
                if stop.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            bar.done();
            done
        });
        let summary = match writing.await? {
            Ok(summary) => summary,
            Err(EditError::Cancelled) => {
                output.note("stopped; no tape was written");
                return Ok(Status::Interrupted);
            }
            Err(error) => return Err(failed(error, &to)),
        };
        match json {
            true => output.json(&as_json(&summary))?,
            false => output.text(&text(&summary))?,
        }
        Ok(self.status(&summary, output))
    }

    fn status(&self, summary: &EditSummary, output: Output) -> Status {
        if summary.files.is_empty() {
            output.warn("nothing is left, so no tape was written");
        }
        if !summary.is_whole() {
            let places = counted(summary.damages, "damaged place");
            let lost = lost_records(summary.records_lost, summary.damages_of_unknown_size);
            output.warn(format_args!("{places} on the tapes: {lost}"));
        }
        for &token in &summary.unseen_tokens {
            let label = self.names.as_ref().map_or_else(|| token.to_string(), |it| it.label(token));
            output.warn(format_args!("no tick of {label} is on the new tapes"));
            if let Some(text) = self.names.as_ref().and_then(|it| it.exchange_token_warning(token))
            {
                output.warn(text);
            }
        }
        let is_whole = summary.is_whole() && !summary.files.is_empty() && !self.is_loss;
        if is_whole && summary.unseen_tokens.is_empty() { Status::Done } else { Status::Findings }
    }
}

fn failed(error: EditError, to: &Path) -> CliError {
    let advice = match error {
        EditError::Exists { .. } | EditError::SameName { .. } => Some("choose another directory"),
        _ => None,
    };
    let failed =
        CliError::unable(format!("cannot write tapes to {}", paths::shown(to))).because(error);
    match advice {
        Some(advice) => failed.help(advice),
        None => failed,
    }
}

fn text(summary: &EditSummary) -> String {
    let mut text = counted(summary.records, "record");
    for (count, what) in [
        (summary.records_filled, "record from the second recording"),
        (summary.gaps_added, "gap added"),
        (summary.records_left_out, "record left out"),
        (summary.packets_left_out, "packet left out"),
        (summary.unknown_kinds, "record of a later version lost"),
        (summary.metadata_lost, "tape without its metadata"),
    ] {
        if count > 0 {
            text += &format!(", {}", named(count, what));
        }
    }
    text += &format!(", {}\n", sizes::bytes(summary.bytes));
    for file in &summary.files {
        text += &format!("{}\n", paths::shown(file));
    }
    text
}

/// Returns a count with its noun, of which the first word is in the plural if needed.
fn named(count: u64, what: &str) -> String {
    let (noun, rest) = what.split_once(' ').unwrap_or((what, ""));
    format!("{} {rest}", counted(count, noun))
}

fn as_json(summary: &EditSummary) -> serde_json::Value {
    let files: serde_json::Value = summary.files.iter().map(|it| paths::json(it)).collect();
    json!({
        "records": summary.records,
        "records_filled": summary.records_filled,
        "records_left_out": summary.records_left_out,
        "packets_left_out": summary.packets_left_out,
        "damages": summary.damages,
        "records_lost": summary.records_lost,
        "gaps_added": summary.gaps_added,
        "unknown": summary.unknown_kinds,
        "metadata_lost": summary.metadata_lost,
        "unseen": summary.unseen_tokens,
        "files": files,
        "bytes": summary.bytes,
        "whole": summary.is_whole(),
    })
}
