//! The live table in the terminal, or lines where there is no terminal.

mod app;
mod chart;
mod journal;
mod layout;
mod lines;
mod row;
mod sort;
mod state;
mod terminal;
mod theme;
mod view;

use std::io::{self, IsTerminal as _};
use std::pin::pin;
use std::time::{Duration, Instant};

use kite_conn::LaneConfig;
use kite_manager::{Manager, StreamConfig, StreamItem, TickStream};
use kite_sim::Sim;
use kite_wire::Mode;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::feed::{Feed, OpenFeed, Speed};
use crate::format::times;
use crate::instruments::directory::Directory;
use crate::instruments::names::Named;
use crate::watch::app::{App, Effect, Moment, Origin};
use crate::watch::chart::Glyphs;
use crate::watch::journal::Weight;
use crate::watch::state::Gauge;
use crate::watch::terminal::{Input, Keys, Screen};
use crate::watch::theme::Theme;

/// The least time between two frames: about twelve a second.
const FRAME: Duration = Duration::from_millis(80);
const SECOND: Duration = Duration::from_secs(1);
/// The longest time that a frame spends on taking ticks, so that keys are not kept waiting.
const TAKING: Duration = Duration::from_millis(20);
const SECOND_NS: u64 = 1_000_000_000;
/// How long the sockets are given to close politely.
const PARTING: Duration = Duration::from_secs(2);

/// What `kite watch` was asked for.
#[derive(Debug)]
pub(crate) struct WatchOptions {
    pub(crate) instruments: Vec<Named>,
    /// For instruments that are added while it runs.
    pub(crate) directory: Box<dyn Directory>,
    pub(crate) mode: Mode,
    pub(crate) feed: Feed,
    /// Instruments that are streamed as well, and not shown.
    pub(crate) background: Vec<(Mode, Vec<u32>)>,
    /// Lines to begin with.
    pub(crate) hints: Vec<String>,
    /// Whether colours are wanted.
    pub(crate) color: bool,
    /// Whether only ASCII may be drawn.
    pub(crate) ascii: bool,
    /// Whether every tick is wanted as a line of JSON.
    pub(crate) json: bool,
    /// Rings when a signal asks for the end.
    pub(crate) stop: Stop,
}

/// Says whether there is a terminal to draw on.
pub(crate) fn has_screen() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Shows the table until the user ends it.
///
/// # Errors
/// The feed cannot be opened, or is refused, or the terminal fails.
///
/// # Cancel safety
/// Dropping it gives the terminal back; the connections then close in the background.
pub(crate) async fn run(options: WatchOptions) -> Result<(), CliError> {
    let WatchOptions { instruments, directory, mode, feed, background, stop, .. } = options;
    let streamed = background.iter().map(|(_, tokens)| tokens.len()).sum::<usize>();
    let connections = crate::feed::connections_for(instruments.len() + streamed);
    let origin = origin(&feed);
    let OpenFeed { manager, sim, .. } = feed.open(connections).await?;
    let cannot = |error| CliError::unable("cannot subscribe").because(error);
    let tokens: Vec<u32> = instruments.iter().map(|named| named.token).collect();
    manager.subscribe(&tokens, mode).map_err(cannot)?;
    for (mode, tokens) in &background {
        manager.subscribe(tokens, *mode).map_err(cannot)?;
    }
    if options.json || !has_screen() {
        let done = lines::run(&manager, &instruments, options.json, &stop).await;
        part(&manager).await;
        return done;
    }
    let glyphs = if options.ascii { Glyphs::Ascii } else { Glyphs::Unicode };
    let look = Theme { color: options.color, glyphs };
    let app = App::new(look, origin, directory, instruments, mode, moment(sim.as_ref()));
    let shown = show(&manager, sim.as_ref(), app, options.hints, &stop).await;
    part(&manager).await;
    shown
}

