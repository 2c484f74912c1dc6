//! Draws a chart as shapes on a white page, for files.
//!
//! There are only rectangles and texts, so no plotting crate is needed, whose axes would know neither
//! the breaks between days nor exact prices.

use kite_wire::Price;

use super::columns::{Column, Columns, Content};
use super::labels::Line;
use super::scale::Scale;
use super::times::{self, Measure};
use super::{Candle, Chart, MARKS, heading, mark};
use crate::format::numbers::{compact, price};

/// Size of the page in pixels. A session of NSE fits in bars of a minute.
pub(crate) const WIDTH: usize = 1_640;
pub(crate) const HEIGHT: usize = 860;
/// Size of a letter and its line; all letters have the same width.
pub(crate) const LETTER: usize = 9;
pub(crate) const LINE: usize = 20;

/// Space around everything.
const MARGIN: usize = 16;
/// Top of the candles, below two lines of text.
const TOP: usize = MARGIN + 2 * LINE + 12;
/// Lines below the chart: marks, times, dates, legend.
const BELOW: usize = 4 * LINE + 8 + MARGIN;
/// Height of the volumes, and the space above them.
const VOLUMES: usize = 130;
const BETWEEN: usize = 16;
/// Pixels of a column, at least and at most. Four leave three to the body and one between bodies.
const NARROWEST: usize = 4;
const WIDEST: usize = 72;
/// Width of a body, at most.
const WIDEST_BODY: usize = 25;
/// Space between the labels of prices.
const TICK_EVERY: usize = 56;

/// The colours of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Text,
    Faint,
    Grid,
    Break,
    Up,
    Down,
    Missed,
    Mark,
}

impl Paint {
    /// Returns red, green and blue.
    pub(crate) const fn rgb(self) -> [u8; 3] {
        match self {
            Self::Text => [0x22, 0x22, 0x22],
            Self::Faint => [0x70, 0x70, 0x70],
            Self::Grid => [0xe6, 0xe6, 0xe6],
            Self::Break => [0xb0, 0xb0, 0xb0],
            Self::Up => [0x1a, 0x93, 0x6f],
            Self::Down => [0xd6, 0x45, 0x41],
            Self::Missed => [0xfd, 0xeb, 0xc8],
            Self::Mark => [0x8a, 0x4f, 0xc9],
        }
    }
}

/// A shape in pixels from the top left corner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Rect {
        x: usize,
        y: usize,
        width: usize,
        height: usize,
        paint: Paint,
    },
    /// A text whose top left corner is here. Its letters have [`LETTER`] by [`LINE`] pixels.
    Text {
        x: usize,
        y: usize,
        text: String,
        paint: Paint,
    },
}

/// Draws a chart with its heading and legend; later shapes are over earlier ones.
pub(crate) fn draw(chart: &Chart<'_>, name: &str) -> Vec<Shape> {
    let mut page = Page::new(chart);
    page.heading(chart, name);
    if let Some(scale) = page.scale {
        page.backgrounds();
        page.prices(chart, scale);
        page.candles(scale);
        page.marks();
        page.times();
        page.legend();
    } else {
        page.text(MARGIN, TOP, "no bars", Paint::Faint);
    }
    page.shapes
}

/// The page while it is drawn.
struct Page {
    shapes: Vec<Shape>,
    columns: Columns,
    scale: Option<Scale>,
    /// Left edge and width of the area of candles.
    left: usize,
    width: usize,
    /// Height of the prices.
    height: usize,
    /// The largest volume; 0 if there is none to draw.
    most: u64,
}

