//! Serves tapes to the clients that connect, up to an end at which none of them loses anything.

use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY, Sim, SocketRecord, Start};
use kite_tape::{Reel, Windows};
use serde_json::json;
use tokio::time::Instant;

use super::{ReplayArgs, report};
use crate::clients::{Standstill, Waiting};
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::console::status_line::StatusLine;
use crate::exit::{CliError, Status};
use crate::feed::deadline::Deadline;
use crate::feed::tapes;
use crate::feed::{self, ReplayFeed, Speed};

/// Interval of asking how many sockets have subscribed.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The reason in the close frames at the end.
const ENDED: &str = "the tape has ended";

/// Serves until the tapes end, or until the user stops the replay.
pub(super) async fn run(
    args: &ReplayArgs,
    reel: &Reel,
    windows: Option<Windows>,
    output: Output,
    stop: Stop,
) -> Result<Status, CliError> {
    let sim = start(args, reel, windows, output, &stop).await?;
    let endpoint = sim.endpoint();
    match args.json {
        true => output.json(&json!({
            "endpoint": endpoint, "api_key": API_KEY, "access_token": ACCESS_TOKEN
        }))?,
        false => output.text(&report::greeting(&endpoint, args.sockets, output))?,
    }
    let has_ended = play(args, &sim, output, &stop).await;
    let unfinished = match has_ended {
        true => finish(&sim, args.linger, output, &stop).await,
        false => {
            sim.stop().await;
            sim.unfinished()
        }
    };
    let (progress, stats) = (sim.replay().unwrap_or_default(), sim.stats());
    report::warnings(&progress, &unfinished, output);
    match args.json {
        true => output.json(&report::json(&progress, &stats, &unfinished))?,
        false => output.text(&report::summary(&progress, &stats))?,
    }
    let is_damaged = progress.damages > 0 || tapes::lack_parts(reel);
    Ok(Status::done(is_damaged || !unfinished.is_empty()))
}

async fn start(
    args: &ReplayArgs,
    reel: &Reel,
    windows: Option<Windows>,
    output: Output,
    stop: &Stop,
) -> Result<Sim, CliError> {
    let feed = ReplayFeed {
        paths: args.tapes.clone(),
        speed: args.speed,
        windows,
        longest_pause: args.longest_pause,
        looks_back: true,
    };
    let mut replay = feed.replay(reel).start(Start::Sockets(args.sockets));
    let mut builder = Sim::builder().port(args.port);
    if args.verbatim {
        let contents = tapes::contents(reel, 0, None, output, stop).await?;
        replay = replay.verbatim(contents.sources);
        // Heartbeats and greetings come from the tape.
        builder = builder.no_heartbeats().greet(false);
    }
    feed::start(builder.replay(replay)).await
}

/// Waits until the replay is to end; returns whether the tape has ended.
async fn play(args: &ReplayArgs, sim: &Sim, output: Output, stop: &Stop) -> bool {
    let mut status = StatusLine::new(output);
    let (mut finished, mut over) = (
        std::pin::pin!(sim.replay_finished()),
        std::pin::pin!(Deadline::default().after(args.lasts).reached()),
    );
    let (mut waiting, mut standstill) = (Waiting::new(args.sockets), Standstill::default());
    let mut ask = tokio::time::interval(ASK_EVERY);
    let mut has_ended = false;
    loop {
        tokio::select! {
            () = stop.requested() => return has_ended,
            () = &mut over => return has_ended,
            () = &mut finished, if !has_ended => {
                if !args.stay {
                    return true;
                }
                has_ended = true;
                status.note("the tape has ended; heartbeats continue until Ctrl-C");
            }
            _ = ask.tick(), if !has_ended => {
                let subscribed = subscribed(sim, args.verbatim);
                let note = match sim.replay().is_some_and(|replay| replay.begun) {
                    false => waiting.note(subscribed),
                    true => {
                        let stands = matches!(args.speed, Speed::Max) && subscribed == 0;
                        standstill.note(stands, Instant::now())
                    }
                };
                note.iter().for_each(|text| status.note(text));
            }
            () = status.due() => {
                if let Some(progress) = sim.replay() {
                    status.show(&report::line(&progress, args.sockets));
                }
            }
        }
    }
}

/// Returns the number of sockets that have subscribed. A verbatim replay goes to every open one.
fn subscribed(sim: &Sim, is_verbatim: bool) -> usize {
    sim.subscriptions().iter().filter(|it| is_verbatim || !it.is_empty()).count()
}

/// Ends the server once its clients have read everything; a request to stop ends the wait.
async fn finish(sim: &Sim, linger: Duration, output: Output, stop: &Stop) -> Vec<SocketRecord> {
    let mut status = StatusLine::new(output);
    let was_stopped = stop.is_requested();
    let mut finished = std::pin::pin!(sim.finish(ENDED, linger));
    loop {
        tokio::select! {
            unfinished = &mut finished => return unfinished,
            () = stop.requested(), if !was_stopped => {
                sim.stop().await;
                return sim.unfinished();
            }
            () = status.due() => status.show("waiting for the clients to read everything"),
        }
    }
}
