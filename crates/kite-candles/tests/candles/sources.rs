//! Packets of several connections.

use kite_candles::{Affected, Candles, Config, Flags};
use kite_wire::Tick;
use proptest::prelude::*;

use super::feed::{Feed, INFY, State, assert_flags, ns};

const NS_PER_S: u64 = 1_000_000_000;

/// A quote packet of Infosys.
fn quote(price: i32, volume: u32) -> Tick {
    let state = State { price, volume, ..State::default() };
    Tick { instrument_token: INFY, last_price: price, fields: state.quote() }
}

fn started() -> Feed {
    let mut feed = Feed::live(Config::default());
    feed.tick_from(1, quote(100, 1_000), ns("09:59:50"));
    feed.tick_from(1, quote(101, 1_010), ns("10:00:10"));
    feed
}

fn lose(feed: &mut Feed, source: u32, from: &str) {
    let Feed { candles, items } = feed;
    candles.on_lost(Affected::Source(source), ns(from), &mut |item| items.push(item));
}

#[test]
fn the_loss_of_a_source_concerns_the_instruments_on_it() {
    for (source, missed) in [(1, (10_000, 7)), (2, (0, 0))] {
        let mut feed = started();
        lose(&mut feed, source, "10:00:15");
        feed.tick_from(2, quote(102, 1_017), ns("10:00:25"));
        // It has moved, so that nothing is lost with the other one any more.
        lose(&mut feed, 1, "10:00:30");
        feed.tick_from(2, quote(102, 1_020), ns("10:00:35"));
        let bars = feed.bars();
        assert_eq!((bars[0].missed_ms, bars[0].missed_volume), missed, "source {source}");
    }
}

#[test]
fn an_older_state_of_a_second_source_is_not_a_fall_of_the_volume() {
    let mut feed = started();
    feed.tick_from(2, quote(99, 1_006), ns("10:00:11"));
    feed.tick_from(1, quote(102, 1_030), ns("10:00:12"));
    let (bars, counts) = feed.finish();
    assert_eq!((bars[0].volume, bars[0].low.raw(), counts.out_of_order), (Some(30), 101, 1));
    assert_flags(&bars[0], Flags::BY_ARRIVAL);
}

#[test]
fn a_volume_that_falls_with_a_move_is_one_once_the_grace_is_over() {
    let mut feed = started();
    feed.tick_from(2, quote(102, 1_005), ns("10:00:13"));
    feed.tick_from(2, quote(103, 1_008), ns("10:00:14"));
    let (bars, counts) = feed.finish();
    assert_eq!((bars[0].volume, counts.out_of_order), (Some(13), 0));
    assert_flags(&bars[0], Flags::BY_ARRIVAL | Flags::VOLUME_FELL);
}

#[test]
fn a_gap_that_is_known_changes_nothing() {
    let mut feed = started();
    let (from, to) = (ns("10:00:15"), ns("10:00:25"));
    feed.lost(from);
    feed.gap(from, ns("10:00:20"));
    feed.tick_from(1, quote(102, 1_017), to);
    for volume in [1_020, 1_030] {
        feed.gap(from, to);
        feed.tick_from(1, quote(103, volume), to + NS_PER_S);
    }
    let (bars, counts) = feed.finish();
    assert_eq!((bars[0].missed_ms, bars[0].missed_volume, counts.late_gaps), (10_000, 7, 0));
    assert_eq!(bars[0].volume, Some(23));
}

#[test]
fn a_gap_that_is_reported_after_its_snapshot_makes_no_other_packet_one() {
    let mut feed = started();
    feed.tick_from(2, quote(102, 1_017), ns("10:00:25"));
    feed.gap(ns("10:00:15"), ns("10:00:24"));
    feed.tick_from(2, quote(103, 1_020), ns("10:00:26"));
    let bars = feed.bars();
    assert_eq!((bars[0].missed_ms, bars[0].missed_volume), (9_000, 0));
    assert_flags(&bars[0], Flags::BY_ARRIVAL | Flags::GAP);
}

proptest! {
    #[test]
    fn a_second_source_that_lags_within_the_grace_changes_no_bar(
        trades in prop::collection::vec((1..30_u64, 90..110_i32, 1..50_u32, 0..1_900_u64), 2..60),
    ) {
        let (mut at, mut lagging, mut volume) = (ns("09:20:00"), 0, 1_000);
        let mut arrivals = Vec::new();
        for (wait_ds, price, quantity, lag_ms) in trades {
            at += wait_ds * NS_PER_S / 10;
            volume += quantity;
            arrivals.push((at, 1, quote(price, volume)));
            lagging = lagging.max(at + lag_ms * NS_PER_S / 1_000);
            arrivals.push((lagging, 2, quote(price, volume)));
        }
        arrivals.sort_by_key(|(at, source, _)| (*at, *source));
        let bars_of = |sources: &[u32]| {
            let mut feed = Feed { candles: Candles::live(Config::default()).unwrap(), items: vec![] };
            for (at, source, tick) in arrivals.iter().filter(|(_, from, _)| sources.contains(from)) {
                feed.tick_from(*source, *tick, *at);
            }
            feed.bars()
        };
        prop_assert_eq!(bars_of(&[1, 2]), bars_of(&[1]));
    }
}
