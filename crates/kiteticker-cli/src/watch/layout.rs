//! Divides the screen, and chooses the columns of the table.

use ratatui::layout::Rect;

use crate::watch::sort::Key;

/// The smallest screen, in columns and lines.
pub(crate) const SMALLEST: (u16, u16) = (40, 8);

/// Lines of the panel of the selected instrument: a title, headings, five levels of depth.
const DETAIL_LINES: u16 = 7;

/// The areas of the screen. Parts that do not fit have a height of 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) header: Rect,
    /// The headings of the columns, and below them the rows.
    pub(crate) table: Rect,
    pub(crate) detail: Rect,
    pub(crate) events: Rect,
    pub(crate) keys: Rect,
}

impl Page {
    /// Divides the screen; `None` if it is too small.
    pub(crate) fn of(area: Rect) -> Option<Self> {
        if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
            return None;
        }
        let header = if area.height >= 12 { 3 } else { 1 };
        let detail = if area.height >= 20 && area.width >= 60 { DETAIL_LINES } else { 0 };
        // Includes the title line.
        let events = match area.height {
            0..14 => 0,
            14..28 => 3,
            28..45 => 5,
            _ => 8,
        };
        let table = area.height - header - detail - events - 1;
        let mut y = area.y;
        let mut take = |height| {
            let part = Rect { y, height, ..area };
            y += height;
            part
        };
        Some(Self {
            header: take(header),
            table: take(table),
            detail: take(detail),
            events: take(events),
            keys: take(1),
        })
    }

    /// Returns the number of rows that the table shows at once.
    pub(crate) fn rows(&self) -> usize {
        usize::from(self.table.height.saturating_sub(1))
    }
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Symbol,
    /// One character wider, for the arrow.
    Last,
    Change,
    /// Rounded to three digits, if the full volume does not fit.
    VolumeShort,
    Volume,
    Bid,
    Ask,
    Open,
    High,
    Low,
    Spark,
    Age,
}

impl Column {
    /// Returns the heading.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Symbol => "symbol",
            Self::Last => "last",
            Self::Change => "change",
            Self::VolumeShort | Self::Volume => "volume",
            Self::Bid => "bid",
            Self::Ask => "ask",
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Spark => "trend",
            Self::Age => "age",
        }
    }

    /// Returns the key that sorts by this column.
    pub(crate) fn key(self) -> Option<Key> {
        Some(match self {
            Self::Symbol => Key::Symbol,
            Self::Last => Key::Last,
            Self::Change => Key::Change,
            Self::VolumeShort | Self::Volume => Key::Volume,
            Self::Bid => Key::Bid,
            Self::Ask => Key::Ask,
            Self::Open => Key::Open,
            Self::High => Key::High,
            Self::Low => Key::Low,
            Self::Age => Key::Age,
            Self::Spark => return None,
        })
    }

    fn narrowest(self) -> u16 {
        match self {
            Self::Symbol => 12,
            // The largest price with two decimals, without separators.
            Self::Last => 12,
            Self::Change => 7,
            Self::VolumeShort => 6,
            Self::Volume => 13,
            Self::Bid | Self::Ask | Self::Open | Self::High | Self::Low => 11,
            Self::Spark => 5,
            Self::Age => 3,
        }
    }
}

/// In the order shown.
const PLACES: [Column; 12] = [
    Column::Symbol,
    Column::Last,
    Column::Change,
    Column::VolumeShort,
    Column::Volume,
    Column::Bid,
    Column::Ask,
    Column::Open,
    Column::High,
    Column::Low,
    Column::Spark,
    Column::Age,
];

/// In order of priority: if the width does not suffice, the last ones are omitted first.
const WORTH: [&[Column]; 9] = [
    &[Column::Symbol],
    &[Column::Last],
    &[Column::Change],
    &[Column::Age],
    &[Column::VolumeShort],
    &[Column::Bid],
    &[Column::Ask],
    &[Column::Spark],
    &[Column::Open, Column::High, Column::Low],
];

