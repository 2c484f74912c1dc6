//! The rules by which packets become bars, each with a test that has its name.

use core::time::Duration;

use kite_candles::{Candles, Config, ConfigError, Every, Flags, Item};
use kite_wire::{Fields, UnixSeconds};

use super::feed::{Feed, INFY, NIFTY, State, assert_flags, ns, ohlc, s, start};

fn live() -> Feed {
    Feed::live(Config::default())
}

#[test]
fn the_first_packet_is_a_baseline_only() {
    let mut feed = live();
    feed.full(100, 5_000, "10:00:01", "10:00:02");
    feed.full(102, 5_010, "10:00:20", "10:00:21");
    let (bars, counts) = feed.finish();
    assert_eq!((bars.len(), ohlc(&bars[0]), bars[0].volume), (1, [102; 4], Some(10)));
    assert_eq!((bars[0].packets, counts.baselines), (1, 1));
    assert_flags(&bars[0], Flags::PARTIAL_START);
}

#[test]
fn an_instrument_that_only_sent_its_first_packet_has_no_bar() {
    let mut feed = live();
    feed.full(100, 5_000, "10:00:01", "10:00:02");
    feed.advance("10:05:00");
    assert_eq!(feed.bars(), []);
}

#[test]
fn volume_is_the_difference_of_the_days_volume() {
    let mut feed = live();
    feed.full(100, 5_000, "09:59:50", "09:59:51");
    for (price, volume, time) in
        [(101, 5_010, "10:00:00"), (99, 5_025, "10:00:30"), (100, 5_100, "10:00:59")]
    {
        feed.full(price, volume, time, time);
    }
    feed.full(100, 5_101, "10:01:00", "10:01:00");
    let bars = feed.bars();
    assert_eq!((start(&bars[0]).as_str(), ohlc(&bars[0])), ("10:00:00", [101, 101, 99, 100]));
    assert_eq!((bars[0].volume, bars[0].packets), (Some(100), 3));
    assert_eq!(bars[0].end, UnixSeconds(s("10:01:00")));
    let received = (bars[0].first_recv_unix_ns, bars[0].last_recv_unix_ns);
    assert_eq!(received, (ns("10:00:00"), ns("10:00:59")));
    assert_eq!((start(&bars[1]).as_str(), bars[1].volume), ("10:01:00", Some(1)));
    bars.iter().for_each(|bar| assert_flags(bar, Flags::default()));
}

#[test]
fn a_change_of_depth_alone_is_no_trade() {
    let mut feed = live();
    let state = State { price: 100, volume: 5_000, traded_s: s("09:59:50"), ..State::default() };
    feed.state(state, "09:59:51");
    feed.state(State { exchange_s: s("10:00:10"), ..state }, "10:00:10");
    feed.state(State { exchange_s: s("10:01:10"), ..state }, "10:01:10");
    feed.advance("10:03:00");
    assert_eq!(feed.bars(), []);
}

#[test]
fn open_interest_is_that_of_the_last_packet_even_if_nothing_traded() {
    let mut feed = live();
    let state = State { price: 100, volume: 10, open_interest: 7, ..State::default() };
    feed.state(state, "10:00:00");
    feed.state(State { volume: 20, traded_s: s("10:00:10"), ..state }, "10:00:10");
    feed.state(State { volume: 20, open_interest: 9, ..state }, "10:00:50");
    feed.state(State { volume: 20, open_interest: 11, ..state }, "10:01:10");
    let bars = feed.bars();
    assert_eq!((bars.len(), bars[0].open_interest, bars[0].packets), (1, Some(9), 1));
}

#[test]
fn the_last_trade_time_decides_the_bar() {
    let mut feed = live();
    feed.full(100, 10, "09:59:50", "09:59:51");
    feed.full(101, 15, "10:00:59", "10:01:01");
    feed.full(102, 16, "10:01:02", "10:01:03");
    let bars = feed.bars();
    assert_eq!((start(&bars[0]).as_str(), bars[0].volume), ("10:00:00", Some(5)));
    assert_flags(&bars[0], Flags::default());
    assert_eq!((start(&bars[1]).as_str(), bars[1].volume), ("10:01:00", Some(1)));
}

