mod chart;
mod sizes;

use std::time::{Duration, Instant};

use kite_conn::Phase;
use kite_manager::{ConnectionSnapshot, Snapshot};
use kite_wire::{DepthLevel, Fields, FullFields, IndexFields, Mode, Packet, QuoteFields, Tick};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::style::{Color, Modifier};

use super::draw;
use crate::feed::Speed;
use crate::instruments::directory::Directory;
use crate::instruments::names::Named;
use crate::watch::app::{App, Moment, Origin};
use crate::watch::chart::Glyphs;
use crate::watch::journal::Weight;
use crate::watch::playback::Playback;
use crate::watch::theme::Theme;

const INFY: u32 = 408_065;
const NIFTY: u32 = 256_265;
/// 4 August 2025, 09:15 in India.
const OPENING: u32 = 1_754_279_100;

#[derive(Debug)]
struct Echo;

impl Directory for Echo {
    fn resolve(&self, text: &str) -> Result<Named, String> {
        Err(format!("no {text}"))
    }

    fn complete(&self, text: &str, limit: usize) -> Vec<Named> {
        let name = format!("NSE:{text}全角ＩＮＦＹ");
        vec![Named { token: 1, name }; limit]
    }

    fn facts(&self, _: u32) -> Vec<(&'static str, String)> {
        vec![("lot / tick", "1 / 0.05".to_owned())]
    }
}

const COLORS: Theme = Theme { color: true, glyphs: Glyphs::Unicode };

fn app(theme: Theme) -> App {
    let instruments = [
        (INFY, "NSE:INFY"),
        (NIFTY, "NSE:NIFTY 50"),
        (17_409_282, "NFO:BANKNIFTY25AUG56500CE"),
        (771, "CDS:USDINR25AUGFUT"),
        (513, "NSE:全角の名前はとても長い"),
    ];
    let named = instruments.map(|(token, name)| Named { token, name: name.to_owned() });
    let moment = Moment { now: Instant::now(), unix_s: u64::from(OPENING) + 61 };
    let origin = Origin { badge: "SIMULATOR", title: String::new(), is_now: true };
    App::new(theme, origin, Box::new(Echo), named.to_vec(), Mode::Full, moment)
}

fn full(token: u32, last_price: i32) -> Tick {
    let level =
        |at: i32| DepthLevel { quantity: 100 * (at as u32 + 1), price: last_price - at, orders: 7 };
    let full = FullFields {
        last_trade_timestamp: OPENING + 59,
        exchange_timestamp: OPENING + 60,
        open_interest: 1_234_567,
        bids: [0, 1, 2, 3, 4].map(level),
        asks: [0, 1, 2, 3, 4].map(level),
        ..FullFields::default()
    };
    let quote = QuoteFields {
        volume: 1_234_567,
        average_price: 157_000,
        open: 156_000,
        high: 158_000,
        low: 155_000,
        close: 156_780,
        ..QuoteFields::default()
    };
    Tick { instrument_token: token, last_price, fields: Fields::Full { quote, full } }
}

fn feed_tick(app: &mut App, tick: Tick, now: Instant) {
    let mut bytes = [0; 184];
    let len = tick.encode(&mut bytes).unwrap();
    app.on_packet(Packet::from_bytes(&bytes[..len]).unwrap(), now, now);
}

/// A table that received ticks, seen this long after the last change.
fn busy(theme: Theme, millis: u64) -> App {
    let mut app = app(theme);
    let start = app.moment.now;
    feed_tick(&mut app, full(INFY, 157_360), start);
    feed_tick(&mut app, full(INFY, 157_370), start);
    feed_tick(&mut app, full(771, 865_025_000), start);
    feed_tick(&mut app, full(771, 865_000_000), start);
    let index = IndexFields { close: 2_481_235, open: 2_480_000, ..IndexFields::default() };
    let fields = Fields::IndexQuote(index);
    feed_tick(&mut app, Tick { instrument_token: NIFTY, last_price: 2_501_235, fields }, start);
    app.on_reading(feed());
    app.log(Weight::Bad, "socket 2 lost: reset");
    let now = start + Duration::from_millis(millis);
    app.on_frame(Moment { now, ..app.moment });
    app
}

