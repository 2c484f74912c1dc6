//! Draws a chart in a terminal: candles of a character's width, with two steps of height a line.

use super::cells::{Cells, Ink};
use super::columns::{Column, Columns, Content};
use super::scale::Scale;
use super::times::{self, Measure};
use super::{Candle, Chart, MARKS, mark};
use crate::format::numbers::{compact, price};
use crate::watch::chart::Glyphs;
use kite_wire::{Price, Segment};

/// The smallest width left to the candles by the axis of prices.
const NARROWEST: usize = 12;

/// What the terminal can show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) glyphs: Glyphs,
    /// Without colours, candles that rose are drawn hollow.
    pub(crate) color: bool,
}

/// A chart that was drawn.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) cells: Cells,
    /// Length of a column in seconds.
    pub(crate) secs: i64,
    /// The oldest days, for which there was no room.
    pub(crate) left_out_days: usize,
    /// What the signs that were drawn mean.
    pub(crate) legend: Vec<(String, Ink)>,
}

impl Plot {
    /// Draws in a rectangle of any size. What does not fit is left out, the candles last.
    pub(crate) fn draw(chart: &Chart<'_>, width: usize, height: usize, look: Look) -> Self {
        let traded = || chart.candles.iter().filter(|candle| candle.is_traded);
        let labels = |scale: Scale, rows: usize| labels(scale, rows, chart.segment());
        let whole = Scale::of(traded().map(|candle| (candle.low, candle.high)));
        let axis = whole.map_or(0, |scale| {
            let widths = labels(scale, height).into_iter().map(|(_, text)| text.len());
            widths.max().unwrap_or(0)
        });
        let left = if axis + 1 + NARROWEST <= width { axis + 1 } else { 0 };
        let columns = Columns::of(chart, width - left);
        let mut plot = Self {
            cells: Cells::new(width, height),
            secs: columns.secs,
            left_out_days: columns.left_out_days,
            legend: Vec::new(),
        };
        let range = columns.candles().map(|candle| (candle.low, candle.high));
        if let Some(scale) = Scale::of(range) {
            let pitch = if columns.columns.len() * 2 <= width - left { 2 } else { 1 };
            let rows = Rows::of(height, &columns);
            let area = Area { left, pitch, width, look };
            plot.legend = legend(&columns, &rows, look);
            area.axis(&mut plot.cells, &rows, &columns, scale, &labels(scale, rows.prices));
            area.columns(&mut plot.cells, &rows, &columns, scale);
            area.times(&mut plot.cells, &rows, &columns);
        }
        plot
    }
}

/// Returns the labels of prices, which all have the same number of decimals, the lowest first.
fn labels(scale: Scale, rows: usize, segment: Segment) -> Vec<(i32, String)> {
    let ticks = scale.ticks(rows.div_ceil(3).max(2));
    ticks.into_iter().map(|raw| (raw, price(Price::new(raw, segment)))).collect()
}

/// How many lines each part has, from the top.
#[derive(Debug, Clone, Copy)]
struct Rows {
    prices: usize,
    volumes: usize,
    marks: bool,
    clocks: bool,
    dates: bool,
}

impl Rows {
    fn of(height: usize, columns: &Columns) -> Self {
        let days = columns.columns.iter().filter(|column| column.is_first).count();
        let has_volume = columns.candles().any(|candle| candle.volume.is_some_and(|it| it > 0));
        let clocks = height >= 4 && !columns.are_daily();
        let dates = height >= 6 && (days > 1 || columns.are_daily());
        let marks = height >= 8 && columns.candles().any(|candle| mark(candle.flags).is_some());
        let volumes = if has_volume && height >= 9 { (height / 5).min(8) } else { 0 };
        let others = volumes + [marks, clocks, dates].map(usize::from).iter().sum::<usize>();
        Self { prices: height.saturating_sub(others), volumes, marks, clocks, dates }
    }

    /// Returns the line of the marks, if there is one, else the one after the volumes.
    fn below(&self) -> usize {
        self.prices + self.volumes
    }
}

/// Where the candles are.
#[derive(Debug, Clone, Copy)]
struct Area {
    /// The first column of cells, after the axis.
    left: usize,
    /// Cells a column has.
    pitch: usize,
    width: usize,
    look: Look,
}

impl Area {
    fn sign(&self, unicode: char, ascii: char) -> char {
        match self.look.glyphs {
            Glyphs::Unicode => unicode,
            Glyphs::Ascii => ascii,
        }
    }

    /// Draws the axis of prices, and the largest volume.
    fn axis(
        &self,
        cells: &mut Cells,
        rows: &Rows,
        columns: &Columns,
        scale: Scale,
        labels: &[(i32, String)],
    ) {
        let Some(line) = self.left.checked_sub(1) else { return };
        for y in 0..rows.below() {
            cells.set(line, y, self.sign('│', '|'), Ink::Dim);
        }
        let label = |cells: &mut Cells, y: usize, text: &str| {
            if let Some(x) = line.checked_sub(text.len()) {
                cells.text(x, y, text, Ink::Dim);
                cells.set(line, y, self.sign('┤', '+'), Ink::Dim);
            }
        };
        for (raw, text) in labels {
            let step = scale.step(*raw, rows.prices * 2);
            label(cells, rows.prices.saturating_sub(1 + step / 2), text);
        }
        if rows.volumes > 0 {
            label(cells, rows.prices, &compact(most_volume(columns)));
        }
    }

