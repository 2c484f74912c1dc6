//! What the screen says in a second, as lines of at most 79 characters.

use kiteticker_async_manager::kite_wire::Segment;

use crate::consumer::Latest;
use crate::instruments::Shown;
use crate::numbers::{NONE, count, duration, percent, price};
use crate::sampler::Row;

/// One less than a narrow terminal has: writing its last column makes some of them wrap.
const WIDTH: usize = 79;
const NAME_WIDTH: usize = 13;

/// Whether lines may hold escape sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Colour,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }
}

/// All that is shown in a second.
#[derive(Debug)]
pub(crate) struct Board<'a> {
    pub(crate) second: u64,
    pub(crate) seconds: u64,
    pub(crate) rows: Vec<Row>,
    pub(crate) instruments: Vec<(&'a Shown, Option<Latest>)>,
    pub(crate) error: Option<String>,
}

impl Board<'_> {
    /// Gives the lines, always as many for the same connections and instruments.
    pub(crate) fn lines(&self, style: Style) -> Vec<String> {
        let mut lines = vec![String::new()];
        lines.push(style.bold(&format!(
            "{:<5}{:<8}{:>11}{:>9}{:>10}{:>10}{:>10}{:>8}{:>8}",
            "conn", "state", "instruments", "frames/s", "ticks/s", "p50", "p99", "lost", "errors"
        )));
        lines.extend(self.rows.iter().map(|row| connection(row, style)));
        lines.push(String::new());
        lines.push(style.bold(&format!(
            "{:<14}{:<6}{:>13}{:>9}{:>12}{:>12}{:>13}",
            "instrument", "on", "last price", "change", "bid", "ask", "volume"
        )));
        let instruments = self.instruments.iter();
        lines.extend(instruments.map(|(shown, latest)| instrument(shown, latest.as_ref(), style)));
        lines.push(String::new());
        lines.push(self.footer(style));
        lines
    }

    fn footer(&self, style: Style) -> String {
        let time = format!("second {} of {}", count(self.second), count(self.seconds));
        match &self.error {
            Some(error) => style.bad(&fit(&format!("{time}; {error}"), WIDTH)),
            None => style.dim(&format!("{time}; p50, p99: from the socket's read to this program")),
        }
    }
}

fn connection(row: &Row, style: Style) -> String {
    let state = format!("{:<8}", row.state);
    let state = match row.state {
        "live" => style.good(&state),
        "parked" | "closed" | "waiting" => style.bad(&state),
        _ => state,
    };
    let time = |time: Option<_>| time.map_or_else(|| NONE.to_owned(), duration);
    let worrying = |number: u64| {
        let text = format!("{:>8}", count(number));
        if number > 0 { style.bad(&text) } else { text }
    };
    format!(
        "{:<5}{state}{:>11}{:>9}{:>10}{:>10}{:>10}{}{}",
        row.label,
        count(row.instruments),
        rate(row.frames_per_second),
        rate(row.ticks_per_second),
        time(row.median),
        time(row.p99),
        worrying(row.lagged),
        worrying(row.errors),
    )
}

fn rate(per_second: f64) -> String {
    count(per_second.round() as u64)
}

fn instrument(shown: &Shown, latest: Option<&Latest>, style: Style) -> String {
    let price = |value: Option<_>| value.map_or_else(|| NONE.to_owned(), price);
    let change_percent = latest.and_then(|latest| latest.change_percent);
    let change = format!("{:>9}", change_percent.map_or_else(|| NONE.to_owned(), percent));
    let change = match change_percent {
        Some(value) if value > 0.0 => style.good(&change),
        Some(value) if value < 0.0 => style.bad(&change),
        _ => change,
    };
    let volume = latest.and_then(|latest| latest.volume);
    format!(
        "{:<14}{:<6}{:>13}{change}{:>12}{:>12}{:>13}",
        fit(&shown.name, NAME_WIDTH),
        segment(shown.token),
        price(latest.map(|latest| latest.last_price)),
        price(latest.and_then(|latest| latest.bid)),
        price(latest.and_then(|latest| latest.ask)),
        volume.map_or_else(|| NONE.to_owned(), count),
    )
}

