//! The panel of the selected instrument: market depth and further details.

use kite_wire::{DepthLevel, Tick, UnixSeconds};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::table::fitted;
use super::{chart, rule, shortened};
use crate::format::numbers::{compact, grouped, price};
use crate::format::times::ist_clock;
use crate::watch::app::App;
use crate::watch::chart::{Growth, bar};
use crate::watch::day::Today;
use crate::watch::layout::Content;
use crate::watch::row::{Direction, Row};
use crate::watch::theme::Theme;

/// Width of a column of details: a name and a value.
const FACT: u16 = 27;
/// Width of bids and asks without bars.
const NARROWEST_DEPTH: u16 = 39;
/// Width of these and a column of details.
const NARROWEST_BOTH: u16 = NARROWEST_DEPTH + FACT + 1;
/// Width from which on there are two columns of details.
const TWO_FACTS: u16 = 60 + 2 * FACT;
/// Width left in it for the value of a range.
const VALUE: usize = 21;
/// A heading and five levels.
const LINES: usize = 6;
const PRICE: usize = 11;
const QUANTITY: usize = 6;
const ORDERS: usize = 6;
/// From this width on, a side of the depth also shows the number of orders.
const WITH_ORDERS: usize = 34;
/// Width of the depth if a chart is beside it.
const WIDE_DEPTH: u16 = 71;
/// From this width on, there is room for both.
const WITH_CHART: u16 = WIDE_DEPTH + 1 + 40;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let Some(row) = app.table.selected_row() else {
        let title = rule(app, area.width, vec![Span::styled("no instrument", app.theme.dim())]);
        return frame.render_widget(Paragraph::new(title), Rect { height: 1, ..area });
    };
    let room = usize::from(area.width).saturating_sub(3);
    let name = shortened(&row.name, room.min(30), app);
    let room = room.saturating_sub(Span::raw(name.as_str()).width());
    let mode = format!("  {} mode", row.mode);
    let further = match app.content {
        Content::Depth => vec![format!("{mode}, token {}", row.token), mode],
        Content::Chart => vec![format!("  {} bars of the day{mode}", Today::every()), mode],
    };
    let further = further.into_iter().find(|text| text.len() <= room).unwrap_or_default();
    let title = vec![Span::styled(name, app.theme.bold()), Span::styled(further, app.theme.dim())];
    frame.render_widget(Paragraph::new(rule(app, area.width, title)), Rect { height: 1, ..area });

    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    // Two columns of details if enough width is left for the depth. On a narrow screen only one of
    // both fits.
    let columns = match area.width {
        TWO_FACTS.. => 2,
        NARROWEST_DEPTH..NARROWEST_BOTH => 0,
        _ => 1,
    };
    let left = Rect { width: area.width.saturating_sub(columns * (FACT + 1)), ..body };
    // A chart uses any width.
    let (left, columns) = match app.content {
        Content::Chart if left.width < NARROWEST_DEPTH => (body, 0),
        _ => (left, columns),
    };
    if left.width >= NARROWEST_DEPTH || app.content == Content::Chart {
        match app.content {
            Content::Depth if left.width >= WITH_CHART => {
                let depth = Rect { width: WIDE_DEPTH, ..left };
                draw_depth(frame, depth, app, row);
                let x = depth.right() + 1;
                draw_chart(frame, Rect { x, width: left.right() - x, ..left }, app, row);
            }
            Content::Depth => draw_depth(frame, left, app, row),
            Content::Chart => draw_chart(frame, left, app, row),
        }
        let x = left.x + left.width + 1;
        let facts = Rect { x, width: area.right().saturating_sub(x), ..body };
        draw_facts(frame, facts, usize::from(columns), app, row);
    } else {
        draw_facts(frame, body, 1, app, row);
    }
}

fn draw_depth(frame: &mut Frame<'_>, area: Rect, app: &App, row: &Row) {
    frame.render_widget(Paragraph::new(levels(app.theme, row, area.width)), area);
}

fn draw_chart(frame: &mut Frame<'_>, area: Rect, app: &App, row: &Row) {
    frame.render_widget(Paragraph::new(chart::lines(app, row, area)), area);
}

/// Returns the lines of the depth: bids on the left, asks on the right, best first.
fn levels<'a>(theme: Theme, row: &Row, width: u16) -> Vec<Line<'a>> {
    let tick = row.tick();
    let Some((tick, full)) = tick.and_then(|tick| Some((tick, tick.full()?))) else {
        let text = match tick {
            None => " no tick yet",
            Some(_) if !row.segment().is_tradable() => " an index has no market depth",
            Some(_) => " market depth needs full mode: press m",
        };
        return vec![Line::default(), Line::styled(text, theme.dim())];
    };
    let side = usize::from(width.saturating_sub(3)) / 2;
    let has_orders = side >= WITH_ORDERS;
    let others = PRICE + QUANTITY + 2 + if has_orders { ORDERS + 1 } else { 0 };
    let bar_width = side.saturating_sub(others);
    let most = full.bids.iter().chain(&full.asks).map(|level| level.quantity).max().unwrap_or(0);

    let heads = |names: [&str; 3], is_bid: bool| {
        let [orders, quantity, price] = names;
        let space = " ".repeat(bar_width);
        let orders = if has_orders { format!("{orders:>ORDERS$} ") } else { String::new() };
        match is_bid {
            true => format!("{orders}{space} {quantity:>QUANTITY$} {price:>PRICE$}"),
            false => {
                let orders = if has_orders { format!(" {:<ORDERS$}", names[0]) } else { orders };
                format!("{price:<PRICE$} {quantity:<QUANTITY$} {space}{orders}")
            }
        }
    };
    let mut lines = vec![Line::styled(
        format!(
            " {}  {}",
            heads(["orders", "qty", "bid"], true),
            heads(["orders", "qty", "ask"], false)
        ),
        theme.dim(),
    )];
    let shape = Shape { theme, tick, most, bar_width, has_orders };
    for (bid, ask) in full.bids.iter().zip(&full.asks) {
        let mut line = vec![Span::raw(" ")];
        line.extend(shape.bid(bid));
        line.push(Span::raw("  "));
        line.extend(shape.ask(ask));
        lines.push(Line::from(line));
    }
    lines
}

