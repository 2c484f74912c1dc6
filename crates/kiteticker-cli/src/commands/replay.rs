//! `kite replay`: serves recorded tapes over Kite's protocol.

pub(crate) mod print;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kite_sim::{ACCESS_TOKEN, API_KEY, ReplayProgress, Sim, Start};
use kite_tape::{Reel, Windows};
use serde_json::json;

use self::print::Printing;
use crate::args::period::Period;
use crate::clients;
use crate::console::output::{self, Output};
use crate::console::signals::Stop;
use crate::console::status_line::StatusLine;
use crate::exit::{CliError, Status};
use crate::feed::tapes;
use crate::feed::{self, ReplayFeed, Speed};
use crate::format::numbers;
use crate::format::times;
use crate::instruments::names::Names;

const EXAMPLES: &str = "\
Examples:
  kite replay tapes --speed 10
  kite replay kite-2026-11-23.ktape --from 09:15 --until 09:30
  kite replay tapes --speed max --stdout | head

Any Kite client can connect to the printed endpoint. It receives the instruments
and modes to which it subscribes. The replay starts with the first subscription,
or once N sockets have subscribed (--sockets N). At its end this command closes
the sockets, prints a summary and exits. Clients take this for a lost connection
and try to reconnect.

Times are India's: 09:15 on each day of the tapes, 2026-11-23 (its midnight), or
2026-11-23T09:15; with an offset, 2026-11-23T03:45:00Z. The time between two
days' windows is skipped.";

/// Serve tapes over Kite's protocol, or print their ticks
#[derive(Debug, Args)]
#[command(after_help = clients::help(EXAMPLES))]
pub(crate) struct ReplayArgs {
    /// Tape files, or directories that contain them
    #[arg(value_name = "TAPE", required = true)]
    tapes: Vec<PathBuf>,
    /// Speed factor, or max [1]
    #[arg(long, value_name = "N", default_value = "1", hide_default_value = true)]
    #[arg(allow_hyphen_values = true)]
    speed: Speed,
    #[command(flatten)]
    period: Period,
    /// Shorten longer pauses to this
    #[arg(long, value_name = "DURATION", value_parser = times::duration, allow_hyphen_values = true)]
    longest_pause: Option<Duration>,
    /// Print the ticks as JSON lines instead
    #[arg(long, conflicts_with_all = ["port", "sockets", "verbatim", "json"])]
    stdout: bool,
    /// Kite's instruments CSV [names on the tapes, or the list of the day]
    #[arg(long, value_name = "CSV", requires = "stdout")]
    instruments_file: Option<PathBuf>,
    /// Port on 127.0.0.1 [any free port]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Start once N sockets have subscribed [1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    sockets: u16,
    /// Send frames as recorded to every client
    #[arg(long)]
    verbatim: bool,
    /// Print the endpoint and statistics as JSON
    #[arg(long)]
    json: bool,
}

