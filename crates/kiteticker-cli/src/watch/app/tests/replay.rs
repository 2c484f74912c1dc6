//! The keys of a replay.

use kite_sim::ReplayProgress;

use super::*;
use crate::feed::Speed;
use crate::format::times::SECOND_NS;

const OPENING_NS: u64 = 1_754_279_100 * SECOND_NS;
const MINUTE_NS: u64 = 60 * SECOND_NS;

fn progress(minute: u64, finished: bool) -> ReplayProgress {
    let mut progress = ReplayProgress::default();
    progress.span_unix_ns = Some((OPENING_NS, OPENING_NS + 375 * MINUTE_NS));
    progress.position_unix_ns = Some(OPENING_NS + minute * MINUTE_NS);
    progress.finished = finished;
    progress
}

fn replaying() -> App {
    let mut app = app();
    app.playback = Some(Playback::new(Speed::Times(1.0)));
    app.on_progress(&progress(5, false));
    app
}

fn to(minute: u64) -> Option<Effect> {
    Some(Effect::Replay(Order::Seek(OPENING_NS + minute * MINUTE_NS)))
}

#[test]
fn keys_move_the_tape_and_the_prices_of_the_other_time_are_not_shown() {
    let mut app = replaying();
    let now = app.moment.now;
    feed_tick(&mut app, full(408_065, 105, 5), now);
    assert!(app.health.exchange_unix_s.is_some());
    assert_eq!(press(&mut app, KeyCode::Right), to(6));
    assert!(app.table.rows.iter().all(|row| row.tick().is_none()));
    assert_eq!(app.health.exchange_unix_s, None);
    assert_eq!(press(&mut app, KeyCode::Right), to(7), "before the tape has moved");
    assert_eq!(press(&mut app, KeyCode::Char(']')), to(17));
    assert_eq!(press(&mut app, KeyCode::Left), to(16));
    assert_eq!(press(&mut app, KeyCode::Char('[')), to(6));
    assert_eq!(press(&mut app, KeyCode::Char('[')), to(0));
    assert_eq!(app.journal.last(1).next().unwrap().text, "moved to 09:15:00");
}

#[test]
fn space_pauses_the_tape_instead_of_the_display_and_signs_change_the_speed() {
    let mut app = replaying();
    let mut order = |code| match press(&mut app, code) {
        Some(Effect::Replay(order)) => order,
        effect => panic!("{effect:?}"),
    };
    assert_eq!(order(KeyCode::Char(' ')), Order::Pause(true));
    assert_eq!(order(KeyCode::Char(' ')), Order::Pause(false));
    assert_eq!(order(KeyCode::Char('+')), Order::Speed(Speed::Times(2.0)));
    assert_eq!(order(KeyCode::Char('-')), Order::Speed(Speed::Times(1.0)));
    assert!(!app.table.is_paused);
}

#[test]
fn the_end_of_the_tape_is_reported_each_time_it_is_reached() {
    let mut app = replaying();
    let ends = |app: &App| app.journal.last(100).filter(|line| line.text.contains("ended")).count();
    app.on_progress(&progress(375, true));
    app.on_progress(&progress(375, true));
    assert_eq!((ends(&app), app.playback.unwrap().has_ended), (1, true));
    press(&mut app, KeyCode::Left);
    assert!(!app.playback.unwrap().has_ended);
    app.on_progress(&progress(374, false));
    app.on_progress(&progress(375, true));
    assert_eq!(ends(&app), 2);
}

#[test]
fn without_a_replay_its_keys_do_nothing() {
    let mut app = app();
    for code in [KeyCode::Left, KeyCode::Right] {
        assert_eq!(press(&mut app, code), None);
    }
    for key in "[]+-=".chars() {
        assert_eq!(press(&mut app, KeyCode::Char(key)), None);
    }
    assert_eq!(app.journal.last(1).next(), None);
}
