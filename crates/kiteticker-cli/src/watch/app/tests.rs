mod add;
mod lists;
mod mouse;
mod open;
mod replay;

use std::time::Duration;

use kite_conn::Phase;
use kite_manager::ConnectionSnapshot;
use kite_wire::{DepthLevel, Fields, FullFields, QuoteFields, Tick};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::watch::chart::Glyphs;
use crate::watch::sort::Key;

/// A directory of four instruments.
#[derive(Debug)]
struct Four;

const FOUR: [(u32, &str); 4] =
    [(408_065, "NSE:INFY"), (738_561, "NSE:RELIANCE"), (779_521, "NSE:SBIN"), (424_961, "NSE:ITC")];

fn named(at: usize) -> Named {
    let (token, name) = FOUR[at];
    Named { token, name: name.to_owned() }
}

impl Directory for Four {
    fn resolve(&self, text: &str) -> Result<Named, String> {
        let all = (0..FOUR.len()).map(named);
        let mut found = all.filter(|one| one.name.ends_with(&text.to_uppercase()));
        found.next().filter(|_| !text.is_empty()).ok_or_else(|| format!("no {text}"))
    }

    fn complete(&self, text: &str, limit: usize) -> Vec<Named> {
        let all = (0..FOUR.len()).map(named);
        all.filter(|one| one.name.contains(&text.to_uppercase())).take(limit).collect()
    }

    fn facts(&self, _: u32) -> Vec<(&'static str, String)> {
        vec![("lot / tick", "1 / 0.05".to_owned())]
    }
}

fn origin() -> Origin {
    Origin { badge: "SIMULATOR", title: String::new(), is_now: false }
}

/// A table of the first three instruments on an 80x24 screen.
fn app() -> App {
    app_with(3)
}

fn app_with(rows: usize) -> App {
    let theme = Theme { color: true, glyphs: Glyphs::Unicode };
    let moment = Moment { now: Instant::now(), unix_s: 1_754_279_100 };
    let instruments = (0..rows).map(named).collect();
    let mut app = App::new(theme, origin(), Box::new(Four), instruments, Mode::Full, moment);
    app.on_resize(80, 24);
    app
}

