//! Overlays: the help and the prompts.

use kite_conn::OneLine;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::shortened;
use crate::watch::app::{Adding, App, Choice, Saving};
use crate::watch::chart::Glyphs;
use crate::watch::help;
use crate::watch::journal::Weight;
use crate::watch::layout::Page;
use crate::watch::wrapping::wrapped_to;

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
            let (last, all) = ((top + lines.len()).min(all.len()), all.len());
            let lines = format!(" help {}-{last} of {all}", top + 1);
            let whole = format!("{lines}: down scrolls, Esc closes ");
            // A number is not cut.
            let titles = [whole, format!("{lines} "), " help ".to_owned()];
            let fits = |title: &String| title.len() <= columns + 2;
            titles.into_iter().find(fits).unwrap_or_default()
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
pub(super) fn draw_saving(frame: &mut Frame<'_>, page: &Page, app: &App, saving: &Saving) {
    let hint = match &saving.refusal {
        Some(refusal) => Hint::Refusal(refusal),
        None if saving.replaces() => Hint::Keys("Enter replaces the saved list, Esc cancels"),
        None => Hint::Keys("Enter saves the instruments, Esc cancels"),
    };
    let typed = Typed { is_selected: saving.is_selected, ..Typed::of(" save as: ", &saving.text) };
    prompt(frame, page, app, typed, hint);
}

pub(super) fn draw_filter(frame: &mut Frame<'_>, page: &Page, app: &App) {
    let hint = match app.table.order.len() {
        0 => "nothing matches",
        _ => "Enter keeps it, Esc clears it",
    };
    prompt(frame, page, app, Typed::of(" filter: ", &app.table.filter), Hint::Keys(hint));
}

pub(super) fn draw_adding(frame: &mut Frame<'_>, page: &Page, app: &App, adding: &Adding) {
    let hint = match &adding.refusal {
        Some(refusal) => Hint::Refusal(refusal),
        None => Hint::Keys("symbol or token; Tab completes, Enter adds, Esc cancels"),
    };
    let above = prompt(frame, page, app, Typed::of(" add: ", &adding.text), hint);
    let (area, lines) = (page.below_header(), adding.choices.len() as u16);
    if lines == 0 || area.height < lines + 3 + above {
        return;
    }
    let width = 44.min(area.width);
    let y = page.prompt().y - above - lines - 2;
    let place = Rect { x: area.x, y, width, height: lines + 2 };
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

/// The input of a prompt.
struct Typed<'a> {
    /// The name of what is typed.
    name: &'static str,
    text: &'a str,
    /// Whether the next symbol replaces the text.
    is_selected: bool,
}

impl<'a> Typed<'a> {
    fn of(name: &'static str, text: &'a str) -> Self {
        Self { name, text, is_selected: false }
    }
}

/// What is shown with a prompt.
#[derive(Clone, Copy)]
enum Hint<'a> {
    /// The keys: as much as fits after the text.
    Keys(&'a str),
    /// Why the text was refused: all of it, above the prompt if it does not fit after the text.
    Refusal(&'a str),
}

/// Draws the typed text, the cursor after it, and a hint. Returns the number of lines above it that
/// the hint takes.
fn prompt(
    frame: &mut Frame<'_>,
    page: &Page,
    app: &App,
    Typed { name, text, is_selected }: Typed<'_>,
    hint: Hint<'_>,
) -> u16 {
    let (line, theme) = (page.prompt(), app.theme);
    let width = usize::from(line.width);
    let text = shortened(text, width / 2, app);
    let at = Span::raw(name).width() + Span::raw(text.as_str()).width();
    let room = width.saturating_sub(at + 3);
    let (hint, style, is_refusal) = match hint {
        Hint::Keys(hint) => (hint, theme.dim(), false),
        Hint::Refusal(why) => (why, theme.weight(Weight::Warning), true),
    };
    // It may name what a list holds.
    let hint = OneLine(theme.text(hint)).to_string();
    let (mut beside, mut above) = (hint.clone(), Vec::new());
    if Span::raw(hint.as_str()).width() > room {
        beside = words_within(&hint, room).to_owned();
        let lines = usize::from(page.below_header().height.saturating_sub(1));
        if is_refusal && lines > 0 {
            let sign = theme.sign("…", ".");
            above = wrapped_to(&hint, width.saturating_sub(2).max(1), lines, sign);
            beside.clear();
        }
    }
    let typed = if is_selected { theme.reversed() } else { theme.bold() };
    let spans = vec![
        Span::styled(name, theme.bold()),
        Span::styled(text, typed),
        Span::styled(format!("   {beside}"), style),
    ];
    frame.render_widget(Clear, line);
    frame.render_widget(Paragraph::new(Line::from(spans)), line);
    frame.set_cursor_position(Position {
        x: line.x.saturating_add(at as u16).min(line.right().saturating_sub(1)),
        y: line.y,
    });
    let height = above.len() as u16;
    let place = Rect { y: line.y - height, height, ..line };
    let above = above.into_iter().map(|text| Line::styled(format!(" {text}"), style));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(above.collect::<Vec<_>>()), place);
    height
}

/// Returns the first words of a text, as many as fit into the width.
fn words_within(text: &str, width: usize) -> &str {
    let ends = text.match_indices(' ').map(|(at, _)| at).chain([text.len()]);
    let fits = |end: &usize| Span::raw(&text[..*end]).width() <= width;
    ends.take_while(fits).last().map_or("", |end| &text[..end])
}