#[test]
fn without_a_trade_time_of_the_day_arrival_decides_by_arrival() {
    // Quote mode has none, and 15:29 of the day before or next year is none of the day.
    for traded in [None, Some("+-3 15:29:00"), Some("+365 10:00:30")] {
        let mut feed = live();
        feed.quote(100, 10, "09:59:51");
        match traded {
            None => feed.quote(101, 15, "10:01:01"),
            Some(traded) => feed.full(101, 15, traded, "10:01:01"),
        }
        let bars = feed.bars();
        assert_eq!((bars.len(), start(&bars[0]).as_str()), (1, "10:01:00"));
        assert_flags(&bars[0], Flags::BY_ARRIVAL);
    }
}

#[test]
fn a_volume_that_falls_on_a_later_day_is_a_new_day() {
    let mut feed = live();
    feed.quote(100, 5_000, "15:00:00");
    feed.quote(101, 5_100, "15:00:10");
    feed.quote(101, 0, "+1 09:00:10");
    feed.quote(103, 30, "+1 09:15:10");
    let bars = feed.bars();
    assert_eq!((bars[1].volume, ohlc(&bars[1])), (Some(30), [103; 4]));
    assert_flags(&bars[1], Flags::BY_ARRIVAL);
}

#[test]
fn a_new_day_counts_from_zero_even_above_the_volume_of_the_day_before() {
    let mut feed = live();
    feed.full(100, 4, "14:00:00", "14:00:00");
    feed.full(100, 5, "15:00:10", "15:00:10");
    feed.full(100, 5, "15:00:10", "+1 09:00:00");
    feed.full(103, 30, "+1 09:15:10", "+1 09:15:11");
    let bars = feed.bars();
    assert_eq!(bars[1].volume, Some(30));
    assert_flags(&bars[1], Flags::default());
}

#[test]
fn a_day_whose_start_was_missed_begins_with_a_baseline() {
    let mut feed = live();
    feed.full(100, 4, "14:00:00", "14:00:00");
    feed.full(100, 5, "15:00:10", "15:00:10");
    feed.full(103, 40_000, "+1 11:00:00", "+1 11:00:01");
    feed.full(104, 40_001, "+1 11:00:02", "+1 11:00:03");
    let (bars, counts) = feed.finish();
    assert_eq!((bars.len(), bars[1].volume, counts.baselines), (2, Some(1), 2));
    assert_flags(&bars[1], Flags::PARTIAL_START);
}

#[test]
fn a_volume_that_falls_within_the_day_counts_nothing_and_is_flagged() {
    let mut feed = live();
    feed.full(100, u32::MAX - 10, "09:59:50", "09:59:50");
    feed.full(100, u32::MAX, "10:00:10", "10:00:10");
    feed.full(101, 20, "10:00:20", "10:00:20");
    feed.full(102, 25, "10:00:30", "10:00:30");
    let bars = feed.bars();
    assert_eq!((bars[0].volume, ohlc(&bars[0])), (Some(15), [100, 102, 100, 102]));
    assert_flags(&bars[0], Flags::VOLUME_FELL);
}

#[test]
fn an_extreme_of_the_day_between_two_packets_is_kept() {
    let mut feed = live();
    let state = State { price: 100, volume: 10, high: 105, low: 95, ..State::default() };
    feed.state(state, "10:00:00");
    let traded_s = s("10:00:20");
    feed.state(State { volume: 20, high: 108, low: 94, traded_s, ..state }, "10:00:20");
    let bars = feed.bars();
    assert_eq!(ohlc(&bars[0]), [100, 108, 94, 100]);
    assert_flags(&bars[0], Flags::default());
}

#[test]
fn an_extreme_is_flagged_late_if_the_packet_before_lay_in_an_earlier_bar() {
    let mut feed = live();
    let state = State { price: 100, volume: 10, high: 105, low: 95, ..State::default() };
    feed.state(state, "09:59:59");
    let first = State { volume: 20, high: 108, traded_s: s("10:00:20"), ..state };
    feed.state(first, "10:00:20");
    // Its own price is traded in the bar, so a new low at that price is not late.
    let second = State { price: 90, low: 90, volume: 30, traded_s: s("10:01:20"), ..first };
    feed.state(second, "10:01:20");
    let bars = feed.bars();
    assert_eq!((ohlc(&bars[0]), ohlc(&bars[1])), ([100, 108, 100, 100], [90; 4]));
    assert_flags(&bars[0], Flags::EXTREME_LATE);
    assert_flags(&bars[1], Flags::default());
}

