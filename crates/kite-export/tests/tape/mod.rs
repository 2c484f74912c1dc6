//! Tapes of chosen or generated ticks to export, and the rows expected from them.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use kite_export::{ColumnKind, tick_columns};
use kite_tape::Reel;
use kite_wire::tape::{BlockBuffer, Gap, Received, RecordKind, Source, TapeHeader};
use kite_wire::{
    DepthLevel, Fields, FrameEncoder, FullFields, IndexFields, Price, QuoteFields, Tick,
};

/// 5 January 2026, 09:15 IST.
pub(crate) const OPENING: u64 = 1_767_584_700_000_000_000;

/// Every segment that has a name, and one that has none.
pub(crate) const SEGMENTS: [u8; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10];

/// A cell that is not null. Prices are in units of 10⁻⁷ rupees, times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Number(i128),
    Text(String),
}

/// A row without its nulls.
pub(crate) type Row = BTreeMap<String, Cell>;

/// A tape under construction, and the rows expected from it.
pub(crate) struct Maker {
    directory: tempfile::TempDir,
    blocks: Vec<Vec<(Received, RecordKind, Vec<u8>)>>,
    pub(crate) rows: Vec<Row>,
    random: u64,
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, blocks: vec![Vec::new()], rows: Vec::new(), random: seed }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the files in the directory besides the tape.
    pub(crate) fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> =
            files.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "day.ktape");
        names.sort();
        names
    }

    pub(crate) fn record(&mut self, recv_unix_ns: u64, kind: RecordKind, payload: &[u8]) {
        let source = Source { account: 1, connection: 2 };
        let received = Received { recv_unix_ns, source };
        self.blocks.last_mut().unwrap().push((received, kind, payload.to_vec()));
    }

    pub(crate) fn gap(&mut self, recv_unix_ns: u64, gap: &Gap) {
        self.record(recv_unix_ns, RecordKind::Gap, &gap.to_bytes());
    }

    pub(crate) fn frame(&mut self, recv_unix_ns: u64, ticks: &[Tick]) {
        let mut buffer = vec![0; 2 + ticks.len() * 186];
        let mut frame = FrameEncoder::new(&mut buffer).unwrap();
        ticks.iter().for_each(|tick| frame.push(tick).unwrap());
        let bytes = frame.finish().to_vec();
        self.record(recv_unix_ns, RecordKind::Binary, &bytes);
        self.rows.extend(ticks.iter().map(|tick| row(recv_unix_ns, tick)));
    }

    /// Adds frames of all segments and modes, random but the same for a seed.
    pub(crate) fn frames(&mut self, count: u64) {
        for index in 0..count {
            let ticks: Vec<_> = (0..1 + self.next() % 40).map(|_| self.tick()).collect();
            self.frame(OPENING + index * 1_000_000_007, &ticks);
        }
    }

    /// Puts the records that follow into another block.
    pub(crate) fn next_block(&mut self) {
        self.blocks.push(Vec::new());
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = TapeHeader { created_unix_ns: OPENING, tape_id: 0xabc, metadata: b"{}" };
        let mut file = vec![0; header.encoded_len()];
        header.encode(&mut file).unwrap();
        for (number, records) in self.blocks.iter().enumerate() {
            let room: usize = records.iter().map(|(_, _, payload)| payload.len() + 24).sum();
            let mut buffer = vec![0; room + 64];
            let mut block = BlockBuffer::new(&mut buffer, 0xabc, number as u32).unwrap();
            for (received, kind, payload) in records {
                block.push(*received, *kind, payload).unwrap();
            }
            file.extend_from_slice(block.finish());
        }
        file
    }

    pub(crate) fn reel(&self) -> Reel {
        self.reel_of(&self.bytes())
    }

    pub(crate) fn reel_of(&self, bytes: &[u8]) -> Reel {
        let path = self.path("day.ktape");
        std::fs::write(&path, bytes).unwrap();
        Reel::open([path]).unwrap()
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.random;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn number(&mut self) -> u32 {
        match self.next() % 8 {
            0 => 0,
            1 => u32::MAX,
            _ => self.next() as u32,
        }
    }

    fn price(&mut self) -> i32 {
        match self.next() % 16 {
            0 => i32::MIN,
            1 => i32::MAX,
            2 => 0,
            _ => self.next() as i32,
        }
    }

    pub(crate) fn tick(&mut self) -> Tick {
        let segment = SEGMENTS[self.next() as usize % SEGMENTS.len()];
        let instrument_token = (self.next() as u32 % 50 + 1) << 8 | u32::from(segment);
        let fields = match self.next() % 5 {
            0 => Fields::Ltp,
            1 => Fields::IndexQuote(self.index()),
            2 => Fields::IndexFull { quote: self.index(), exchange_timestamp: self.number() },
            3 => Fields::Quote(self.quote()),
            _ => Fields::Full { quote: self.quote(), full: self.full() },
        };
        Tick { instrument_token, last_price: self.price(), fields }
    }

    fn index(&mut self) -> IndexFields {
        IndexFields {
            high: self.price(),
            low: self.price(),
            open: self.price(),
            close: self.price(),
            change: self.price(),
        }
    }

    fn quote(&mut self) -> QuoteFields {
        QuoteFields {
            last_quantity: self.number(),
            average_price: self.price(),
            volume: self.number(),
            total_buy_quantity: self.number(),
            total_sell_quantity: self.number(),
            open: self.price(),
            high: self.price(),
            low: self.price(),
            close: self.price(),
        }
    }

    fn full(&mut self) -> FullFields {
        let mut level = |_| DepthLevel {
            quantity: self.number(),
            price: self.price(),
            orders: self.number() as u16,
        };
        let (bids, asks) = (std::array::from_fn(&mut level), std::array::from_fn(&mut level));
        FullFields {
            last_trade_timestamp: self.number(),
            open_interest: self.number(),
            open_interest_high: self.number(),
            open_interest_low: self.number(),
            exchange_timestamp: self.number(),
            bids,
            asks,
        }
    }
}

