//! Prints sums over every expected column of a tape as JSON. They are decoded by kite-wire alone,
//! so that `checks/parquet` can compare them with what other readers find in exported files.
//!
//! `cargo run --release -p kite-export --example sums -- FILE.ktape [symbols]`
//!
//! Each column has the number of cells that are not null, the sum of their values, and the sum of
//! their values times the row number, counted from 1, which detects rows out of order. Prices are
//! in 10⁻⁷ rupees, times in nanoseconds, and a string is the sum of its bytes.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;

use kite_wire::tape::{RecordKind, Tape};
use kite_wire::{Fields, Price, Tick};

#[derive(Default)]
struct Column {
    count: u64,
    sum: i128,
    weighted: i128,
}

#[derive(Default)]
struct Sums {
    rows: i128,
    columns: BTreeMap<String, Column>,
    segments: BTreeMap<u8, u64>,
    modes: BTreeMap<&'static str, u64>,
}

impl Sums {
    fn add(&mut self, name: &str, value: impl Into<i128>) {
        let value = value.into();
        let column = self.columns.entry(name.to_owned()).or_default();
        column.count += 1;
        column.sum += value;
        column.weighted += value * self.rows;
    }

    fn text(&mut self, name: &str, text: &str) {
        self.add(name, text.bytes().map(i128::from).sum::<i128>());
    }

    fn price(&mut self, name: &str, price: Price) {
        self.add(name, price.amount().units());
    }

    fn seconds(&mut self, name: &str, seconds: u32) {
        if seconds != 0 {
            self.add(name, i128::from(seconds) * 1_000_000_000);
        }
    }

    fn tick(&mut self, tick: &Tick, symbols: bool) {
        let token = tick.instrument_token;
        self.add("instrument_token", token);
        if symbols && !token.is_multiple_of(7) {
            self.text("symbol", &format!("NSE:A&B \"{token}\", ₹"));
        }
        *self.segments.entry(tick.segment().code()).or_default() += 1;
        self.price("last_price", tick.last_price());
        let mode = match tick.fields {
            Fields::Ltp => "ltp",
            Fields::Quote(_) | Fields::IndexQuote(_) => "quote",
            _ => "full",
        };
        self.text("mode", mode);
        *self.modes.entry(mode).or_default() += 1;
        if let Some(quote) = tick.quote() {
            self.add("last_quantity", quote.last_quantity);
            self.price("average_price", tick.price(quote.average_price));
            self.add("volume", quote.volume);
            self.add("total_buy_quantity", quote.total_buy_quantity);
            self.add("total_sell_quantity", quote.total_sell_quantity);
            let ohlc = [quote.open, quote.high, quote.low, quote.close];
            self.ohlc(ohlc.map(|raw| tick.price(raw)));
        }
        if let Some(index) = tick.index() {
            let ohlc = [index.open, index.high, index.low, index.close];
            self.ohlc(ohlc.map(|raw| tick.price(raw)));
            self.price("change", tick.price(index.change));
        }
        if let Fields::IndexFull { exchange_timestamp, .. } = tick.fields {
            self.seconds("exchange_time", exchange_timestamp);
        }
        let Some(full) = tick.full() else { return };
        self.seconds("last_trade_time", full.last_trade_timestamp);
        self.seconds("exchange_time", full.exchange_timestamp);
        self.add("oi", full.open_interest);
        self.add("oi_day_high", full.open_interest_high);
        self.add("oi_day_low", full.open_interest_low);
        for (side, levels) in [("bid", full.bids), ("ask", full.asks)] {
            for (number, level) in (1..).zip(levels) {
                self.price(&format!("{side}_price_{number}"), tick.price(level.price));
                self.add(&format!("{side}_quantity_{number}"), level.quantity);
                self.add(&format!("{side}_orders_{number}"), level.orders);
            }
        }
    }

    fn ohlc(&mut self, prices: [Price; 4]) {
        for (name, price) in ["open", "high", "low", "close"].into_iter().zip(prices) {
            self.price(name, price);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: sums FILE.ktape [symbols]")?;
    let symbols = arguments.any(|argument| argument == "symbols");
    let bytes = std::fs::read(&path)?;
    let mut sums = Sums::default();
    let (mut earliest, mut latest) = (u64::MAX, 0);
    let mut kinds = BTreeMap::<&str, u64>::new();
    for record in Tape::open(&bytes)?.records() {
        let record = record?;
        let kind = match record.kind() {
            RecordKind::Binary if record.payload().len() == 1 => "heartbeat",
            RecordKind::Binary => "frame",
            RecordKind::Text => "text",
            RecordKind::Gap => "gap",
            _ => "note",
        };
        *kinds.entry(kind).or_default() += 1;
        let time = record.recv_unix_ns();
        for packet in record.frame().into_iter().flat_map(|frame| frame.packets()) {
            (earliest, latest) = (earliest.min(time), latest.max(time));
            sums.rows += 1;
            sums.add("recv_time", time);
            sums.add("account", record.source().account);
            sums.add("connection", record.source().connection);
            sums.tick(&Tick::from(packet), symbols);
        }
    }
    let columns: Vec<String> = sums
        .columns
        .iter()
        .map(|(name, Column { count, sum, weighted })| {
            format!("\"{name}\":{{\"count\":{count},\"sum\":{sum},\"weighted\":{weighted}}}")
        })
        .collect();
    let counts = |counts: Vec<(String, u64)>| {
        let counts = counts.into_iter().map(|(name, count)| format!("\"{name}\":{count}"));
        counts.collect::<Vec<_>>().join(",")
    };
    let segments = counts(sums.segments.iter().map(|(key, n)| (key.to_string(), *n)).collect());
    let modes = counts(sums.modes.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect());
    let kinds = counts(kinds.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect());
    let rows = sums.rows;
    let columns = columns.join(",\n");
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{{\"rows\":{rows},\"earliest\":{earliest},\"latest\":{latest},\n\
         \"segments\":{{{segments}}},\"modes\":{{{modes}}},\"records\":{{{kinds}}},\n\
         \"columns\":{{\n{columns}}}}}"
    )?;
    Ok(())
}
