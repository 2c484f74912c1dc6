//! Runs a relay, from the start of the feed to the close frames of its clients.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::{Duration, Instant};

use kite_manager::{Manager, Seat};
use kite_relay::{Relay, RelayStopped};
use kite_sim::{Sim, Start};
use kite_tape::{Recorder, RecorderConfig};
use kite_wire::Mode;
use serde_json::json;

use super::follow::{End, Serving};
use super::made::MadeFile;
use super::report::{self, Access};
use super::settings::{self, Settings};
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::link::{self, Link};
use crate::feed::{self, Feed, OpenFeed, tapes};
use crate::format::numbers;
use crate::instruments::loading::Need;
use crate::instruments::names::Names;
use crate::instruments::selection::{self, Selection};
use crate::recording::daily::{self, DailyNames};
use crate::recording::finished::Finished;
use crate::recording::notes::Notes;
use crate::recording::progress::Progress;
use crate::recording::{self, report as recorded};

/// Time for the server to end its sockets after a close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Time for clients to take what is queued for them at the end.
const FLUSH_DEADLINE: Duration = Duration::from_secs(10);

/// Serves until the time is over, the replayed tape ends, or the user stops it.
pub(super) async fn run(
    settings: Settings,
    output: Output,
    stop: Stop,
) -> Result<Status, CliError> {
    let deadline = settings.feed.deadline()?.after(settings.lasts);
    if let Some(to) = &settings.record {
        tapes::check_directory(("--record", to))?;
    }
    let Settings { relay, .. } = &settings;
    let builder = relay.builder()?;
    let (instruments, feed) = (&settings.instruments, &settings.feed);
    let need = if settings.record.is_some() { Need::Recorded } else { Need::Shown };
    let finding = selection::find_named(instruments, feed, need, deadline, output, &stop);
    let Some(Selection { instruments: fixed, names, feed, lacks_parts }) =
        stop.until_done(finding).await?
    else {
        output.note("ended before the relay began");
        return Ok(Status::Done);
    };
    let renewal = feed.renewal();
    let tape = Tape::prepare(&settings, &feed, names).await?;
    let OpenFeed { builder: manager, sim, title } =
        feed.open_to_start(settings.connections, Start::OnRequest).await?;
    let fixed: Vec<(u32, Mode)> =
        fixed.iter().map(|named| (named.token, settings.instruments.mode)).collect();
    let tape = tape.map(|tape| tape.start(&title, &fixed, output)).transpose()?;
    let tap = {
        let sinks = tape.as_ref().map(|tape| (tape.notes.clone(), tape.recorder.clone()));
        move |seat: Seat| {
            let (notes, recorder) = sinks.clone()?;
            Some((notes.sink(), recorder.sink(feed::source(seat.connection))))
        }
    };
    let manager = feed::manager(manager.tap(tap))?;
    let relay = builder.instruments(&fixed).start(&manager).await.map_err(settings::not_started)?;
    output.note(format_args!("serving {title} at {}", relay.endpoint()));
    let _made = greet(&relay, settings.json, output)?;

    let mut progress = Progress::new(settings.report_every, Instant::now());
    let ended = match Link::open(&manager, &title, renewal) {
        Ok(link) => {
            let serving = Serving {
                manager: &manager,
                relay: &relay,
                sim: sim.as_ref(),
                recorder: tape.as_ref().map(|tape| &tape.recorder),
                link,
                report_every: settings.report_every,
                sockets: settings.sockets,
            };
            serving.follow(deadline, &mut progress, output, &stop).await
        }
        Err(error) => Err(error),
    };
    let damages = sim.as_ref().and_then(Sim::replay).map_or(0, |replay| replay.damages);
    let at_end = relay.stats();
    let is_replayed = matches!(ended, Ok((End::Replayed, _)));
    let stopped = end(&manager, relay, is_replayed).await;
    let finished = match tape {
        Some(tape) => Some(Finished::of(tape.end(output)).await?),
        None => None,
    };
    if let Some(sim) = sim {
        sim.stop().await;
    }

    if settings.json {
        let mut report = report::json(&stopped.stats, &at_end, stopped.is_complete);
        report["recording"] =
            finished.as_ref().map_or(json!(null), |it| recorded::json(&it.summary, &[]));
        output.json(&report)?;
    } else {
        output.text(&report::summary(&stopped.stats, &at_end))?;
        if let Some(finished) = &finished {
            output.text(&recorded::summary(&finished.summary))?;
        }
    }
    let losses = report::losses(&stopped.stats, stopped.is_complete);
    losses.iter().for_each(|text| output.warn(text));
    let mut has_findings = !losses.is_empty() || lacks_parts;
    if let Some(finished) = finished {
        has_findings |= finished.warn_of_losses(&mut progress, output);
    }
    let (_, lacks_connections) = ended?;
    if lacks_connections {
        output.warn(link::LACKS_CONNECTIONS);
    }
    if damages > 0 {
        let places = numbers::counted(damages, "damaged place");
        output
            .warn(format_args!("{places} of the replayed tapes skipped; kite inspect lists them"));
    }
    Ok(Status::done(has_findings || lacks_connections || damages > 0))
}

