//! Prices, as bounded walks around a start price or derived from such a walk.
//!
//! Integers throughout except for the price of an option, whose square root IEEE 754 rounds
//! identically everywhere, so the same seed produces the same bytes on any machine.

use super::known::{self, Known, Terms};
use crate::hash::{mix, noise};

/// Deviations and rates are counted in parts per billion.
const ONE: i64 = 1_000_000_000;
const PER_MILLE: i64 = ONE / 1_000;
/// Farthest move of one step, 0.4 basis points, unless two ticks are more.
const REACH: i64 = 40_000;
/// Farthest that the start is from the price in the list.
const START_REACH: i64 = 5 * PER_MILLE;
/// Farthest that the day's open is from the start.
const OPEN_REACH: i64 = 2 * PER_MILLE;
/// Farthest that the close of the day before is from the start.
const CLOSE_REACH: i64 = 8 * PER_MILLE;
/// Usual and largest deviation of a price, in parts per thousand.
const USUAL_SPREAD: i64 = 8;
const USUAL_LIMIT: i64 = 40;
/// Yearly cost of carry, 6.5 percent.
const CARRY: i64 = 65 * PER_MILLE;
/// Farthest that a future is from its fair value.
const BASIS_REACH: i64 = 40_000;
/// Yearly volatility that options are priced at.
const VOLATILITY: f64 = 0.12;
const YEAR_DAYS: i64 = 365;
/// An option never falls below this, so that five bids fit below it.
const LEAST_OPTION_TICKS: i64 = 10;

/// Mixes a seed with a token. The result seeds all noise of an instrument.
pub(super) fn key(seed: u64, token: u32) -> u64 {
    mix(mix(seed) ^ u64::from(token))
}

/// Returns a value from `-reach` to `reach`.
fn within(noise: u64, reach: i64) -> i64 {
    (noise % (2 * reach as u64 + 1)) as i64 - reach
}

/// The price of one instrument: independent, or derived from that of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Price {
    key: u64,
    tick: i64,
    walk: Walk,
    contract: Option<Contract>,
    /// Steps so far.
    step: u64,
    /// Trading days since the first.
    day: u32,
}

/// A contract priced from a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Contract {
    terms: Terms,
    days: u32,
}

/// A price that walks around an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Walk {
    /// Key of the underlying; all contracts on it follow the same path.
    key: u64,
    /// In the segment's smallest unit.
    anchor: i64,
    deviation: i64,
    /// Farthest move of a step.
    reach: i64,
    /// A step undoes one part in this many of the deviation.
    return_steps: i64,
    limit: i64,
}

impl Walk {
    fn new(key: u64, anchor: i64, tick: i64, spread: i64) -> Self {
        let reach = REACH.max(2 * tick * ONE / anchor);
        let limit = USUAL_LIMIT.max(3 * spread) * PER_MILLE;
        let spread = spread * PER_MILLE;
        Self {
            key,
            anchor,
            deviation: within(noise(key, 0, 2), START_REACH),
            reach,
            // With this pull back, uniformly distributed steps deviate as far as the spread.
            return_steps: (6 * spread * spread / (reach * reach)).max(8),
            limit,
        }
    }

    /// Returns the walk of an instrument with an independent price.
    fn of(seed: u64, known: &Known) -> Option<Self> {
        let (start, spread) = match known.terms {
            Terms::Spot { start } => (start, USUAL_SPREAD),
            Terms::Index { start, spread } => (start, spread),
            Terms::Future { .. } | Terms::Call { .. } | Terms::Put { .. } => return None,
        };
        Some(Self::new(key(seed, known.token), start, known.tick.into(), spread))
    }

    fn advance(&mut self, step: u64) {
        let moved = self.deviation + within(noise(self.key, step, 3), self.reach)
            - self.deviation / self.return_steps;
        self.deviation = moved.clamp(-self.limit, self.limit);
    }

    /// Returns the price at a deviation, in the smallest unit.
    fn at(&self, deviation: i64) -> i64 {
        scaled(self.anchor, deviation)
    }
}