fn feed() -> Snapshot {
    let mut feed = Snapshot::default();
    for (number, phase) in [Phase::Live, Phase::Waiting, Phase::Parked].into_iter().enumerate() {
        let mut connection = ConnectionSnapshot::default();
        (connection.connection, connection.phase) = (number, phase);
        let figures = &mut connection.figures;
        (figures.frames_per_second, figures.ticks_per_second) = (20.0, 6_012.0);
        feed.total.ticks_per_second += 6_012.0;
        feed.connections.push(connection);
    }
    feed.instruments = 9_000;
    feed
}

fn drawn(app: &mut App, width: u16, height: u16) -> Buffer {
    app.on_resize(width, height);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let symbols: Vec<&str> = buffer.content.iter().map(|cell| cell.symbol()).collect();
    symbols.chunks(width.max(1)).map(|line| line.concat()).collect()
}

fn line_with(buffer: &Buffer, text: &str) -> String {
    let lines = lines(buffer);
    let found = lines.iter().find(|line| line.contains(text));
    found.unwrap_or_else(|| panic!("no {text:?} in {lines:#?}")).clone()
}

/// Returns the colours of a text's first occurrence.
fn colors_at(buffer: &Buffer, text: &str) -> (Color, Color) {
    let line = lines(buffer).iter().position(|line| line.contains(text)).unwrap();
    let cells = &buffer.content[line * usize::from(buffer.area.width)..];
    let first = (0..).find(|&at| {
        let rest: String = cells[at..].iter().take(40).map(|cell| cell.symbol()).collect();
        rest.starts_with(text)
    });
    let cell = &cells[first.unwrap()];
    (cell.fg, cell.bg)
}

#[test]
fn an_80x24_screen_has_all_parts_and_aligned_numbers() {
    let buffer = drawn(&mut busy(COLORS, 0), 80, 24);
    let lines = lines(&buffer);
    assert!(
        lines[0].starts_with("  SIMULATOR    6,012 ticks/s") || lines[0].contains("18,036"),
        "{}",
        lines[0]
    );
    assert!(lines[0].ends_with("09:16:01 IST "), "{}", lines[0]);
    assert_eq!(lines[1].trim_end(), " 1 live   20f/s  6,012t/s │ 2 reconnecting │ 3 parked",);
    assert!(lines[2].contains("lag 0 gaps 0 damaged 0") && lines[2].contains("exch +1 s"));
    let head = "symbol                   last   change volume         bid         ask trend age";
    assert!(lines[3].contains(head), "{}", lines[3]);
    assert_eq!(
        lines[4].trim_end(),
        "▶INFY                 1,573.70▲  +0.38%  1.23M    1,573.70    1,573.70     ▄  0s"
    );
    assert!(lines[5].starts_with(" NIFTY 50            25,012.35   +0.81%      –           –"));
    assert!(lines[6].starts_with(" BANKN…5AUG56500CE           –        –"), "{}", lines[6]);
    assert!(lines[7].starts_with(" USDINR25AUGFUT        86.5000▼"), "{}", lines[7]);
    assert!(line_with(&buffer, "events").starts_with("─ events ─"));
    assert!(line_with(&buffer, "socket 2 lost: reset").starts_with(" 09:16:01"));
    assert!(lines[23].starts_with(" q quit  ? help  / filter"));
}

#[test]
fn the_panel_shows_depth_and_details_of_the_selected_instrument() {
    let buffer = drawn(&mut busy(COLORS, 0), 80, 24);
    let title = line_with(&buffer, "full mode");
    assert!(title.starts_with("─ NSE:INFY  full mode, token 408065 ──"), "{title}");
    let best = line_with(&buffer, "1,573.69");
    assert!(best.contains("200    1,573.69  1,573.69    200"), "{best}");
    assert!(line_with(&buffer, "open interest").ends_with("1,234,567"));
    assert!(line_with(&buffer, "last trade").ends_with("09:15:59"));
    // The largest quantity fills its bar, next to the numbers.
    let largest = line_with(&buffer, "1,573.66");
    assert!(largest.starts_with(" █████    500"), "{largest}");
    assert!(largest.contains("500    █████"), "{largest}");
}

#[test]
fn a_wide_screen_shows_prices_of_the_day_full_names_and_numbers_of_orders() {
    let buffer = drawn(&mut busy(COLORS, 0), 160, 40);
    let row = line_with(&buffer, "▶");
    for text in ["NSE:INFY", "1,234,567", "1,560.00", "1,580.00", "1,550.00"] {
        assert!(row.contains(text), "{text}: {row}");
    }
    assert!(lines(&buffer).iter().any(|line| line.contains("orders")));
    line_with(&buffer, "frames/s");
    line_with(&buffer, "lot / tick");
}

