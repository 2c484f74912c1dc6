//! One simulated instrument: price, volume, depth and open interest from step to step.
//!
//! Uses no I/O, clock or shared generator. The state of an instrument is a function of seed,
//! instrument token and step number alone, so the same seed produces the same bytes per instrument,
//! regardless of how the updates of several instruments and sockets interleave.

use kite_wire::{DepthLevel, Fields, FullFields, IndexFields, Mode, QuoteFields, Tick};

use super::listing::Listing;
use super::price::{self, Price};
use crate::hash::noise;

/// Steps of an instrument per second of its simulated time, Kite's usual update rate.
const STEPS_PER_SECOND: u64 = 2;
pub(super) const DAY_S: u32 = 24 * 60 * 60;
/// Levels on each side of the market depth.
const LEVELS: u32 = 5;

/// One simulated instrument. Its price walks in ticks; volume grows with every step.
///
/// [`known_instruments`](crate::known_instruments) start near their prices of late 2025: futures
/// near their underlying, options by intrinsic and time value. Any other token starts at a price
/// that is plausible for its segment. A price stays within 5 percent of its start (INDIA VIX: 20
/// percent); an option's follows its underlying.
///
/// The token's low byte determines the segment, the unit of the price and, for an unknown token,
/// the tick size: 0.0025 rupees for CDS and BCD, 0.05 for all others. Segment 9 holds indices,
/// which have neither volume nor depth. The simulated time advances by a second every two steps,
/// independently of the wall clock, so that every run sends the same bytes.
///
/// ```
/// use kite_sim::Instrument;
/// use kite_wire::Mode;
///
/// let (mut a, mut b) = (Instrument::new(7, 408_065, 0), Instrument::new(7, 408_065, 0));
/// a.advance();
/// assert_ne!(a.tick(Mode::Full), b.tick(Mode::Full));
/// b.advance();
/// assert_eq!(a.tick(Mode::Full), b.tick(Mode::Full));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    token: u32,
    key: u64,
    step: u64,
    start_unix_s: u32,
    /// The times of the last trade and of this state, if a clock that runs has stamped it.
    stamp: Option<Stamp>,
    listing: Listing,
    price: Price,
    /// Prices are counted in ticks.
    last: i32,
    open: i32,
    high: i32,
    low: i32,
    close: i32,
    last_quantity: u32,
    volume: u64,
    /// Sum of price (in ticks) times quantity over the day.
    turnover: u64,
    open_interest: u32,
    open_interest_high: u32,
    open_interest_low: u32,
}

/// The times of a state, in seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    traded_unix_s: u32,
    state_unix_s: u32,
}

impl Instrument {
    /// Creates an instrument at step 0, with its simulated clock at `start_unix_s` (Unix seconds).
    #[must_use]
    pub fn new(seed: u64, token: u32, start_unix_s: u32) -> Self {
        let key = price::key(seed, token);
        let listing = Listing::new(token, noise(key, 0, 1));
        let span = u64::from(listing.highest - listing.lowest);
        // At most 1,600,000 ticks, so it fits.
        let start = (u64::from(listing.lowest) + noise(key, 0, 8) % span) as i64;
        let price = Price::new(seed, token, listing.tick, start * i64::from(listing.tick));
        let (last, open, close) = (price.last(), price.first_open(), price.first_close());
        let lots = 1_000 + noise(key, 0, 9) % 99_000;
        let volume = lots * u64::from(listing.lot);
        let open_interest = match listing.has_open_interest {
            true => listing.lot * (10_000 + (noise(key, 0, 10) % 90_000) as u32),
            false => 0,
        };
        Self {
            token,
            key,
            step: 0,
            start_unix_s,
            stamp: None,
            listing,
            price,
            last,
            open,
            high: open.max(last),
            low: open.min(last),
            close,
            last_quantity: listing.lot,
            volume,
            turnover: volume / 2 * open as u64 + (volume - volume / 2) * last as u64,
            open_interest,
            open_interest_high: open_interest,
            open_interest_low: open_interest,
        }
    }

    /// Returns the instrument token.
    #[must_use]
    pub fn token(&self) -> u32 {
        self.token
    }

    /// Returns the number of steps so far.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Returns the volume traded on the day so far, as the server sends it: at most `u32::MAX`;
    /// `None` for an index.
    #[must_use]
    pub fn volume(&self) -> Option<u32> {
        (!self.listing.is_index).then(|| u32::try_from(self.volume).unwrap_or(u32::MAX))
    }

    /// Starts the next trading day with a first trade at the last price: volume restarts, the last
    /// price becomes the previous close, and the clock moves one day ahead.
    pub fn next_day(&mut self) {
        self.price.next_day();
        self.start_unix_s = self.start_unix_s.saturating_add(DAY_S);
        self.close = self.last;
        self.open = self.last;
        self.high = self.last;
        self.low = self.last;
        self.last_quantity = self.listing.lot;
        self.volume = u64::from(self.last_quantity);
        self.turnover = self.volume * self.last as u64;
        self.open_interest_high = self.open_interest;
        self.open_interest_low = self.open_interest;
    }