    fn columns(&self, cells: &mut Cells, rows: &Rows, columns: &Columns, scale: Scale) {
        let most = most_volume(columns);
        for (at, column) in columns.columns.iter().enumerate() {
            let x = self.left + at * self.pitch;
            if column.is_missed() {
                (0..self.pitch).for_each(|more| self.shade(cells, x + more, rows));
            }
            if column.content == Content::Break {
                (0..rows.below()).for_each(|y| cells.set(x, y, self.sign('┊', ' '), Ink::Dim));
            }
            self.candle(cells, x, rows, column, scale, most);
        }
    }

    fn shade(&self, cells: &mut Cells, x: usize, rows: &Rows) {
        (0..rows.below()).for_each(|y| cells.set(x, y, self.sign('░', ':'), Ink::Warning));
    }

    fn candle(
        &self,
        cells: &mut Cells,
        x: usize,
        rows: &Rows,
        column: &Column,
        scale: Scale,
        most: u64,
    ) {
        let Some(candle) = column.candle() else { return };
        let ink = if candle.is_up() { Ink::Up } else { Ink::Down };
        let body = (candle.open.min(candle.close), candle.open.max(candle.close));
        let steps = rows.prices * 2;
        let [low, bottom, top, high] =
            [candle.low.min(body.0), body.0, body.1, candle.high.max(body.1)]
                .map(|price| scale.step(price, steps));
        for y in 0..rows.prices {
            let lower = (rows.prices - 1 - y) * 2;
            let halves = [lower + 1, lower].map(|step| match step {
                step if (bottom..=top).contains(&step) => Half::Body,
                step if (low..=high).contains(&step) => Half::Wick,
                _ => Half::Nothing,
            });
            if let Some(symbol) = self.symbol(halves, candle) {
                cells.set(x, y, symbol, ink);
            }
        }
        self.volume(cells, x, rows, (candle.volume.unwrap_or(0), most), ink);
        if let Some((_, sign, _)) = mark(candle.flags).filter(|_| rows.marks) {
            cells.set(x, rows.below(), sign, Ink::Warning);
        }
    }

    /// Returns the character of the upper and the lower half of a cell.
    fn symbol(&self, halves: [Half; 2], candle: &Candle) -> Option<char> {
        use Half::{Body, Nothing, Wick};
        if halves == [Nothing, Nothing] {
            return None;
        }
        let is_body = halves.contains(&Body);
        if self.look.glyphs == Glyphs::Ascii {
            return Some(match (is_body, candle.is_up()) {
                (false, _) => '|',
                (true, true) => 'O',
                (true, false) => '#',
            });
        }
        if is_body && candle.is_up() && !self.look.color {
            return Some('║');
        }
        Some(match halves {
            [Body, Body] => '┃',
            [Body, Wick] => '╿',
            [Body, Nothing] => '╹',
            [Wick, Body] => '╽',
            [Nothing, Body] => '╻',
            [Wick, Nothing] => '╵',
            [Nothing, Wick] => '╷',
            _ => '│',
        })
    }

    fn volume(
        &self,
        cells: &mut Cells,
        x: usize,
        rows: &Rows,
        (volume, most): (u64, u64),
        ink: Ink,
    ) {
        let steps = rows.volumes as u128 * 8;
        // Never empty for a volume above zero.
        let filled = (u128::from(volume) * steps).div_ceil(u128::from(most.max(1)));
        let filled = usize::try_from(filled).unwrap_or(0);
        for row in 0..rows.volumes {
            let step = filled.saturating_sub(row * 8).min(8);
            if let Some(eighth) = step.checked_sub(1) {
                let symbol = match self.look.glyphs {
                    Glyphs::Unicode => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][eighth],
                    Glyphs::Ascii => '#',
                };
                cells.set(x, rows.below() - 1 - row, symbol, ink);
            }
        }
    }

    fn times(&self, cells: &mut Cells, rows: &Rows, columns: &Columns) {
        let measure = Measure {
            len: self.width - self.left,
            letter: 1,
            place: |column, _| column * self.pitch,
        };
        let mut y = rows.below() + usize::from(rows.marks);
        if rows.clocks {
            for label in times::clocks(columns, measure) {
                cells.text(self.left + label.at, y, &label.text, Ink::Dim);
            }
            y += 1;
        }
        if rows.dates {
            for label in times::dates(columns, measure) {
                cells.text(self.left + label.at, y, &label.text, Ink::Dim);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Nothing,
    Wick,
    Body,
}

fn most_volume(columns: &Columns) -> u64 {
    columns.candles().filter_map(|candle| candle.volume).max().unwrap_or(0)
}

/// Returns what the signs that are drawn mean.
fn legend(columns: &Columns, rows: &Rows, look: Look) -> Vec<(String, Ink)> {
    let is_unicode = look.glyphs == Glyphs::Unicode;
    let (rose, fell) = match (is_unicode, look.color) {
        (true, true) => ('┃', '┃'),
        (true, false) => ('║', '┃'),
        (false, _) => ('O', '#'),
    };
    let mut legend = vec![(format!("{rose} rose"), Ink::Up), (format!("{fell} fell"), Ink::Down)];
    if columns.columns.iter().any(Column::is_missed) {
        let sign = if is_unicode { '░' } else { ':' };
        legend.push((format!("{sign} no feed"), Ink::Warning));
    }
    let drawn = |flag| columns.candles().filter_map(|it| mark(it.flags)).any(|it| it.0 == flag);
    let marks = MARKS.into_iter().filter(|(flag, ..)| rows.marks && drawn(*flag));
    legend.extend(marks.map(|(_, sign, text)| (format!("{sign} {text}"), Ink::Warning)));
    legend
}