/// Returns a price in units of 10⁻⁷ rupees, from the text that kite-wire displays.
pub(crate) fn exact(price: Price) -> Cell {
    decimal(&price.to_string())
}

/// Reads a decimal number into units of 10⁻⁷.
pub(crate) fn decimal(text: &str) -> Cell {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    Cell::Number(format!("{whole}{decimals:0<7}").parse().unwrap())
}

/// Returns the row expected for a tick, with its symbol and depth.
pub(crate) fn row(recv_unix_ns: u64, tick: &Tick) -> Row {
    let mut row = Row::new();
    let mut put = |name: &str, cell: Cell| assert!(row.insert(name.to_owned(), cell).is_none());
    let number = |value: u32| Cell::Number(value.into());
    let price = |raw: i32| exact(tick.price(raw));
    put("recv_time", Cell::Number(recv_unix_ns.into()));
    put("account", Cell::Number(1));
    put("connection", Cell::Number(2));
    put("instrument_token", number(tick.instrument_token));
    if let Some(symbol) = symbol(tick.instrument_token) {
        put("symbol", Cell::Text(symbol));
    }
    let names: BTreeMap<u8, &str> = [
        (1, "NSE"),
        (2, "NFO"),
        (3, "CDS"),
        (4, "BSE"),
        (5, "BFO"),
        (6, "BCD"),
        (7, "MCX"),
        (8, "MCXSX"),
        (9, "INDICES"),
        (12, "NCO"),
        (10, "10"),
    ]
    .into();
    put("segment", Cell::Text(names[&tick.segment().code()].to_owned()));
    put("last_price", price(tick.last_price));
    let mode = match tick.fields {
        Fields::Ltp => "ltp",
        Fields::IndexQuote(_) | Fields::Quote(_) => "quote",
        _ => "full",
    };
    put("mode", Cell::Text(mode.to_owned()));
    if let Some(quote) = tick.quote() {
        put("last_quantity", number(quote.last_quantity));
        put("average_price", price(quote.average_price));
        put("volume", number(quote.volume));
        put("total_buy_quantity", number(quote.total_buy_quantity));
        put("total_sell_quantity", number(quote.total_sell_quantity));
    }
    let ohlc = match (tick.quote(), tick.index()) {
        (Some(it), _) => Some([it.open, it.high, it.low, it.close]),
        (_, Some(it)) => Some([it.open, it.high, it.low, it.close]),
        _ => None,
    };
    for (name, raw) in ["open", "high", "low", "close"].into_iter().zip(ohlc.into_iter().flatten())
    {
        put(name, price(raw));
    }
    if let Some(index) = tick.index() {
        put("change", price(index.change));
    }
    let mut time = |name: &str, seconds: u32| {
        if seconds != 0 {
            put(name, Cell::Number(i128::from(seconds) * 1_000_000_000));
        }
    };
    if let Fields::IndexFull { exchange_timestamp, .. } = tick.fields {
        time("exchange_time", exchange_timestamp);
    }
    if let Some(full) = tick.full() {
        time("last_trade_time", full.last_trade_timestamp);
        time("exchange_time", full.exchange_timestamp);
        put("oi", number(full.open_interest));
        put("oi_day_high", number(full.open_interest_high));
        put("oi_day_low", number(full.open_interest_low));
        for (side, levels) in [("bid", full.bids), ("ask", full.asks)] {
            for (number, level) in (1..).zip(levels) {
                put(&format!("{side}_price_{number}"), price(level.price));
                put(&format!("{side}_quantity_{number}"), Cell::Number(level.quantity.into()));
                put(&format!("{side}_orders_{number}"), Cell::Number(level.orders.into()));
            }
        }
    }
    row
}

/// Returns a symbol that needs escaping in every format, or none for some instruments.
pub(crate) fn symbol(instrument_token: u32) -> Option<String> {
    (!instrument_token.is_multiple_of(3)).then(|| format!("NSE:M&M \"{instrument_token}\", ₹\\\t"))
}

/// Returns the kind of a column of ticks.
pub(crate) fn kind_of(name: &str) -> ColumnKind {
    tick_columns(true, true).into_iter().find(|column| column.name == name).unwrap().kind
}

/// Parses an RFC 3339 time in UTC into nanoseconds since the Unix epoch.
pub(crate) fn unix_ns(text: &str) -> i128 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i128>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let is_leap = |year: i128| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut days: i128 = (1970..year).map(|year| 365 + i128::from(is_leap(year))).sum();
    let february = 28 + i128::from(is_leap(year));
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    days += months[..month as usize - 1].iter().sum::<i128>() + day - 1;
    let seconds = days * 86_400 + number(11..13) * 3_600 + number(14..16) * 60 + number(17..19);
    let fraction = text[19..].strip_suffix('Z').unwrap();
    let nanoseconds = match fraction.strip_prefix('.') {
        Some(digits) => {
            assert_eq!(digits.len(), 9, "{text}");
            digits.parse().unwrap()
        }
        None => {
            assert_eq!(fraction, "", "{text}");
            0
        }
    };
    seconds * 1_000_000_000 + nanoseconds
}
