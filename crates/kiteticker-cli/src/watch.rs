//! The live table in the terminal, or lines if there is no terminal.

mod app;
pub(crate) mod chart;
mod columns;
mod day;
mod effects;
mod health;
mod help;
mod inputs;
mod journal;
mod layout;
mod lines;
mod playback;
mod redraw;
mod row;
mod sort;
mod suspension;
mod table;
mod terminal;
mod theme;
mod view;
pub(crate) mod watchlists;
mod wrapping;

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use kite_manager::{Manager, StreamItem, TaggedBatch};
use kite_sim::Sim;
use kite_wire::Mode;
use tokio::time::timeout;

use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::feed::at_end::AtEnd;
use crate::feed::deadline::Deadline;
use crate::feed::link::{Link, News};
use crate::feed::{self, Feed, OpenFeed};
use crate::format::times;
use crate::instruments::directory::Directory;
use crate::instruments::names::{Named, Names};
use crate::watch::app::{App, Effect, Moment, Origin};
use crate::watch::chart::Glyphs;
use crate::watch::effects::Targets;
use crate::watch::inputs::{Input, Inputs};
use crate::watch::journal::Weight;
use crate::watch::lines::Ends;
use crate::watch::playback::Playback;
use crate::watch::terminal::Screen;
use crate::watch::theme::Theme;
use crate::watch::watchlists::Name;

/// The minimum time between two frames: about 12 per second.
const FRAME: Duration = Duration::from_millis(80);
/// The maximum time spent on ticks per frame, so that keys do not wait.
const TICK_BUDGET: Duration = Duration::from_millis(20);
/// Limit for the closing handshakes of the sockets.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Options of the live table.
#[derive(Debug)]
pub(crate) struct WatchOptions {
    pub(crate) instruments: Vec<Named>,
    /// Looks up instruments added while the table runs.
    pub(crate) directory: Box<dyn Directory>,
    pub(crate) mode: Mode,
    pub(crate) feed: Feed,
    /// Reports instruments that never tick, if there is no table to show it; `None` for the demo.
    pub(crate) names: Option<(Names, Output)>,
    /// The watch list that the instruments are from, if they are from one.
    pub(crate) list: Option<Name>,
    /// Instruments that are streamed but not shown.
    pub(crate) background: Vec<(Mode, Vec<u32>)>,
    /// Lines to log once all connections are up.
    pub(crate) hints: Vec<String>,
    /// Whether to use colours.
    pub(crate) color: bool,
    /// Whether to draw only ASCII.
    pub(crate) ascii: bool,
    /// Whether to print every tick as a line of JSON instead.
    pub(crate) json: bool,
    /// When the table closes by the clock.
    pub(crate) deadline: Deadline,
    /// Reports that a signal requested a stop.
    pub(crate) stop: Stop,
}

/// What the user may have missed.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    /// Damaged places of a replayed tape.
    pub(crate) damages: u64,
    /// The connections that were missing at the end; none of a table, which has shown them.
    pub(crate) at_end: AtEnd,
}

/// Returns whether there is a terminal to draw on.
pub(crate) fn has_screen() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Shows the table until the user quits.
///
/// # Errors
/// Returns an error if the feed cannot be opened, the server refuses the connection, or the
/// terminal fails.
///
/// # Cancel safety
/// If the future is dropped, the terminal is restored and the connections close in the background.
pub(crate) async fn run(options: WatchOptions) -> Result<Watched, CliError> {
    let WatchOptions { instruments, directory, mode, feed, background, deadline, stop, .. } =
        options;
    let streamed = background.iter().map(|(_, tokens)| tokens.len()).sum::<usize>();
    let connections = crate::feed::connections_for(instruments.len() + streamed);
    let origin = origin(&feed);
    let playback = playback(&feed);
    let token_files = feed.token_files();
    let OpenFeed { builder, sim, title } = feed.open(connections).await?;
    let manager = feed::manager(builder)?;
    let cannot = |error| CliError::unable("cannot subscribe").because(error);
    let tokens: Vec<u32> = instruments.iter().map(|named| named.token).collect();
    manager.subscribe(&tokens, mode).map_err(cannot)?;
    for (mode, tokens) in &background {
        manager.subscribe(tokens, *mode).map_err(cannot)?;
    }
    let link = Link::open(&manager, title, token_files)?;
    if options.json || !has_screen() {
        let ends = Ends { sim: sim.as_ref(), deadline, stop: &stop };
        let report = options.names.as_ref().map(|(names, output)| (names, *output));
        let done = lines::run(&manager, link, ends, &instruments, options.json, report).await;
        close(&manager).await;
        return done.map(|at_end| Watched { damages: damages(sim.as_ref()), at_end });
    }
    let glyphs = if options.ascii { Glyphs::Ascii } else { Glyphs::Unicode };
    let theme = Theme { color: options.color, glyphs };
    let mut app = App::new(theme, origin, directory, instruments, mode, moment());
    (app.playback, app.list) = (playback, options.list);
    let inputs = Inputs::new(&manager, link, deadline, &stop)?;
    let targets = Targets { manager: &manager, sim: sim.as_ref() };
    let shown = show(targets, app, options.hints, inputs).await;
    close(&manager).await;
    shown.map(|()| Watched { damages: damages(sim.as_ref()), at_end: AtEnd::default() })
}

/// Returns the damaged places of the tape that were skipped, if one was replayed.
fn damages(sim: Option<&Sim>) -> u64 {
    sim.and_then(Sim::replay).map_or(0, |replay| replay.damages)
}

