//! Every state of an instrument is consistent, whatever its segment.

use proptest::prelude::*;

use kite_wire::Segment;

use super::*;
use crate::market::known;

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
