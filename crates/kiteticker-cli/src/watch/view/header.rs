//! The header: source of ticks, state of the sockets, losses and latency.

use std::time::Duration;

use kite_conn::{OneLine, Phase};
use kite_manager::ConnectionSnapshot;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::joined;
use crate::format::numbers::{duration, grouped};
use crate::format::times::ist_clock;
use crate::watch::app::App;
use crate::watch::row::Direction;
use crate::watch::sort::Key;

/// From this width on, units of rates are written out.
const ROOMY: u16 = 112;
/// An exchange time further than this from the local clock is from another session, or one of the
/// clocks is wrong.
const CREDIBLE_S: u64 = 60;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let width = usize::from(area.width);
    let mut lines = vec![title(app, width)];
    if area.height > 1 {
        lines.push(sockets(app, area.width));
        lines.push(figures(app, width));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn title<'a>(app: &'a App, width: usize) -> Line<'a> {
    let theme = app.theme;
    let clock = match app.moment.tape_unix_s {
        Some(tape) => format!("tape {} IST ", ist_clock(tape)),
        None => format!("{} IST ", ist_clock(app.moment.unix_s)),
    };
    let pause = match app.table.is_paused {
        true => format!(" paused: {} ticks held ", grouped(app.table.held_ticks)),
        false => String::new(),
    };
    let right =
        Span::raw(clock.as_str()).width() + pause.len() + usize::from(app.table.is_paused) * 2;
    let shown = match app.table.order.len() == app.table.rows.len() {
        true => grouped(app.table.rows.len() as u64),
        false => format!(
            "{} of {}",
            grouped(app.table.order.len() as u64),
            grouped(app.table.rows.len() as u64)
        ),
    };
    let badge = theme.reversed().patch(theme.bold());
    let mut groups = vec![
        vec![Span::styled(format!(" {} ", app.origin.badge), badge)],
        vec![Span::raw(theme.text(&app.origin.title))],
        vec![Span::styled(
            format!("{:>6} ticks/s", rate(app.health.feed.total.ticks_per_second)),
            theme.bold(),
        )],
        vec![Span::raw(format!("{shown} shown"))],
        vec![Span::raw(format!("{} subscribed", grouped(app.health.feed.instruments as u64)))],
    ];
    if app.table.sort.key != Key::Listed {
        let direction = if app.table.sort.is_descending { Direction::Down } else { Direction::Up };
        groups.insert(
            3,
            vec![
                Span::raw(format!("by {} ", app.table.sort.key.name())),
                Span::raw(theme.arrow(direction)),
            ],
        );
    }
    groups.retain(|group| group.iter().any(|span| span.width() > 0));
    let mut line = joined(groups, "  ", width.saturating_sub(right));
    let gap = width.saturating_sub(right + line.width());
    line.push_span(Span::raw(" ".repeat(gap)));
    if app.table.is_paused {
        line.push_span(Span::styled(pause, theme.warning().patch(theme.reversed())));
        line.push_span(Span::raw("  "));
    }
    line.push_span(Span::styled(clock, theme.dim()));
    line
}

fn sockets(app: &App, width: u16) -> Line<'_> {
    if app.health.feed.connections.is_empty() {
        return Line::styled(" connecting", app.theme.dim());
    }
    let groups = app.health.feed.connections.iter().enumerate().map(|(at, socket)| {
        let (state, style) = phase(app, at, socket);
        let mut group = vec![Span::raw(format!("{} ", at + 1)), Span::styled(state, style)];
        match (socket.phase, &socket.failure) {
            (Phase::Live, _) => {
                let frames = rate(socket.figures.frames_per_second);
                let ticks = rate(socket.figures.ticks_per_second);
                group.push(Span::raw(match width >= ROOMY {
                    true => format!(" {frames:>4} frames/s {ticks:>6} ticks/s"),
                    false => format!(" {frames:>4}f/s {ticks:>6}t/s"),
                }));
            }
            (_, Some(failure)) if width >= ROOMY && app.health.feed.connections.len() == 1 => {
                let failure = OneLine(app.theme.text(failure)).to_string();
                group.push(Span::styled(format!(" {failure}"), app.theme.dim()));
            }
            _ => {}
        }
        group
    });
    let between = app.theme.sign(" │ ", " | ");
    joined(groups.collect(), between, usize::from(width))
}

/// Returns the state of a socket in words.
fn phase(app: &App, at: usize, socket: &ConnectionSnapshot) -> (String, Style) {
    let theme = app.theme;
    match socket.phase {
        Phase::Live => ("live".to_owned(), theme.good()),
        Phase::Opening => ("opening".to_owned(), theme.warning()),
        Phase::Renewing => ("renewing credentials".to_owned(), theme.warning()),
        Phase::Waiting => {
            let retry_at = app.health.retry_at.get(&at);
            let left = retry_at.map(|at| at.saturating_duration_since(app.moment.now));
            let text = match left {
                // Rounded up: "in 0 s" would mean now.
                Some(left) => format!("reconnecting in {} s", left.as_secs() + 1),
                None => "reconnecting".to_owned(),
            };
            (text, theme.warning())
        }
        Phase::Parked => ("parked".to_owned(), theme.bad()),
        Phase::Closed => ("closed".to_owned(), theme.bad()),
        _ => ("unknown".to_owned(), theme.warning()),
    }
}

fn figures(app: &App, width: usize) -> Line<'_> {
    let theme = app.theme;
    let (losses, feed) = (app.health.losses, &app.health.feed);
    let damaged = feed.total.damaged_frames + feed.total.skipped_packets;
    let counted = |name: &str, number: u64, style: Style| {
        let style = if number > 0 { style } else { theme.dim() };
        Span::styled(format!("{name} {}", grouped(number)), style)
    };
    let mut lost = vec![
        counted("lag", losses.lagged, theme.warning()),
        counted(" gaps", losses.gaps, theme.bad()),
        counted(" damaged", damaged, theme.bad()),
    ];
    if losses.events > 0 {
        lost.push(counted(" events missed", losses.events, theme.bad()));
    }
    let latency = feed.total.latency_ns;
    let time = |time_ns| {
        let text = match latency.count {
            0 => theme.none().to_owned(),
            _ => duration(Duration::from_nanos(time_ns)),
        };
        theme.text(&format!("{text:>7}"))
    };
    let (p50, p99) = (time(latency.p50), time(latency.p99));
    let drawn = match app.redraw.drawn_after {
        Some(waited) => format!("{:>3} ms", waited.as_millis()),
        None => format!("{:>6}", theme.none()),
    };
    let exchange = match app.health.exchange_unix_s.map(u64::from) {
        None => theme.none().to_owned(),
        Some(seconds) => {
            let late = app.moment.unix_s.checked_sub(seconds).filter(|&it| it <= CREDIBLE_S);
            match late.filter(|_| app.origin.is_now) {
                Some(late) => format!("+{late} s"),
                None => ist_clock(seconds),
            }
        }
    };
    let groups = vec![
        lost,
        vec![Span::raw(format!("p50 {p50} p99 {p99}"))],
        vec![Span::raw(format!("drawn {drawn}"))],
        vec![Span::raw(format!("exch {exchange}"))],
    ];
    joined(groups, theme.sign(" │ ", " | "), width)
}

fn rate(per_second: f64) -> String {
    grouped(per_second.round() as u64)
}
