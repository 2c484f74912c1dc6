//! The state of every socket, in as few characters as the screen requires.

use std::time::Duration;

use kite_conn::{OneLine, Phase};
use kite_manager::ConnectionSnapshot;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::format::numbers::grouped;
use crate::watch::app::App;

/// From this width on, units of rates are written out.
const ROOMY: usize = 112;
/// Kite sends a heartbeat each second. A live socket on which nothing arrives for longer is shown as
/// silent, before the connection gives it up.
const SILENT: Duration = Duration::from_secs(5);

/// How much is said about a socket, from the most to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Rates,
    Words,
    Short,
    Sign,
}

/// Returns the line of the sockets, with as much as fits of all of them.
pub(super) fn line(app: &App, width: usize) -> Line<'_> {
    fitting(app, width, &[Detail::Rates, Detail::Words, Detail::Short, Detail::Sign])
}

/// Returns the sockets in few characters, before other things on the line.
pub(super) fn short(app: &App, width: usize) -> Line<'_> {
    fitting(app, width, &[Detail::Short, Detail::Sign])
}

fn fitting<'a>(app: &'a App, width: usize, details: &[Detail]) -> Line<'a> {
    if app.health.feed.connections.is_empty() {
        return Line::styled(" connecting", app.theme.dim());
    }
    let lines = details.iter().map(|&detail| all(app, detail, width));
    let mut last = Line::default();
    for line in lines {
        if line.width() <= width {
            return line;
        }
        last = line;
    }
    last
}

fn all<'a>(app: &'a App, detail: Detail, width: usize) -> Line<'a> {
    let (lead, between) = match detail {
        Detail::Rates | Detail::Words => (" ", app.theme.sign(" │ ", " | ")),
        Detail::Short | Detail::Sign => ("", " "),
    };
    let mut line = Line::from(lead);
    for (at, socket) in app.health.feed.connections.iter().enumerate() {
        if at > 0 {
            line.push_span(between);
        }
        one(app, at, socket, detail, width).into_iter().for_each(|span| line.push_span(span));
    }
    line
}

fn one<'a>(
    app: &'a App,
    at: usize,
    socket: &'a ConnectionSnapshot,
    detail: Detail,
    width: usize,
) -> Vec<Span<'a>> {
    let State { words, short, sign, style } = state(app, at, socket);
    let number = at + 1;
    let mut spans = match detail {
        Detail::Sign => return vec![Span::styled(format!("{number}{sign}"), style)],
        Detail::Short => return vec![Span::raw(format!("{number} ")), Span::styled(short, style)],
        Detail::Rates | Detail::Words => {
            vec![Span::raw(format!("{number} ")), Span::styled(words, style)]
        }
    };
    match (socket.phase, &socket.failure) {
        (Phase::Live, _) if detail == Detail::Rates => {
            let frames = rate(socket.figures.frames_per_second);
            let ticks = rate(socket.figures.ticks_per_second);
            spans.push(Span::raw(match width >= ROOMY {
                true => format!(" {frames:>4} frames/s {ticks:>6} ticks/s"),
                false => format!(" {frames:>4}f/s {ticks:>6}t/s"),
            }));
        }
        (phase, Some(failure))
            if phase != Phase::Live
                && detail == Detail::Rates
                && app.health.feed.connections.len() == 1 =>
        {
            // Cut to the line: it may be long, and the state before it always fits.
            let used: usize = spans.iter().map(Span::width).sum();
            let failure = OneLine(app.theme.text(failure)).to_string();
            let failure: String = failure.chars().take(width.saturating_sub(used + 2)).collect();
            spans.push(Span::styled(format!(" {failure}"), app.theme.dim()));
        }
        _ => {}
    }
    spans
}

/// The state of a socket in words, in at most four letters, and as a sign.
struct State {
    words: String,
    short: &'static str,
    sign: char,
    style: Style,
}

fn state(app: &App, at: usize, socket: &ConnectionSnapshot) -> State {
    let theme = app.theme;
    let state = |words: String, short, sign, style| State { words, short, sign, style };
    let pending = |words: String, short| state(words, short, '~', theme.warning());
    match socket.phase {
        Phase::Live => match silence(socket) {
            Some(silence) => {
                let words = format!("silent {} s", silence.as_secs());
                state(words, "mute", '?', theme.bad())
            }
            None => state("live".to_owned(), "live", '+', theme.good()),
        },
        Phase::Opening => pending("opening".to_owned(), "open"),
        Phase::Renewing => pending("renewing credentials".to_owned(), "auth"),
        Phase::Waiting => {
            let retry_at = app.health.retry_at.get(&at);
            let left = retry_at.map(|at| at.saturating_duration_since(app.moment.now));
            let words = match left {
                // Rounded up: "in 0 s" would mean now.
                Some(left) => format!("reconnecting in {} s", left.as_secs() + 1),
                None => "reconnecting".to_owned(),
            };
            pending(words, "wait")
        }
        Phase::Parked => state("parked".to_owned(), "dead", '!', theme.bad()),
        Phase::Closed => state("closed".to_owned(), "shut", '!', theme.bad()),
        _ => pending("unknown".to_owned(), "?"),
    }
}

/// Returns for how long nothing has arrived on a socket, if that is unusual.
fn silence(socket: &ConnectionSnapshot) -> Option<Duration> {
    // Silence on an earlier socket does not count.
    let silent_s = socket.silent_s.map_or(socket.uptime_s, |it| it.min(socket.uptime_s));
    Duration::try_from_secs_f64(silent_s).ok().filter(|&silence| silence >= SILENT)
}

/// Formats a rate.
pub(super) fn rate(per_second: f64) -> String {
    grouped(per_second.round() as u64)
}
