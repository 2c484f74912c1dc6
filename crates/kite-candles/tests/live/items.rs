//! What each item of a stream does to the bars.

use kite_candles::{Bar, Flags, Item, Scope, Session};

use super::feed::{
    Feed, INFY, S, SBIN, at, config, conflated, down, dropped, gap, later, quote, since_midnight,
    ticks, up,
};

/// Both instruments have ticked on the first connection, ten seconds after the start of a minute.
fn started() -> Feed {
    let mut feed = Feed::new(config());
    feed.item(up(0, 1));
    feed.item(ticks(0, 1, &[quote(INFY, 100, 1_000), quote(SBIN, 500, 2_000)], at(5 * S)));
    feed.item(ticks(0, 1, &[quote(INFY, 101, 1_010), quote(SBIN, 501, 2_010)], at(10 * S)));
    feed
}

/// Volume, missed volume and missed seconds of the first bars of both instruments.
fn first_bars(mut feed: Feed) -> [(u64, u64, u64); 2] {
    feed.advance(at(62 * S));
    let (bars, _) = feed.finish();
    let of = |token| bars.iter().find(|bar: &&Bar| bar.instrument_token == token).unwrap();
    [INFY, SBIN].map(|token| {
        let bar = of(token);
        assert_eq!(bar.flags.contains(Flags::GAP), bar.missed_ms > 0);
        (bar.volume.unwrap(), bar.missed_volume, bar.missed_ms / 1000)
    })
}

#[test]
fn instruments_on_a_lost_connection_miss_what_was_traded_until_their_next_packet() {
    let mut feed = started();
    feed.item(down(0, 1, at(15 * S)));
    feed.item(up(0, 2));
    feed.item(ticks(0, 2, &[quote(INFY, 102, 1_017)], at(25 * S)));
    feed.item(ticks(0, 2, &[quote(INFY, 102, 1_020), quote(SBIN, 500, 2_050)], at(30 * S)));
    // It says what the loss said, and nothing of what came since.
    feed.item(gap(0, None, &[INFY, SBIN], at(15 * S), at(25 * S)));
    feed.item(ticks(0, 2, &[quote(INFY, 102, 1_021), quote(SBIN, 500, 2_051)], at(31 * S)));
    assert_eq!(first_bars(feed), [(14, 7, 10), (11, 40, 15)]);
}

#[test]
fn other_connections_miss_nothing() {
    let mut feed = started();
    feed.item(ticks(1, 1, &[quote(SBIN, 500, 2_020)], at(12 * S)));
    feed.item(down(0, 1, at(15 * S)));
    feed.item(ticks(1, 1, &[quote(SBIN, 500, 2_025)], at(20 * S)));
    feed.item(ticks(0, 2, &[quote(INFY, 102, 1_017)], at(25 * S)));
    assert_eq!(first_bars(feed), [(10, 7, 10), (25, 0, 0)]);
}

#[test]
fn a_failover_misses_what_was_traded_up_to_the_first_packet_on_the_other_connection() {
    let mut feed = started();
    feed.item(down(0, 1, at(15 * S)));
    feed.item(ticks(1, 1, &[quote(INFY, 102, 1_017)], at(45 * S)));
    feed.item(gap(1, Some(0), &[INFY], at(15 * S), at(45 * S)));
    // SBIN waits for its connection.
    feed.item(ticks(0, 2, &[quote(SBIN, 500, 2_060)], at(50 * S)));
    feed.item(ticks(1, 1, &[quote(INFY, 102, 1_018)], at(51 * S)));
    assert_eq!(first_bars(feed), [(11, 7, 30), (10, 50, 35)]);
}

#[test]
fn a_failover_that_is_read_before_the_loss_is_a_gap_too() {
    let mut feed = started();
    feed.item(ticks(1, 1, &[quote(INFY, 102, 1_017)], at(45 * S)));
    feed.item(gap(1, Some(0), &[INFY], at(15 * S), at(45 * S)));
    feed.item(ticks(0, 1, &[quote(INFY, 100, 1_012), quote(SBIN, 500, 2_012)], at(14 * S)));
    feed.item(down(0, 1, at(15 * S)));
    feed.item(ticks(0, 2, &[quote(SBIN, 500, 2_060)], at(50 * S)));
    assert_eq!(first_bars(feed), [(17, 0, 30), (12, 48, 35)]);
}

