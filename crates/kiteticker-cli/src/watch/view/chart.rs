//! The chart in the panel: the day of the selected instrument.

use kite_candles::Sessions;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::chart::Chart;
use crate::chart::cells::{Cells, Ink};
use crate::chart::plot::{Look, Plot};
use crate::watch::app::App;
use crate::watch::day::Today;
use crate::watch::row::{Direction, Row};
use crate::watch::theme::Theme;

/// Returns the lines of the chart.
pub(super) fn lines<'a>(app: &App, row: &Row, area: Rect) -> Vec<Line<'a>> {
    let candles = app.today.candles(row.token);
    if candles.is_empty() {
        let text = " no trade yet since the instrument is in the table";
        return vec![Line::default(), Line::styled(text, app.theme.dim())];
    }
    // The bars have all hours. Columns of several start with the session.
    let (sessions, every) = (Sessions::default(), Today::every());
    let chart = Chart { token: row.token, every, sessions: &sessions, candles: &candles };
    let look = Look { glyphs: app.theme.glyphs, color: app.theme.color };
    let plot = Plot::draw(&chart, area.width.into(), area.height.into(), look);
    plot.cells.lines().map(|line| of_cells(app.theme, Cells::texts(line))).collect()
}

fn of_cells<'a>(theme: Theme, texts: Vec<(String, Ink)>) -> Line<'a> {
    let spans = texts.into_iter().map(|(text, ink)| Span::styled(text, style(theme, ink)));
    Line::from(spans.collect::<Vec<_>>())
}

fn style(theme: Theme, ink: Ink) -> Style {
    match ink {
        Ink::Plain => Style::new(),
        Ink::Dim => theme.dim(),
        Ink::Up => theme.direction(Direction::Up),
        Ink::Down => theme.direction(Direction::Down),
        Ink::Warning => theme.warning(),
    }
}
