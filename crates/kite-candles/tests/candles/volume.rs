//! Volume: the differences of the day's volume.

use kite_candles::Flags;
use kite_wire::UnixSeconds;

use super::feed::{INFY, State, assert_flags, live, ns, ohlc, s, start};

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
fn a_state_of_an_earlier_day_does_not_start_the_day_again() {
    let mut feed = live();
    feed.full(100, 1_000, "09:59:50", "09:59:50");
    feed.full(100, 900, "+-3 15:29:00", "10:00:10");
    feed.full(100, 1_010, "10:00:20", "10:00:20");
    let bars = feed.bars();
    assert_eq!(bars[0].volume, Some(110));
    assert_flags(&bars[0], Flags::VOLUME_FELL | Flags::BY_ARRIVAL);
}

#[test]
fn the_reset_of_the_volume_before_trading_is_no_trade() {
    // In full mode the trade time shows that the volume is of an earlier day, in quote mode nothing.
    for full in [true, false] {
        let mut feed = live();
        let yesterday = State {
            price: 150,
            volume: 1_000,
            high: 200,
            low: 50,
            traded_s: s("+-3 15:29:00"),
            ..State::default()
        };
        let first = State { price: 100, volume: 20, high: 103, low: 99, ..yesterday };
        for (state, at) in [
            (yesterday, "08:30:00"),
            (State { volume: 0, ..yesterday }, "08:45:00"),
            (State { traded_s: s("09:15:01"), ..first }, "09:15:01"),
        ] {
            let fields = if full { state.full() } else { state.quote() };
            feed.tick(INFY, state.price, fields, ns(at));
        }
        let (bars, counts) = feed.finish();
        assert_eq!(
            (bars.len(), bars[0].volume, ohlc(&bars[0])),
            (1, Some(20), [100, 103, 99, 100])
        );
        assert_eq!((counts.volume, counts.outside_volume), (20, 0));
        assert!(!full || counts.trades == 1);
    }
}