/// Settings for drawing the levels of a depth.
struct Shape<'a> {
    theme: Theme,
    tick: &'a Tick,
    /// The largest quantity; its bar has the full width.
    most: u32,
    bar_width: usize,
    has_orders: bool,
}

impl Shape<'_> {
    fn price(&self, level: &DepthLevel) -> String {
        match level.quantity {
            0 => self.theme.none().to_owned(),
            _ => fitted(price(self.tick.price(level.price)), PRICE),
        }
    }

    fn quantity(&self, level: &DepthLevel) -> String {
        match level.quantity {
            0 => String::new(),
            quantity => compact(quantity.into()),
        }
    }

    fn bar(&self, level: &DepthLevel, growth: Growth) -> String {
        bar(level.quantity, self.most, self.bar_width, growth, self.theme.glyphs)
    }

    fn bid<'a>(&self, level: &DepthLevel) -> Vec<Span<'a>> {
        let style = self.theme.direction(Direction::Up);
        let mut spans = Vec::new();
        if self.has_orders {
            let orders = format!("{:>ORDERS$} ", level.orders);
            spans.push(Span::styled(orders, self.theme.dim()));
        }
        spans.push(Span::styled(self.bar(level, Growth::Left), style));
        spans.push(Span::raw(format!(" {:>QUANTITY$}", self.quantity(level))));
        spans.push(Span::styled(format!(" {:>PRICE$}", self.price(level)), style));
        spans
    }

    fn ask<'a>(&self, level: &DepthLevel) -> Vec<Span<'a>> {
        let style = self.theme.direction(Direction::Down);
        let mut spans = vec![
            Span::styled(format!("{:<PRICE$}", self.price(level)), style),
            Span::raw(format!(" {:<QUANTITY$} ", self.quantity(level))),
            Span::styled(self.bar(level, Growth::Right), style),
        ];
        if self.has_orders {
            let orders = format!(" {:<ORDERS$}", level.orders);
            spans.push(Span::styled(orders, self.theme.dim()));
        }
        spans
    }
}

fn draw_facts(frame: &mut Frame<'_>, area: Rect, columns: usize, app: &App, row: &Row) {
    let width = FACT.min(area.width);
    let lines: Vec<Line<'_>> = facts(app, row)
        .into_iter()
        .filter_map(|(name, value)| fact(app, width, name, value))
        .collect();
    for (column, lines) in lines.chunks(LINES).take(columns).enumerate() {
        let lines = lines.to_vec();
        let x = area.x + column as u16 * (FACT + 1);
        let width = width.min(area.right().saturating_sub(x));
        frame.render_widget(Paragraph::new(lines), Rect { x, width, ..area });
    }
}

/// Returns the line of a name and a value; `None` for numbers that do not fit, since a part of a
/// number is another number. Other texts are shortened.
fn fact<'a>(app: &App, width: u16, name: &'static str, value: String) -> Option<Line<'a>> {
    let width = usize::from(width).checked_sub(name.len() + 1)?;
    let is_number = value.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    let value = if is_number { fitted(value, width) } else { shortened(&value, width, app) };
    if value.is_empty() || value.starts_with('#') {
        return None;
    }
    let value = Span::raw(format!(" {value:>width$}"));
    Some(Line::from(vec![Span::styled(name, app.theme.dim()), value]))
}

/// Returns names and values, the most important first.
fn facts(app: &App, row: &Row) -> Vec<(&'static str, String)> {
    let mut facts: Vec<(&'static str, String)> = Vec::new();
    let Some(tick) = row.tick() else { return app.facts(row.token) };
    if let Some(quote) = tick.quote() {
        facts.push(("average", price(tick.price(quote.average_price))));
    }
    if let Some([open, high, low, close]) = row.ohlc() {
        // An index has no average, which leaves room for the open.
        if tick.quote().is_none() {
            facts.push(("open", price(open)));
        }
        facts.push(("prev close", price(close)));
        facts.push(("range", fitted(format!("{} - {}", price(low), price(high)), VALUE)));
    }
    if let Some(full) = tick.full() {
        if full.open_interest > 0 {
            facts.push(("open interest", grouped(full.open_interest.into())));
        }
        let traded = UnixSeconds::from_wire(full.last_trade_timestamp);
        if let Some(time) = traded {
            facts.push(("last trade", ist_clock(time.get().into())));
        }
    }
    if let Some(quote) = tick.quote() {
        let sides = [quote.total_buy_quantity, quote.total_sell_quantity];
        let [buy, sell] = sides.map(|side| compact(side.into()));
        facts.push(("buy / sell", format!("{buy} / {sell}")));
    }
    facts.extend(app.facts(row.token));
    if let Some(quote) = tick.quote() {
        facts.push(("last quantity", grouped(quote.last_quantity.into())));
    }
    if let Some(full) = tick.full().filter(|full| full.open_interest > 0) {
        let range = [full.open_interest_low, full.open_interest_high];
        let [low, high] = range.map(|it| compact(it.into()));
        facts.push(("OI range", format!("{low} - {high}")));
    }
    facts
}
