//! A chart as text for the terminal.

use anstyle::Style;

use crate::chart::cells::{Cells, Ink};
use crate::chart::plot::{Look, Plot};
use crate::chart::{Chart, heading};
use crate::console::output::{BOLD, DIM, GREEN, Output, RED, YELLOW};
use crate::watch::chart::Glyphs;

/// Lines that the heading, the legend and the shell's prompt take.
const OTHERS: usize = 4;
/// The least lines for a chart.
const LEAST: usize = 6;

/// Returns the heading, the chart and its legend, as large as the terminal.
pub(super) fn drawn(chart: &Chart<'_>, name: &str, output: Output) -> String {
    let (width, lines) = output.screen();
    let glyphs = if output.ascii { Glyphs::Ascii } else { Glyphs::Unicode };
    let look = Look { glyphs, color: output.color };
    let plot = Plot::draw(chart, width, lines.saturating_sub(OTHERS).max(LEAST), look);
    let paint = |(text, ink): (String, Ink)| output.paint(style(ink), text);
    let name: String = name.chars().take(width).collect();
    let room = width.saturating_sub(name.chars().count() + 2);
    let times = heading::times(chart, plot.secs, plot.left_out_days, room);
    let mut text = format!("{}  {times}\n", output.paint(BOLD, name));
    if let Some(prices) = heading::prices(chart, width) {
        text += &format!("{prices}\n");
    }
    for line in plot.cells.lines() {
        text.extend(Cells::texts(line).into_iter().map(paint));
        text.push('\n');
    }
    let fitting = heading::fitting(plot.legend.iter().map(|(text, _)| text.as_str()), width);
    let legend: Vec<String> = plot.legend.into_iter().take(fitting).map(paint).collect();
    text + &legend.join("  ") + "\n"
}

fn style(ink: Ink) -> Style {
    match ink {
        Ink::Plain => Style::new(),
        Ink::Dim => DIM,
        Ink::Up => GREEN,
        Ink::Down => RED,
        Ink::Warning => YELLOW,
    }
}
