//! Stretches without a feed.

use kite_candles::{Affected, Config, Flags, Item};

use super::feed::{Feed, INFY, assert_flags, ns, ohlc, start};

fn started() -> Feed {
    let mut feed = Feed::live(Config::default());
    feed.full(100, 1_000, "09:59:50", "09:59:50");
    feed.full(101, 1_010, "10:00:10", "10:00:10");
    feed
}

#[test]
fn snapshots_after_a_reconnect_are_no_new_trades() {
    let mut feed = started();
    feed.lost(ns("10:00:15"));
    feed.full(101, 1_010, "10:00:10", "10:00:35");
    feed.full(102, 1_013, "10:00:40", "10:00:40");
    let bars = feed.bars();
    assert_eq!((bars[0].volume, bars[0].packets), (Some(13), 2));
    assert_eq!((bars[0].missed_ms, bars[0].missed_volume), (20_000, 0));
    assert_flags(&bars[0], Flags::GAP);
}

#[test]
fn volume_traded_during_a_gap_is_missed_volume_of_the_snapshots_bar() {
    let mut feed = started();
    feed.lost(ns("10:00:15"));
    feed.full(105, 1_500, "10:02:30", "10:02:35");
    feed.full(104, 1_507, "10:02:40", "10:02:40");
    let (bars, counts) = feed.finish();
    assert_eq!(bars.iter().map(start).collect::<Vec<_>>(), ["10:00:00", "10:02:00"]);
    assert_eq!((bars[0].volume, bars[0].missed_ms), (Some(10), 45_000));
    assert_flags(&bars[0], Flags::GAP);
    assert_eq!((bars[1].volume, bars[1].missed_volume, bars[1].missed_ms), (Some(7), 490, 35_000));
    assert_eq!((ohlc(&bars[1]), counts.volume), ([105, 105, 104, 104], 507));
    assert_flags(&bars[1], Flags::GAP | Flags::CACHED_OPEN);
}

#[test]
fn a_bar_that_ends_while_the_feed_is_down_is_flagged_when_it_is_passed_on() {
    let mut feed = started();
    feed.lost(ns("10:00:15"));
    feed.advance("10:01:02");
    let [Item::Bar(bar)] = feed.items[..] else { panic!() };
    assert_eq!(bar.missed_ms, 45_000);
    assert_flags(&bar, Flags::GAP);
    // What ends the gap later changes nothing in it.
    feed.full(101, 1_010, "10:00:10", "10:01:35");
    assert_eq!(feed.items.len(), 1);
}

#[test]
fn a_gap_that_is_reported_late_makes_a_correction() {
    let mut feed = started();
    feed.advance("10:01:02");
    feed.gap(ns("10:00:50"), ns("10:01:10"));
    let [Item::Bar(_), Item::Correction(bar)] = feed.items[..] else { panic!() };
    assert_eq!((bar.missed_ms, bar.missed_volume), (10_000, 0));
    assert_flags(&bar, Flags::GAP);
}

#[test]
fn a_gap_that_is_reported_after_its_bars_were_dropped_is_counted() {
    let mut feed = started();
    for (volume, at) in [(1_020, "10:01:10"), (1_030, "10:02:10"), (1_040, "10:03:10")] {
        feed.full(101, volume, at, at);
    }
    feed.gap(ns("10:00:59"), ns("10:01:05"));
    let (bars, counts) = feed.finish();
    assert_eq!((bars[0].missed_ms, bars[1].missed_ms, counts.late_gaps), (0, 5_000, 1));
}

#[test]
fn a_gap_concerns_only_the_instruments_that_it_names() {
    for (token, missed) in [(INFY, (7, Some(10))), (1, (0, Some(17)))] {
        let mut feed = started();
        let (from, to) = (ns("10:00:15"), ns("10:00:20"));
        feed.candles.on_gap(Affected::Tokens(&[token]), from, to, &mut |_| {});
        feed.full(102, 1_017, "10:00:18", "10:00:21");
        let bars = feed.bars();
        assert_eq!((bars[0].missed_volume, bars[0].volume), missed);
    }
}

#[test]
fn a_day_that_starts_within_a_gap_has_missed_its_first_volume() {
    let mut feed = started();
    feed.advance("+1 08:59:00");
    feed.lost(ns("+1 08:59:30"));
    feed.full(103, 400, "+1 09:20:10", "+1 09:20:11");
    let bars = feed.bars();
    assert_eq!((bars[1].volume, bars[1].missed_volume), (Some(0), 400));
    assert_flags(&bars[1], Flags::GAP | Flags::CACHED_OPEN);
}
