//! Properties of bars over simulated feeds, and over packets without any sense.

use core::time::Duration;
use std::collections::BTreeMap;

use kite_candles::{Bar, Config, Every, Flags};
use kite_wire::{Fields, Frame, Packet, Price, Tick, UnixSeconds};
use proptest::prelude::*;
use proptest::sample::Index;

use super::feed::{Feed, INFY, NIFTY, State, frame, ns};

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;
const TOKENS: [u32; 3] = [INFY, 0x0001_0002, NIFTY];

/// Something that happens on the exchange or in the feed.
#[derive(Debug, Clone)]
enum Op {
    /// Time passes.
    Wait { ms: u64 },
    /// An instrument trades.
    Trade { instrument: usize, price: i32, quantity: u32 },
    /// The server sends the state of an instrument, which arrives this much later.
    Send { instrument: usize, full: bool, lag_ms: u64 },
    /// The feed was lost this long ago.
    Lost { before_ms: u64 },
    /// A gap that was over this long ago is reported.
    Gap { before_ms: u64, length_ms: u64 },
    /// The volume is corrected downwards.
    Fall { instrument: usize },
}

/// What reaches the bars.
#[derive(Debug, Clone)]
enum Input {
    Tick(Tick),
    Lost { from: u64 },
    Gap { from: u64, to: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let instrument = || 0..TOKENS.len();
    prop_oneof![
        4 => prop_oneof![0..900_u64, 900..90_000_u64].prop_map(|ms| Op::Wait { ms }),
        6 => (instrument(), 90..110_i32, 1..50_u32)
            .prop_map(|(instrument, price, quantity)| Op::Trade { instrument, price, quantity }),
        6 => (instrument(), any::<bool>(), prop_oneof![0..800_u64, 0..5_000_u64])
            .prop_map(|(instrument, full, lag_ms)| Op::Send { instrument, full, lag_ms }),
        1 => (0..3_000_u64).prop_map(|before_ms| Op::Lost { before_ms }),
        1 => (0..90_000_u64, 0..90_000_u64)
            .prop_map(|(before_ms, length_ms)| Op::Gap { before_ms, length_ms }),
        1 => instrument().prop_map(|instrument| Op::Fall { instrument }),
    ]
}

pub(crate) fn config() -> impl Strategy<Value = Config> {
    let every = prop::sample::select(vec!["1s", "7s", "1m", "5m", "1h", "1d"]);
    (every, 0..5_000_u64, any::<bool>(), any::<bool>()).prop_map(
        |(every, grace, fill, pre_open)| {
            let mut config = Config::default();
            config.every = every.parse().unwrap();
            config.grace = Duration::from_millis(grace);
            config.build_with_no_updates = fill;
            config.pre_open = pre_open;
            config
        },
    )
}

/// Runs the exchange, and returns the inputs with their times of arrival, which never step back.
fn simulate(ops: &[Op], from: &str) -> Vec<(u64, Input)> {
    let (mut now, mut arrived) = (ns(from), 0);
    let mut states = [State { price: 100, ..State::default() }; TOKENS.len()];
    let mut inputs = Vec::new();
    for op in ops {
        match *op {
            Op::Wait { ms } => now += ms * NS_PER_MS,
            Op::Trade { instrument, price, quantity } => {
                let state = &mut states[instrument];
                let is_first = state.volume == 0;
                state.high = if is_first { price } else { state.high.max(price) };
                state.low = if is_first { price } else { state.low.min(price) };
                (state.price, state.volume) = (price, state.volume + quantity);
                state.traded_s = (now / NS_PER_S) as u32;
            }
            Op::Send { instrument, full, lag_ms } => {
                states[instrument].exchange_s = (now / NS_PER_S) as u32;
                let state = states[instrument];
                let fields = match (TOKENS[instrument], full) {
                    (NIFTY, _) => state.index(),
                    (_, true) => state.full(),
                    (_, false) => state.quote(),
                };
                let instrument_token = TOKENS[instrument];
                arrived = arrived.max(now + lag_ms * NS_PER_MS);
                inputs.push((
                    arrived,
                    Input::Tick(Tick { instrument_token, last_price: state.price, fields }),
                ));
            }
            Op::Lost { before_ms } => {
                arrived = arrived.max(now);
                inputs.push((arrived, Input::Lost { from: arrived - before_ms * NS_PER_MS }));
            }
            Op::Gap { before_ms, length_ms } => {
                arrived = arrived.max(now);
                let to = arrived - before_ms * NS_PER_MS;
                inputs.push((arrived, Input::Gap { from: to - length_ms * NS_PER_MS, to }));
            }
            Op::Fall { instrument } => states[instrument].volume /= 2,
        }
    }
    inputs
}

fn run(
    mut feed: Feed,
    inputs: &[(u64, Input)],
    timer: &[Index],
) -> (Vec<Bar>, kite_candles::Counts) {
    let mut timer = timer.iter().cycle();
    for pair in inputs.windows(2).chain(inputs.last().map(core::slice::from_ref)) {
        let (at, input) = &pair[0];
        feed.advance_ns(*at);
        match input {
            Input::Tick(tick) => {
                feed.tick(tick.instrument_token, tick.last_price, tick.fields, *at)
            }
            Input::Lost { from } => feed.lost(*from),
            Input::Gap { from, to } => feed.gap(*from, *to),
        }
        // The feed's clock ticks somewhere before the next input.
        if let (Some(next), [_, (then, _)]) = (timer.next(), pair) {
            feed.advance_ns(at + next.index((then - at) as usize + 1) as u64);
        }
    }
    feed.finish()
}

fn without_gap(flags: Flags) -> Flags {
    let others = [
        Flags::PARTIAL_START,
        Flags::LATE,
        Flags::CACHED_OPEN,
        Flags::EXTREME_LATE,
        Flags::VOLUME_FELL,
        Flags::BY_ARRIVAL,
    ];
    others.into_iter().filter(|flag| flags.contains(*flag)).fold(Flags::default(), |a, b| a | b)
}

fn sum(bars: &[Bar]) -> (u64, u64) {
    let volumes = bars.iter().map(|bar| bar.volume.unwrap_or(0)).sum();
    (volumes, bars.iter().map(|bar| bar.missed_volume).sum())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn live_and_recorded_feeds_make_the_same_bars(
        ops in prop::collection::vec(op(), 1..120),
        config in config(),
        from in prop::sample::select(vec!["09:13:30", "11:00:00", "15:27:00"]),
        timer in prop::collection::vec(any::<Index>(), 1..20),
    ) {
        let inputs = simulate(&ops, from);
        let mut live = run(Feed::live(config.clone()), &inputs, &timer);
        let mut batch = run(Feed::batch(config.clone()), &inputs, &[]);
        // A timer that never fires changes nothing.
        prop_assert!(run(Feed::live(config), &inputs, &[]) == live);
        if live.1.late_gaps > 0 {
            // In a recording, bars without trades are made later, so that fewer gaps are too late.
            prop_assert!(batch.1.late_gaps <= live.1.late_gaps);
            for (bars, counts) in [&mut live, &mut batch] {
                counts.late_gaps = 0;
                for bar in bars {
                    (bar.missed_ms, bar.flags) = (0, without_gap(bar.flags));
                }
            }
        }
        let differ = live.0.iter().zip(&batch.0).find(|(live, batch)| live != batch);
        prop_assert_eq!(differ, None);
        prop_assert_eq!((live.0.len(), live.1), (batch.0.len(), batch.1));
    }

    #[test]
    fn packets_split_or_merged_over_any_frames_make_the_same_bars(
        ops in prop::collection::vec(op(), 1..120),
        config in config(),
        cuts in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        // All that arrives within one second arrives together, so that frames can be merged.
        let mut inputs = simulate(&ops, "09:14:30");
        inputs.retain(|(_, input)| matches!(input, Input::Tick(_)));
        inputs.iter_mut().for_each(|(at, _)| *at -= *at % NS_PER_S);
        let alone = run(Feed::batch(config.clone()), &inputs, &[]);

        let mut feed = Feed::batch(config);
        let (mut ticks, mut cut) = (Vec::new(), cuts.iter().cycle());
        for (nth, (at, input)) in inputs.iter().enumerate() {
            let Input::Tick(tick) = input else { unreachable!() };
            ticks.push(*tick);
            let is_last = inputs.get(nth + 1).is_none_or(|(next, _)| next != at);
            if is_last || cut.next() == Some(&true) {
                feed.advance_ns(*at);
                for packet in Frame::walk(&frame(&ticks)).packets() {
                    feed.packet(packet, *at);
                }
                ticks.clear();
            }
        }
        prop_assert!(feed.finish() == alone);
    }

    #[test]
    fn volumes_and_missed_volumes_add_up_to_the_volume_seen(
        ops in prop::collection::vec(op(), 1..120),
        config in config(),
    ) {
        let mut inputs = simulate(&ops, "09:14:00");
        // With the exchange's times in order, every rise between two packets is seen.
        let mut seen = BTreeMap::new();
        let mut rises = 0;
        for (_, input) in &inputs {
            let Input::Tick(tick) = input else { continue };
            let Some(volume) = tick.quote().map(|quote| quote.volume) else { continue };
            let before = seen.insert(tick.instrument_token, volume);
            rises += u64::from(volume.saturating_sub(before.unwrap_or(volume)));
        }
        let (bars, counts) = run(Feed::batch(config), &inputs, &[]);
        let (volume, missed) = sum(&bars);
        prop_assert_eq!(volume + missed + counts.outside_volume, counts.volume);
        prop_assert_eq!(counts.volume, rises);
        inputs.retain(|(_, input)| matches!(input, Input::Tick(_)));
        prop_assert_eq!(counts.packets, inputs.len() as u64);
    }

    #[test]
    fn with_a_packet_for_each_trade_bars_are_those_of_the_trades(
        trades in prop::collection::vec((0..40_u32, 90..110_i32, 1..50_u32), 1..100),
        every in prop::sample::select(vec![1_u32, 7, 60, 300]),
    ) {
        let mut config = Config::default();
        config.every = Every::from_secs(every).unwrap();
        let mut feed = Feed::live(config);
        feed.tick(INFY, 100, State::default().full(), ns("09:10:00"));
        let open = (ns("09:15:00") / NS_PER_S) as u32;
        let (mut state, mut model) = (State::default(), BTreeMap::<u32, Vec<(i32, u32)>>::new());
        let mut at = open;
        for (wait, price, quantity) in trades {
            at += wait;
            let is_first = state.volume == 0;
            state = State {
                price,
                volume: state.volume + quantity,
                high: if is_first { price } else { state.high.max(price) },
                low: if is_first { price } else { state.low.min(price) },
                traded_s: at,
                exchange_s: at,
                ..state
            };
            feed.tick(INFY, price, state.full(), u64::from(at) * NS_PER_S + 300 * NS_PER_MS);
            model.entry(open + (at - open) / every * every).or_default().push((price, quantity));
        }
        let bars = feed.bars();
        prop_assert_eq!(bars.len(), model.len());
        for (bar, (start, trades)) in bars.iter().zip(model) {
            let prices = || trades.iter().map(|(price, _)| *price);
            prop_assert_eq!(bar.start, UnixSeconds(start));
            prop_assert_eq!(bar.open.raw(), trades[0].0);
            prop_assert_eq!(Some(bar.high.raw()), prices().max());
            prop_assert_eq!(Some(bar.low.raw()), prices().min());
            prop_assert_eq!(bar.close.raw(), trades[trades.len() - 1].0);
            prop_assert_eq!(bar.volume, Some(trades.iter().map(|(_, quantity)| u64::from(*quantity)).sum()));
            prop_assert_eq!((bar.packets as usize, bar.flags), (trades.len(), Flags::default()));
        }
    }

    #[test]
    fn packets_and_times_without_sense_never_panic_and_are_all_accounted_for(
        inputs in prop::collection::vec(
            (
                prop::collection::vec(any::<u8>(), 184),
                prop::sample::select(vec![8_usize, 28, 32, 44, 184]),
                prop_oneof![any::<u64>(), (0..30_000_u64).prop_map(|s| ns("09:00:00") + s * NS_PER_S)],
                0..6_u8,
            ),
            0..60,
        ),
        mut config in config(),
        live: bool,
    ) {
        // The clock jumps between centuries here, and each day's end would be filled by the second.
        config.build_with_no_updates &= config.every >= Every::MINUTE;
        let mut feed = if live { Feed::live(config) } else { Feed::batch(config) };
        for (bytes, length, at, kind) in &inputs {
            let mut bytes = bytes[..*length].to_vec();
            bytes[..4].copy_from_slice(&TOKENS[usize::from(*kind) % 3].to_be_bytes());
            feed.packet(Packet::from_bytes(&bytes).unwrap(), *at);
            match kind {
                3 => feed.lost(*at),
                4 => feed.gap(at / 2, *at),
                5 => feed.advance_ns(*at),
                _ => {}
            }
        }
        let (bars, counts) = feed.finish();
        let (volume, missed) = sum(&bars);
        prop_assert_eq!(volume + missed + counts.outside_volume, counts.volume);
        prop_assert_eq!(counts.packets, inputs.len() as u64);
        for bar in bars {
            let within = |price: Price| bar.low <= price && price <= bar.high;
            prop_assert!(within(bar.open) && within(bar.close) && bar.start < bar.end);
            let seconds = u64::from(bar.end.get() - bar.start.get());
            prop_assert!(bar.missed_ms <= seconds * 1000);
        }
    }
}

#[test]
fn the_simulated_feeds_have_a_mode_for_each_kind_of_packet() {
    let ops = (0..3).map(|instrument| Op::Send { instrument, full: true, lag_ms: 0 });
    let inputs = simulate(&ops.collect::<Vec<_>>(), "10:00:00");
    let index = |(_, input): &(u64, Input)| {
        matches!(input, Input::Tick(Tick { fields: Fields::IndexFull { .. }, .. }))
    };
    assert_eq!(inputs.iter().map(index).collect::<Vec<_>>(), [false, false, true]);
}
