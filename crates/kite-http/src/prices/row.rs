//! What the table of prices and the panel of an instrument show of a tick.

use kite_wire::{DepthLevel, Mode, Tick};
use serde::Serialize;

use super::directory::Entry;

/// A row of the table. Prices are decimal texts, which are exact.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    token: u32,
    /// Milliseconds since the tick was received.
    age_ms: u64,
    last: String,
    change: Option<String>,
    percent: Option<f64>,
    volume: Option<u32>,
    open_interest: Option<u32>,
    bid: Option<String>,
    ask: Option<String>,
}

impl Row {
    pub(crate) fn new(tick: &Tick, age_ms: u64) -> Self {
        let price = |raw: i32| tick.price(raw).to_string();
        // A level without orders has the price 0.
        let best = |levels: [DepthLevel; 5]| {
            Some(levels[0]).filter(|level| level.quantity > 0).map(|level| price(level.price))
        };
        let full = tick.full();
        Self {
            token: tick.instrument_token,
            age_ms,
            last: tick.last_price().to_string(),
            change: tick.change().map(|change| change.to_string()),
            percent: tick.change_percent(),
            volume: tick.quote().map(|quote| quote.volume),
            open_interest: full.map(|full| full.open_interest),
            bid: full.and_then(|full| best(full.bids)),
            ask: full.and_then(|full| best(full.asks)),
        }
    }
}

/// Everything that is known of an instrument.
#[derive(Debug, Serialize)]
pub(crate) struct Panel<'a> {
    token: u32,
    name: &'a str,
    mode: &'static str,
    /// `None` before its first tick.
    tick: Option<Details>,
}

#[derive(Debug, Serialize)]
struct Details {
    age_ms: u64,
    last: String,
    open: Option<String>,
    high: Option<String>,
    low: Option<String>,
    close: Option<String>,
    average: Option<String>,
    volume: Option<u32>,
    last_quantity: Option<u32>,
    buying: Option<u32>,
    selling: Option<u32>,
    open_interest: Option<u32>,
    open_interest_high: Option<u32>,
    open_interest_low: Option<u32>,
    /// Unix seconds.
    traded: Option<u32>,
    /// Unix seconds.
    exchange: Option<u32>,
    /// Best first; `None` if the packet has no depth.
    bids: Option<[Level; 5]>,
    asks: Option<[Level; 5]>,
}

#[derive(Debug, Serialize)]
struct Level {
    quantity: u32,
    price: String,
    orders: u16,
}

impl<'a> Panel<'a> {
    pub(crate) fn new(entry: &'a Entry, newest: Option<(&Tick, u64)>) -> Self {
        let mode = match entry.mode {
            Mode::Ltp => "ltp",
            Mode::Quote => "quote",
            Mode::Full => "full",
        };
        let tick = newest.map(|(tick, age_ms)| Details::new(tick, age_ms));
        Self { token: entry.token, name: &entry.name, mode, tick }
    }
}

impl Details {
    fn new(tick: &Tick, age_ms: u64) -> Self {
        let price = |raw: i32| tick.price(raw).to_string();
        let (quote, full, index) = (tick.quote(), tick.full(), tick.index());
        let ohlc = quote
            .map(|it| [it.open, it.high, it.low, it.close])
            .or(index.map(|it| [it.open, it.high, it.low, it.close]));
        let ohlc = |place: usize| ohlc.map(|prices| price(prices[place]));
        let levels = |levels: [DepthLevel; 5]| {
            levels.map(|DepthLevel { quantity, price: raw, orders }| Level {
                quantity,
                price: price(raw),
                orders,
            })
        };
        let exchange = match tick.fields {
            kite_wire::Fields::IndexFull { exchange_timestamp, .. } => Some(exchange_timestamp),
            _ => full.map(|full| full.exchange_timestamp),
        };
        Self {
            age_ms,
            last: tick.last_price().to_string(),
            open: ohlc(0),
            high: ohlc(1),
            low: ohlc(2),
            close: ohlc(3),
            average: quote.map(|quote| price(quote.average_price)),
            volume: quote.map(|quote| quote.volume),
            last_quantity: quote.map(|quote| quote.last_quantity),
            buying: quote.map(|quote| quote.total_buy_quantity),
            selling: quote.map(|quote| quote.total_sell_quantity),
            open_interest: full.map(|full| full.open_interest),
            open_interest_high: full.map(|full| full.open_interest_high),
            open_interest_low: full.map(|full| full.open_interest_low),
            traded: full.map(|full| full.last_trade_timestamp).filter(|&time| time > 0),
            exchange: exchange.filter(|&time| time > 0),
            bids: full.map(|full| levels(full.bids)),
            asks: full.map(|full| levels(full.asks)),
        }
    }
}

#[cfg(test)]
mod tests {
    use kite_wire::{Fields, FullFields, IndexFields, QuoteFields};

    use super::*;

    fn row(tick: &Tick) -> serde_json::Value {
        serde_json::to_value(Row::new(tick, 7)).unwrap()
    }

    fn full() -> Tick {
        let mut full = FullFields { open_interest: 12, ..FullFields::default() };
        full.bids[0] = DepthLevel { quantity: 3, price: 157_365, orders: 2 };
        let quote = QuoteFields { close: 157_000, volume: 4_294_967_295, ..Default::default() };
        Tick {
            instrument_token: 408_065,
            last_price: 157_370,
            fields: Fields::Full { quote, full },
        }
    }

    #[test]
    fn a_row_has_exact_prices_and_nulls_for_what_a_packet_lacks() {
        assert_eq!(
            row(&full()),
            serde_json::json!({
                "token": 408_065, "age_ms": 7, "last": "1573.70", "change": "3.70",
                "percent": full().change_percent(), "volume": 4_294_967_295_u32,
                "open_interest": 12, "bid": "1573.65", "ask": null,
            })
        );
        let ltp = Tick { fields: Fields::Ltp, ..full() };
        assert_eq!(
            row(&ltp),
            serde_json::json!({
                "token": 408_065, "age_ms": 7, "last": "1573.70", "change": null, "percent": null,
                "volume": null, "open_interest": null, "bid": null, "ask": null,
            })
        );
    }

    #[test]
    fn a_panel_has_what_the_packet_has() {
        let mut directory = super::super::directory::Directory::default();
        directory.set([(408_065, Mode::Full)].into(), |_| Some("NSE:INFY".to_owned()));
        let entry = directory.get(408_065).unwrap();
        let panel =
            |tick: Option<(&Tick, u64)>| serde_json::to_value(Panel::new(entry, tick)).unwrap();
        assert_eq!(panel(None)["tick"], serde_json::Value::Null);
        let found = panel(Some((&full(), 5)));
        assert_eq!((&found["name"], &found["mode"]), (&"NSE:INFY".into(), &"full".into()));
        assert_eq!(found["tick"]["bids"][0]["price"], "1573.65");
        assert_eq!(found["tick"]["close"], "1570.00");
        assert_eq!(found["tick"]["traded"], serde_json::Value::Null, "0 is no time");
        let quote = IndexFields { high: 2_501_235, ..Default::default() };
        let fields = Fields::IndexFull { quote, exchange_timestamp: 5 };
        let index = Tick { instrument_token: 256_265, last_price: 2_500_000, fields };
        let found = panel(Some((&index, 5)));
        assert_eq!(found["tick"]["high"], "25012.35");
        assert_eq!(found["tick"]["exchange"], 5);
        assert_eq!(found["tick"]["bids"], serde_json::Value::Null, "an index has no depth");
    }
}