/// Replays until the tapes end or the user stops the replay.
pub(crate) async fn run(args: ReplayArgs, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let reel = tapes::open_and_warn(&args.tapes, output).await?;
    tapes::report_ends(&reel, output);
    let lacks_parts = tapes::lack_parts(&reel);
    let feed = ReplayFeed {
        paths: args.tapes.clone(),
        speed: args.speed,
        windows: args.period.windows(&reel)?,
        longest_pause: args.longest_pause,
        looks_back: true,
    };
    if args.stdout {
        return print(&args, reel, feed.windows, output, stop).await;
    }
    let mut replay = feed.replay(&reel).start(Start::Sockets(usize::from(args.sockets)));
    let mut builder = Sim::builder().port(args.port);
    if args.verbatim {
        let contents = tapes::contents(&reel, 0, None, output, &stop).await?;
        replay = replay.verbatim(contents.sources);
        // Heartbeats and greetings come from the tape.
        builder = builder.no_heartbeats().greet(false);
    }
    let sim = feed::start(builder.replay(replay)).await?;
    let endpoint = sim.endpoint();
    if args.json {
        output.json(&json!({
            "endpoint": endpoint, "api_key": API_KEY, "access_token": ACCESS_TOKEN
        }))?;
    } else {
        output.text(&greeting(&endpoint, args.sockets, output))?;
    }

    let mut status = StatusLine::new(output);
    let finished = sim.replay_finished();
    tokio::pin!(finished);
    loop {
        tokio::select! {
            () = stop.requested() => break,
            () = &mut finished => break,
            () = status.due() => {
                if let Some(progress) = sim.replay() {
                    status.show(&line(&progress, args.sockets));
                }
            }
        }
    }
    drop(status);
    let progress = sim.replay().unwrap_or_default();
    sim.stop().await;
    if let Some(damage) = &progress.last_damage {
        let places = numbers::counted(progress.damages, "damaged place");
        output.warn(format_args!("{places} skipped, the last: {damage}"));
    }
    match args.json {
        true => output.json(&progress_json(&progress))?,
        false => output.line(summary(&progress))?,
    }
    Ok(Status::done(progress.damages > 0 || lacks_parts))
}

/// Prints the ticks instead of serving them.
async fn print(
    args: &ReplayArgs,
    reel: Reel,
    windows: Option<Windows>,
    output: Output,
    stop: Stop,
) -> Result<Status, CliError> {
    let names = Names::of_tapes(&reel, args.instruments_file.as_deref(), output).await?;
    let printing = Printing {
        speed: args.speed,
        windows,
        longest_pause: args.longest_pause,
        tokens: Vec::new(),
    };
    print::run(reel, printing, names, output, stop).await
}

fn greeting(endpoint: &str, sockets: u16, output: Output) -> String {
    format!(
        "{}  {endpoint}\n\
         export KITE_API_KEY={API_KEY} KITE_ACCESS_TOKEN={ACCESS_TOKEN}\n\
         kite watch --endpoint {endpoint} NSE:INFY\n\
         {}The replay starts when {}. Ctrl-C stops it.\n",
        output.paint(output::BOLD, "endpoint"),
        clients::lines(endpoint, API_KEY, ACCESS_TOKEN),
        match sockets {
            1 => "a client subscribes".to_owned(),
            _ => format!("{sockets} connections have subscribed"),
        }
    )
}

fn line(progress: &ReplayProgress, sockets: u16) -> String {
    let Some(position) = progress.position_unix_ns else {
        let sockets = numbers::counted(sockets.into(), "subscribed connection");
        return format!("waiting for {sockets}");
    };
    let part = progress.span_unix_ns.map_or(0.0, |(from, to)| {
        let (done, all) = (position.saturating_sub(from), to.saturating_sub(from));
        if all == 0 { 100.0 } else { done as f64 * 100.0 / all as f64 }
    });
    let at = times::ist(position);
    format!(
        "{} {} IST, {part:.0} %, {} of {} ticks sent",
        at.date(),
        at.clock(),
        numbers::grouped(progress.ticks_sent),
        numbers::grouped(progress.ticks)
    )
}

fn summary(progress: &ReplayProgress) -> String {
    format!(
        "{} replayed, {} sent in {}{}",
        numbers::counted(progress.ticks, "tick"),
        numbers::grouped(progress.ticks_sent),
        numbers::counted(progress.frames_sent, "frame"),
        if progress.finished { "" } else { "; stopped before the end of the tape" }
    )
}

fn progress_json(progress: &ReplayProgress) -> serde_json::Value {
    json!({
        "finished": progress.finished,
        "position_unix_ns": progress.position_unix_ns,
        "records": progress.records,
        "frames": progress.frames,
        "ticks": progress.ticks,
        "frames_sent": progress.frames_sent,
        "ticks_sent": progress.ticks_sent,
        "leaner_packets": progress.leaner_packets,
        "gaps": progress.gaps,
        "damages": progress.damages,
    })
}
