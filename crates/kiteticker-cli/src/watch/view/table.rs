//! The table: headings, and the rows that fit on the screen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::shortened;
use crate::format::numbers::{age, compact, grouped, percent, price, signed};
use crate::watch::app::App;
use crate::watch::chart::sparkline;
use crate::watch::columns::{Column, columns};
use crate::watch::row::{Direction, Row};
use crate::watch::theme::Theme;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, has_heads: bool, app: &App) {
    // The first character marks the selected row.
    let columns = columns(area.width.saturating_sub(1), app.table.contents());
    let mut lines = Vec::new();
    if has_heads {
        lines.push(heads(app, &columns));
    }
    let rows = usize::from(area.height).saturating_sub(lines.len());
    let shown = app.table.order.iter().skip(app.table.top).take(rows);
    lines.extend(
        shown.filter_map(|&at| app.table.rows.get(at)).map(|row| cells(app, &columns, row)),
    );
    if app.table.order.is_empty() {
        let text = match app.table.rows.is_empty() {
            true => " no instruments: press a to add one",
            false => " no instrument matches: Esc clears the filter",
        };
        lines.push(Line::styled(text, app.theme.dim()));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn heads<'a>(app: &App, columns: &[(Column, u16)]) -> Line<'a> {
    let theme = app.theme;
    let mut line = vec![Span::raw(" ")];
    for (at, &(column, width)) in columns.iter().enumerate() {
        if at > 0 {
            line.push(Span::raw(" "));
        }
        let mut width = usize::from(width);
        let is_sorted = column.key() == Some(app.table.sort.key);
        let arrow = match app.table.sort.is_descending {
            true => theme.arrow(Direction::Down),
            false => theme.arrow(Direction::Up),
        };
        let mut name = column.name().to_owned();
        if is_sorted {
            // Replaces the last letter if there is no room for both.
            name.truncate(width.saturating_sub(1));
            name.push_str(arrow);
        }
        // The arrow has its own place to the right of the price.
        let is_last = column == Column::Last;
        width -= usize::from(is_last);
        let text = match column {
            Column::Symbol | Column::Spark => padded(name, width, false),
            _ => padded(name, width, true),
        };
        let style = if is_sorted { theme.bold() } else { theme.dim() };
        line.push(Span::styled(text, style));
        if is_last {
            line.push(Span::raw(" "));
        }
    }
    Line::from(line)
}

fn cells<'a>(app: &App, columns: &[(Column, u16)], row: &Row) -> Line<'a> {
    let theme = app.theme;
    let is_selected = app.table.selected == Some(row.token);
    let mark = if is_selected { theme.sign("▶", ">") } else { " " };
    let mut line = vec![Span::styled(mark, theme.bold())];
    for (at, &(column, width)) in columns.iter().enumerate() {
        if at > 0 {
            line.push(Span::raw(" "));
        }
        cell(app, column, usize::from(width), row, is_selected, &mut line);
    }
    Line::from(line)
}

fn cell<'a>(
    app: &App,
    column: Column,
    width: usize,
    row: &Row,
    is_selected: bool,
    line: &mut Vec<Span<'a>>,
) {
    let theme = app.theme;
    let now = app.moment.now;
    let none = theme.none();
    let number = |text: Option<String>| match text {
        Some(text) => Span::raw(padded(text, width, true)),
        None => Span::styled(padded(none.to_owned(), width, true), theme.dim()),
    };
    let of_price = |value: Option<_>| number(value.map(|value| fitted(price(value), width)));
    let rounded = |value: Option<u32>| number(value.map(|value| compact(value.into())));
    let exact = |value: Option<u32>| number(value.map(|value| grouped(value.into())));
    let span = match column {
        Column::Symbol => {
            let is_whole = Span::raw(row.name.as_str()).width() <= width && width >= 18;
            let is_whole = is_whole || row.is_ambiguous;
            let text = if is_whole { row.name.as_str() } else { row.symbol() };
            let style = if is_selected { theme.reversed() } else { Style::new() };
            let text = shortened(text, width, app);
            let rest = width.saturating_sub(Span::raw(text.as_str()).width());
            line.push(Span::styled(text, style));
            Span::raw(" ".repeat(rest))
        }
        Column::Last => {
            let text = row.last_price().map(|value| fitted(price(value), width - 1));
            let text = padded(text.unwrap_or_else(|| none.to_owned()), width - 1, true);
            let (style, arrow) = match row.glow(now) {
                Some((direction, glow)) => (theme.glow(direction, glow), theme.arrow(direction)),
                None => (Style::new(), " "),
            };
            // The background of a bright price starts at its first digit.
            let digits = text.trim_start().to_owned();
            line.push(Span::raw(" ".repeat(width - 1 - Span::raw(digits.as_str()).width())));
            line.push(Span::styled(digits, style));
            let arrow_style = row.glow(now).map(|(direction, _)| theme.direction(direction));
            Span::styled(arrow, arrow_style.unwrap_or_default())
        }
        Column::Change => {
            let percent = row.change_percent();
            let mut span = number(percent.map(|value| fitted(self::percent(value), width)));
            span.style = colored(theme, percent, span.style);
            span
        }
        Column::NetChange => {
            let mut span = number(row.net_change().map(|value| fitted(signed(value), width)));
            span.style = colored(theme, row.change_percent(), span.style);
            span
        }
        Column::VolumeShort => rounded(row.volume()),
        Column::Volume => exact(row.volume()),
        Column::InterestShort => rounded(row.open_interest()),
        Column::Interest => exact(row.open_interest()),
        Column::Buying => rounded(row.buying()),
        Column::Selling => rounded(row.selling()),
        Column::LastQuantity => rounded(row.last_quantity()),
        Column::Average => of_price(row.average()),
        Column::Close => of_price(row.ohlc().map(|prices| prices[3])),
        Column::Bid => of_price(row.bid()),
        Column::Ask => of_price(row.ask()),
        Column::Open => of_price(row.ohlc().map(|prices| prices[0])),
        Column::High => of_price(row.ohlc().map(|prices| prices[1])),
        Column::Low => of_price(row.ohlc().map(|prices| prices[2])),
        Column::Spark => {
            let points =
                row.seen.as_ref().map(|seen| sparkline(seen.points(), width, theme.glyphs));
            Span::raw(points.unwrap_or_else(|| " ".repeat(width)))
        }
        Column::Age => {
            let mut span = number(row.age(now).map(age));
            span.style = theme.dim();
            span
        }
    };
    line.push(span);
}

/// Returns the style of a change in percent, in the colour of its direction if it is not rounded to
/// zero.
fn colored(theme: Theme, percent: Option<f64>, plain: Style) -> Style {
    match percent {
        Some(value) if value >= 0.005 => theme.direction(Direction::Up),
        Some(value) if value <= -0.005 => theme.direction(Direction::Down),
        _ => plain,
    }
}

/// Pads a text with spaces to a width.
fn padded(text: String, width: usize, is_right: bool) -> String {
    let rest = " ".repeat(width.saturating_sub(Span::raw(text.as_str()).width()));
    if is_right { rest + &text } else { text + &rest }
}

/// Drops the separators of a number that is too wide. If it still does not fit, returns `#`s, so
/// that a truncated number is never shown.
pub(super) fn fitted(text: String, width: usize) -> String {
    if text.chars().count() <= width {
        return text;
    }
    let plain = text.replace(',', "");
    if plain.chars().count() <= width { plain } else { "#".repeat(width) }
}
