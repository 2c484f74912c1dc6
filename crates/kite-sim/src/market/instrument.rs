//! One simulated instrument: price, volume, depth and open interest from step to step.
//!
//! Uses no I/O, clock or shared generator. The state of an instrument is a function of seed,
//! instrument token and step number alone, so the same seed produces the same bytes per instrument,
//! regardless of how the updates of several instruments and sockets interleave.

use kite_wire::{DepthLevel, Fields, FullFields, IndexFields, Mode, QuoteFields, Segment, Tick};

use super::known;
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

/// Properties that follow from the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listing {
    /// Tick size in the segment's smallest unit.
    tick: i32,
    /// Lowest and highest start price of an unknown instrument, in ticks.
    lowest: u32,
    highest: u32,
    lot: u32,
    has_open_interest: bool,
    is_index: bool,
}

impl Listing {
    fn new(token: u32, noise: u64) -> Self {
        let listing = Self::of_segment(Segment::of_token(token), noise);
        match known::find(token) {
            Some(known) => Self { tick: known.tick, lot: known.lot, ..listing },
            None => listing,
        }
    }

    fn of_segment(segment: Segment, noise: u64) -> Self {
        let share = Self {
            tick: 5,
            lowest: 1_000,
            highest: 100_000,
            lot: 1,
            has_open_interest: false,
            is_index: false,
        };
        let future = Self { has_open_interest: true, ..share };
        match segment {
            Segment::Nfo | Segment::Bfo => {
                let lot = [25, 50, 75, 500][(noise % 4) as usize];
                Self { lowest: 400, highest: 40_000, lot, ..future }
            }
            Segment::Cds => Self { tick: 25_000, lowest: 24_000, highest: 48_000, ..future },
            Segment::Bcd => Self { tick: 25, lowest: 24_000, highest: 48_000, ..future },
            Segment::Mcx => Self { lowest: 2_000, highest: 1_500_000, ..future },
            Segment::Nco => Self { tick: 500, lowest: 2_000, highest: 180_000, ..future },
            Segment::McxSx => future,
            Segment::Indices => {
                Self { lowest: 100_000, highest: 1_600_000, is_index: true, ..share }
            }
            _ => share,
        }
    }
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: u32 = 1_754_279_100;

    fn stepped(seed: u64, token: u32, steps: u32) -> Instrument {
        let mut instrument = Instrument::new(seed, token, START);
        (0..steps).for_each(|_| instrument.advance());
        instrument
    }

    fn any_token() -> impl Strategy<Value = u32> {
        let segment = prop_oneof![1_u32..=9, Just(12), Just(77)];
        (1_u32..1 << 24, segment).prop_map(|(id, segment)| id << 8 | segment)
    }

    proptest! {
        #[test]
        fn every_tick_is_consistent(seed: u64, token in any_token(), steps in 0_u32..400) {
            let instrument = stepped(seed, token, steps);
            let tick = instrument.tick(Mode::Full);
            let last = tick.last_price;
            prop_assert!(last > 0);
            if let Some(index) = tick.index() {
                prop_assert_eq!(token & 0xff, 9);
                prop_assert!(index.low <= last && last <= index.high);
                prop_assert!(index.low <= index.open && index.open <= index.high);
                prop_assert_eq!(index.change, last - index.close);
                return Ok(());
            }
            let (quote, full) = (tick.quote().unwrap(), tick.full().unwrap());
            prop_assert!(quote.low <= last && last <= quote.high);
            prop_assert!(quote.low <= quote.open && quote.open <= quote.high);
            prop_assert!(quote.low <= quote.average_price && quote.average_price <= quote.high);
            prop_assert!(quote.close > 0 && quote.last_quantity > 0);

            prop_assert!(full.bids[0].price <= last && last <= full.asks[0].price);
            prop_assert!(full.bids[0].price < full.asks[0].price);
            prop_assert!(full.bids.is_sorted_by(|a, b| a.price > b.price));
            prop_assert!(full.asks.is_sorted_by(|a, b| a.price < b.price));
            prop_assert!(full.bids[4].price > 0);
            for level in full.bids.iter().chain(&full.asks) {
                prop_assert!(level.orders > 0 && level.quantity >= u32::from(level.orders));
            }
            let shown: u32 = full.bids.iter().map(|level| level.quantity).sum();
            prop_assert!(quote.total_buy_quantity >= shown);
            let shown: u32 = full.asks.iter().map(|level| level.quantity).sum();
            prop_assert!(quote.total_sell_quantity >= shown);
            prop_assert!(full.open_interest_low <= full.open_interest);
            prop_assert!(full.open_interest <= full.open_interest_high);
            prop_assert_eq!(full.exchange_timestamp, START + steps / 2);
            prop_assert!(full.last_trade_timestamp <= full.exchange_timestamp);
        }

        #[test]
        fn prices_move_in_ticks_of_the_segment(seed: u64, token in any_token()) {
            let tick_size = match Segment::of_token(token) {
                Segment::Cds => 25_000,
                Segment::Bcd => 25,
                Segment::Nco => 500,
                _ => 5,
            };
            let mut instrument = Instrument::new(seed, token, START);
            for _ in 0..50 {
                let before = instrument.tick(Mode::Ltp).last_price;
                instrument.advance();
                let after = instrument.tick(Mode::Ltp).last_price;
                prop_assert_eq!(after % tick_size, 0);
                prop_assert!((after - before).abs() <= (3 * tick_size).max(before / 10_000));
            }
        }

        #[test]
        fn volume_grows_by_the_last_quantity(seed: u64, token in any_token()) {
            prop_assume!(token & 0xff != 9);
            let mut instrument = Instrument::new(seed, token, START);
            for _ in 0..50 {
                let before = instrument.tick(Mode::Quote).quote().unwrap().volume;
                instrument.advance();
                let quote = *instrument.tick(Mode::Quote).quote().unwrap();
                prop_assert_eq!(quote.volume, before + quote.last_quantity);
            }
        }

        #[test]
        fn leaner_modes_show_the_same_state(seed: u64, token in any_token(), steps in 0_u32..50) {
            let instrument = stepped(seed, token, steps);
            let [ltp, quote, full] = Mode::ALL.map(|mode| instrument.tick(mode));
            prop_assert_eq!([ltp.kind().mode(), quote.kind().mode()], [Mode::Ltp, Mode::Quote]);
            prop_assert_eq!(full.kind().mode(), Mode::Full);
            prop_assert_eq!(ltp.last_price, full.last_price);
            prop_assert_eq!(quote.last_price, full.last_price);
            prop_assert_eq!(quote.quote(), full.quote());
            prop_assert_eq!(quote.index(), full.index());
        }

        #[test]
        fn a_new_day_restarts_volume_and_stays_consistent(seed: u64, token in any_token()) {
            let mut instrument = stepped(seed, token, 40);
            let before = instrument.clone();
            instrument.next_day();
            prop_assert_eq!(instrument.step(), before.step());
            prop_assert_eq!(instrument.tick(Mode::Ltp), before.tick(Mode::Ltp));
            if token & 0xff == 9 {
                prop_assert_eq!(instrument.volume(), None);
                return Ok(());
            }
            prop_assert!(instrument.volume() < before.volume());
            instrument.advance();
            let tick = instrument.tick(Mode::Full);
            let (quote, full) = (tick.quote().unwrap(), tick.full().unwrap());
            prop_assert_eq!(Some(quote.volume), instrument.volume());
            prop_assert!(quote.low <= quote.average_price && quote.average_price <= quote.high);
            prop_assert_eq!(quote.close, before.tick(Mode::Ltp).last_price);
            prop_assert_eq!(full.exchange_timestamp, START + DAY_S + 41 / 2);
        }

        #[test]
        fn the_same_seed_yields_the_same_state(seed: u64, token in any_token(), steps in 0_u32..50) {
            prop_assert_eq!(stepped(seed, token, steps), stepped(seed, token, steps));
        }
    }