fn press(app: &mut App, code: KeyCode) -> Option<Effect> {
    app.on_key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn type_text(app: &mut App, text: &str) -> Option<Effect> {
    text.chars().filter_map(|symbol| press(app, KeyCode::Char(symbol))).last()
}

fn full(token: u32, last_price: i32, volume: u32) -> Tick {
    let level = DepthLevel { quantity: 10, price: last_price, orders: 1 };
    let full = FullFields {
        exchange_timestamp: 1_754_279_100,
        bids: [level; 5],
        asks: [level; 5],
        ..FullFields::default()
    };
    let quote = QuoteFields { volume, close: 100, ..QuoteFields::default() };
    Tick { instrument_token: token, last_price, fields: Fields::Full { quote, full } }
}

fn feed_tick(app: &mut App, tick: Tick, now: Instant) {
    let mut bytes = [0; 184];
    let len = tick.encode(&mut bytes).unwrap();
    app.on_packet(Packet::from_bytes(&bytes[..len]).unwrap(), now, now);
}

/// Runs a frame as the main loop does, without drawing.
fn frame(app: &mut App, now: Instant) {
    app.on_frame(Moment { now, ..app.moment });
    app.on_drawn(now);
}

fn symbols(app: &App) -> Vec<&str> {
    app.table.order.iter().map(|&place| app.table.rows[place].symbol()).collect()
}

#[test]
fn digits_choose_the_sort_key_and_the_same_digit_again_reverses_it() {
    let mut app = app();
    let start = app.moment.now;
    for (at, price) in [101, 103, 102].into_iter().enumerate() {
        feed_tick(&mut app, full(FOUR[at].0, price, 5), start);
    }
    assert_eq!(symbols(&app), ["INFY", "RELIANCE", "SBIN"], "as listed");
    press(&mut app, KeyCode::Char('2'));
    assert_eq!((app.table.sort.key, symbols(&app)), (Key::Last, vec!["RELIANCE", "SBIN", "INFY"]));
    press(&mut app, KeyCode::Char('2'));
    assert_eq!(symbols(&app), ["INFY", "SBIN", "RELIANCE"]);
    press(&mut app, KeyCode::Char('r'));
    assert_eq!(symbols(&app), ["RELIANCE", "SBIN", "INFY"]);
    press(&mut app, KeyCode::Char('<'));
    assert_eq!(app.table.sort.key, Key::Symbol);
    press(&mut app, KeyCode::Char('0'));
    press(&mut app, KeyCode::Char('s'));
    assert_eq!(symbols(&app), ["INFY", "RELIANCE", "SBIN"]);
}

#[test]
fn the_selected_instrument_stays_selected_while_rows_swap() {
    let mut app = app();
    let start = app.moment.now;
    press(&mut app, KeyCode::Char('2'));
    press(&mut app, KeyCode::Down);
    let selected = app.table.selected;
    for (millis, prices) in [(0, [1, 2, 3]), (300, [9, 2, 3]), (600, [9, 20, 3])] {
        let now = start + Duration::from_millis(millis);
        for (at, price) in prices.into_iter().enumerate() {
            feed_tick(&mut app, full(FOUR[at].0, price, 5), now);
        }
        frame(&mut app, now + Duration::from_millis(1));
        assert_eq!(app.table.selected, selected);
    }
    assert_eq!(symbols(&app), ["RELIANCE", "INFY", "SBIN"]);
}

#[test]
fn rows_are_sorted_at_most_four_times_a_second() {
    let mut app = app();
    let start = app.moment.now;
    press(&mut app, KeyCode::Char('2'));
    feed_tick(&mut app, full(FOUR[2].0, 7, 5), start);
    frame(&mut app, start + Duration::from_millis(249));
    assert_eq!(symbols(&app)[0], "INFY");
    assert!(app.redraw.is_needed(), "the new order is not drawn yet");
    frame(&mut app, start + Duration::from_millis(250));
    assert_eq!(symbols(&app)[0], "SBIN");
}

#[test]
fn keys_move_the_selection_within_the_list() {
    let mut app = app();
    let at = |app: &App| app.table.selected_row().unwrap().symbol().to_owned();
    for (key, expected) in [
        (KeyCode::Up, "INFY"),
        (KeyCode::Down, "RELIANCE"),
        (KeyCode::Char('j'), "SBIN"),
        (KeyCode::Down, "SBIN"),
        (KeyCode::Char('k'), "RELIANCE"),
        (KeyCode::PageDown, "SBIN"),
        (KeyCode::PageUp, "INFY"),
        (KeyCode::Char('G'), "SBIN"),
        (KeyCode::Home, "INFY"),
    ] {
        assert_eq!(press(&mut app, key), None);
        assert_eq!(at(&app), expected, "{key:?}");
    }
}

#[test]
fn a_filter_applies_while_it_is_typed_and_escape_clears_it() {
    let mut app = app();
    type_text(&mut app, "/re");
    assert_eq!((app.focus.clone(), symbols(&app)), (Focus::Filter, vec!["RELIANCE"]));
    assert_eq!(app.table.selected, Some(738_561), "the only row left");
    press(&mut app, KeyCode::Enter);
    assert_eq!((app.focus.clone(), symbols(&app).len()), (Focus::Table, 1));
    assert_eq!(press(&mut app, KeyCode::Esc), None);
    assert_eq!(symbols(&app).len(), 3);

    type_text(&mut app, "/absent");
    assert_eq!((symbols(&app).len(), app.table.selected), (0, None));
    assert_eq!(type_text(&mut app, "q"), None, "a letter of the filter");
    for _ in 0..7 {
        press(&mut app, KeyCode::Backspace);
    }
    press(&mut app, KeyCode::Esc);
    assert_eq!((symbols(&app).len(), app.table.selected.is_some()), (3, true));
}

#[test]
fn an_instrument_is_added_by_name_and_subscribed_once() {
    let mut app = app();
    type_text(&mut app, "aitc");
    let effect = press(&mut app, KeyCode::Enter);
    assert_eq!(effect, Some(Effect::Subscribe { token: 424_961, mode: Mode::Full }));
    assert_eq!((symbols(&app).len(), app.table.selected), (4, Some(424_961)));
    type_text(&mut app, "aitc");
    assert_eq!(press(&mut app, KeyCode::Enter), None);
    assert_eq!(symbols(&app).len(), 4);
}

#[test]
fn completions_are_chosen_with_arrows_or_inserted_with_tab() {
    let mut app = app();
    type_text(&mut app, "ai");
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Up);
    let Focus::Add(adding) = app.focus.clone() else { panic!("{:?}", app.focus) };
    let names: Vec<&str> = adding.choices.iter().map(|one| one.name.as_str()).collect();
    assert_eq!((names[0], adding.chosen), ("NSE:INFY", Some(0)));
    press(&mut app, KeyCode::Backspace);
    type_text(&mut app, "IT");
    press(&mut app, KeyCode::Tab);
    let Focus::Add(adding) = app.focus.clone() else { panic!("{:?}", app.focus) };
    assert_eq!(adding.text, "NSE:ITC");
    assert!(press(&mut app, KeyCode::Enter).is_some());
}

#[test]
fn an_unknown_name_is_rejected_in_the_prompt() {
    let mut app = app();
    type_text(&mut app, "axyz");
    assert_eq!(press(&mut app, KeyCode::Enter), None);
    let Focus::Add(adding) = app.focus.clone() else { panic!("{:?}", app.focus) };
    assert_eq!(adding.refusal.as_deref(), Some("no xyz"));
    press(&mut app, KeyCode::Esc);
    assert_eq!((app.focus.clone(), app.table.rows.len()), (Focus::Table, 3));
}

#[test]
fn an_instrument_that_the_feed_refuses_is_removed_and_the_reason_logged() {
    let mut app = app();
    type_text(&mut app, "aitc");
    press(&mut app, KeyCode::Enter);
    app.on_refused(&[424_961], "0 free");
    assert_eq!(symbols(&app), ["INFY", "RELIANCE", "SBIN"]);
    let line = app.journal.last(1).next().unwrap();
    assert_eq!((line.weight, line.text.as_str()), (Weight::Bad, "cannot add NSE:ITC: 0 free"));
}

