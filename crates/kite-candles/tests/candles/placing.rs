//! Which bar a trade belongs to, and which times are not used.

use kite_candles::Flags;

use super::feed::{State, assert_flags, live, s, start};

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
fn a_trade_time_in_the_future_is_not_used() {
    let mut feed = live();
    feed.full(100, 10, "09:59:50", "09:59:50");
    feed.full(101, 15, "10:10:00", "10:00:10");
    let bars = feed.bars();
    assert_eq!(start(&bars[0]), "10:00:00");
    assert_flags(&bars[0], Flags::BY_ARRIVAL);
}
