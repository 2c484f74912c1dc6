//! What belongs to a session's bars, to the day's bar, and to none.

use kite_candles::{Config, Every, Flags, Scope, Session, Sessions};

use super::feed::{Feed, assert_flags, monday, ohlc, start};

fn config(every: &str) -> Config {
    let mut config = Config::default();
    config.every = every.parse().unwrap();
    config
}

/// Trades before, in and after the session.
fn a_day(mut feed: Feed) -> Feed {
    feed.full(100, 0, "+-3 15:29:00", "09:00:01");
    feed.full(101, 50, "09:08:00", "09:08:01");
    feed.full(102, 60, "09:15:00", "09:15:01");
    feed.full(103, 65, "15:29:59", "15:30:01");
    feed.full(104, 72, "15:45:00", "15:45:01");
    feed
}

#[test]
fn trades_after_the_sessions_end_are_in_the_days_bar_alone() {
    let (bars, counts) = a_day(Feed::batch(config("1m"))).finish();
    assert_eq!(bars.iter().map(start).collect::<Vec<_>>(), ["09:15:00", "15:29:00"]);
    assert_eq!((bars[0].volume, bars[1].volume), (Some(10), Some(5)));
    assert_eq!((counts.outside_trades, counts.outside_volume, counts.volume), (2, 57, 72));

    let (bars, counts) = a_day(Feed::batch(config("1d"))).finish();
    assert_eq!((bars.len(), start(&bars[0]).as_str(), bars[0].volume), (1, "00:00:00", Some(72)));
    assert_eq!((ohlc(&bars[0]), counts.outside_volume), ([101, 104, 101, 104], 0));
    assert_eq!(Every::DAY, "1d".parse().unwrap());
}

#[test]
fn the_pre_open_has_bars_by_choice() {
    let mut config = config("1h");
    config.pre_open = true;
    let bars = a_day(Feed::batch(config)).bars();
    assert_eq!(bars.iter().map(start).collect::<Vec<_>>(), ["09:00:00", "09:15:00", "15:15:00"]);
    assert_eq!((bars[0].end, bars[0].volume), (bars[1].start, Some(50)));
    assert_flags(&bars[0], Flags::PARTIAL_START);
}

#[test]
fn muhurat_trading_is_an_override() {
    let evening = Session::new((18, 0), (19, 0)).unwrap();
    let mut config = config("1h");
    config.sessions = Sessions::default().with(Scope::All, Some(monday()), Some(evening));
    let mut feed = Feed::batch(config);
    feed.full(100, 0, "+-3 15:29:00", "17:45:01");
    feed.full(101, 50, "18:30:00", "18:30:00");
    let bars = feed.bars();
    assert_eq!((start(&bars[0]).as_str(), bars[0].volume), ("18:00:00", Some(50)));
}

#[test]
fn trades_on_a_day_without_a_session_are_counted() {
    let mut feed = Feed::batch(config("1m"));
    feed.full(100, 10, "+5 10:00:00", "+5 10:00:00");
    feed.full(100, 15, "+5 10:00:10", "+5 10:00:10");
    let (bars, counts) = feed.finish();
    assert_eq!((bars.len(), counts.outside_trades, counts.outside_volume), (0, 1, 5));
}