#[test]
fn frames_that_were_dropped_are_missed_by_all_instruments_of_their_connection() {
    let mut feed = started();
    feed.item(ticks(1, 1, &[quote(SBIN, 500, 2_020)], at(12 * S)));
    feed.item(dropped(0));
    feed.item(ticks(0, 1, &[quote(INFY, 102, 1_040)], at(22 * S)));
    feed.item(ticks(0, 1, &[quote(INFY, 103, 1_041)], at(23 * S)));
    feed.item(ticks(1, 1, &[quote(SBIN, 500, 2_030)], at(24 * S)));
    assert_eq!(first_bars(feed), [(11, 30, 12), (30, 0, 0)]);
}

#[test]
fn conflated_frames_miss_what_was_replaced_in_them() {
    for (replaced, expected) in [(2, [(11, 30, 12), (20, 0, 0)]), (0, [(41, 0, 0), (20, 0, 0)])] {
        let mut feed = started();
        feed.item(conflated(0, 1, &[quote(INFY, 102, 1_040)], replaced, at(22 * S)));
        feed.item(ticks(0, 1, &[quote(INFY, 102, 1_041), quote(SBIN, 500, 2_020)], at(23 * S)));
        assert_eq!(first_bars(feed), expected);
    }
}

#[test]
fn a_loss_that_is_read_before_the_frames_it_follows_lasts_until_the_next_socket() {
    let mut feed = started();
    feed.item(down(0, 1, at(15 * S)));
    feed.item(conflated(0, 1, &[quote(INFY, 102, 1_012)], 0, at(14 * S)));
    feed.item(ticks(0, 2, &[quote(INFY, 102, 1_040), quote(SBIN, 500, 2_010)], at(25 * S)));
    // The first packet is of the old socket, though it is read after the loss.
    let [(_, missed_volume, missed_s), _] = first_bars(feed);
    assert_eq!((missed_volume, missed_s), (30, 10));
}

#[test]
fn bars_end_on_time_though_nothing_is_received() {
    let mut feed = started();
    let due = feed.candles.next_due_unix_ns().unwrap();
    assert_eq!(due, at(62 * S).to_unix_ns());
    feed.advance(at(62 * S - 1));
    assert_eq!(feed.items, []);
    feed.advance(at(62 * S));
    let ends: Vec<_> = feed.items.iter().map(|item| item.bar().instrument_token).collect();
    assert_eq!(ends, [INFY, SBIN]);
    feed.item(ticks(0, 1, &[quote(INFY, 103, 1_020)], at(59 * S)));
    assert!(matches!(feed.items[2..], [Item::Correction(bar)] if bar.volume == Some(20)));
}

#[test]
fn the_rest_of_a_bar_that_has_not_ended_is_missed() {
    let feed = started();
    let (bars, _) = feed.finish();
    let missed = bars.iter().map(|bar| (bar.missed_ms, bar.flags.contains(Flags::GAP)));
    assert_eq!(missed.collect::<Vec<_>>(), [(50_000, true); 2]);
}

#[test]
fn a_day_that_starts_while_all_connections_are_down_is_not_seen_to_start() {
    const HOUR: u64 = 3600 * S;
    for (is_down, rise) in [(false, 310), (true, 10)] {
        let mut config = config();
        let hours = Session::new((9, 15), (15, 30)).unwrap();
        config.sessions = config.sessions.with(Scope::All, None, Some(hours));
        let mut feed = Feed::new(config);
        let noon = since_midnight(12 * HOUR);
        feed.item(up(0, 1));
        for (volume, after) in [(1_000, 0), (1_010, S)] {
            feed.item(ticks(0, 1, &[quote(INFY, 100, volume)], later(noon, after)));
        }
        if is_down {
            feed.item(down(0, 1, later(noon, S)));
        }
        for hour in 1..22 {
            feed.advance(later(noon, hour * HOUR));
        }
        feed.item(ticks(0, 2, &[quote(INFY, 99, 300)], later(noon, 22 * HOUR)));
        let (_, counts) = feed.finish();
        assert_eq!((counts.volume, counts.baselines), (rise, 1 + u64::from(is_down)));
    }
}
