//! The header: source of ticks, state of the sockets, losses and latency.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::joined;
use super::sockets::{self, rate};
use crate::format::numbers::{duration, grouped};
use crate::format::times::{SECOND_NS, ist, ist_clock};
use crate::watch::app::App;
use crate::watch::playback::Playback;
use crate::watch::row::Direction;
use crate::watch::sort::Key;

/// An exchange time further than this from the local clock is from another session, or one of the
/// clocks is wrong.
const CREDIBLE_S: u64 = 60;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let width = usize::from(area.width);
    let lines = match area.height {
        0..=2 => vec![brief(app, width)],
        _ => vec![title(app, width), sockets::line(app, width), figures(app, width)],
    };
    frame.render_widget(Paragraph::new(lines), area);
}

/// Returns the only line of a small screen: the sockets first, then what else fits.
fn brief<'a>(app: &'a App, width: usize) -> Line<'a> {
    let mut line = sockets::short(app, width);
    let left = width.saturating_sub(line.width());
    let mut groups = Vec::new();
    match (&app.playback, app.table.is_paused) {
        (Some(playback), _) => {
            groups.push(vec![Span::styled(playback.to_string(), app.theme.warning())])
        }
        (None, true) => groups.push(vec![Span::styled("paused", app.theme.warning())]),
        (None, false) => {}
    }
    groups.push(vec![Span::styled(clock(app), app.theme.dim())]);
    groups.push(vec![Span::styled(app.origin.badge, app.theme.bold())]);
    let rest = joined(groups, "  ", left);
    if line.width() + rest.width() <= width {
        line.spans.extend(rest.spans);
    }
    line
}

/// Returns the time of the tape, or that of the local clock.
fn clock(app: &App) -> String {
    let tape = app.playback.and_then(|playback| playback.position_unix_ns);
    ist_clock(tape.map_or(app.moment.unix_s, |unix_ns| unix_ns / SECOND_NS))
}

/// Returns the day of the tape before its time, if the tape has several.
fn date(playback: &Playback) -> String {
    let day = |unix_ns| ist(unix_ns).date();
    let has_several = playback.span_unix_ns.is_some_and(|(first, last)| day(first) != day(last));
    let position = playback.position_unix_ns.filter(|_| has_several);
    position.map(|unix_ns| format!("{} ", day(unix_ns))).unwrap_or_default()
}

fn title<'a>(app: &'a App, width: usize) -> Line<'a> {
    let theme = app.theme;
    let clock = match &app.playback {
        Some(playback) => format!("tape {}{} IST ", date(playback), clock(app)),
        None => format!("{} IST ", clock(app)),
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
        app.playback.iter().map(|it| Span::styled(it.to_string(), playback_style(app))).collect(),
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

fn playback_style(app: &App) -> Style {
    match app.playback.is_some_and(|playback| playback.is_paused || playback.has_ended) {
        true => app.theme.warning().patch(app.theme.reversed()),
        false => Style::new(),
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