impl Page {
    fn new(chart: &Chart<'_>) -> Self {
        let bottom = HEIGHT - BELOW;
        let traded = || chart.candles.iter().filter(|candle| candle.is_traded);
        let most = traded().filter_map(|candle| candle.volume).max().unwrap_or(0);
        let volumes = if most > 0 { VOLUMES + BETWEEN } else { 0 };
        let height = bottom - TOP - volumes;
        let all = Scale::of(traded().map(|candle| (candle.low, candle.high)));
        let letters = all.map_or(0, |scale| {
            ticks(scale, height).iter().map(|&raw| label(chart, raw).len()).max().unwrap_or(0)
        });
        let left = MARGIN + letters.max("999.9M".len()) * LETTER + 8;
        let width = WIDTH - MARGIN - left;
        let columns = Columns::of(chart, width / NARROWEST);
        let scale = Scale::of(columns.candles().map(|candle| (candle.low, candle.high)));
        let most = columns.candles().filter_map(|candle| candle.volume).max().unwrap_or(0);
        let width = width.min(columns.columns.len() * WIDEST);
        Self { shapes: Vec::new(), columns, scale, left, width, height, most }
    }

    fn rect(&mut self, x: usize, y: usize, width: usize, height: usize, paint: Paint) {
        self.shapes.push(Shape::Rect { x, y, width, height, paint });
    }

    /// Adds a text, without what would be beyond the page.
    fn text(&mut self, x: usize, y: usize, text: &str, paint: Paint) {
        let letters = WIDTH.saturating_sub(x) / LETTER;
        let text = text.chars().take(letters).collect();
        self.shapes.push(Shape::Text { x, y, text, paint });
    }

    fn heading(&mut self, chart: &Chart<'_>, name: &str) {
        let (secs, left_out) = (self.columns.secs, self.columns.left_out_days);
        let times = heading::times(chart, secs, left_out, WIDTH / LETTER);
        self.text(MARGIN, MARGIN, &format!("{name}  {times}"), Paint::Text);
        if let Some(prices) = heading::prices(chart, WIDTH / LETTER) {
            self.text(MARGIN, MARGIN + LINE, &prices, Paint::Faint);
        }
    }

    /// Returns the left and the right edge of a column.
    fn edges(&self, column: usize) -> (usize, usize) {
        let count = self.columns.columns.len().max(1);
        let edge = |column: usize| self.left + column * self.width / count;
        (edge(column), edge(column + 1))
    }

    /// Returns the bottom of all that has columns.
    fn bottom(&self) -> usize {
        TOP + self.height + if self.most > 0 { BETWEEN + VOLUMES } else { 0 }
    }

    /// Draws the lines and labels of prices, and of the largest volume.
    fn prices(&mut self, chart: &Chart<'_>, scale: Scale) {
        let mut labels: Vec<(usize, String)> = ticks(scale, self.height)
            .into_iter()
            .map(|raw| (self.y(scale, raw), label(chart, raw)))
            .collect();
        if self.most > 0 {
            labels.push((TOP + self.height + BETWEEN, compact(self.most)));
        }
        for (y, text) in labels {
            self.rect(self.left, y, WIDTH - MARGIN - self.left, 1, Paint::Grid);
            let x = self.left.saturating_sub(8 + text.len() * LETTER);
            self.text(x, y - LINE / 2, &text, Paint::Faint);
        }
    }

    /// Returns the line of a price.
    fn y(&self, scale: Scale, raw: i32) -> usize {
        TOP + self.height - 1 - scale.step(raw, self.height)
    }

    /// Shades what was without a feed, and draws lines between days.
    fn backgrounds(&mut self) {
        for (at, column) in self.columns.columns.clone().iter().enumerate() {
            let (from, to) = self.edges(at);
            let height = self.bottom() - TOP;
            if column.is_missed() {
                self.rect(from, TOP, to - from, height, Paint::Missed);
            }
            if column.content == Content::Break {
                self.rect(usize::midpoint(from, to), TOP, 1, height, Paint::Break);
            }
        }
    }

    fn candles(&mut self, scale: Scale) {
        for (at, column) in self.columns.columns.clone().iter().enumerate() {
            if let Some(candle) = column.candle() {
                self.candle(at, candle, scale);
            }
        }
    }

