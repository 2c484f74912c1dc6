//! Runs a relay, from the start of the feed to the close frames of its clients.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use kite_manager::{Manager, Seat};
use kite_nats::{Publisher, PublisherStopped};
use kite_relay::{Relay, RelayStopped};
use kite_sim::{Sim, Start};
use kite_wire::Mode;

use super::follow::{End, Serving};
use super::http::{SharedNames, Shown};
use super::made::MadeFile;
use super::outcome::Outcome;
use super::plan::Plan;
use super::reload::{AtStart, Reload};
use super::report::{self, Access};
use super::service::Service;
use super::settings;
use super::tape::Tape;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::at_end::AtEnd;
use crate::feed::link::Link;
use crate::feed::{self, Feed, OpenFeed, Speed};
use crate::instruments::loading::Need;
use crate::instruments::selection::{self, Selection};
use crate::instruments::unseen::Unseen;
use crate::recording::finished::Finished;
use crate::recording::progress::Progress;

/// Time for the server to end its sockets after a close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Time for clients to take what is queued for them at the end.
const FLUSH_DEADLINE: Duration = Duration::from_secs(10);

/// The same after a replay, which lasts as long as its clients take to read. A client that does not
/// read holds it up for the minute after which the relay resets it.
const REPLAY_DEADLINE: Duration = Duration::from_secs(60);

/// Serves until the time is over, the replayed tape ends, or the user stops it.
pub(super) async fn run(plan: Plan, output: Output, stop: Stop) -> Result<Status, CliError> {
    plan.check_record()?;
    let (settings, places) = (plan.settings, plan.places);
    let service = Service::new();
    let hang_ups = plan.file.as_ref().map(|_| stop.take_hang_ups()).transpose()?;
    let deadline = settings.feed.deadline()?;
    let relay = &settings.relay;
    let builder = relay.builder()?;
    let (instruments, feed) = (&settings.instruments, &settings.feed);
    let need = if settings.record.is_some() { Need::Recorded } else { Need::Shown };
    let finding = selection::find_named(instruments, feed, need, deadline, output, &stop);
    let Some(Selection { instruments: fixed, names, feed, prices, lacks_parts }) =
        stop.until_done(finding).await?
    else {
        output.note("ended before the relay began");
        return Ok(Status::Done);
    };
    let token_files = feed.token_files();
    let (files, kept) = (feed.credential_files(), feed.clone());
    let is_unpaced = matches!(&feed, Feed::Replay(replay) if replay.speed == Speed::Max);
    let tape = Tape::prepare(&settings, &feed, names.clone()).await?;
    let OpenFeed { builder: manager, sim, title } =
        feed.open_to_start(settings.connections, Start::OnRequest).await?;
    let fixed: Vec<(u32, Mode)> =
        fixed.iter().map(|named| (named.token, settings.instruments.mode)).collect();
    let tape = tape.map(|tape| tape.start(&title, &fixed, output)).transpose()?;
    let unseen = Unseen::new(fixed.iter().map(|&(token, _)| token));
    let tap = {
        let noting = unseen.clone();
        let sinks = tape.as_ref().map(|tape| (tape.notes.clone(), tape.recorder.clone()));
        move |seat: Seat| {
            let recording = sinks
                .as_ref()
                .map(|(notes, recorder)| (notes.sink(), recorder.sink(feed::source_of(&seat))));
            (noting.clone(), recording)
        }
    };
    let manager = feed::manager(manager.tap(tap).latest(settings.http.is_some()))?;
    let relay = builder.instruments(&fixed).start(&manager).await;
    let relay = relay.map_err(|error| settings::not_started_at(&places, error))?;
    let shared_names = SharedNames::new(names.clone());
    let reload = plan.file.map(|file| {
        let notes = tape.as_ref().map(|tape| tape.notes.clone());
        let start = AtStart {
            settings: &settings.relay,
            fixed: &fixed,
            manager: &manager,
            feed: kept,
            need,
            prices,
            names: shared_names.clone(),
            notes,
            output,
        };
        Reload::new(file, &relay, start)
    });
    let reload = reload.transpose()?;
    let nats = match &settings.nats {
        Some(nats) => Some(nats.start(&manager).await?),
        None => None,
    };
    let http = match &settings.http {
        Some(http) => {
            let recorder = tape.as_ref().map(|tape| &tape.recorder);
            let shown = Shown {
                relay: relay.counts(),
                recorder: recorder.zip(settings.record.as_deref()),
                nats: nats.as_ref().map(Publisher::counts),
                names: shared_names,
                credentials: files,
            };
            let builder = http.builder(&manager)?.candles(http.candles(&names)?);
            Some(shown.start(builder, &places)?)
        }
        None => None,
    };
    let endpoint = report::reachable(&relay.endpoint(), relay.address());
    output.note(format_args!("serving {title} at {endpoint}"));
    let status = http.as_ref().map(|http| report::reachable(&http.endpoint(), http.address()));
    service.ready();
    let _made = greet(&relay, status.as_deref(), settings.json, output)?;

    let mut progress = Progress::new(settings.report_every, Instant::now());
    let ended = match Link::open(&manager, &title, token_files) {
        Ok(link) => {
            let link = link.with_choice_of_connections();
            let serving = Serving {
                manager: &manager,
                relay: &relay,
                sim: sim.as_ref(),
                recorder: tape.as_ref().map(|tape| &tape.recorder),
                nats: nats.as_ref(),
                unseen: &unseen,
                names: &names,
                link,
                report_every: settings.report_every,
                sockets: settings.sockets,
                is_unpaced,
                service,
                reload: reload.as_ref(),
                hang_ups,
            };
            serving.follow(deadline, &mut progress, output, &stop).await
        }
        Err(error) => Err(error),
    };
    service.stopping();
    let (ended, connections) = match ended {
        Ok((end, at_end)) => (Ok(end), at_end),
        Err(error) => (Err(error), AtEnd::default()),
    };
    let damages = sim.as_ref().and_then(Sim::replay).map_or(0, |replay| replay.damages);
    let at_end = relay.stats();
    drop(reload);
    let is_replayed = matches!(ended, Ok(End::Replayed));
    let stopped = end(&manager, relay, is_replayed, &stop).await;
    let published = match nats {
        Some(nats) => Some(stop_publishing(nats).await),
        None => None,
    };
    let recorded = match tape {
        Some(tape) => Some(Finished::of(tape.end(output)).await?),
        None => None,
    };
    if let Some(sim) = sim {
        sim.stop().await;
    }
    if let Some(text) = unseen.report(&names) {
        output.warn(text);
    }
    let outcome = Outcome {
        stopped,
        at_end,
        recorded,
        published,
        damages,
        connections,
        lacks_parts,
        has_failed: ended.is_err(),
    };
    outcome.print(&unseen.tokens(), settings.json, output)?;
    outcome.warn(&mut progress, output);
    ended?;
    Ok(Status::done(outcome.has_findings()))
}