/// Returns a price raised by `more` parts per billion.
fn scaled(price: i64, more: i64) -> i64 {
    // At most the price of gold times 10⁹, well within 64 bits.
    price * (ONE + more) / ONE
}

impl Price {
    /// Creates the price of a token. An unknown token starts near `unknown_start`, in the smallest
    /// unit of its segment.
    pub(super) fn new(seed: u64, token: u32, tick: i32, unknown_start: i64) -> Self {
        let own = |known: Option<&Known>| known.and_then(|known| Walk::of(seed, known));
        let known = known::find(token);
        let contract = known.and_then(|known| Contract::of(known.terms));
        let walk = match contract {
            Some(contract) => own(known::find(contract.underlying())),
            None => own(known),
        };
        let (key, tick) = (key(seed, token), i64::from(tick));
        let walk = walk.unwrap_or_else(|| Walk::new(key, unknown_start, tick, USUAL_SPREAD));
        Self { key, tick, walk, contract, step: 0, day: 0 }
    }

    /// Returns the last price, in ticks.
    pub(super) fn last(&self) -> i32 {
        self.at(self.walk.deviation)
    }

    /// Returns the first price of the day on which the walk starts, in ticks.
    pub(super) fn first_open(&self) -> i32 {
        self.at(self.walk.deviation + within(noise(self.walk.key, 0, 4), OPEN_REACH))
    }

    /// Returns the close of the day before, in ticks.
    pub(super) fn first_close(&self) -> i32 {
        self.at(self.walk.deviation + within(noise(self.walk.key, 0, 5), CLOSE_REACH))
    }

    pub(super) fn advance(&mut self) {
        self.step += 1;
        self.walk.advance(self.step);
    }

    pub(super) fn next_day(&mut self) {
        self.day = self.day.saturating_add(1);
    }

    fn at(&self, deviation: i64) -> i32 {
        let spot = self.walk.at(deviation);
        let price = match self.contract {
            Some(contract) => {
                let basis = within(noise(self.key, self.step, 6), BASIS_REACH);
                contract.price(spot, self.day, basis)
            }
            None => spot,
        };
        let least = if self.is_option() { LEAST_OPTION_TICKS } else { 1 };
        // Half a tick more, so that the division rounds.
        let ticks = (price + self.tick / 2) / self.tick;
        i32::try_from(ticks.max(least)).unwrap_or(i32::MAX)
    }

    fn is_option(&self) -> bool {
        let terms = self.contract.map(|contract| contract.terms);
        matches!(terms, Some(Terms::Call { .. } | Terms::Put { .. }))
    }
}

impl Contract {
    fn of(terms: Terms) -> Option<Self> {
        match terms {
            Terms::Spot { .. } | Terms::Index { .. } => None,
            Terms::Future { days, .. } | Terms::Call { days, .. } | Terms::Put { days, .. } => {
                Some(Self { terms, days })
            }
        }
    }

    fn underlying(self) -> u32 {
        match self.terms {
            Terms::Future { of, .. } | Terms::Call { of, .. } | Terms::Put { of, .. } => of,
            // `of` creates no contract with these terms.
            Terms::Spot { .. } | Terms::Index { .. } => 0,
        }
    }

    /// Returns the price at a spot price on a trading day.
    fn price(self, spot: i64, day: u32, basis: i64) -> i64 {
        let days = self.days.saturating_sub(day).max(1);
        let future = forward(spot, days);
        match self.terms {
            Terms::Future { .. } => scaled(future, basis),
            Terms::Call { strike, .. } => option(future, future - strike, days),
            Terms::Put { strike, .. } => option(future, strike - future, days),
            Terms::Spot { .. } | Terms::Index { .. } => spot,
        }
    }
}

/// Returns the fair price of delivery after `days` days.
fn forward(spot: i64, days: u32) -> i64 {
    scaled(spot, CARRY * i64::from(days) / YEAR_DAYS)
}

