//! When bars end, and what late packets change.

use core::time::Duration;

use kite_candles::{Candles, Config, ConfigError, Every, Flags, Item};

use super::feed::{Feed, INFY, NIFTY, assert_flags, live, ns, ohlc, start};

#[test]
fn a_bar_ends_on_time_though_nothing_comes() {
    let mut feed = live();
    feed.full(100, 10, "09:59:50", "09:59:50");
    feed.full(101, 15, "10:00:10", "10:00:10");
    assert_eq!(feed.candles.next_due_unix_ns(), Some(ns("10:01:02")));
    feed.advance_ns(ns("10:01:02") - 1);
    assert_eq!(feed.items, []);
    feed.advance("10:01:02");
    assert!(matches!(feed.items[..], [Item::Bar(bar)] if bar.volume == Some(5)));
    assert_eq!(feed.candles.next_due_unix_ns(), None);
    feed.advance("10:09:00");
    assert_eq!(feed.items.len(), 1);
}

#[test]
fn the_newest_bars_can_be_seen_before_they_end() {
    let mut feed = live();
    let newest = |feed: &Feed| feed.candles.newest(INFY).collect::<Vec<_>>();
    feed.full(100, 10, "09:59:50", "09:59:50");
    assert_eq!(newest(&feed), [], "a baseline");
    feed.full(101, 15, "10:00:10", "10:00:10");
    feed.full(103, 16, "10:00:20", "10:00:20");
    feed.lost(ns("10:00:30"));
    let [bar] = newest(&feed)[..] else { panic!() };
    assert_eq!((start(&bar).as_str(), bar.volume), ("10:00:00", Some(6)));
    assert_eq!((ohlc(&bar), bar.missed_ms), ([101, 103, 101, 103], 30_000));
    assert_eq!(feed.items, [], "not passed on");
    feed.advance("10:01:02");
    let [Item::Bar(passed_on)] = feed.items[..] else { panic!() };
    assert_eq!(newest(&feed), [passed_on]);
    assert_eq!(feed.candles.newest(NIFTY).count(), 0);
}

#[test]
fn a_packet_within_the_grace_is_not_late() {
    let mut feed = live();
    feed.full(100, 10, "09:59:50", "09:59:50");
    feed.full(101, 15, "10:00:10", "10:00:10");
    feed.full(102, 16, "10:00:59", "10:01:01");
    feed.advance("10:01:02");
    assert!(matches!(feed.items[..], [Item::Bar(bar)] if bar.close.raw() == 102));
    assert_flags(&feed.bars()[0], Flags::default());
}

#[test]
fn a_late_packet_makes_a_correction() {
    let mut feed = live();
    feed.full(100, 10, "09:59:50", "09:59:50");
    feed.full(101, 15, "10:00:10", "10:00:10");
    feed.advance("10:01:02");
    feed.full(99, 18, "10:00:58", "10:01:05");
    let [Item::Bar(first), Item::Correction(second)] = feed.items[..] else { panic!() };
    assert_eq!((first.start, first.volume), (second.start, Some(5)));
    assert_eq!((second.volume, ohlc(&second)), (Some(8), [101, 101, 99, 99]));
    assert_flags(&second, Flags::LATE);
    assert_eq!(feed.items.len(), 2);
}

#[test]
fn a_late_packet_for_a_bar_that_did_not_exist_makes_it() {
    let mut feed = live();
    feed.full(100, 10, "09:59:50", "09:59:50");
    feed.full(101, 15, "10:02:10", "10:02:10");
    feed.full(99, 18, "10:01:58", "10:02:11");
    let [Item::Bar(late)] = feed.items[..] else { panic!() };
    assert_eq!((start(&late).as_str(), late.volume), ("10:01:00", Some(3)));
    assert_flags(&late, Flags::LATE);
}

#[test]
fn a_trade_older_than_the_bars_that_are_kept_is_placed_by_arrival() {
    let mut feed = live();
    for (volume, at) in
        [(10, "09:59:50"), (11, "10:01:10"), (12, "10:02:10"), (13, "10:03:10"), (14, "10:04:10")]
    {
        feed.full(100, volume, at, at);
    }
    feed.full(99, 18, "10:00:30", "10:04:20");
    let bars = feed.bars();
    assert_eq!((bars.len(), bars[3].volume), (4, Some(5)));
    assert_flags(&bars[3], Flags::BY_ARRIVAL);
}

#[test]
fn a_recording_writes_corrected_bars_once() {
    let mut feed = Feed::batch(Config::default());
    feed.full(100, 10, "09:59:50", "09:59:50");
    feed.full(101, 15, "10:00:10", "10:00:10");
    feed.advance("10:01:02");
    feed.full(99, 18, "10:00:58", "10:01:05");
    assert_eq!(feed.items, []);
    let bars = feed.bars();
    assert_eq!((bars.len(), bars[0].volume), (1, Some(8)));
    assert_flags(&bars[0], Flags::LATE);
}

#[test]
fn empty_bars_are_left_out_unless_chosen() {
    for fill in [false, true] {
        let mut config = Config::default();
        config.build_with_no_updates = fill;
        let mut feed = Feed::live(config);
        feed.full(100, 10, "09:59:50", "09:59:50");
        feed.full(101, 15, "10:00:10", "10:00:10");
        feed.advance("10:02:30");
        feed.full(103, 18, "10:04:01", "10:04:01");
        feed.advance("10:05:02");
        feed.advance("16:00:00");
        let bars = feed.bars();
        let starts: Vec<_> = bars.iter().take(6).map(start).collect();
        if fill {
            assert_eq!(starts[1..3], ["10:01:00", "10:02:00"]);
            assert_eq!((ohlc(&bars[1]), bars[1].volume, bars[1].packets), ([101; 4], Some(0), 0));
            assert_flags(&bars[1], Flags::CACHED_OPEN);
            assert_flags(&bars[4], Flags::default());
            assert_eq!((ohlc(&bars[4]), ohlc(&bars[5])), ([103; 4], [103; 4]));
            assert_eq!((bars.len(), start(&bars[329]).as_str()), (330, "15:29:00"));
        } else {
            assert_eq!(starts, ["10:00:00", "10:04:00"]);
        }
    }
}

#[test]
fn a_grace_longer_than_a_minute_is_rejected() {
    let mut config = Config::default();
    config.grace = Duration::from_secs(61);
    let asked = config.grace;
    let error = Candles::live(config).unwrap_err();
    assert_eq!(error, ConfigError::Grace { asked, most: Config::LONGEST_GRACE });
    assert_eq!(error.to_string(), "grace of 61000 ms; must be at most 60000 ms");
}

#[test]
fn bars_of_a_second_and_of_an_hour_are_those_of_the_same_trades() {
    for (every, starts) in
        [("1s", vec!["10:00:00", "10:00:01", "11:14:59"]), ("1h", vec!["09:15:00", "10:15:00"])]
    {
        let mut config = Config::default();
        config.every = every.parse::<Every>().unwrap();
        let mut feed = Feed::batch(config);
        feed.full(100, 10, "09:14:50", "09:14:50");
        for (volume, at) in [(11, "10:00:00"), (12, "10:00:01"), (13, "11:14:59")] {
            feed.full(100, volume, at, at);
        }
        assert_eq!(feed.bars().iter().map(start).collect::<Vec<_>>(), starts);
    }
}