#[test]
fn a_rise_is_green_and_a_fall_red_and_both_fade() {
    let price = |millis, text| colors_at(&drawn(&mut busy(COLORS, millis), 80, 24), text);
    assert_eq!(price(0, "1,573.70"), (Color::Black, Color::Green));
    assert_eq!(price(300, "1,573.70"), (Color::Green, Color::Reset));
    assert_eq!(price(600, "1,573.70"), (Color::Reset, Color::Reset));
    assert_eq!(price(0, "86.5000"), (Color::Black, Color::Red));
    assert_eq!(price(0, "25,012.35"), (Color::Reset, Color::Reset), "the first price");
}

#[test]
fn without_colour_arrows_show_the_direction() {
    let theme = Theme { color: false, ..COLORS };
    let buffer = drawn(&mut busy(theme, 0), 80, 24);
    assert!(line_with(&buffer, "▶INFY").contains("1,573.70▲"));
    assert!(line_with(&buffer, " USDINR").contains("86.5000▼"));
    let plain = |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset);
    assert!(buffer.content.iter().all(plain));
    let faded = drawn(&mut busy(theme, 600), 80, 24);
    assert!(!line_with(&faded, "▶INFY").contains('▲'));
}

#[test]
fn the_ascii_theme_draws_only_ascii() {
    let theme = Theme { color: true, glyphs: Glyphs::Ascii };
    for keys in ["", "?", "ax", "/x"] {
        let mut app = busy(theme, 0);
        for key in keys.chars() {
            app.on_key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
        }
        app.log(Weight::Plain, "zu groß – 全角");
        let buffer = drawn(&mut app, 120, 40);
        let foreign: Vec<&str> =
            buffer.content.iter().map(|cell| cell.symbol()).filter(|it| !it.is_ascii()).collect();
        assert!(foreign.is_empty(), "{keys:?}: {foreign:?}");
    }
}

#[test]
fn a_pause_and_a_filter_are_shown() {
    let mut app = busy(COLORS, 0);
    app.on_key(KeyEvent::new(KeyCode::Char(' '), KeyModifiers::NONE));
    let now = app.moment.now;
    feed_tick(&mut app, full(INFY, 1), now);
    for key in "/infy".chars() {
        app.on_key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
    }
    let buffer = drawn(&mut app, 80, 24);
    assert!(lines(&buffer)[0].contains(" paused: 1 ticks held "), "{}", lines(&buffer)[0]);
    assert!(lines(&buffer)[23].starts_with(" filter: infy   Enter keeps it"));
    line_with(&buffer, "1 of 5 shown");
}

/// A table of 9,000 rows.
fn long() -> App {
    let instruments: Vec<Named> =
        (1..=9_000).map(|at| Named { token: at * 256 + 1, name: format!("NSE:S{at}") }).collect();
    let moment = app(COLORS).moment;
    let origin = Origin { badge: "LIVE", title: "ws.kite.trade".into(), is_now: true };
    App::new(COLORS, origin, Box::new(Echo), instruments, Mode::Ltp, moment)
}

#[test]
fn a_new_sort_order_shows_its_first_rows_and_keeps_the_selection() {
    let mut app = long();
    drawn(&mut app, 80, 24);
    app.on_key(KeyEvent::new(KeyCode::End, KeyModifiers::NONE));
    let now = app.moment.now;
    let token = app.table.rows[4_000].token;
    feed_tick(&mut app, Tick { instrument_token: token, last_price: 5, fields: Fields::Ltp }, now);
    app.on_key(KeyEvent::new(KeyCode::Char('2'), KeyModifiers::NONE));
    let buffer = drawn(&mut app, 80, 24);
    assert!(lines(&buffer)[4].starts_with(" NSE:S4001 "), "{}", lines(&buffer)[4]);
    line_with(&buffer, "NSE:S9000  ltp mode");
    app.on_key(KeyEvent::new(KeyCode::Up, KeyModifiers::NONE));
    line_with(&drawn(&mut app, 80, 24), "▶NSE:S8999 ");
}

