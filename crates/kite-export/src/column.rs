//! The names, types and meanings of the columns of all tables, in order.
//!
//! All formats share one list. The Parquet schema, the header of CSV and the names in JSON come
//! from it, and a test checks `docs/export.md` against it.

use std::borrow::Cow;

use kite_wire::Segment;

/// The kind of value in a column, for every format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnKind {
    /// A time in nanoseconds, or in another [`TimeUnit`](crate::TimeUnit).
    Nanoseconds,
    /// A time in whole seconds; in Parquet as milliseconds, since it has no seconds.
    Seconds,
    /// The start of a bar: whole seconds in text, in Parquet as the other times of the table.
    Start,
    /// A number of at most 8 bits.
    U8,
    /// A number of at most 32 bits that is only an identifier, such as an instrument token.
    Token,
    /// A number of orders.
    I32,
    /// A quantity. Signed and 64 bits wide, so that sums and differences do not wrap.
    I64,
    /// A count of 64 bits.
    U64,
    /// A price in rupees, of a type set by [`Prices`](crate::Prices).
    Price,
    /// One of a few strings; a dictionary in Parquet.
    Category,
    /// Any string.
    Text,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// The name in every format.
    pub name: Cow<'static, str>,
    /// The kind of its values.
    pub kind: ColumnKind,
    /// Whether it may be null.
    pub nullable: bool,
    /// Its meaning, in one sentence. In Parquet it is the field's metadata `description`.
    pub description: Cow<'static, str>,
}

/// Levels of market depth on each side of a full packet.
pub(crate) const DEPTH_LEVELS: usize = 5;

/// Returns the columns of the table of ticks: with or without the column `symbol`, and with or
/// without market depth.
#[must_use]
pub fn tick_columns(symbol: bool, depth: bool) -> Vec<Column> {
    use ColumnKind::{Category, I64, Nanoseconds, Price, Seconds, Token, U8};
    let mut columns = vec![
        always("recv_time", Nanoseconds, "When the frame was received, by the recorder's clock."),
        always("account", U8, "Account that received it, counted from 0."),
        always("connection", U8, "Connection within the account, counted from 0."),
        always("instrument_token", Token, "Kite's number of the instrument."),
    ];
    if symbol {
        columns.push(maybe(
            "symbol",
            Category,
            "Exchange and trading symbol, such as NSE:INFY; null if the token is unknown.",
        ));
    }
    columns.extend([
        always(
            "segment",
            Category,
            "Exchange segment: NSE, NFO, CDS, BSE, BFO, BCD, MCX, MCXSX, INDICES, NCO, or its \
             number if it has no name.",
        ),
        always("mode", Category, "Mode of the packet: ltp, quote or full."),
        always("last_price", Price, "Last traded price."),
        maybe("last_quantity", I64, "Quantity of the last trade. Quote and full."),
        maybe("average_price", Price, "Volume-weighted average price of the day. Quote and full."),
        maybe("volume", I64, "Traded volume of the day. Quote and full."),
        maybe("total_buy_quantity", I64, "Quantity of all waiting buy orders. Quote and full."),
        maybe("total_sell_quantity", I64, "Quantity of all waiting sell orders. Quote and full."),
        maybe("open", Price, "First price of the day. All but ltp."),
        maybe("high", Price, "Highest price of the day. All but ltp."),
        maybe("low", Price, "Lowest price of the day. All but ltp."),
        maybe(
            "close",
            Price,
            "Close of the previous day while the market trades, then of the day. All but ltp.",
        ),
        maybe(
            "change",
            Price,
            "Absolute change as the exchange sends it. Only indices, in quote and full.",
        ),
        maybe("last_trade_time", Seconds, "Time of the last trade, if there was one. Full."),
        maybe("oi", I64, "Open interest. Full."),
        maybe("oi_day_high", I64, "Highest open interest of the day. Full."),
        maybe("oi_day_low", I64, "Lowest open interest of the day. Full."),
        maybe("exchange_time", Seconds, "Exchange's time of this state. Full, including indices."),
    ]);
    if depth {
        for side in ["bid", "ask"] {
            columns.extend((1..=DEPTH_LEVELS).flat_map(|level| depth_columns(side, level)));
        }
    }
    columns
}