/// Returns the price of an option that is in the money by `in_the_money`.
///
/// It is a hyperbola with the intrinsic value as its asymptotes. It has the usual price at the
/// money (0.4 × price × volatility × √years), is never below the intrinsic value and is monotone in
/// the strike; call less put is exactly the distance from the strike.
fn option(future: i64, in_the_money: i64, days: u32) -> i64 {
    let years = f64::from(days) / YEAR_DAYS as f64;
    let at_the_money = 0.4 * future as f64 * VOLATILITY * years.sqrt();
    let distance = in_the_money as f64 / 2.0;
    // Not negative, because the root is at least as large as the distance.
    (distance + (distance * distance + at_the_money * at_the_money).sqrt()) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(seed: u64, token: u32, steps: u64) -> Price {
        let tick = known::find(token).unwrap().tick;
        let mut price = Price::new(seed, token, tick, 0);
        (0..steps).for_each(|_| price.advance());
        price
    }

    /// Returns a price in rupees or points, for a smallest unit of a hundredth.
    fn rupees(seed: u64, token: u32, steps: u64) -> f64 {
        let price = price(seed, token, steps);
        f64::from(price.last()) * price.tick as f64 / 100.0
    }

    #[test]
    fn known_tokens_are_distinct_and_their_contracts_are_on_known_instruments() {
        let mut tokens: Vec<u32> = known::KNOWN.iter().map(|known| known.token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), known::KNOWN.len());
        for known in &known::KNOWN {
            if let Some(contract) = Contract::of(known.terms) {
                let spot = known::find(contract.underlying()).unwrap();
                assert!(Walk::of(1, spot).is_some(), "{}", known.name);
            }
        }
    }

    #[test]
    fn a_future_stays_within_a_percent_of_its_fair_value() {
        for known in &known::KNOWN {
            let Terms::Future { of, days } = known.terms else { continue };
            let (mut future, mut spot) = (price(5, known.token, 0), price(5, of, 0));
            for _ in 0..45_000 {
                future.advance();
                spot.advance();
                let in_units = |price: &Price| f64::from(price.last()) * price.tick as f64;
                let fair = in_units(&spot) * (1.0 + 0.065 * f64::from(days) / 365.0);
                let off = (in_units(&future) / fair - 1.0).abs();
                assert!(off < 0.01, "{}: {off}", known.name);
            }
        }
    }

    proptest! {
        #[test]
        fn options_are_worth_their_intrinsic_value_and_monotone_in_the_strike(
            spot in 100_000_i64..9_000_000,
            strikes in prop::collection::btree_set(50_000_i64..18_000_000, 2..20),
            days in 0_u32..400,
            day in 0_u32..40,
        ) {
            let at = |terms| Contract { terms, days }.price(spot, day, 0);
            let call = |strike| at(Terms::Call { of: 0, strike, days });
            let put = |strike| at(Terms::Put { of: 0, strike, days });
            let future = at(Terms::Future { of: 0, days });
            for &strike in &strikes {
                prop_assert!(call(strike) >= (future - strike).max(0) - 1);
                prop_assert!(put(strike) >= (strike - future).max(0) - 1);
                let parity = call(strike) - put(strike) - (future - strike);
                prop_assert!(parity.abs() <= 1, "{}", parity);
            }
            prop_assert!(strikes.iter().map(|&strike| call(strike)).is_sorted_by(|a, b| a >= b));
            prop_assert!(strikes.iter().map(|&strike| put(strike)).is_sorted());
        }

        #[test]
        fn contracts_of_a_chain_agree_at_every_step(seed: u64, steps in 0_u64..2_000) {
            let at = |token| rupees(seed, token, steps);
            let spot = at(256_265);
            let calls = [13_600_002, 13_600_514, 13_601_026].map(at);
            let puts = [13_600_258, 13_600_770, 13_601_282].map(at);
            prop_assert!(calls[0] > calls[1] && calls[1] > calls[2], "{calls:?}");
            prop_assert!(puts[0] < puts[1] && puts[1] < puts[2], "{puts:?}");
            for (index, strike) in [25_500.0, 26_000.0, 26_500.0].into_iter().enumerate() {
                let (call, put) = (calls[index], puts[index]);
                prop_assert!(call >= spot - strike - 0.05 && put >= strike - spot - 0.05);
                prop_assert!((50.0..1_500.0).contains(&call), "{call}");
                prop_assert!((50.0..1_500.0).contains(&put), "{put}");
            }
        }
    }
}