#[test]
fn removed_instruments_are_unsubscribed_one_after_the_other() {
    let mut app = app();
    press(&mut app, KeyCode::Down);
    for (token, left) in
        [(738_561, vec!["INFY", "SBIN"]), (779_521, vec!["INFY"]), (408_065, vec![])]
    {
        assert_eq!(press(&mut app, KeyCode::Char('d')), Some(Effect::Unsubscribe { token }));
        assert_eq!(symbols(&app), left);
    }
    assert_eq!((app.table.selected, press(&mut app, KeyCode::Char('x'))), (None, None));
    feed_tick(&mut app, full(408_065, 1, 1), Instant::now());
    assert!(app.table.rows.is_empty(), "a late tick does not add a row");
}

#[test]
fn a_row_that_moved_up_still_receives_its_ticks() {
    let mut app = app();
    press(&mut app, KeyCode::Char('d'));
    let now = app.moment.now;
    feed_tick(&mut app, full(779_521, 7, 1), now);
    assert_eq!(app.table.row(779_521).unwrap().tick().unwrap().last_price, 7);
    assert!(app.table.row(738_561).unwrap().tick().is_none());
}

#[test]
fn the_mode_key_cycles_through_all_modes() {
    let mut app = app();
    let token = 408_065;
    for mode in [Mode::Ltp, Mode::Quote, Mode::Full] {
        let effect = press(&mut app, KeyCode::Char('m'));
        assert_eq!(effect, Some(Effect::SetMode { token, mode }));
    }
}

#[test]
fn a_paused_display_does_not_change_and_shows_the_newest_tick_on_resume() {
    let mut app = app();
    let start = app.moment.now;
    feed_tick(&mut app, full(408_065, 100, 1), start);
    frame(&mut app, start);
    press(&mut app, KeyCode::Char(' '));
    frame(&mut app, start);
    for price in [101, 102, 99] {
        feed_tick(&mut app, full(408_065, price, 1), start);
    }
    let price = |app: &App| app.table.row(408_065).unwrap().tick().unwrap().last_price;
    assert_eq!((app.table.is_paused, app.table.held_ticks, price(&app)), (true, 3, 100));
    assert!(!app.redraw.is_needed(), "nothing to draw");
    press(&mut app, KeyCode::Char(' '));
    assert_eq!((app.table.is_paused, app.table.held_ticks, price(&app)), (false, 0, 99));
}

#[test]
fn a_change_is_redrawn_until_it_has_faded_and_not_after() {
    let mut app = app();
    let start = app.moment.now;
    feed_tick(&mut app, full(408_065, 100, 1), start);
    feed_tick(&mut app, full(408_065, 101, 1), start);
    for millis in [0, 100, 599] {
        let now = start + Duration::from_millis(millis);
        frame(&mut app, now);
        assert!(app.redraw.is_needed(), "{millis} ms");
        assert!(app.table.row(408_065).unwrap().glow(now).is_some());
    }
    frame(&mut app, start + FADED);
    assert!(!app.redraw.is_needed());
    assert!(app.table.row(408_065).unwrap().glow(start + FADED).is_none());
}

#[test]
fn the_longest_wait_from_receipt_to_screen_is_reported_once_a_second() {
    let mut app = app();
    let start = app.moment.now;
    for millis in [40, 70, 10] {
        feed_tick(&mut app, full(408_065, 100, 1), start);
        app.on_frame(app.moment);
        app.on_drawn(start + Duration::from_millis(millis));
    }
    assert_eq!(app.redraw.drawn_after, None);
    app.on_reading(Snapshot::default());
    assert_eq!(app.redraw.drawn_after, Some(Duration::from_millis(70)));
    app.on_reading(Snapshot::default());
    assert_eq!(app.redraw.drawn_after, None, "nothing was drawn since then");
}

#[test]
fn losses_and_retries_of_sockets_are_recorded() {
    use kite_conn::{Event, LossCause, Stamp};

    let mut app = app();
    app.health.feed.connections.push(ConnectionSnapshot::default());
    let down = Event::Down { epoch: 1, cause: LossCause::Eof, last_heard: Stamp::now() };
    let now = app.moment.now;
    app.health.on_connection(0, &down, now);
    app.health.on_connection(0, &Event::Retry { attempt: 1, delay: Duration::from_secs(3) }, now);
    assert_eq!(app.health.feed.connections[0].phase, Phase::Waiting);
    assert_eq!(app.health.retry_at[&0], app.moment.now + Duration::from_secs(3));
    app.health.on_connection(7, &Event::Closed { clean: true }, now);
    app.on_lag(12);
    assert_eq!(app.health.losses.lagged, 12);
    app.on_event(&ManagerEvent::Lagged { missed: 7 });
    assert_eq!(app.health.losses.events, 7);
    assert_eq!(app.journal.last(1).next().unwrap().text, "events missed: 7");
}