    #[test]
    fn another_seed_yields_another_market() {
        assert_ne!(Instrument::new(1, 408_065, START), Instrument::new(2, 408_065, START));
        assert_ne!(
            Instrument::new(1, 408_065, START).last,
            Instrument::new(1, 408_065 + 256, START).last
        );
    }

    #[test]
    fn only_derivatives_have_open_interest() {
        let open_interest = |segment: u32| {
            let tick = stepped(1, 5_000 << 8 | segment, 9).tick(Mode::Full);
            tick.full().unwrap().open_interest
        };
        assert_eq!([1, 4].map(open_interest), [0, 0]);
        assert!([2, 3, 5, 6, 7, 12].map(open_interest).iter().all(|&value| value > 0));
    }

    /// Steps of a trading day, 09:15 to 15:30.
    const DAY_STEPS: u32 = 45_000;

    /// Returns the largest distance of a day's high, low, open and close from the start price, as a
    /// fraction of the start price.
    fn farthest_in_a_day(seed: u64, token: u32) -> f64 {
        let mut instrument = Instrument::new(seed, token, START);
        let start = f64::from(instrument.last);
        for _ in 0..DAY_STEPS {
            instrument.advance();
        }
        let Instrument { low, high, open, close, .. } = instrument;
        let far = |price: i32| (f64::from(price) - start).abs() / start;
        [low, high, open, close].into_iter().map(far).fold(0.0, f64::max)
    }

    #[test]
    fn a_day_of_steps_stays_within_five_percent_of_its_start() {
        let unknown = [1_u32, 2, 3, 4, 5, 6, 7, 8, 9, 12].map(|segment| 1_594 << 8 | segment);
        let is_option = |name: &str| name.ends_with("CE") || name.ends_with("PE");
        let known = known::known_instruments().filter(|(_, name)| !is_option(name));
        for token in unknown.into_iter().chain(known.map(|(token, _)| token)) {
            let most = if token == 264_969 { 0.20 } else { 0.05 };
            for seed in 1..4 {
                let far = farthest_in_a_day(seed, token);
                assert!(far < most, "{token}: {far}");
                assert!(far > 0.0005, "{token} does not move: {far}");
            }
        }
        let mut low = Instrument::new(3, 1_594 << 8 | 3, START);
        (0..DAY_STEPS).for_each(|_| low.advance());
        assert!(low.tick(Mode::Full).full().unwrap().asks[4].price > 0);
    }

    #[test]
    fn known_instruments_start_at_plausible_prices() {
        let rupees = |seed, token| Instrument::new(seed, token, START).tick(Mode::Ltp).last_price();
        for (token, price) in [
            (256_265, 26_000.0),
            (260_105, 59_000.0),
            (265, 85_000.0),
            (264_969, 12.0),
            (738_561, 1_550.0),
            (408_065, 1_500.0),
            (341_249, 1_000.0),
        ] {
            for seed in 0..20 {
                let start = rupees(seed, token).to_f64();
                assert!((start / price - 1.0).abs() < 0.006, "{token}: {start}");
            }
        }
    }
}
