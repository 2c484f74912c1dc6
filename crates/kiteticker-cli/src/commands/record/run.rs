//! Runs a recording, from the start of the feed to the last byte on disk.

use std::time::{Duration, Instant};

use kite_manager::Seat;
use kite_sim::Sim;
use kite_tape::{RecordError, Recorder};
use serde_json::json;

use super::args::Record;
use super::follow::Recording;
use crate::console::output::Output;
use crate::console::paths;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::at_end::AtEnd;
use crate::feed::link::Link;
use crate::feed::{self, Feed, OpenFeed, tapes};
use crate::format::numbers;
use crate::instruments::loading::Need;
use crate::instruments::selection::{self, Selection};
use crate::instruments::unseen::Unseen;
use crate::recording::daily::{self, DailyNames};
use crate::recording::finished::Finished;
use crate::recording::notes::Notes;
use crate::recording::progress::Progress;
use crate::recording::{self, report};

/// Time for the servers to end their sockets after a close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Records until its time is over, the replayed tape ends, or the user stops it.
pub(crate) async fn run(args: Record, output: Output, stop: Stop) -> Result<Status, CliError> {
    let feed = args.feed.clone().settings();
    let deadline = feed.deadline()?;
    args.config(Vec::new()).validate().map_err(|error| not_started(&args, error))?;
    tapes::check_directory(("--to", &args.to))?;
    let instruments = &args.instruments;
    let finding = selection::find(instruments, &feed, Need::Recorded, deadline, output, &stop);
    let found = stop.until_done(finding).await;
    let is_unable = matches!(&found, Err(error) if error.status() != Status::Findings);
    if args.json && !is_unable && !matches!(found, Ok(Some(_))) {
        let mut report = report::json_of_nothing();
        report["down_at_end"] = AtEnd::default().down_json();
        output.json(&report)?;
    }
    let Some(Selection { instruments, names, feed, lacks_parts, .. }) = found? else {
        output.note("ended before the recording began");
        return Ok(Status::Done);
    };
    if let Feed::Replay(replay) = &feed {
        let prefix = args.config(Vec::new()).prefix;
        if let Some(file) = recording::replayed_tape(&args.to, &prefix, replay).await? {
            let file = paths::shown(&file);
            return Err(CliError::usage(format!("--to would add to {file}, which is replayed"))
                .help("choose another directory, or another --prefix"));
        }
    }
    let token_files = feed.token_files();
    let of_lists = daily::listed_by_kite(&feed, args.instruments.instruments_file.is_some());
    let OpenFeed { builder, sim, title } =
        feed.open(feed::connections_for(instruments.len())).await?;
    let tokens: Vec<u32> = instruments.iter().map(|named| named.token).collect();
    let metadata = json!({
        "recorder": concat!("kite ", env!("CARGO_PKG_VERSION")),
        "feed": title,
        "mode": args.instruments.mode.as_str(),
        "instruments": tokens.len(),
    });
    let recorder = Recorder::start(&args.to, args.config(metadata.to_string().into_bytes()))
        .map_err(|error| not_started(&args, error))?;
    output.note(format_args!(
        "recording {} from {title} to {}",
        numbers::counted(tokens.len() as u64, "instrument"),
        paths::shown(&args.to)
    ));

    let notes = Notes::new(recorder.clone(), names.clone());
    notes.add(&tokens, args.instruments.mode);
    let _daily = of_lists.map(|live| DailyNames::start(notes, live, output));
    let unseen = Unseen::new(tokens.iter().copied());
    let (tape, noting) = (recorder.clone(), unseen.clone());
    let tap = move |seat: Seat| (noting.clone(), tape.sink(feed::source_of(&seat)));
    let manager = feed::manager(builder.tap(tap))?;
    manager
        .subscribe(&tokens, args.instruments.mode)
        .map_err(|error| CliError::unable("cannot subscribe").because(error))?;
    let mut progress = Progress::new(args.report_every, Instant::now());
    let ended = match Link::open(&manager, &title, token_files) {
        Ok(link) => {
            let (manager, sim, recorder) = (&manager, sim.as_ref(), &recorder);
            let (unseen, names, report_every) = (&unseen, &names, args.report_every);
            let recording = Recording { manager, sim, recorder, link, unseen, names, report_every };
            recording.follow(deadline, &mut progress, output, &stop).await
        }
        Err(error) => Err(error),
    };
    let damages = sim.as_ref().and_then(Sim::replay).map_or(0, |replay| replay.damages);

    // However the recording ended, every frame sent is written, unless the server does not end its
    // sockets.
    manager.drain(CLOSE_DEADLINE).await;
    let finished = Finished::of(recorder).await?;
    if let Some(sim) = sim {
        sim.stop().await;
    }
    if let Some(text) = unseen.report(&names) {
        output.warn(text);
    }
    let unseen = unseen.tokens();
    let at_end = ended.as_ref().cloned().unwrap_or_default();
    if args.json {
        let mut report = report::json(&finished.summary, &unseen);
        report["down_at_end"] = at_end.down_json();
        output.json(&report)?;
    } else {
        output.text(&report::summary(&finished.summary))?;
        at_end.lines().iter().try_for_each(|line| output.line(line))?;
    }
    let has_losses = finished.warn_of_losses(&mut progress, output);
    ended?;
    at_end.warn(output);
    if has_losses || at_end.has_findings() {
        return Ok(Status::Findings);
    }
    if damages > 0 {
        let places = numbers::counted(damages, "damaged place");
        output
            .warn(format_args!("{places} of the replayed tapes skipped; kite inspect lists them"));
    }
    Ok(Status::done(lacks_parts || damages > 0))
}

/// Explains why the recorder cannot start; a setting is named by its option.
fn not_started(args: &Record, error: RecordError) -> CliError {
    let to = paths::shown(&args.to);
    let RecordError::Config { field, value, range } = &error else {
        return CliError::unable(format!("cannot record to {to}")).because(error);
    };
    let option = match *field {
        "prefix" => "--prefix",
        "rotation.max_bytes" => "--rotate-size",
        "compression level" => "--zstd-level",
        _ => return CliError::unable(format!("cannot record to {to}")).because(error),
    };
    CliError::usage(format!("{option} is {value}; it must be {range}"))
}