/// Returns the columns of the table of events, which has everything on a tape besides ticks.
#[must_use]
pub fn event_columns() -> Vec<Column> {
    use ColumnKind::{Category, Nanoseconds, Text, U8, U64};
    vec![
        maybe(
            "recv_time",
            Nanoseconds,
            "When it was received or noted; null for damage of the tape, which has no exact time.",
        ),
        maybe(
            "account",
            U8,
            "Account it concerns; 255 for the recorder, null for damage of the tape.",
        ),
        maybe("connection", U8, "Connection within the account; 255 and null as for the account."),
        always(
            "kind",
            Category,
            "gap, text, note, heartbeat, silence, damaged_frame, unknown_packets, damage or torn_end.",
        ),
        maybe(
            "reason",
            Category,
            "Reason of a gap: queue_full, lagged, disconnected, recorder_stopped, write_failed, damaged, unknown, \
             or its number if it has no name. What was missing in a silence: no_frames, no_ticks.",
        ),
        maybe(
            "from_time",
            Nanoseconds,
            "When the gap or silence began, or the record before damage was received, if known.",
        ),
        maybe(
            "to_time",
            Nanoseconds,
            "When the gap or silence ended, or the record after damage was received, if known.",
        ),
        maybe(
            "frames",
            U64,
            "Frames missing in a gap, packets of unknown length in a frame, or records lost with \
             damage; null if unknown.",
        ),
        maybe(
            "text",
            Text,
            "Text frame or note as received; otherwise a description of the damage.",
        ),
    ]
}

/// Returns the columns of the table of bars: with or without the column `every`, the length of the
/// bars, which a table of several lengths has.
#[must_use]
pub fn bar_columns(every: bool) -> Vec<Column> {
    use ColumnKind::{Category, I64, Nanoseconds, Price, Start, Token};
    let mut columns = vec![always(
        "start",
        Start,
        "When the bar starts; midnight in India for a day. It includes trades from here to its end.",
    )];
    if every {
        columns.push(always("every", Category, "Length of the bar, such as 15s, 5m or 1d."));
    }
    columns.extend([
        maybe(
            "symbol",
            Category,
            "Exchange and trading symbol, such as NSE:INFY; null if the token is unknown.",
        ),
        always("instrument_token", Token, "Kite's number of the instrument."),
        always("open", Price, "First price."),
        always("high", Price, "Highest price."),
        always("low", Price, "Lowest price."),
        always("close", Price, "Last price."),
        maybe("volume", I64, "Volume traded; null for indices and in ltp mode."),
        maybe("oi", I64, "Open interest at the last packet with it; null if none has."),
        always("packets", I64, "Packets that showed a trade; of an index, a value. 0 if filled."),
        maybe("first_time", Nanoseconds, "When the first of these was received; null if none was."),
        maybe("last_time", Nanoseconds, "When the last of these was received; null if none was."),
        always("missed_ms", I64, "Milliseconds of the bar without a feed."),
        always(
            "missed_volume",
            I64,
            "Volume traded while there was no feed; not in volume, perhaps of earlier bars.",
        ),
        always(
            "flags",
            Category,
            "partial_start, gap, late, cached_open, extreme_late, volume_fell and by_arrival, \
             separated by spaces; empty if none is set.",
        ),
    ]);
    columns
}

/// Returns the columns of the rows of a running feed: those of the table of bars, and the column
/// `state`.
#[must_use]
pub fn live_bar_columns(every: bool) -> Vec<Column> {
    let mut columns = bar_columns(every);
    let description = "ended, or corrected for a new state of a row before.";
    columns.push(always("state", ColumnKind::Category, description));
    columns
}

/// Returns a segment's name for the column `segment`.
pub(crate) fn segment_name(segment: Segment) -> Cow<'static, str> {
    segment.name().map_or_else(|| segment.code().to_string().into(), Cow::from)
}

fn depth_columns(side: &'static str, level: usize) -> [Column; 3] {
    let column = |what: &str, kind, description: String| Column {
        name: format!("{side}_{what}_{level}").into(),
        kind,
        nullable: true,
        description: description.into(),
    };
    let at = format!("{side} {level}");
    [
        column("price", ColumnKind::Price, format!("Price of {at}; 1 is the best. Full.")),
        column(
            "quantity",
            ColumnKind::I64,
            format!("Quantity of {at}; 0 if the level is empty. Full."),
        ),
        column("orders", ColumnKind::I32, format!("Number of orders of {at}. Full.")),
    ]
}

fn always(name: &'static str, kind: ColumnKind, description: &'static str) -> Column {
    Column { name: name.into(), kind, nullable: false, description: description.into() }
}

fn maybe(name: &'static str, kind: ColumnKind, description: &'static str) -> Column {
    Column { nullable: true, ..always(name, kind, description) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_options_only_remove_columns() {
        let all = tick_columns(true, true);
        let names: HashSet<_> = all.iter().map(|column| &column.name).collect();
        assert_eq!(names.len(), all.len());
        let lean: Vec<_> = all
            .iter()
            .filter(|column| {
                column.name != "symbol"
                    && !column.name.starts_with("bid_")
                    && !column.name.starts_with("ask_")
            })
            .cloned()
            .collect();
        assert_eq!(tick_columns(false, false), lean);
        assert_eq!(all.len() - lean.len(), 1 + 2 * 3 * DEPTH_LEVELS);
    }

    #[test]
    fn bars_have_a_column_for_their_length_if_there_are_several() {
        let mut all = bar_columns(true);
        let names: HashSet<_> = all.iter().map(|column| &column.name).collect();
        assert_eq!(names.len(), all.len());
        all.retain(|column| column.name != "every");
        assert_eq!(bar_columns(false), all);
    }
}
