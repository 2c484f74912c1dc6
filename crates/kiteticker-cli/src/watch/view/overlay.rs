//! Overlays: the help and the prompts.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::shortened;
use crate::watch::app::{Adding, App, Choice, Saving};
use crate::watch::chart::Glyphs;
use crate::watch::help;
use crate::watch::layout::Page;

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

/// Draws the help, starting with this line.
pub(super) fn draw_help(frame: &mut Frame<'_>, area: Rect, app: &App, top: usize) {
    let (columns, rows) = app.help_size();
    let keys = help::keys_width(columns);
    let all = help::lines(columns);
    let shown = all.iter().skip(top).take(rows).map(|(key, what)| {
        Line::from(vec![
            Span::styled(format!(" {key:<keys$}"), app.theme.bold()),
            Span::raw(format!("{what} ")),
        ])
    });
    let lines: Vec<Line<'_>> = shown.collect();
    let title = match all.len() > rows {
        true => {
            let last = (top + lines.len()).min(all.len());
            format!(" help {}-{last} of {}: down scrolls, Esc closes ", top + 1, all.len())
        }
        false => " help: Esc closes it ".to_owned(),
    };
    // As wide as all lines need, so that scrolling does not change it.
    let widest = all.iter().map(|(key, what)| 2 + key.len().max(keys) + what.len()).max();
    let widest = widest.unwrap_or_default().max(title.len());
    boxed_lines(frame, area, app, lines, widest, &title);
}

/// Draws the names of the watch lists, scrolled to the chosen one.
pub(super) fn draw_choice(frame: &mut Frame<'_>, area: Rect, app: &App, choice: &Choice) {
    let rows = usize::from(area.height).saturating_sub(2).max(1);
    let top = (choice.chosen + 1).saturating_sub(rows);
    let room = usize::from(area.width).saturating_sub(4);
    let lines = choice.names.iter().enumerate().skip(top).take(rows).map(|(at, name)| {
        let text = format!(" {} ", shortened(name.as_str(), room, app));
        match at == choice.chosen {
            true => Line::styled(text, app.theme.reversed()),
            false => Line::from(text),
        }
    });
    let lines: Vec<Line<'_>> = lines.collect();
    let title = " watch lists: Enter opens one, Esc closes ";
    let widest = lines.iter().map(Line::width).max().unwrap_or_default().max(title.len());
    boxed_lines(frame, area, app, lines, widest, title);
}

/// Draws lines in a box in the middle of an area.
fn boxed_lines(
    frame: &mut Frame<'_>,
    area: Rect,
    app: &App,
    lines: Vec<Line<'_>>,
    widest: usize,
    title: &str,
) {
    let width = u16::try_from(widest + 2).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let block = boxed(app).title(title);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

/// Draws the prompt for the name of a watch list.
pub(super) fn draw_saving(frame: &mut Frame<'_>, area: Rect, app: &App, saving: &Saving) {
    let hint = match &saving.refusal {
        Some(refusal) => refusal.as_str(),
        None if saving.replaces() => "Enter replaces the saved list, Esc cancels",
        None => "Enter saves the instruments, Esc cancels",
    };
    prompt(frame, area, app, " save as: ", &saving.text, hint);
}

pub(super) fn draw_filter(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let hint = match app.table.order.len() {
        0 => "nothing matches",
        _ => "Enter keeps it, Esc clears it",
    };
    prompt(frame, area, app, " filter: ", &app.table.filter, hint);
}

pub(super) fn draw_adding(frame: &mut Frame<'_>, page: &Page, app: &App, adding: &Adding) {
    let (area, line) = (page.below_header(), page.prompt());
    let hint = match &adding.refusal {
        Some(refusal) => refusal.as_str(),
        None => "symbol or token; Tab completes, Enter adds, Esc cancels",
    };
    prompt(frame, line, app, " add: ", &adding.text, hint);
    let lines = adding.choices.len() as u16;
    if lines == 0 || area.height < lines + 3 {
        return;
    }
    let width = 44.min(area.width);
    let place = Rect { x: area.x, y: line.y - lines - 2, width, height: lines + 2 };
    let choices = adding.choices.iter().enumerate().map(|(at, named)| {
        let text =
            format!(" {} ", shortened(&named.name, usize::from(width).saturating_sub(4), app));
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
    frame.set_cursor_position(Position {
        x: (area.x + at).min(area.right().saturating_sub(1)),
        y: area.y,
    });
}