fn segment(token: u32) -> &'static str {
    match Segment::of_token(token) {
        Segment::Nse => "NSE",
        Segment::Nfo => "NFO",
        Segment::Cds => "CDS",
        Segment::Bse => "BSE",
        Segment::Bfo => "BFO",
        Segment::Bcd => "BCD",
        Segment::Mcx => "MCX",
        Segment::McxSx => "MCXSX",
        Segment::Indices => "INDEX",
        Segment::Nco => "NCO",
        _ => NONE,
    }
}

/// Cuts a text to a width and to one line of printable characters.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let printable = |symbol: char| if symbol.is_control() { ' ' } else { symbol };
    if text.chars().count() <= width {
        return text.chars().map(printable).collect();
    }
    text.chars().map(printable).take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kiteticker_async_manager::kite_wire::Price;

    use super::*;

    fn shown(token: u32, name: &str) -> Shown {
        Shown { token, name: name.to_owned() }
    }

    fn lines_of(row: Row, latest: Option<Latest>, error: Option<&str>) -> Vec<String> {
        let shown = shown(408_065, "INFY");
        let board = Board {
            second: 3,
            seconds: 10,
            rows: vec![row],
            instruments: vec![(&shown, latest)],
            error: error.map(str::to_owned),
        };
        assert_eq!(board.lines(Style::Colour).len(), board.lines(Style::Plain).len());
        board.lines(Style::Plain)
    }

    fn row() -> Row {
        Row {
            label: "1".to_owned(),
            state: "live",
            instruments: 3_000,
            frames_per_second: 99.6,
            ticks_per_second: 6_012.0,
            median: Some(Duration::from_nanos(38_240)),
            p99: Some(Duration::from_micros(1_205)),
            lagged: 0,
            errors: 12,
        }
    }

    fn latest(raw: i32) -> Latest {
        let price = Price::new(raw, Segment::Nse);
        Latest {
            last_price: price,
            change_percent: Some(-1.25),
            bid: Some(price),
            ask: None,
            volume: Some(1_234_567),
        }
    }

    #[test]
    fn a_board_shows_connections_instruments_and_the_time() {
        let lines = lines_of(row(), Some(latest(157_370)), None);
        let expected = [
            "",
            "conn state   instruments frames/s   ticks/s       p50       p99    lost  errors",
            "1    live          3,000      100     6,012   38.2 µs   1.21 ms       0      12",
            "",
            "instrument    on       last price   change         bid         ask       volume",
            "INFY          NSE        1,573.70   -1.25%    1,573.70           –    1,234,567",
            "",
            "second 3 of 10; p50, p99: from the socket's read to this program",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn before_the_first_tick_there_are_dashes_and_as_many_lines() {
        let row = Row { label: "1".to_owned(), state: "opening", ..Row::default() };
        let lines = lines_of(row, None, None);
        assert_eq!(lines.len(), lines_of(self::row(), Some(latest(1)), Some("gone")).len());
        assert_eq!(lines[5].matches(NONE).count(), 5);
        assert_eq!(lines[2].matches(NONE).count(), 2);
    }

    #[test]
    fn no_line_is_wider_than_a_narrow_terminal() {
        let largest = Row {
            label: "all".to_owned(),
            state: "opening",
            instruments: 9_000,
            frames_per_second: 9_999.0,
            ticks_per_second: 9_999_999.0,
            median: Some(Duration::from_nanos(999_499)),
            p99: Some(Duration::from_secs(60)),
            lagged: 999_999,
            errors: 999_999,
        };
        let latest = Latest { volume: Some(u32::MAX), ..latest(999_999_999) };
        let error = "connection 1: lost, reconnecting:\n".repeat(9);
        for line in lines_of(largest, Some(latest), Some(&error)) {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }

    #[test]
    fn losses_errors_and_falling_prices_stand_out_in_colour_only() {
        let line = connection(&row(), Style::Colour);
        assert!(line.ends_with("       0\x1b[31m      12\x1b[0m"), "{line:?}");
        let line = instrument(&shown(408_065, "INFY"), Some(&latest(5)), Style::Colour);
        assert!(line.contains("\x1b[31m   -1.25%\x1b[0m"), "{line:?}");
        let line = instrument(&shown(408_065, "INFY"), Some(&latest(5)), Style::Plain);
        assert!(!line.contains('\x1b'), "{line:?}");
    }
}
