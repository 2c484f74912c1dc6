//! High, low and close: what packets show of the prices between them.

use kite_candles::Flags;
use kite_wire::Fields;

use super::feed::{Feed, INFY, NIFTY, State, assert_flags, live, ns, ohlc, s};

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
fn an_exchange_clock_that_is_ahead_does_not_hide_a_late_extreme() {
    let mut feed = live();
    let state = State { price: 100, volume: 10, high: 105, low: 95, ..State::default() };
    feed.state(State { exchange_s: s("10:00:00"), ..state }, "09:59:59");
    let traded_s = s("10:00:05");
    feed.state(
        State { volume: 20, high: 108, traded_s, exchange_s: traded_s, ..state },
        "10:00:05",
    );
    assert_flags(&feed.bars()[0], Flags::EXTREME_LATE);
}