/// Prints how clients connect. Credentials that were made are shown to a person and to a program
/// that asks for them; else they are written to a file, because standard output may be a log.
fn greet(relay: &Relay, is_json: bool, output: Output) -> Result<Option<MadeFile>, CliError> {
    let (endpoint, made) = (relay.endpoint(), relay.credentials_made());
    if is_json {
        output.json(&report::greeting_json(&endpoint, made))?;
        return Ok(None);
    }
    let file = match made {
        Some(made) if !io::stdout().is_terminal() => {
            Some(MadeFile::write(made, relay.address().port())?)
        }
        _ => None,
    };
    let access = match (&file, made) {
        (Some(file), _) => Access::In(file.path()),
        (None, Some(made)) => Access::Shown(made),
        (None, None) => Access::OfClients,
    };
    output.text(&report::greeting(&endpoint, access, output))?;
    Ok(file)
}

/// Ends the relay and the feed. After a replay the clients first get everything that was sent; a stop
/// closes them before the feed, so that none of them is sent that it is lost.
async fn end(manager: &Manager, relay: Relay, is_replayed: bool) -> RelayStopped {
    if is_replayed {
        manager.drain(FLUSH_DEADLINE).await;
    }
    let stopped = relay.stop(FLUSH_DEADLINE).await;
    // However the relay ended, every frame sent is written, unless the server does not end its
    // sockets.
    manager.drain(CLOSE_DEADLINE).await;
    stopped
}

/// A recording that is to start.
#[derive(Debug)]
struct Tape<'a> {
    to: &'a Path,
    names: Names,
    /// The feed whose instruments Kite's list of each day names.
    of_lists: Option<feed::LiveFeed>,
}

/// A recording that runs.
#[derive(Debug)]
struct RunningTape {
    recorder: Recorder,
    notes: Notes,
    _daily: Option<DailyNames>,
}

impl<'a> Tape<'a> {
    /// Returns the recording, if there is to be one.
    async fn prepare(
        settings: &'a Settings,
        feed: &Feed,
        names: Names,
    ) -> Result<Option<Self>, CliError> {
        let Some(to) = settings.record.as_deref() else { return Ok(None) };
        if let Feed::Replay(replay) = feed
            && let prefix = RecorderConfig::default().prefix
            && let Some(file) = recording::replayed_tape(to, &prefix, replay).await?
        {
            let file = file.display();
            let error = format!("--record would add to {file}, which is replayed");
            return Err(CliError::usage(error).help("choose another directory"));
        }
        let is_list_given = settings.instruments.instruments_file.is_some();
        Ok(Some(Self { to, names, of_lists: daily::listed_by_kite(feed, is_list_given) }))
    }

    fn start(
        self,
        title: &str,
        fixed: &[(u32, Mode)],
        output: Output,
    ) -> Result<RunningTape, CliError> {
        let metadata = json!({
            "recorder": concat!("kite ", env!("CARGO_PKG_VERSION")),
            "feed": title,
            "instruments": fixed.len(),
        });
        let config = RecorderConfig {
            metadata: metadata.to_string().into_bytes(),
            ..RecorderConfig::default()
        };
        let to = self.to.display();
        let recorder = Recorder::start(self.to, config)
            .map_err(|error| CliError::unable(format!("cannot record to {to}")).because(error))?;
        output.note(format_args!("recording to {to}"));
        let notes = Notes::new(recorder.clone(), self.names);
        let daily = self.of_lists.map(|live| DailyNames::start(notes.clone(), live, output));
        Ok(RunningTape { recorder, notes, _daily: daily })
    }
}

impl RunningTape {
    /// Returns the recorder, to be finished.
    fn end(self, output: Output) -> Recorder {
        let left_out = self.notes.left_out();
        if left_out > 0 {
            let times = numbers::counted(left_out, "instrument");
            output
                .warn(format_args!("{times} recorded without a name: clients asked for too many"));
        }
        self.recorder
    }
}
