//! `kite pack`: finished tapes by columns, many times smaller, and back.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use kite_tape::{PackConfig, PackError, PackSummary, Reel, TapeFile};
use serde_json::{Value, json};

use crate::blocking;
use crate::console::output::Output;
use crate::console::paths;
use crate::console::progress::Bar;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::tapes;
use crate::format::numbers::counted;
use crate::format::sizes;

const EXAMPLES: &str = "\
Examples:
  kite pack tapes
  kite pack kite-2026-11-23.ktape --to packed
  kite pack tapes --undo

Each packed tape is read back and compared before it replaces its original. All
commands read packed tapes; every record keeps its bytes. A tape that is being
recorded is left out, and one that is damaged is refused: repair it first. After
a stop, the same command goes on with the tapes that are left.";

/// Make finished tapes several times smaller
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Pack {
    /// Tape files, or directories that contain them
    #[arg(value_name = "TAPE", required = true)]
    tapes: Vec<PathBuf>,
    /// Directory for the new tapes, created if missing [replace the tapes]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Write packed tapes as they were recorded
    #[arg(long)]
    undo: bool,
    /// Threads, each with 50 MB of memory [one for each processor]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: Option<u8>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Packs tapes.
pub(crate) async fn run(args: Pack, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    if let Some(to) = &args.to {
        tapes::check_directory(("--to", to))?;
    }
    let reel = tapes::open_and_warn(&args.tapes, output).await?;
    let mut report = Report { lacks_files: tapes::lack_parts(&reel), ..Report::default() };
    let jobs = report.jobs(&reel, args.to.as_deref(), args.undo)?;
    drop(reel);
    let mut config = PackConfig::default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(64);
    config.threads = args.threads.map_or(processors, usize::from);
    let (undo, to) = (args.undo, args.to);
    let work = blocking::run("packing the tapes", move || {
        if let Some(to) = &to {
            std::fs::create_dir_all(to).map_err(|error| {
                CliError::unable(format!("cannot create {}", paths::shown(to))).because(error)
            })?;
        }
        let _held = stop.hold();
        let bar = Bar::bytes(output, jobs.iter().map(|job| 2 * job.len_bytes).sum(), "packing");
        let ended = report.work(&jobs, undo, &config, &bar, &stop);
        bar.done();
        ended.map(|()| report)
    });
    let report = work.await??;
    for refused in &report.refused {
        output.warn(refused);
    }
    for path in &report.being_recorded {
        output.note(format_args!("{} is being recorded; left out", paths::shown(path)));
    }
    match args.json {
        true => output.json(&report.as_json())?,
        false => output.text(&report.text(undo))?,
    }
    if report.is_interrupted {
        output.note("stopped; the same command goes on with the tapes that are left");
        return Ok(Status::Interrupted);
    }
    Ok(Status::done(report.lacks_files || !report.refused.is_empty()))
}

/// A tape and where it goes.
struct Job {
    from: PathBuf,
    to: PathBuf,
    len_bytes: u64,
}

/// What has become of the tapes.
#[derive(Default)]
struct Report {
    done: Vec<(PathBuf, PackSummary)>,
    /// Tapes that had been packed, or unpacked, before.
    done_before: u64,
    being_recorded: Vec<PathBuf>,
    refused: Vec<PackError>,
    /// Whether files of a directory could not be read.
    lacks_files: bool,
    is_interrupted: bool,
}

impl Report {
    /// Returns the tapes that are left to do.
    fn jobs(&mut self, reel: &Reel, to: Option<&Path>, undo: bool) -> Result<Vec<Job>, CliError> {
        let mut jobs: Vec<Job> = Vec::new();
        for file in reel.files() {
            let from = file.path().to_owned();
            let target = match to {
                Some(to) => to.join(from.file_name().unwrap_or_default()),
                None => from.clone(),
            };
            if let Some(other) = jobs.iter().find(|job| job.to == target) {
                let (one, other) = (paths::shown(&from), paths::shown(&other.from));
                return Err(CliError::usage(format!(
                    "{one} and {other} would be written to the same file"
                ))
                .help("pack them one after the other, to different directories"));
            }
            if is_done(file, &target, undo) {
                self.done_before += 1;
                continue;
            }
            jobs.push(Job { from, to: target, len_bytes: file.len_bytes() });
        }
        Ok(jobs)
    }

    fn work(
        &mut self,
        jobs: &[Job],
        undo: bool,
        config: &PackConfig,
        bar: &Bar,
        stop: &Stop,
    ) -> Result<(), CliError> {
        let mut before = 0;
        for job in jobs {
            let mut progress = |bytes| {
                bar.at(before + bytes);
                if stop.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let ended = match undo {
                true => kite_tape::unpack(&job.from, &job.to, config, &mut progress),
                false => kite_tape::pack(&job.from, &job.to, config, &mut progress),
            };
            match ended {
                Ok(summary) => self.done.push((job.to.clone(), summary)),
                Err(PackError::Cancelled) => {
                    self.is_interrupted = true;
                    return Ok(());
                }
                Err(PackError::BeingRecorded { path }) => self.being_recorded.push(path),
                Err(error @ (PackError::Io { .. } | PackError::Exists { .. })) => {
                    return Err(failed(error, job));
                }
                Err(error) => self.refused.push(error),
            }
            before += 2 * job.len_bytes;
        }
        Ok(())
    }

    /// Returns the lengths of the tapes that were done, before and after.
    fn bytes(&self) -> (u64, u64) {
        let add = |(before, after), (_, it): &(PathBuf, PackSummary)| {
            (before + it.bytes_before, after + it.bytes_after)
        };
        self.done.iter().fold((0, 0), add)
    }

    fn text(&self, undo: bool) -> String {
        let what = if undo { "unpacked" } else { "packed" };
        let (before, after) = self.bytes();
        let mut text = format!("{} {what}", counted(self.done.len() as u64, "tape"));
        if after > 0 {
            let (from, to) = (sizes::bytes(before), sizes::bytes(after));
            text += &format!(": {from} to {to}");
            if !undo {
                text += &format!(", {:.1} times smaller", before as f64 / after as f64);
            }
        }
        if self.done_before > 0 {
            text += &format!("; {} {what} before", self.done_before);
        }
        text.push('\n');
        for (path, summary) in &self.done {
            let (from, to) =
                (sizes::bytes(summary.bytes_before), sizes::bytes(summary.bytes_after));
            text += &format!("{}  {from} to {to}\n", paths::shown(path));
        }
        text
    }

    fn as_json(&self) -> Value {
        let tapes = self.done.iter().map(|(path, summary)| {
            json!({
                "path": paths::json(path),
                "records": summary.records,
                "blocks": summary.blocks,
                "bytes_before": summary.bytes_before,
                "bytes_after": summary.bytes_after,
            })
        });
        let (bytes_before, bytes_after) = self.bytes();
        let being_recorded = self.being_recorded.iter().map(|it| paths::json(it));
        json!({
            "tapes": tapes.collect::<Value>(),
            "done_before": self.done_before,
            "being_recorded": being_recorded.collect::<Value>(),
            "refused": self.refused.iter().map(ToString::to_string).collect::<Value>(),
            "bytes_before": bytes_before,
            "bytes_after": bytes_after,
        })
    }
}

/// Returns whether nothing is left to do for a tape.
fn is_done(file: &TapeFile, target: &Path, undo: bool) -> bool {
    let has_form = |file: &TapeFile| file.is_packed() != undo;
    if file.path() == target {
        return has_form(file);
    }
    // Written by a command that was stopped later.
    TapeFile::open(target).is_ok_and(|new| {
        has_form(&new) && new.tape().tape_id() == file.tape().tape_id() && new.span() == file.span()
    })
}

fn failed(error: PackError, job: &Job) -> CliError {
    let is_taken = matches!(error, PackError::Exists { .. });
    let failed =
        CliError::unable(format!("cannot pack {}", paths::shown(&job.from))).because(error);
    if is_taken { failed.help("choose another directory") } else { failed }
}
