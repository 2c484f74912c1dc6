//! Draws the state of the table; does not change it.

mod chart;
mod detail;
mod header;
mod overlay;
mod sockets;
mod table;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use kite_conn::OneLine;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::format::shortened::shortened as shortened_with;
use crate::format::times::ist_clock;
use crate::watch::app::{App, Focus};
use crate::watch::layout::Page;
use crate::watch::wrapping::wrapped_to;

/// Width of the time before an event.
const CLOCK: usize = 11;

/// Draws the whole screen.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App) {
    let page = Page::of(frame.area(), app.panel, app.content);
    header::draw(frame, page.header, app);
    table::draw(frame, page.table, page.has_heads(), app);
    if page.detail.height > 0 {
        detail::draw(frame, page.detail, app);
    }
    if page.events.height > 0 {
        draw_events(frame, page.events, app);
    }
    if page.keys.height > 0 {
        draw_keys(frame, page.keys, app);
    }
    match &app.focus {
        Focus::Help { top } => overlay::draw_help(frame, page.below_header(), app, *top),
        Focus::Choose(choice) => overlay::draw_choice(frame, page.below_header(), app, choice),
        Focus::Add(adding) => overlay::draw_adding(frame, &page, app, adding),
        Focus::Save(saving) => overlay::draw_saving(frame, &page, app, saving),
        Focus::Filter => overlay::draw_filter(frame, &page, app),
        Focus::Table => {}
    }
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let theme = app.theme;
    let room = usize::from(area.height - 1);
    let width = usize::from(area.width).saturating_sub(CLOCK).max(1);
    // The newest, which is at the bottom, has the room that it needs.
    let mut lines = VecDeque::new();
    for line in app.journal.last(room).rev() {
        let left = room - lines.len();
        let text = theme.text(&line.text);
        let texts = wrapped_to(&text, width, left, theme.sign("…", "."));
        for (at, text) in texts.into_iter().enumerate().rev() {
            let clock = match at {
                0 => format!(" {}  ", ist_clock(line.unix_s)),
                _ => " ".repeat(CLOCK),
            };
            let text = Span::styled(text, theme.weight(line.weight));
            lines.push_front(Line::from(vec![Span::styled(clock, theme.dim()), text]));
        }
    }
    lines.push_front(rule(app, area.width, vec![Span::styled("events", theme.dim())]));
    frame.render_widget(Paragraph::new(Vec::from(lines)), area);
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, app: &App) {
    const REPLAY_KEYS: [(&str, &str); 4] =
        [("space", "pause"), ("left right", "seek"), ("[ ]", "10 min"), ("- +", "speed")];
    const TABLE_KEYS: [(&str, &str); 9] = [
        ("/", "filter"),
        ("s", "sort"),
        ("a", "add"),
        ("d", "remove"),
        ("m", "mode"),
        ("space", "pause"),
        ("w", "lists"),
        ("Enter", "panel"),
        ("c", "chart"),
    ];
    let of_replay: &[(&str, &str)] = if app.playback.is_some() { &REPLAY_KEYS } else { &[] };
    // Space is then a key of the replay.
    let of_table = TABLE_KEYS.iter().filter(|(key, _)| of_replay.is_empty() || *key != "space");
    let keys = [("q", "quit"), ("?", "help")];
    let items = keys.iter().chain(of_replay).chain(of_table).map(|(key, what)| {
        vec![
            Span::styled(*key, app.theme.bold()),
            Span::styled(format!(" {what}"), app.theme.dim()),
        ]
    });
    let line = joined(items.collect(), "  ", usize::from(area.width));
    frame.render_widget(Paragraph::new(line), area);
}

/// Joins groups of spans after a leading space, as many as fit into the width, but at least one.
fn joined<'a>(groups: Vec<Vec<Span<'a>>>, between: &'static str, width: usize) -> Line<'a> {
    let mut line = vec![Span::raw(" ")];
    let mut used = 1;
    for (at, group) in groups.into_iter().enumerate() {
        let gap = if at == 0 { 0 } else { Span::raw(between).width() };
        let needed = gap + group.iter().map(Span::width).sum::<usize>();
        if used + needed > width && at > 0 {
            break;
        }
        if gap > 0 {
            line.push(Span::raw(between));
        }
        line.extend(group);
        used += needed;
    }
    Line::from(line)
}

/// Returns a horizontal rule with a title in it.
fn rule<'a>(app: &App, width: u16, title: Vec<Span<'a>>) -> Line<'a> {
    let stroke = app.theme.sign("─", "-");
    let used: usize = title.iter().map(Span::width).sum();
    let rest = usize::from(width).saturating_sub(used + 4);
    let mut line = vec![Span::styled(format!("{stroke} "), app.theme.dim())];
    line.extend(title);
    line.push(Span::styled(format!(" {}", stroke.repeat(rest + 1)), app.theme.dim()));
    Line::from(line)
}

/// Shortens a text to a width in the middle, as the terminal can show it.
fn shortened(text: &str, width: usize, app: &App) -> String {
    let text = OneLine(app.theme.text(text)).to_string();
    shortened_with(&text, width, app.theme.sign("…", "."))
}