const WIDEST_SYMBOL: u16 = 26;
const WIDEST_SPARK: u16 = 60;
/// The width left for charts and names before the full volume is shown.
const ROOM: u16 = 12;

/// Chooses the columns that fit, and their widths; one character separates two columns.
pub(crate) fn columns(width: u16) -> Vec<(Column, u16)> {
    let mut left = width;
    let mut chosen: Vec<Column> = Vec::new();
    for columns in WORTH {
        let between = columns.len() - usize::from(chosen.is_empty());
        let needed: u16 = columns.iter().map(|column| column.narrowest()).sum();
        let needed = needed + between as u16;
        if needed > left {
            break;
        }
        left -= needed;
        chosen.extend(columns);
    }
    // The full volume, if charts and names have enough room as well.
    let more = Column::Volume.narrowest() - Column::VolumeShort.narrowest();
    if chosen.contains(&Column::Open) && left >= more + ROOM {
        chosen.retain(|&column| column != Column::VolumeShort);
        chosen.push(Column::Volume);
        left -= more;
    }
    let has_spark = chosen.contains(&Column::Spark);
    // The rest goes to names first, up to the length of most, then to the charts.
    let to_symbol = match has_spark {
        true => left.min(8) + left.saturating_sub(8) / 3,
        false => left,
    };
    let to_symbol = to_symbol.min(WIDEST_SYMBOL - Column::Symbol.narrowest());
    let to_spark = (left - to_symbol).min(WIDEST_SPARK - Column::Spark.narrowest());
    let width_of = |column: Column| {
        column.narrowest()
            + match column {
                Column::Symbol => to_symbol,
                Column::Spark => to_spark,
                _ => 0,
            }
    };
    let in_place = PLACES.into_iter().filter(|column| chosen.contains(column));
    in_place.map(|column| (column, width_of(column))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(width: u16) -> Vec<&'static str> {
        columns(width).into_iter().map(|(column, _)| column.name()).collect()
    }

    #[test]
    fn every_line_of_the_screen_belongs_to_one_part() {
        for width in [40, 60, 80, 200] {
            for height in 8..100 {
                let area = Rect { x: 0, y: 0, width, height };
                let page = Page::of(area).unwrap();
                let parts = [page.header, page.table, page.detail, page.events, page.keys];
                let mut y = 0;
                for part in parts {
                    assert_eq!((part.y, part.width), (y, width));
                    y += part.height;
                }
                assert_eq!(y, height);
                assert!(page.rows() >= 4, "{width}x{height}");
            }
        }
    }

    #[test]
    fn a_screen_that_is_too_small_has_no_parts() {
        for (width, height) in [(39, 100), (200, 7), (1, 1), (0, 0)] {
            assert_eq!(Page::of(Rect { x: 0, y: 0, width, height }), None);
        }
    }

    #[test]
    fn columns_fit_into_the_width_and_keep_their_order() {
        for width in 39..250 {
            let columns = columns(width);
            let used: u16 = columns.iter().map(|(_, width)| width + 1).sum();
            assert!(used - 1 <= width, "{used} of {width}");
            let places: Vec<usize> = columns
                .iter()
                .map(|(column, _)| PLACES.iter().position(|place| place == column).unwrap())
                .collect();
            assert!(places.is_sorted());
        }
    }

    #[test]
    fn a_wider_screen_shows_more() {
        assert_eq!(names(39), ["symbol", "last", "change", "age"]);
        let usual = ["symbol", "last", "change", "volume", "bid", "ask", "trend", "age"];
        assert_eq!(names(79), usual);
        assert_eq!(names(103), usual, "all of the day's prices or none");
        let wide = [
            "symbol", "last", "change", "volume", "bid", "ask", "open", "high", "low", "trend",
            "age",
        ];
        assert_eq!(names(119), wide);
        assert!(columns(139).contains(&(Column::Volume, 13)));
    }
}