#[test]
fn keys_scroll_to_the_selected_row() {
    let mut app = long();
    for (key, selected) in [
        (KeyCode::End, "▶NSE:S9000 "),
        (KeyCode::PageUp, "▶NSE:S8991 "),
        (KeyCode::Home, "▶NSE:S1 "),
        (KeyCode::PageDown, "▶NSE:S10 "),
    ] {
        drawn(&mut app, 80, 24);
        app.on_key(KeyEvent::new(key, KeyModifiers::NONE));
        line_with(&drawn(&mut app, 80, 24), selected);
    }
}

#[test]
fn a_selected_name_is_reversed_without_colour() {
    let theme = Theme { color: false, ..COLORS };
    let buffer = drawn(&mut busy(theme, 600), 80, 24);
    let cell = &buffer[(1, 4)];
    assert_eq!(cell.symbol(), "I");
    assert!(cell.modifier.contains(Modifier::REVERSED));
}

/// An operation on the table.
#[derive(Debug, Clone)]
enum Op {
    Key(char),
    Code(KeyCode),
    Tick(usize, i32, u8),
    Pass(u64),
    Resize(u16, u16),
    Mouse(u8, u16, u16),
    Lists(bool),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        prop::sample::select("jkGgs<>r0123456789/admx ?qé全wW[]+-=".chars().collect::<Vec<_>>())
            .prop_map(Op::Key),
        prop::sample::select(vec![
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Tab,
            KeyCode::Backspace,
            KeyCode::PageDown,
            KeyCode::PageUp,
            KeyCode::End,
        ])
        .prop_map(Op::Code),
        (0_usize..5, any::<i32>(), 0_u8..3).prop_map(|(at, price, kind)| Op::Tick(at, price, kind)),
        (0_u64..1_000).prop_map(Op::Pass),
        (1_u16..200, 1_u16..60).prop_map(|(width, height)| Op::Resize(width, height)),
        (0_u8..3, 0_u16..200, 0_u16..60).prop_map(|(kind, x, y)| Op::Mouse(kind, x, y)),
        any::<bool>().prop_map(Op::Lists),
    ];
    proptest::collection::vec(op, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_operation_on_a_screen_of_any_size_panics(
        ops in ops(), size in (1_u16..200, 1_u16..60), color in any::<bool>(), ascii in any::<bool>(),
        is_replay in any::<bool>(),
    ) {
        let glyphs = if ascii { Glyphs::Ascii } else { Glyphs::Unicode };
        let mut app = busy(Theme { color, glyphs }, 0);
        app.playback = is_replay.then(|| Playback::new(Speed::Times(10.0)));
        let tokens: Vec<u32> = app.table.rows.iter().map(|row| row.token).collect();
        let (mut width, mut height) = size;
        for op in ops {
            let now = app.moment.now;
            match op {
                Op::Key(key) => {
                    app.on_key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
                }
                Op::Code(code) => {
                    app.on_key(KeyEvent::new(code, KeyModifiers::NONE));
                }
                Op::Tick(at, last_price, kind) => {
                    let fields = match kind {
                        0 => Fields::Ltp,
                        1 => Fields::Quote(QuoteFields { close: last_price, ..Default::default() }),
                        _ => full(tokens[at], last_price / 2).fields,
                    };
                    let tick = Tick { instrument_token: tokens[at], last_price, fields };
                    feed_tick(&mut app, tick, now);
                }
                Op::Pass(millis) => {
                    let now = now + Duration::from_millis(millis);
                    app.on_frame(Moment { now, ..app.moment });
                }
                Op::Resize(to_width, to_height) => (width, height) = (to_width, to_height),
                Op::Mouse(kind, column, row) => {
                    let kind = match kind {
                        0 => MouseEventKind::Down(MouseButton::Left),
                        1 => MouseEventKind::ScrollUp,
                        _ => MouseEventKind::ScrollDown,
                    };
                    app.on_mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
                }
                Op::Lists(is_saving) => {
                    let names = (0..70).map(|at| format!("list-{at}").parse().unwrap()).collect();
                    if is_saving { app.name_list(names) } else { app.choose_list(names) }
                }
            }
            let buffer = drawn(&mut app, width, height);
            prop_assert_eq!(buffer.area.as_size(), ratatui::layout::Size { width, height });
            let shown = app.table.selected.is_some();
            prop_assert_eq!(shown, !app.table.order.is_empty());
        }
    }
}
