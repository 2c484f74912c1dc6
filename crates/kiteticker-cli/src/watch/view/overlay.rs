//! Overlays: the help and the prompts.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::shortened;
use crate::watch::app::{Adding, App};
use crate::watch::chart::Glyphs;

const HELP: [(&str, &str); 18] = [
    ("up, down, j, k", "select an instrument"),
    ("PgUp, PgDn, g, G", "a page up, a page down, first, last"),
    ("s, <, >", "sort by the next or previous column"),
    ("1 to 9", "sort by symbol, last, change, volume,"),
    ("", "bid, ask, open, high, low"),
    ("0, r", "sort as listed; reverse the order"),
    ("/", "filter by name or token; Esc clears it"),
    ("a", "add an instrument by symbol or token"),
    ("d, x", "remove and unsubscribe the selected one"),
    ("m", "change its mode: ltp, quote, full"),
    ("space", "pause the display; the feed continues"),
    ("q, Esc, Ctrl-C", "quit"),
    ("", ""),
    ("lag", "ticks replaced before they were drawn"),
    ("gaps", "times that a connection missed ticks"),
    ("p50, p99", "latency from socket read to delivery"),
    ("drawn", "longest time from receipt to screen"),
    ("exch", "the exchange timestamp, or its delay"),
];

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

pub(super) fn draw_help(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let lines: Vec<Line<'_>> = HELP
        .iter()
        .map(|(keys, what)| {
            Line::from(vec![
                Span::styled(format!(" {keys:<17}"), app.theme.bold()),
                Span::raw(format!("{what} ")),
            ])
        })
        .collect();
    let widest = lines.iter().map(Line::width).max().unwrap_or_default();
    let width = (widest as u16 + 2).min(area.width);
    let height = (lines.len() as u16 + 2).min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let block = boxed(app).title(" help: any key closes it ");
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

pub(super) fn draw_filter(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let hint = match app.table.order.len() {
        0 => "nothing matches",
        _ => "Enter keeps it, Esc clears it",
    };
    prompt(frame, area, app, " filter: ", &app.table.filter, hint);
}

pub(super) fn draw_adding(
    frame: &mut Frame<'_>,
    area: Rect,
    keys: Rect,
    app: &App,
    adding: &Adding,
) {
    let hint = match &adding.refusal {
        Some(refusal) => refusal.as_str(),
        None => "symbol or token; Tab completes, Enter adds, Esc cancels",
    };
    prompt(frame, keys, app, " add: ", &adding.text, hint);
    let lines = adding.choices.len() as u16;
    if lines == 0 || area.height < lines + 3 {
        return;
    }
    let width = 44.min(area.width);
    let place = Rect { x: area.x, y: keys.y - lines - 2, width, height: lines + 2 };
    let choices = adding.choices.iter().enumerate().map(|(at, named)| {
        let text = format!(" {} ", shortened(&named.name, usize::from(width) - 4, app));
        match adding.chosen == Some(at) {
            true => Line::styled(text, app.theme.reversed()),
            false => Line::from(text),
        }
    });
    let choices: Vec<Line<'_>> = choices.collect();
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(choices).block(boxed(app)), place);
}

fn boxed<'a>(app: &App) -> Block<'a> {
    let block = Block::bordered().border_style(app.theme.dim());
    match app.theme.glyphs {
        Glyphs::Unicode => block,
        Glyphs::Ascii => block.border_set(ASCII_BORDER),
    }
}

/// Draws the typed text, the cursor after it, and a hint.
fn prompt(frame: &mut Frame<'_>, area: Rect, app: &App, name: &str, text: &str, hint: &str) {
    let text = shortened(text, usize::from(area.width) / 2, app);
    let typed = format!("{name}{text}");
    let at = Span::raw(typed.as_str()).width() as u16;
    let line = Line::from(vec![
        Span::styled(typed, app.theme.bold()),
        Span::styled(format!("   {}", app.theme.text(hint)), app.theme.dim()),
    ]);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(line), area);
    frame.set_cursor_position(Position { x: (area.x + at).min(area.right() - 1), y: area.y });
}
