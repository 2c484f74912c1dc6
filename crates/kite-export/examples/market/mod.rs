//! A generated market of instruments of every segment and mode, with random-walk prices.

use kite_wire::{DepthLevel, Fields, FullFields, IndexFields, QuoteFields, Tick};

/// 5 January 2026, 09:15 IST, in seconds since the Unix epoch.
pub(crate) const OPENING: u32 = 1_767_584_700;

/// Number of instruments per segment in 100, roughly as in an active account; one segment has no
/// name.
const SEGMENTS: [(u8, u32); 11] =
    [(1, 30), (2, 34), (3, 5), (4, 8), (5, 5), (6, 3), (7, 6), (8, 1), (9, 4), (12, 3), (10, 1)];

/// The state of all instruments.
pub(crate) struct Market {
    ticks: Vec<Tick>,
    random: u64,
    next: usize,
}

impl Market {
    /// Lists instruments: all in full mode, or each in a random mode.
    pub(crate) fn new(instruments: u32, all_full: bool) -> Self {
        let mut market = Self { ticks: Vec::new(), random: 20_260_105, next: 0 };
        for number in 0..instruments {
            let mut share = number % 100;
            let segment = SEGMENTS.into_iter().find(|&(_, shares)| {
                let is_in = share < shares;
                share = share.saturating_sub(shares);
                is_in
            });
            let code = segment.map_or(1, |(code, _)| code);
            let tick = market.listed((number + 1) << 8 | u32::from(code), all_full);
            market.ticks.push(tick);
        }
        market
    }

    fn listed(&mut self, instrument_token: u32, all_full: bool) -> Tick {
        let last_price = 1_000 + self.below(5_000_000) as i32;
        let mode = if all_full { 2 } else { self.below(3) };
        let index = IndexFields { open: last_price, close: last_price, ..IndexFields::default() };
        let quote = QuoteFields { open: last_price, close: last_price, ..QuoteFields::default() };
        let fields = match (mode, instrument_token & 0xff) {
            (0, _) => Fields::Ltp,
            (1, 9) => Fields::IndexQuote(index),
            (_, 9) => Fields::IndexFull { quote: index, exchange_timestamp: OPENING },
            (1, _) => Fields::Quote(quote),
            _ => Fields::Full { quote, full: FullFields::default() },
        };
        Tick { instrument_token, last_price, fields }
    }

    /// Advances the next instrument and returns its state.
    pub(crate) fn tick(&mut self, second: u32) -> Tick {
        self.next = (self.next + 1 + self.below(3) as usize) % self.ticks.len();
        let mut tick = self.ticks[self.next];
        let traded = self.below(200);
        // In steps of five of the smallest unit, as exchanges do.
        tick.last_price = (tick.last_price + (self.below(5) as i32 - 2) * 5).max(5);
        let last = tick.last_price;
        match &mut tick.fields {
            Fields::IndexQuote(index) => walk_index(index, last),
            Fields::IndexFull { quote, exchange_timestamp } => {
                walk_index(quote, last);
                *exchange_timestamp = second;
            }
            Fields::Quote(quote) => self.walk_quote(quote, last, traded),
            Fields::Full { quote, full } => {
                self.walk_quote(quote, last, traded);
                full.last_trade_timestamp = if quote.volume == 0 { 0 } else { second };
                full.open_interest = quote.volume / 3;
                full.open_interest_high = full.open_interest_high.max(full.open_interest);
                full.exchange_timestamp = second;
                for step in 0..5 {
                    full.bids[step as usize] = self.level(last - 5 * (step + 1));
                    full.asks[step as usize] = self.level(last + 5 * (step + 1));
                }
            }
            _ => {}
        }
        self.ticks[self.next] = tick;
        tick
    }

    fn walk_quote(&mut self, quote: &mut QuoteFields, last: i32, traded: u32) {
        quote.last_quantity = traded;
        quote.volume = quote.volume.wrapping_add(traded);
        quote.average_price = quote.open + (last - quote.open) / 2;
        quote.total_buy_quantity = self.below(2_000_000);
        quote.total_sell_quantity = self.below(2_000_000);
        quote.high = quote.high.max(last);
        quote.low = if quote.low == 0 { last } else { quote.low.min(last) };
    }

    fn level(&mut self, price: i32) -> DepthLevel {
        let orders = self.below(60) as u16;
        DepthLevel { quantity: u32::from(orders) * (1 + self.below(50)), price, orders }
    }

    fn below(&mut self, limit: u32) -> u32 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.random;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((value ^ (value >> 31)) % u64::from(limit)) as u32
    }
}

fn walk_index(index: &mut IndexFields, last: i32) {
    index.high = index.high.max(last);
    index.low = if index.low == 0 { last } else { index.low.min(last) };
    index.change = last - index.close;
}
