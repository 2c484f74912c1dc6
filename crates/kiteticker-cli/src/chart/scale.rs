//! The axis of prices: which price is where, and which are labelled.

/// The range of prices, in the segment's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    low: i64,
    high: i64,
}

impl Scale {
    /// Returns the range of these lowest and highest prices; `None` if there are none.
    pub(super) fn of(prices: impl Iterator<Item = (i32, i32)>) -> Option<Self> {
        let (low, high) = prices.reduce(|(low, high), (lower, higher)| {
            (low.min(lower).min(higher), high.max(lower).max(higher))
        })?;
        let (low, high) = (i64::from(low.min(high)), i64::from(high.max(low)));
        // A constant price is drawn half way up.
        let pad = if low == high { (low.abs() / 1_000).max(1) } else { 0 };
        Some(Self { low: low - pad, high: high + pad })
    }

    /// Returns where a price is among `steps` steps, 0 for the lowest.
    pub(super) fn step(&self, price: i32, steps: usize) -> usize {
        let last = steps.saturating_sub(1);
        let above = (i64::from(price) - self.low).clamp(0, self.high - self.low);
        let span = self.high - self.low;
        // Rounded to the nearest. Prices have 32 bits, so the product fits.
        let step = (above * last as i64 * 2 + span) / (span * 2);
        usize::try_from(step).unwrap_or(0).min(last)
    }

    /// Returns at most `most` round prices in the range, the lowest first.
    pub(super) fn ticks(&self, most: usize) -> Vec<i32> {
        let count = |step: i64| self.high.div_euclid(step) - (self.low - 1).div_euclid(step);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let Some(step) = steps().find(|&step| count(step) <= most) else { return Vec::new() };
        let first = (self.low - 1).div_euclid(step) + 1;
        let ticks = (first..first + count(step)).map(|at| at * step);
        ticks.filter_map(|tick| i32::try_from(tick).ok()).collect()
    }
}

/// Returns 1, 2, 5, 10, 20, 50, … to beyond the range of prices.
fn steps() -> impl Iterator<Item = i64> {
    (0..11).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_i64.pow(power)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_are_round_prices() {
        let ticks = |low, high, most| Scale::of([(low, high)].into_iter()).unwrap().ticks(most);
        assert_eq!(ticks(157_003, 157_998, 6), [157_200, 157_400, 157_600, 157_800]);
        assert_eq!(ticks(157_003, 157_998, 12).len(), 9);
        assert_eq!(ticks(-150, 120, 4), [-100, 0, 100]);
        assert_eq!(ticks(0, i32::MAX, 3), [0, 1_000_000_000, 2_000_000_000]);
        assert_eq!(Scale::of(std::iter::empty()), None);
    }

    #[test]
    fn a_constant_price_is_half_way_up() {
        let scale = Scale::of([(5, 5)].into_iter()).unwrap();
        assert_eq!(scale.step(5, 11), 5);
    }

    proptest! {
        #[test]
        fn the_lowest_is_at_the_bottom_and_the_highest_at_the_top(
            prices in proptest::collection::vec(any::<i32>(), 1..20), steps in 1_usize..5_000,
            most in 0_usize..20,
        ) {
            let scale = Scale::of(prices.iter().map(|&price| (price, price))).unwrap();
            let (low, high) = (*prices.iter().min().unwrap(), *prices.iter().max().unwrap());
            if low < high {
                prop_assert_eq!((scale.step(low, steps), scale.step(high, steps)), (0, steps - 1));
            }
            prop_assert!(prices.iter().all(|&price| scale.step(price, steps) < steps));
            let ticks = scale.ticks(most);
            prop_assert!(ticks.len() <= most);
            prop_assert!(ticks.is_sorted());
        }
    }
}