/// Publishes what is queued. Without a connection there is nothing to wait for.
async fn stop_publishing(nats: Publisher) -> PublisherStopped {
    let is_connected = nats.stats().is_connected;
    nats.stop(if is_connected { FLUSH_DEADLINE } else { Duration::ZERO }).await
}

/// Prints how clients connect. Credentials that were made are shown to a person and to a program
/// that asks for them; else they are written to a file, because standard output may be a log.
fn greet(
    relay: &Relay,
    status: Option<&str>,
    is_json: bool,
    output: Output,
) -> Result<Option<MadeFile>, CliError> {
    let (endpoint, made) = (relay.endpoint(), relay.credentials_made());
    if is_json {
        output.json(&report::greeting_json(&endpoint, status, made))?;
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
    let endpoint = report::reachable(&endpoint, relay.address());
    output.text(&report::greeting(&endpoint, status, access, output))?;
    Ok(file)
}

/// Ends the relay and the feed. After a replay the clients first get everything that was sent; a stop
/// closes them before the feed, so that none of them is sent that it is lost.
async fn end(manager: &Manager, relay: Relay, is_replayed: bool, stop: &Stop) -> RelayStopped {
    let mut deadline = FLUSH_DEADLINE;
    if is_replayed {
        // Clients that hold up the feed may need long for what is still on its way.
        tokio::select! {
            _ = manager.drain(Duration::MAX) => deadline = REPLAY_DEADLINE,
            () = stop.requested() => {}
        }
    }
    let stopped = relay.stop(deadline).await;
    // However the relay ended, every frame sent is written, unless the server does not end its
    // sockets.
    manager.drain(CLOSE_DEADLINE).await;
    stopped
}
