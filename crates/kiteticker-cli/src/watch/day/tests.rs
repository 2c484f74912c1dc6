use kite_wire::{Fields, FullFields, QuoteFields, Tick};

use super::*;

const INFY: u32 = 408_065;
const SBIN: u32 = 779_521;
/// Monday 23 November 2026, 09:15 in India.
const OPENING_S: u64 = 1_795_405_500;

/// Feeds a packet of this second after the opening, over connection 0.
fn feed(today: &mut Today, token: u32, second: u64, price: i32, volume: u32) {
    let at = OPENING_S + second;
    let full = FullFields {
        last_trade_timestamp: at as u32,
        exchange_timestamp: at as u32,
        ..FullFields::default()
    };
    let quote = QuoteFields { volume, ..QuoteFields::default() };
    let fields = Fields::Full { quote, full };
    let tick = Tick { instrument_token: token, last_price: price, fields };
    let mut bytes = [0; 184];
    let len = tick.encode(&mut bytes).unwrap();
    today.on_packet(0, Packet::from_bytes(&bytes[..len]).unwrap(), at * SECOND_NS);
}

/// Returns the minutes after the opening at which candles start, their prices and their volume.
fn candles(today: &Today) -> Vec<(u64, [i32; 4], u64)> {
    let all = today.candles(INFY).into_iter().filter(|candle| candle.is_traded);
    all.map(|candle| {
        let minute = (u64::from(candle.start) - OPENING_S) / 60;
        let prices = [candle.open, candle.high, candle.low, candle.close];
        (minute, prices, candle.volume.unwrap_or(0))
    })
    .collect()
}

/// Returns the minutes at which candles without a feed start.
fn missed(today: &Today) -> Vec<u64> {
    let all = today.candles(INFY).into_iter().filter(|candle| candle.is_missed);
    let mut starts: Vec<u64> =
        all.map(|candle| (u64::from(candle.start) - OPENING_S) / 60).collect();
    starts.sort_unstable();
    starts.dedup();
    starts
}

#[test]
fn bars_are_kept_and_the_one_of_now_is_shown_as_it_is_so_far() {
    let mut today = Today::default();
    feed(&mut today, INFY, 0, 100, 10);
    assert_eq!(candles(&today), [], "a baseline");
    feed(&mut today, INFY, 10, 101, 15);
    feed(&mut today, INFY, 20, 99, 18);
    assert_eq!(candles(&today), [(0, [101, 101, 99, 99], 8)]);
    // Within the grace of the first bar, and long after it.
    for second in [300, 610, 1_210] {
        feed(&mut today, INFY, second, 103, 20 + second as u32);
    }
    let starts: Vec<u64> = candles(&today).iter().map(|candle| candle.0).collect();
    assert_eq!(starts, [0, 5, 10, 20]);
    assert_eq!(candles(&today)[0], (0, [101, 101, 99, 99], 8));
    assert_eq!(today.candles(SBIN), []);
}

#[test]
fn a_day_replaces_the_one_before() {
    let mut today = Today::default();
    feed(&mut today, INFY, 0, 100, 10);
    feed(&mut today, INFY, 10, 101, 15);
    feed(&mut today, SBIN, 86_400, 100, 10);
    assert_eq!(candles(&today), []);
}

#[test]
fn time_without_a_feed_is_missed_also_where_nothing_was_traded() {
    let mut today = Today::default();
    feed(&mut today, INFY, 0, 100, 10);
    feed(&mut today, INFY, 10, 101, 15);
    today.on_lost(0, (OPENING_S + 20) * SECOND_NS);
    assert_eq!(missed(&today), [0]);
    feed(&mut today, INFY, 1_210, 103, 20);
    feed(&mut today, INFY, 1_510, 103, 25);
    assert_eq!(missed(&today), [0, 5, 10, 15, 20]);
    today.on_lost(1, (OPENING_S + 1_520) * SECOND_NS);
    feed(&mut today, INFY, 1_810, 103, 30);
    assert_eq!(missed(&today), [0, 5, 10, 15, 20], "another connection");
}

#[test]
fn packets_that_were_replaced_are_missed_only_if_they_span_a_bar() {
    let mut today = Today::default();
    feed(&mut today, INFY, 0, 100, 10);
    feed(&mut today, INFY, 10, 101, 15);
    today.on_replaced(0);
    feed(&mut today, INFY, 20, 102, 18);
    assert_eq!(missed(&today), Vec::<u64>::new());
    today.on_replaced(0);
    feed(&mut today, INFY, 920, 103, 20);
    assert_eq!(missed(&today), [0, 5, 10, 15]);
}

#[test]
fn a_replay_that_is_moved_back_keeps_the_bars_before() {
    let mut today = Today::default();
    for second in (0..1_800).step_by(10) {
        feed(&mut today, INFY, second, 100, 10 + second as u32);
    }
    today.restart_at((OPENING_S + 620) * SECOND_NS);
    let starts = |today: &Today| candles(today).iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(starts(&today), [0, 5]);
    feed(&mut today, INFY, 620, 100, 700);
    feed(&mut today, INFY, 630, 100, 710);
    assert_eq!(starts(&today), [0, 5, 10]);
}

#[test]
fn a_paused_chart_does_not_change() {
    let mut today = Today::default();
    feed(&mut today, INFY, 0, 100, 10);
    feed(&mut today, INFY, 10, 101, 15);
    today.pause(true);
    feed(&mut today, INFY, 20, 105, 18);
    feed(&mut today, INFY, 700, 105, 20);
    assert_eq!(candles(&today), [(0, [101; 4], 5)]);
    today.pause(false);
    assert_eq!(candles(&today).len(), 2);
}

#[test]
fn a_bar_takes_28_bytes() {
    assert_eq!(size_of::<Kept>(), 28);
}