/// Runs the screen: applies inputs to the state, draws the state, and applies effects to the feed.
async fn show(
    targets: Targets<'_>,
    mut app: App,
    mut hints: Vec<String>,
    mut inputs: Inputs<'_>,
) -> Result<(), CliError> {
    let mut screen = Screen::open().map_err(terminal::error)?;
    fit(&mut app, &screen)?;
    let mut next_frame = Instant::now();
    loop {
        if Instant::now() >= next_frame {
            // Nothing is visible between two frames, so ticks are processed once per frame.
            take_ticks(&mut app, &mut inputs, None);
            if app.redraw.is_needed() {
                next_frame = Instant::now() + FRAME;
                draw(&mut app, &mut screen, targets.sim)?;
                continue;
            }
        }
        match inputs.next(next_frame).await {
            Input::Stop => return Ok(()),
            Input::Terminal(terminal::Input::Key(key)) => match app.on_key(key) {
                Some(Effect::Quit) => return Ok(()),
                Some(Effect::Suspend) => {
                    screen.close();
                    inputs.suspend().await;
                    reopen(&mut app, &mut screen)?;
                }
                Some(effect) => targets.apply(&mut app, effect).await,
                None => {}
            },
            Input::Terminal(terminal::Input::Mouse(mouse)) => app.on_mouse(mouse),
            // The process was stopped by another signal than Ctrl-Z.
            Input::Continued => {
                screen.close();
                reopen(&mut app, &mut screen)?;
            }
            Input::Terminal(terminal::Input::Resize(width, height)) => app.on_resize(width, height),
            Input::Terminal(terminal::Input::Failed(error)) => return Err(terminal::error(error)),
            Input::Order(item) => app.on_order(&item),
            Input::News(news) => match news? {
                News::Up => {}
                News::Event(event) => app.on_event(&event),
                News::Note(severity, text) => {
                    app.log(Weight::of(severity).unwrap_or(Weight::Plain), text);
                }
            },
            Input::Second => {
                app.on_reading(targets.manager.snapshot());
                // Last, so that the connections do not push them out of the screen.
                if app.health.are_all_live() {
                    hints.drain(..).for_each(|hint| app.log(Weight::Plain, hint));
                }
            }
            Input::Ticks(item) => take_ticks(&mut app, &mut inputs, Some(item)),
            Input::Frame => {}
        }
    }
}

fn draw(app: &mut App, screen: &mut Screen, sim: Option<&Sim>) -> Result<(), CliError> {
    // The terminal may report a new size late, or not at all if it reports a key as well.
    fit(app, screen)?;
    app.on_frame(moment());
    if let Some(progress) = sim.and_then(Sim::replay) {
        app.on_progress(&progress);
    }
    screen.draw(app).map_err(terminal::error)?;
    app.on_drawn(Instant::now());
    Ok(())
}

/// Opens the screen again after the process was stopped.
fn reopen(app: &mut App, screen: &mut Screen) -> Result<(), CliError> {
    screen.reopen().map_err(terminal::error)?;
    fit(app, screen)
}

/// Fits the table to the size of the screen.
fn fit(app: &mut App, screen: &Screen) -> Result<(), CliError> {
    let (width, height) = screen.size().map_err(terminal::error)?;
    app.on_resize(width, height);
    Ok(())
}

/// Processes an item and those queued after it, within the time budget.
fn take_ticks(app: &mut App, inputs: &mut Inputs<'_>, first: Option<StreamItem>) {
    let now = Instant::now();
    let mut next = first.or_else(|| inputs.try_ticks());
    while let Some(item) = next {
        match item {
            StreamItem::Ticks(ticks) => take_batch(app, &ticks, now),
            StreamItem::Conflated { ticks, replaced } => {
                app.on_replaced(ticks.connection, replaced);
                take_batch(app, &ticks, now);
            }
            StreamItem::Dropped { connection, ticks, .. } => app.on_replaced(connection, ticks),
            StreamItem::Down { connection, last_heard, .. } => {
                app.on_down(connection, last_heard.to_unix_ns());
            }
            _ => {}
        }
        next = if now.elapsed() < TICK_BUDGET { inputs.try_ticks() } else { None };
    }
}

fn take_batch(app: &mut App, ticks: &TaggedBatch, now: Instant) {
    let received = ticks.batch.received;
    let (instant, unix_ns) = (received.to_instant(), received.to_unix_ns());
    for packet in ticks.packets() {
        app.on_packet(packet, instant, now);
        app.on_traded(ticks.connection, packet, unix_ns);
    }
}

/// Closes the sockets, with the closing handshake if it completes in time.
async fn close(manager: &Manager) {
    // Sockets still open after that close with the process.
    let _ = timeout(CLOSE_TIMEOUT, manager.stop()).await;
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
        Feed::Replay(_) => Origin { badge: "REPLAY", title: String::new(), is_now: false },
        Feed::Live(feed) => {
            Origin { badge: "LIVE", title: feed.endpoint.host().to_owned(), is_now: true }
        }
    }
}

fn playback(feed: &Feed) -> Option<Playback> {
    match feed {
        Feed::Replay(feed) => Some(Playback::new(feed.speed)),
        Feed::Sim(_) | Feed::Live(_) => None,
    }
}

fn moment() -> Moment {
    Moment { now: Instant::now(), unix_s: times::now_unix_ns() / times::SECOND_NS }
}