    fn candle(&mut self, column: usize, candle: &Candle, scale: Scale) {
        let (from, to) = self.edges(column);
        // The same width for all candles, though columns differ by a pixel.
        let slot = self.width / self.columns.columns.len().max(1);
        // An odd width has a middle for the wick.
        let body = ((slot * 7 / 10) | 1).min(WIDEST_BODY);
        let x = usize::midpoint(from, to - 1) - body / 2;
        let paint = if candle.is_up() { Paint::Up } else { Paint::Down };
        let (low, high) = (candle.low.min(candle.open).min(candle.close), candle.high);
        let (top, bottom) =
            (self.y(scale, high.max(candle.open).max(candle.close)), self.y(scale, low));
        self.rect(x + body / 2, top, 1, bottom - top + 1, paint);
        let (top, bottom) = (
            self.y(scale, candle.open.max(candle.close)),
            self.y(scale, candle.open.min(candle.close)),
        );
        self.rect(x, top, body, bottom - top + 1, paint);
        self.volume(x, body, candle.volume.unwrap_or(0), paint);
    }

    fn volume(&mut self, x: usize, width: usize, volume: u64, paint: Paint) {
        if volume == 0 || self.most == 0 {
            return;
        }
        let height = (u128::from(volume) * VOLUMES as u128).div_ceil(u128::from(self.most));
        let height = usize::try_from(height).unwrap_or(VOLUMES).min(VOLUMES);
        self.rect(x, self.bottom() - height, width, height, paint);
    }
}

impl Page {
    /// Writes the sign of each mark below its column. Where there is no room for it, a line.
    fn marks(&mut self) {
        let mut line = Line::new(WIDTH - self.left, 0);
        for (at, column) in self.columns.columns.clone().iter().enumerate() {
            let Some((_, sign, _)) = column.candle().and_then(|it| mark(it.flags)) else {
                continue;
            };
            let (from, to) = self.edges(at);
            let (x, y) = (usize::midpoint(from, to).saturating_sub(LETTER / 2), self.bottom());
            match line.take(x.saturating_sub(self.left), LETTER) {
                true => self.text(x, y, &sign.to_string(), Paint::Mark),
                false => self.rect(from, y + 2, 1, 3, Paint::Mark),
            }
        }
    }

    fn times(&mut self) {
        let edge = self.left;
        let place = |column: usize, _| self.edges(column).0 - edge;
        let measure = Measure { len: WIDTH - MARGIN - edge, letter: LETTER, place };
        let clocks = times::clocks(&self.columns, measure);
        let days = self.columns.columns.iter().filter(|column| column.is_first).count();
        let has_dates = days > 1 || self.columns.are_daily();
        let dates = if has_dates { times::dates(&self.columns, measure) } else { Vec::new() };
        let y = self.bottom() + LINE;
        for label in clocks {
            self.text(edge + label.at, y, &label.text, Paint::Faint);
        }
        for label in dates {
            self.text(edge + label.at, y + LINE, &label.text, Paint::Faint);
        }
    }

    /// Writes what the colours and signs on the page mean.
    fn legend(&mut self) {
        let mut swatches = vec![(Paint::Up, "rose".to_owned()), (Paint::Down, "fell".to_owned())];
        if self.columns.columns.iter().any(Column::is_missed) {
            swatches.push((Paint::Missed, "no feed".to_owned()));
        }
        let y = HEIGHT - MARGIN - LINE;
        let mut x = self.left;
        for (paint, text) in swatches {
            self.rect(x, y + 4, 12, 12, paint);
            self.text(x + 20, y, &text, Paint::Faint);
            x += 20 + (text.len() + 3) * LETTER;
        }
        let drawn = |flag| {
            self.columns.candles().filter_map(|it| mark(it.flags)).any(|found| found.0 == flag)
        };
        let marks: Vec<_> = MARKS.into_iter().filter(|(flag, ..)| drawn(*flag)).collect();
        for (_, sign, text) in marks {
            let text = format!("{sign} {text}");
            self.text(x, y, &text, Paint::Mark);
            x += (text.len() + 3) * LETTER;
        }
    }
}

fn ticks(scale: Scale, height: usize) -> Vec<i32> {
    scale.ticks(height / TICK_EVERY)
}

fn label(chart: &Chart<'_>, raw: i32) -> String {
    price(Price::new(raw, chart.segment()))
}
