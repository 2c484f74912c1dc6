//! Chooses the columns of the table for a width.

use kite_wire::Mode;

use crate::watch::sort::Key;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Symbol,
    /// One character wider, for the arrow.
    Last,
    Change,
    NetChange,
    /// Rounded to three digits, if the full volume does not fit.
    VolumeShort,
    Volume,
    /// Rounded to three digits, if the full open interest does not fit.
    InterestShort,
    Interest,
    Bid,
    Ask,
    Open,
    High,
    Low,
    Close,
    Average,
    Buying,
    Selling,
    LastQuantity,
    Spark,
    Age,
}

/// What the rows can show, which decides whether a column would be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The richest mode of any row.
    pub(crate) mode: Mode,
    /// Whether any row is a contract with open interest.
    pub(crate) has_interest: bool,
}

impl Column {
    /// Returns the heading.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Symbol => "symbol",
            Self::Last => "last",
            Self::Change => "change",
            Self::NetChange => "net chg",
            Self::VolumeShort | Self::Volume => "volume",
            Self::InterestShort | Self::Interest => "OI",
            Self::Bid => "bid",
            Self::Ask => "ask",
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Close => "close",
            Self::Average => "average",
            Self::Buying => "buying",
            Self::Selling => "selling",
            Self::LastQuantity => "traded",
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
            Self::NetChange => Key::NetChange,
            Self::VolumeShort | Self::Volume => Key::Volume,
            Self::InterestShort | Self::Interest => Key::Interest,
            Self::Bid => Key::Bid,
            Self::Ask => Key::Ask,
            Self::Open => Key::Open,
            Self::High => Key::High,
            Self::Low => Key::Low,
            Self::Average => Key::Average,
            Self::Buying => Key::Buying,
            Self::Selling => Key::Selling,
            Self::Age => Key::Age,
            Self::Close | Self::LastQuantity | Self::Spark => return None,
        })
    }

    fn narrowest(self) -> u16 {
        match self {
            Self::Symbol => 12,
            // The largest price with two decimals, without separators.
            Self::Last => 12,
            Self::Change | Self::Buying | Self::Selling => 7,
            Self::NetChange => 9,
            Self::VolumeShort | Self::InterestShort | Self::LastQuantity => 6,
            Self::Volume | Self::Interest => 13,
            Self::Bid
            | Self::Ask
            | Self::Open
            | Self::High
            | Self::Low
            | Self::Close
            | Self::Average => 11,
            Self::Spark => 5,
            Self::Age => 3,
        }
    }

    /// Returns the rounded column that this one replaces.
    fn rounded(self) -> Option<Self> {
        match self {
            Self::Volume => Some(Self::VolumeShort),
            Self::Interest => Some(Self::InterestShort),
            _ => None,
        }
    }

    /// Returns whether any row can have a value.
    fn has_values(self, contents: Contents) -> bool {
        match self {
            Self::Symbol | Self::Last | Self::Spark | Self::Age => true,
            Self::Bid | Self::Ask => contents.mode == Mode::Full,
            Self::InterestShort | Self::Interest => {
                contents.mode == Mode::Full && contents.has_interest
            }
            _ => contents.mode != Mode::Ltp,
        }
    }
}

/// In the order shown.
const PLACES: [Column; 20] = [
    Column::Symbol,
    Column::Last,
    Column::Change,
    Column::NetChange,
    Column::VolumeShort,
    Column::Volume,
    Column::InterestShort,
    Column::Interest,
    Column::Bid,
    Column::Ask,
    Column::Open,
    Column::High,
    Column::Low,
    Column::Close,
    Column::Average,
    Column::Buying,
    Column::Selling,
    Column::LastQuantity,
    Column::Spark,
    Column::Age,
];

/// In order of priority: if the width does not suffice, the last ones are omitted first.
const WORTH: [&[Column]; 18] = [
    &[Column::Symbol],
    &[Column::Last],
    &[Column::Change],
    &[Column::Age],
    &[Column::VolumeShort],
    &[Column::Bid],
    &[Column::Ask],
    &[Column::Spark],
    &[Column::InterestShort],
    &[Column::NetChange],
    &[Column::High, Column::Low],
    &[Column::Open],
    &[Column::Volume],
    &[Column::Interest],
    &[Column::Average],
    &[Column::Buying, Column::Selling],
    &[Column::Close],
    &[Column::LastQuantity],
];

const WIDEST_SYMBOL: u16 = 26;
const WIDEST_SPARK: u16 = 60;
/// The width left for names before the columns after the trend are shown.
const ROOM: u16 = 8;
/// Width of the price on a screen that is too narrow for the usual one.
const NARROW_LAST: u16 = 10;
/// Width of the name on such a screen.
const NARROWEST_SYMBOL: u16 = 4;

