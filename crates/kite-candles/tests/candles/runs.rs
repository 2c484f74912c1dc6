//! Packets that are summed up make the same bars as packets that are handled one by one.

use kite_candles::{Affected, Bar, Candles, Config, Counts, Item};
use kite_wire::{Fields, Frame, Tick};
use proptest::prelude::*;

use super::feed::{INFY, State, frame, ns};
use super::properties::config;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// A packet of an instrument, most of them plain, or another input.
#[derive(Debug, Clone, Copy)]
struct Step {
    wait_ms: u64,
    lag_ms: u64,
    price: i32,
    /// The quantity that traded, and how long ago.
    quantity: u32,
    ago_s: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain,
    /// The price changes without a trade.
    Quiet,
    Quote,
    Ltp,
    OtherSource,
    NewHigh,
    Fall,
    OlderExchange,
    ClockAhead,
    ClockSetBack,
    Advance,
    AdvanceWithoutFeed,
    Lost,
    Gap,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        40 => Just(Kind::Plain),
        12 => prop::sample::select(vec![
            Kind::Quiet,
            Kind::Quote,
            Kind::Ltp,
            Kind::OtherSource,
            Kind::NewHigh,
            Kind::Fall,
            Kind::OlderExchange,
            Kind::ClockAhead,
            Kind::ClockSetBack,
            Kind::Advance,
            Kind::AdvanceWithoutFeed,
            Kind::Lost,
            Kind::Gap,
        ]),
    ];
    let wait_ms = prop_oneof![8 => 0..900_u64, 1 => 900..90_000_u64];
    let lag_ms = prop_oneof![6 => Just(0_u64), 1 => 0..800_u64, 1 => 0..5_000_u64];
    let quantity = prop_oneof![2 => Just(0_u32), 3 => 1..50_u32];
    let ago_s = prop_oneof![8 => Just(0_u32), 1 => 1..4_u32];
    (wait_ms, lag_ms, 90..110_i32, quantity, ago_s, kind).prop_map(
        |(wait_ms, lag_ms, price, quantity, ago_s, kind)| Step {
            wait_ms,
            lag_ms,
            price,
            quantity,
            ago_s,
            kind,
        },
    )
}

/// What was passed on, and the newest bars after each step.
type Made = (Vec<Item>, Vec<Bar>, Counts);

fn make(mut candles: Candles, steps: &[Step], from: &str, one_by_one: bool) -> Made {
    let (mut items, mut newest) = (Vec::new(), Vec::new());
    let out = &mut |item| items.push(item);
    let (mut now, mut price) = (ns(from), 100);
    let mut state = State { volume: 1_000, high: 110, low: 89, ..State::default() };
    state.traded_s = (now / NS_PER_S) as u32;
    for step in steps {
        now += step.wait_ms * NS_PER_MS;
        let mut at = now + step.lag_ms * NS_PER_MS;
        let now_s = (now / NS_PER_S) as u32;
        (state.volume, state.exchange_s) = (state.volume + step.quantity, now_s);
        state.open_interest += 1;
        if step.quantity > 0 {
            (price, state.traded_s) = (step.price, now_s - step.ago_s);
        }
        let mut source = 0;
        match step.kind {
            Kind::Plain | Kind::Quote | Kind::Ltp => {}
            Kind::Quiet => price = step.price,
            Kind::OtherSource => source = 1,
            Kind::NewHigh => state.high += 1,
            Kind::Fall => state.volume /= 2,
            Kind::OlderExchange => state.exchange_s -= 1,
            Kind::ClockAhead => (state.exchange_s, state.traded_s) = (now_s + 2, now_s + 1),
            Kind::ClockSetBack => at -= 3 * NS_PER_S,
            Kind::Advance => candles.advance(at, out),
            Kind::AdvanceWithoutFeed => candles.advance_without_feed(at + 3 * NS_PER_S, out),
            Kind::Lost => candles.on_lost(Affected::All, at - NS_PER_S, out),
            Kind::Gap => {
                candles.on_gap(Affected::All, at - 3 * NS_PER_S, at - NS_PER_S, out);
            }
        }
        if one_by_one {
            // Changes nothing, as a subscription before all packets. The next packet is none of a
            // run after any call that concerns its instrument.
            candles.on_subscribed(INFY, 0, out);
        }
        let fields = match step.kind {
            Kind::Quote => state.quote(),
            Kind::Ltp => Fields::Ltp,
            _ => state.full(),
        };
        let bytes = frame(&[Tick { instrument_token: INFY, last_price: price, fields }]);
        for packet in Frame::walk(&bytes).packets() {
            candles.on_packet_from(source, packet, at, out);
        }
        newest.extend(candles.newest(INFY));
    }
    let counts = candles.finish(out);
    (items, newest, counts)
}

fn both(config: &Config, live: bool) -> [Candles; 2] {
    let make = if live { Candles::live } else { Candles::batch };
    [(); 2].map(|()| make(config.clone()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn packets_summed_up_or_handled_one_by_one_make_the_same_bars(
        steps in prop::collection::vec(step(), 1..200),
        mut config in config(),
        fill in prop::bool::weighted(0.1),
        live: bool,
        from in prop::sample::select(vec!["09:14:30", "11:00:00", "15:29:00", "23:59:30"]),
    ) {
        config.build_with_no_updates = fill;
        let [summed_up, alone] = both(&config, live);
        let summed_up = make(summed_up, &steps, from, false);
        let alone = make(alone, &steps, from, true);
        let differ = summed_up.0.iter().zip(&alone.0).find(|(one, other)| one != other);
        prop_assert_eq!(differ, None);
        let differ = summed_up.1.iter().zip(&alone.1).find(|(one, other)| one != other);
        prop_assert_eq!(differ, None);
        prop_assert_eq!(
            (summed_up.0.len(), summed_up.1.len(), summed_up.2),
            (alone.0.len(), alone.1.len(), alone.2)
        );
    }
}
