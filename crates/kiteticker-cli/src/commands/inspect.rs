//! `kite inspect`: shows what is in tapes, and whether they are complete.

mod chart;
mod instruments;
mod json;
mod survey;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kite_tape::{Reel, Windows};

use self::survey::Survey;
use crate::args::period::Period;
use crate::args::quiet::Quiet;
use crate::blocking;
use crate::console::output::Output;
use crate::console::progress::Bar;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::tapes;
use crate::instruments::names::Names;
use crate::instruments::unseen;

const EXAMPLES: &str = "\
Examples:
  kite inspect tapes
  kite inspect kite-2026-11-23.ktape --gaps
  kite inspect tapes --day 2026-11-23 --from 09:15 --until 15:30
  kite inspect tapes --quiet-after 2s
  kite inspect tapes --verify
  kite inspect tapes --json | jq .ticks

A silence is a time in which a connection was up and received no frame, not even
a heartbeat, or no tick although it receives one a second on average. Gaps and
silences do not change the exit status.

Instruments that were recorded and never ticked are reported. The usual cause is
an exchange token in place of an instrument token: 1594 for 408065.

Of instruments that the tapes do not note as subscribed, at most 65,536 of each
connection and day are counted. The ticks of others are left out, with status 1
unless --verify is given.";

/// Show what is in tapes: span, instruments, gaps, silences, rates, damage
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inspect {
    /// Tape files, or directories that contain them
    #[arg(value_name = "TAPE", required = true)]
    tapes: Vec<PathBuf>,
    /// List every gap, not only the longest
    #[arg(long)]
    gaps: bool,
    /// Check only whether every record can be read
    #[arg(long, conflicts_with = "gaps")]
    verify: bool,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    quiet: Quiet,
    /// Number of busiest instruments to list [10]
    #[arg(long, value_name = "N", default_value_t = 10, hide_default_value = true)]
    top: usize,
    /// Kite's instruments CSV [names on the tapes, or the list of the day]
    #[arg(long, value_name = "CSV")]
    instruments_file: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Reads the tapes and prints what is in them.
pub(crate) async fn run(args: Inspect, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let reel = tapes::open_and_note(&args.tapes, output).await?;
    let windows = args.period.windows(&reel)?;
    let names = Names::of_tapes(&reel, args.instruments_file.as_deref(), output).await?;
    let surveying = {
        let (reel, stop, quiet) = (reel.clone(), stop.clone(), args.quiet.after());
        blocking::run("reading the tapes", move || survey(&reel, windows, quiet, output, &stop))
    };
    let survey = surveying.await?;
    if let Some(text) = unseen::report(&survey.unseen(), &names) {
        output.warn(text);
    }
    if !survey.is_read_to_end {
        output.warn("stopped before the end of the tapes; the report covers only what was read");
    }
    if args.json {
        output.json(&json::of(&survey, &names, args.top))?;
    } else {
        if !args.verify {
            output.text(&text::survey(&survey, &names, args.top, args.gaps, output))?;
        }
        output.text(&text::verdict(&survey, output))?;
    }
    let are_left_out = !args.verify && survey.instruments.ticks_left_out() > 0;
    Ok(match survey.is_read_to_end {
        true => Status::done(survey.has_damage() || are_left_out),
        false => Status::Interrupted,
    })
}

fn survey(
    reel: &Reel,
    windows: Option<Windows>,
    quiet_after: Duration,
    output: Output,
    stop: &Stop,
) -> Survey {
    let span = windows.as_ref().and_then(Windows::span);
    // Gaps that overlap the last window may be recorded after it.
    let end = span.map_or(u64::MAX, |(_, end)| end.saturating_add(tapes::READ_PAST_NS));
    let mut survey = Survey::from_files(reel, windows, quiet_after);
    let mut entries = tapes::read(reel, span.map_or(0, |(from, _)| from));
    let bar = Bar::bytes(output, reel.len_bytes(), "reading");
    let mut position = None;
    while let Some(entry) = entries.next() {
        if entry.as_ref().is_ok_and(|entry| entry.recv_unix_ns() >= end) {
            break;
        }
        survey.take(entry);
        // With each block, which may hold few large records.
        let now = Some(entries.position_bytes());
        if now != position {
            position = now;
            bar.at(entries.position_bytes());
            if stop.is_requested() {
                survey.is_read_to_end = false;
                break;
            }
        }
    }
    bar.done();
    survey.unknown_kinds = entries.tally().unknown_kinds;
    survey.find_silences();
    survey
}

#[cfg(test)]
mod tests {
    use kite_tape::{Received, RecordKind, Recorder, RecorderConfig, Source};

    use super::*;
    use crate::console::output::ColorChoice;

    #[tokio::test]
    async fn a_check_of_few_records_can_be_interrupted() {
        let directory = tempfile::tempdir().expect("a directory");
        let recorder =
            Recorder::start(directory.path(), RecorderConfig::default()).expect("a recorder");
        let source = Source { account: 0, connection: 0 };
        for second in 0..10 {
            let received = Received { recv_unix_ns: second * 1_000_000_000, source };
            recorder.record(received, RecordKind::Binary, vec![0].into());
        }
        recorder.finish().expect("a tape");
        let reel = Reel::open([directory.path()]).expect("a tape");
        let stop = Stop::new();
        let read = |stop: &Stop| {
            let output = Output::new(ColorChoice::Never, true, true);
            survey(&reel, None, Duration::from_secs(5), output, stop).is_read_to_end
        };
        assert!(read(&stop));
        stop.request();
        assert!(!read(&stop));
    }
}