#[test]
fn a_quiet_packet_in_the_bar_shows_that_a_later_extreme_is_of_the_bar() {
    let mut feed = live();
    let state = State { price: 100, volume: 10, high: 105, low: 95, ..State::default() };
    feed.state(state, "09:59:59");
    feed.state(state, "10:00:01");
    feed.state(State { volume: 20, high: 108, traded_s: s("10:00:20"), ..state }, "10:00:20");
    assert_flags(&feed.bars()[0], Flags::default());
}

#[test]
fn the_first_extremes_of_a_day_are_kept() {
    let mut feed = live();
    // Before the first trade, Kite may still send high and low of the day before.
    let state = State { price: 100, volume: 0, high: 200, low: 50, ..State::default() };
    feed.state(state, "09:10:00");
    let first = State { volume: 20, high: 103, low: 99, traded_s: s("09:15:01"), ..state };
    feed.state(first, "09:15:02");
    let bars = feed.bars();
    assert_eq!((ohlc(&bars[0]), bars[0].volume), ([100, 103, 99, 100], Some(20)));
    assert_flags(&bars[0], Flags::EXTREME_LATE);
}

#[test]
fn index_bars_have_no_volume() {
    let mut feed = live();
    let tick = |feed: &mut Feed, price, high, at: &str| {
        let state = State { high, low: 90, exchange_s: s(at), ..State::default() };
        feed.tick(NIFTY, price, state.index(), ns(at));
    };
    tick(&mut feed, 100, 105, "09:59:59");
    tick(&mut feed, 101, 105, "10:00:01");
    tick(&mut feed, 103, 109, "10:00:31");
    tick(&mut feed, 103, 109, "10:00:31");
    let bars = feed.bars();
    assert_eq!((bars.len(), bars[0].volume, bars[0].packets), (1, None, 2));
    assert_eq!(ohlc(&bars[0]), [101, 109, 101, 103]);
    assert_flags(&bars[0], Flags::default());
}

#[test]
fn ltp_packets_make_bars_of_prices_without_volume() {
    let mut feed = live();
    for (price, at) in [(100, "09:59:59"), (101, "10:00:01"), (101, "10:00:02"), (99, "10:00:03")] {
        feed.tick(INFY, price, Fields::Ltp, ns(at));
    }
    let bars = feed.bars();
    assert_eq!((ohlc(&bars[0]), bars[0].volume), ([101, 101, 99, 99], None));
    assert_flags(&bars[0], Flags::BY_ARRIVAL);
}

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
fn a_packet_with_an_older_exchange_time_is_counted_and_ignored() {
    let mut feed = live();
    let state = |volume, at| State {
        price: 100,
        volume,
        traded_s: s(at),
        exchange_s: s(at),
        ..State::default()
    };
    feed.state(state(10, "10:00:00"), "10:00:00");
    feed.state(state(20, "10:00:05"), "10:00:05");
    feed.state(state(15, "10:00:03"), "10:00:06");
    feed.state(state(25, "10:00:07"), "10:00:07");
    let (bars, counts) = feed.finish();
    assert_eq!((bars[0].volume, counts.out_of_order), (Some(15), 1));
    assert!(!bars[0].flags.contains(Flags::VOLUME_FELL));
}

#[test]
fn one_exchange_time_in_the_future_does_not_stop_the_bars() {
    let mut feed = live();
    let state = State { price: 100, volume: 10, exchange_s: s("+9 10:00:00"), ..State::default() };
    feed.state(state, "10:00:00");
    feed.state(State { volume: 20, exchange_s: s("10:00:05"), ..state }, "10:00:05");
    let (bars, counts) = feed.finish();
    assert_eq!((bars[0].volume, counts.out_of_order), (Some(10), 0));
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