    /// Advances one step, which is a trade at a price near the last.
    pub fn advance(&mut self) {
        self.step += 1;
        let noise = noise(self.key, self.step, 0);
        let [_, b1, b2, b3, ..] = noise.to_le_bytes();

        self.price.advance();
        self.last = self.price.last();
        self.high = self.high.max(self.last);
        self.low = self.low.min(self.last);

        let lot = self.listing.lot;
        self.last_quantity = lot * (1 + u32::from(b1 % 20));
        self.volume += u64::from(self.last_quantity);
        self.turnover += u64::from(self.last_quantity) * self.last as u64;

        if self.listing.has_open_interest {
            let change = lot * u32::from(b2 % 5);
            self.open_interest = match b3 % 2 {
                0 => self.open_interest.saturating_add(change),
                _ => self.open_interest.saturating_sub(change),
            };
            self.open_interest_high = self.open_interest_high.max(self.open_interest);
            self.open_interest_low = self.open_interest_low.min(self.open_interest);
        }
    }

    /// Returns the current state as the server sends it in this mode.
    #[must_use]
    pub fn tick(&self, mode: Mode) -> Tick {
        let fields = match (mode, self.listing.is_index) {
            (Mode::Ltp, _) => Fields::Ltp,
            (Mode::Quote, true) => Fields::IndexQuote(self.index()),
            (Mode::Full, true) => Fields::IndexFull {
                quote: self.index(),
                exchange_timestamp: self.exchange_unix_s(),
            },
            (Mode::Quote, false) => Fields::Quote(self.quote()),
            (Mode::Full, false) => Fields::Full { quote: self.quote(), full: self.full() },
        };
        Tick { instrument_token: self.token, last_price: self.in_units(self.last), fields }
    }

    fn in_units(&self, ticks: i32) -> i32 {
        ticks * self.listing.tick
    }

    /// Sets the time of this state, which is also that of its last trade if `is_trade`, or if none
    /// has been set. Without this, time advances with the steps.
    pub(super) fn stamp(&mut self, now_unix_s: u32, is_trade: bool) {
        let earlier = self.stamp.filter(|_| !is_trade).map(|stamp| stamp.traded_unix_s);
        let traded_unix_s = earlier.unwrap_or(now_unix_s);
        self.stamp = Some(Stamp { traded_unix_s, state_unix_s: now_unix_s });
    }

    fn last_trade_unix_s(&self) -> u32 {
        self.stamp.map_or_else(|| self.exchange_unix_s(), |stamp| stamp.traded_unix_s)
    }

    fn exchange_unix_s(&self) -> u32 {
        if let Some(stamp) = self.stamp {
            return stamp.state_unix_s;
        }
        let elapsed_s = u32::try_from(self.step / STEPS_PER_SECOND).unwrap_or(u32::MAX);
        self.start_unix_s.saturating_add(elapsed_s)
    }

    fn index(&self) -> IndexFields {
        IndexFields {
            high: self.in_units(self.high),
            low: self.in_units(self.low),
            open: self.in_units(self.open),
            close: self.in_units(self.close),
            change: self.in_units(self.last - self.close),
        }
    }

    fn quote(&self) -> QuoteFields {
        let waiting = noise(self.key, self.step, 1);
        // More than the sum of the five shown levels, which hold at most 64 lots each.
        let beyond = |noise: u64| self.listing.lot * (64 * LEVELS + (noise % 10_000) as u32);
        let average = self.turnover * self.listing.tick as u64 / self.volume;
        QuoteFields {
            last_quantity: self.last_quantity,
            // An average of prices that fit, so it fits.
            average_price: average as i32,
            volume: self.volume().unwrap_or_default(),
            total_buy_quantity: beyond(waiting),
            total_sell_quantity: beyond(waiting >> 32),
            open: self.in_units(self.open),
            high: self.in_units(self.high),
            low: self.in_units(self.low),
            close: self.in_units(self.close),
        }
    }

    fn full(&self) -> FullFields {
        let shape = noise(self.key, self.step, 2);
        // The last trade hit the best bid or the best ask, or fell between them.
        let best_bid = self.last - (shape & 1) as i32;
        let best_ask = best_bid + 1 + (shape >> 1 & 1) as i32;
        let level = |best: i32, direction: i32, lane: u64, depth: usize| {
            let noise = noise(self.key, self.step, lane + depth as u64);
            let lots = 1 + (noise % 64) as u32;
            DepthLevel {
                quantity: self.listing.lot * lots,
                price: self.in_units(best + direction * depth as i32),
                orders: 1 + ((noise >> 32) % u64::from(lots)) as u16,
            }
        };
        FullFields {
            last_trade_timestamp: self.last_trade_unix_s(),
            open_interest: self.open_interest,
            open_interest_high: self.open_interest_high,
            open_interest_low: self.open_interest_low,
            exchange_timestamp: self.exchange_unix_s(),
            bids: std::array::from_fn(|depth| level(best_bid, -1, 16, depth)),
            asks: std::array::from_fn(|depth| level(best_ask, 1, 32, depth)),
        }
    }
}

#[cfg(test)]
mod tests;