/// Runs the screen: inputs to the state, the state to the terminal, its wishes to the feed.
async fn show(
    manager: &Manager,
    sim: Option<&Sim>,
    mut app: App,
    hints: Vec<String>,
    stop: &Stop,
) -> Result<(), CliError> {
    let terminal = |error| CliError::unable("cannot use the terminal").because(error);
    // The newest tick of each instrument is all that a screen can show: where it is slow, ticks
    // are folded together, and the sockets never wait for it.
    let lane = LaneConfig::conflate();
    let mut stream = manager
        .stream(StreamConfig { lane, ..StreamConfig::default() })
        .map_err(|error| CliError::unable("cannot stream").because(error))?;
    let (mut events, mut orders) = (manager.events(), manager.orders());
    let mut gauge = Gauge::default();
    let mut seconds = interval(SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut start = pin!(manager.start());
    let (mut is_started, mut has_ticks, mut has_ended) = (false, true, false);

    let mut screen = Screen::open().map_err(terminal)?;
    let (width, height) = screen.size().map_err(terminal)?;
    app.on_resize(width, height);
    let mut keys = Keys::read().map_err(terminal)?;
    let mut next_frame = Instant::now();
    loop {
        let now = Instant::now();
        let is_time = now >= next_frame;
        if is_time {
            // Between two frames nobody looks: what came meanwhile is taken at once.
            take(&mut app, &mut stream, None);
        }
        if is_time && app.wants_drawing() {
            app.on_frame(moment(sim));
            screen.draw(&app).map_err(terminal)?;
            app.on_drawn(Instant::now());
            next_frame = now + FRAME;
            continue;
        }
        tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            input = keys.next() => match input {
                Some(Input::Key(key)) => match app.on_key(key) {
                    Some(Effect::Quit) => return Ok(()),
                    Some(effect) => obey(manager, &mut app, effect),
                    None => {}
                },
                Some(Input::Resize(width, height)) => app.on_resize(width, height),
                Some(Input::Failed(error)) => return Err(terminal(error)),
                None => return Ok(()),
            },
            Some(event) = events.recv() => app.on_event(&event),
            Some(item) = orders.recv() => app.on_order(&item),
            started = &mut start, if !is_started => {
                started.map_err(|error| CliError::unable("cannot connect").because(error))?;
                is_started = true;
                for hint in &hints {
                    app.tell(Weight::Plain, hint.as_str());
                }
            }
            _ = seconds.tick() => {
                let (snapshot, distributions) = (manager.snapshot(), manager.distributions());
                app.on_reading(gauge.read(&snapshot, &distributions, Instant::now()));
                let is_over = sim.and_then(Sim::replay).is_some_and(|replay| replay.finished);
                if is_over && !has_ended {
                    has_ended = true;
                    app.tell(Weight::Plain, "the tape has ended");
                }
            }
            () = sleep_until(next_frame.into()), if !is_time => {}
            item = stream.recv(), if is_time && has_ticks => match item {
                Some(item) => take(&mut app, &mut stream, Some(item)),
                None => has_ticks = false,
            },
        }
    }
}

/// Takes an item and those that wait behind it.
fn take(app: &mut App, stream: &mut TickStream, first: Option<StreamItem>) {
    let now = Instant::now();
    let mut next = first.or_else(|| stream.try_recv().ok());
    while let Some(taken) = next {
        let ticks = match taken {
            StreamItem::Ticks(ticks) => Some(ticks),
            StreamItem::Conflated { ticks, replaced } => {
                app.on_lag(replaced);
                Some(ticks)
            }
            StreamItem::Dropped { ticks, .. } => {
                app.on_lag(ticks);
                None
            }
            _ => None,
        };
        if let Some(ticks) = ticks {
            let received = ticks.batch.received.to_instant();
            for packet in ticks.batch.ticks.packets() {
                app.on_packet(packet, received, now);
            }
        }
        next = if now.elapsed() < TAKING { stream.try_recv().ok() } else { None };
    }
}

/// Does what the table asks of the feed.
fn obey(manager: &Manager, app: &mut App, effect: Effect) {
    match effect {
        Effect::Subscribe { token, mode } => match manager.subscribe(&[token], mode) {
            // One that is streamed already kept its mode.
            Ok(()) => manager.set_mode(&[token], mode),
            Err(error) => app.on_refused(token, &error.to_string()),
        },
        Effect::Unsubscribe { token } => manager.unsubscribe(&[token]),
        Effect::SetMode { token, mode } => manager.set_mode(&[token], mode),
        Effect::Quit => {}
    }
}

/// Closes the sockets, politely if that does not take long.
async fn part(manager: &Manager) {
    // What is not closed by then closes with the process.
    let _ = timeout(PARTING, manager.stop()).await;
}

fn origin(feed: &Feed) -> Origin {
    match feed {
        Feed::Sim(feed) => Origin {
            badge: "SIMULATOR",
            title: match feed.chaos {
                Some(mean) => format!("faults every {}", times::span(mean)),
                None => String::new(),
            },
            is_now: false,
        },
        Feed::Replay(feed) => Origin {
            badge: "REPLAY",
            title: match feed.speed {
                Speed::Times(times) => format!("{times}x"),
                Speed::Max => "as fast as it goes".to_owned(),
            },
            is_now: false,
        },
        Feed::Live(feed) => {
            Origin { badge: "LIVE", title: feed.endpoint.host().to_owned(), is_now: true }
        }
    }
}

fn moment(sim: Option<&Sim>) -> Moment {
    let tape = sim.and_then(Sim::replay).and_then(|replay| replay.position_unix_ns);
    Moment {
        now: Instant::now(),
        unix_s: times::now_unix_ns() / SECOND_NS,
        tape_unix_s: tape.map(|unix_ns| unix_ns / SECOND_NS),
    }
}