/// Chooses the columns that fit, and their widths; one character separates two columns.
pub(crate) fn columns(width: u16, contents: Contents) -> Vec<(Column, u16)> {
    if width <= Column::Symbol.narrowest() + Column::Last.narrowest() {
        return narrow(width);
    }
    let (chosen, left) = choose(width, contents);
    let has_spark = chosen.contains(&Column::Spark);
    // The rest goes to names first, up to the length of most, then to the charts.
    let to_symbol = match has_spark {
        true => left.min(ROOM) + left.saturating_sub(ROOM) / 3,
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

/// Returns the column at a place in the line.
pub(crate) fn column_at(columns: &[(Column, u16)], x: u16) -> Option<Column> {
    let mut end = 0;
    columns.iter().find_map(|&(column, width)| {
        let start = end;
        end += width + 1;
        (start..end).contains(&x).then_some(column)
    })
}

/// Returns the name and the price, or the name alone.
fn narrow(width: u16) -> Vec<(Column, u16)> {
    match width.checked_sub(NARROW_LAST + 1).filter(|&left| left >= NARROWEST_SYMBOL) {
        Some(left) => vec![(Column::Symbol, left), (Column::Last, NARROW_LAST)],
        None => vec![(Column::Symbol, width)],
    }
}

/// Returns the columns in order of priority, and the width left.
fn choose(width: u16, contents: Contents) -> (Vec<Column>, u16) {
    let (mut left, mut chosen) = (width, Vec::new());
    let mut room = 0;
    for columns in WORTH {
        if !columns.iter().all(|column| column.has_values(contents)) {
            continue;
        }
        let replaced = columns.iter().find_map(|column| column.rounded());
        let is_replaced = replaced.is_some_and(|rounded| chosen.contains(&rounded));
        let between = columns.len() - usize::from(chosen.is_empty() || is_replaced);
        let saved = replaced.filter(|_| is_replaced).map_or(0, Column::narrowest);
        let needed: u16 = columns.iter().map(|column| column.narrowest()).sum();
        let needed = needed + between as u16 - saved;
        if needed + room > left {
            break;
        }
        left -= needed;
        chosen.retain(|column| Some(*column) != replaced);
        chosen.extend(columns);
        if columns.contains(&Column::Spark) {
            room = ROOM;
        }
    }
    (chosen, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: Contents = Contents { mode: Mode::Full, has_interest: false };
    const CONTRACTS: Contents = Contents { mode: Mode::Full, has_interest: true };

    fn names(width: u16, contents: Contents) -> Vec<&'static str> {
        columns(width, contents).into_iter().map(|(column, _)| column.name()).collect()
    }

    fn all_contents() -> impl Iterator<Item = Contents> {
        Mode::ALL
            .into_iter()
            .flat_map(|mode| [false, true].map(|has_interest| Contents { mode, has_interest }))
    }

    #[test]
    fn columns_fit_into_the_width_and_keep_their_order() {
        for contents in all_contents() {
            for width in 1..300 {
                let columns = columns(width, contents);
                let used: u16 = columns.iter().map(|(_, width)| width + 1).sum();
                assert!(used - 1 <= width, "{used} of {width}");
                let places: Vec<usize> = columns
                    .iter()
                    .map(|(column, _)| PLACES.iter().position(|place| place == column).unwrap())
                    .collect();
                assert!(places.is_sorted());
            }
        }
    }

    #[test]
    fn a_wider_screen_shows_at_least_the_columns_of_a_narrower_one() {
        for contents in all_contents() {
            for width in 1..300 {
                let (narrow, wide) = (names(width, contents), names(width + 1, contents));
                assert!(narrow.iter().all(|name| wide.contains(name)), "{width}: {narrow:?}");
            }
        }
    }

    #[test]
    fn the_usual_widths_show_what_matters_most() {
        assert_eq!(names(19, SHARES), ["symbol", "last"]);
        assert_eq!(names(39, SHARES), ["symbol", "last", "change", "age"]);
        let usual = ["symbol", "last", "change", "volume", "bid", "ask", "trend", "age"];
        assert_eq!(names(79, SHARES), usual);
        assert_eq!(names(79, CONTRACTS), usual);
        let wide =
            ["symbol", "last", "change", "net chg", "volume", "OI", "bid", "ask", "trend", "age"];
        assert_eq!(names(119, CONTRACTS), wide);
        let widest = [
            "symbol", "last", "change", "net chg", "volume", "OI", "bid", "ask", "open", "high",
            "low", "close", "average", "buying", "selling", "traded", "trend", "age",
        ];
        assert_eq!(names(199, CONTRACTS), widest);
        let columns = columns(199, CONTRACTS);
        assert!(
            columns.contains(&(Column::Volume, 13)) && columns.contains(&(Column::Interest, 13))
        );
    }

    #[test]
    fn columns_that_no_row_can_fill_are_left_out() {
        let ltp = Contents { mode: Mode::Ltp, has_interest: true };
        assert_eq!(names(199, ltp), ["symbol", "last", "trend", "age"]);
        let quote = names(199, Contents { mode: Mode::Quote, ..CONTRACTS });
        assert!(quote.contains(&"average") && quote.contains(&"buying"));
        assert!(!quote.contains(&"bid") && !quote.contains(&"OI"));
        assert!(!names(199, SHARES).contains(&"OI"));
    }

    #[test]
    fn a_place_in_the_line_belongs_to_a_column_or_to_none() {
        let columns = [(Column::Symbol, 12), (Column::Last, 12)];
        for (x, column) in [
            (0, Some(Column::Symbol)),
            (12, Some(Column::Symbol)),
            (13, Some(Column::Last)),
            (25, Some(Column::Last)),
            (26, None),
        ] {
            assert_eq!(column_at(&columns, x), column, "{x}");
        }
    }
}
