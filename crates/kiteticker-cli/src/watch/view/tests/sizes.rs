//! Screens of every size: what is shown on the smallest, and what fills the largest.

use kite_sim::ReplayProgress;

use super::*;
use crate::watch::app::Focus;
use crate::watch::layout::Panel;

fn press(app: &mut App, code: KeyCode) {
    app.on_key(KeyEvent::new(code, KeyModifiers::NONE));
}

#[test]
fn every_socket_is_visible_at_any_size() {
    let sockets = |width, height| {
        let buffer = drawn(&mut busy(COLORS, 0), width, height);
        let lines = lines(&buffer);
        lines[usize::from(height >= 12)].trim_end().to_owned()
    };
    assert_eq!(sockets(80, 24), " 1 live   20f/s  6,012t/s │ 2 reconnecting │ 3 parked");
    assert_eq!(sockets(50, 24), " 1 live │ 2 reconnecting │ 3 parked");
    assert_eq!(sockets(30, 24), "1 live 2 wait 3 dead");
    assert!(sockets(40, 10).starts_with("1 live 2 wait 3 dead 09:16:01"), "{}", sockets(40, 10));
    assert_eq!(sockets(20, 5), "1 live 2 wait 3 dead");
    for (width, height) in [(12, 3), (8, 1), (8, 40)] {
        assert!(sockets(width, height).starts_with("1+ 2~ 3!"), "{width}x{height}");
    }
}

#[test]
fn a_live_socket_on_which_nothing_arrives_is_shown_as_silent() {
    let mut app = busy(COLORS, 0);
    let mut feed = feed();
    (feed.connections[0].uptime_s, feed.connections[0].silent_s) = (60.0, Some(7.2));
    // Silence before the socket came up does not count.
    feed.connections[1].phase = Phase::Live;
    (feed.connections[1].uptime_s, feed.connections[1].silent_s) = (1.0, Some(60.0));
    app.on_reading(feed);
    let wide = drawn(&mut app, 80, 24);
    assert!(lines(&wide)[1].starts_with(" 1 silent 7 s"), "{}", lines(&wide)[1]);
    assert_eq!(lines(&drawn(&mut app, 20, 5))[0], "1 mute 2 live 3 dead");
}

#[test]
fn the_sockets_stay_visible_while_something_is_open() {
    for open in ["?", "w", "W", "a", "/"] {
        let mut app = busy(COLORS, 0);
        app.on_resize(20, 5);
        match open {
            "w" => app.choose_list(vec!["bank".parse().unwrap()]),
            "W" => app.name_list(Vec::new()),
            key => key.chars().for_each(|key| press(&mut app, KeyCode::Char(key))),
        }
        let lines = lines(&drawn(&mut app, 20, 5));
        assert_eq!(lines[0], "1 live 2 wait 3 dead", "{open}: {lines:#?}");
    }
}

#[test]
fn the_smallest_screens_show_names_and_prices() {
    let lines_of = |width, height| lines(&drawn(&mut busy(COLORS, 0), width, height));
    let small = lines_of(20, 5);
    assert_eq!(small[1].trim_end(), " symbol        last");
    assert_eq!(small[2].trim_end(), "▶INFY      1,573.70▲");
    assert_eq!(small[3].trim_end(), " NIFTY 50 25,012.35");
    assert!(small[4].contains("BA…500CE"), "{small:#?}");
    assert_eq!(lines_of(20, 2)[1].trim_end(), "▶INFY      1,573.70▲", "a row, not the headings");
    assert!(lines_of(40, 10)[9].starts_with(" q quit"), "the keys, from six lines on");
}

#[test]
fn a_wide_screen_is_filled_with_columns() {
    let buffer = drawn(&mut busy(COLORS, 0), 200, 50);
    let heads = line_with(&buffer, "symbol");
    for name in ["net chg", "OI", "open", "high", "low", "close", "average", "buying", "selling"] {
        assert!(heads.contains(name), "{name}: {heads}");
    }
    let row = line_with(&buffer, "▶");
    for text in ["+5.90", "1,234,567", "1,570.00", "1,567.80"] {
        assert!(row.contains(text), "{text}: {row}");
    }
}

#[test]
fn the_exchange_is_shown_where_two_list_the_same_symbol() {
    let named = [(INFY, "NSE:INFY"), (128_053_508, "BSE:INFY"), (738_561, "NSE:RELIANCE")];
    let named = named.map(|(token, name)| Named { token, name: name.to_owned() });
    let moment = app(COLORS).moment;
    let origin = Origin { badge: "LIVE", title: String::new(), is_now: true };
    let mut app = App::new(COLORS, origin, Box::new(Echo), named.to_vec(), Mode::Full, moment);
    for (width, height) in [(80, 24), (40, 10), (20, 5)] {
        let buffer = drawn(&mut app, width, height);
        for text in [if width == 20 { "NSE:INFY" } else { "▶NSE:INFY" }, "BSE:INFY", " RELIANCE"]
        {
            line_with(&buffer, text);
        }
    }
    // Without the other one it is not needed.
    app.on_key(KeyEvent::new(KeyCode::Char('d'), KeyModifiers::NONE));
    line_with(&drawn(&mut app, 80, 24), "▶INFY");
}

#[test]
fn the_help_can_be_read_to_its_end_on_a_small_screen() {
    let mut app = busy(COLORS, 0);
    app.on_resize(20, 5);
    press(&mut app, KeyCode::Char('?'));
    let mut seen = String::new();
    for _ in 0..200 {
        seen += &lines(&drawn(&mut app, 20, 5))[1..].concat();
        press(&mut app, KeyCode::Down);
    }
    for word in ["Ctrl-Z", "suspend;", "Shift", "select text"] {
        assert!(seen.contains(word), "{word}");
    }
    line_with(&drawn(&mut app, 80, 60), "help: Esc closes it");
}

#[test]
fn the_panel_can_be_opened_on_a_small_screen() {
    let mut app = busy(COLORS, 0);
    app.on_resize(40, 10);
    press(&mut app, KeyCode::Enter);
    let buffer = drawn(&mut app, 40, 10);
    line_with(&buffer, "NSE:INFY");
    assert!(line_with(&buffer, "1,573.69").contains("200"));
    line_with(&buffer, "▶INFY");
    let buffer = drawn(&mut app, 30, 10);
    line_with(&buffer, "open interest");
}

#[test]
fn the_header_shows_the_place_and_the_pace_of_a_replay() {
    let mut app = busy(COLORS, 0);
    app.playback = Some(Playback::new(Speed::Times(10.0)));
    let mut progress = ReplayProgress::default();
    progress.position_unix_ns = Some((u64::from(OPENING) + 3_600) * 1_000_000_000);
    progress.span_unix_ns = progress.position_unix_ns.map(|at| (at, at));
    app.on_progress(&progress);
    let buffer = drawn(&mut app, 80, 24);
    assert!(lines(&buffer)[0].contains("  10x  "), "{}", lines(&buffer)[0]);
    assert!(lines(&buffer)[0].ends_with("tape 10:15:00 IST "));
    assert!(lines(&buffer)[23].contains("left right seek"));
    press(&mut app, KeyCode::Char(' '));
    assert!(lines(&drawn(&mut app, 80, 24))[0].contains("  10x paused  "));
    progress.span_unix_ns = progress.position_unix_ns.map(|at| (at, at + 86_400_000_000_000));
    app.on_progress(&progress);
    let several = lines(&drawn(&mut app, 80, 24));
    assert!(several[0].ends_with("tape 2025-08-04 10:15:00 IST "), "{}", several[0]);
    let small = lines(&drawn(&mut app, 40, 10));
    assert!(small[0].starts_with("1 live 2 wait 3 dead 10x paused"), "{}", small[0]);
}

#[test]
fn all_of_an_error_is_shown_with_its_prompt() {
    let why = "unknown; did you mean NFO:NIFTY26D0126000PE?";
    let shown = |width, height| {
        let mut app = busy(COLORS, 0);
        app.on_resize(width, height);
        app.on_key(KeyEvent::new(KeyCode::Char('a'), KeyModifiers::NONE));
        "nifty26d0126000pe".chars().for_each(|key| press(&mut app, KeyCode::Char(key)));
        let Focus::Add(adding) = &mut app.focus else { panic!("{:?}", app.focus) };
        adding.refusal = Some(why.to_owned());
        lines(&drawn(&mut app, width, height))
    };
    let wide = shown(80, 24);
    assert!(wide[23].trim_end().ends_with(why), "{wide:#?}");
    let middle = shown(60, 24);
    assert!(middle[22].starts_with(&format!(" {why}")), "{middle:#?}");
    let small = shown(20, 5);
    let small: Vec<&str> = small.iter().map(|line| line.trim_end()).collect();
    let below = [" unknown; did you", " mean NFO:NIFTY26D0", " 126000PE?"];
    assert_eq!(small[1..4], below, "{small:#?}");
    assert!(small[4].starts_with(" add: nif"), "{small:#?}");
    // A hint of keys ends with a word.
    let mut app = busy(COLORS, 0);
    press(&mut app, KeyCode::Char('/'));
    let hint = lines(&drawn(&mut app, 28, 5)).pop().unwrap();
    assert_eq!(hint.trim_end(), " filter:    Enter keeps it,");
}

#[test]
fn an_event_that_is_wider_than_the_screen_is_wrapped() {
    let mut app = busy(COLORS, 0);
    let text = "connection 1: no ticks from 60 instruments for 60.0s; is the market open?";
    app.log(Weight::Warning, text);
    let shown = lines(&drawn(&mut app, 80, 24));
    let clock = " ".repeat(11);
    assert!(shown[21].contains("no ticks from 60 instruments for 60.0s; is the market"));
    assert_eq!(shown[22].trim_end(), format!("{clock}open?"), "{shown:#?}");
    app.log(Weight::Warning, text.repeat(5));
    let shown = lines(&drawn(&mut app, 80, 24));
    assert!(shown[22].trim_end().ends_with('…'), "{shown:#?}");
}

#[test]
fn no_number_of_the_panel_is_cut_at_any_width() {
    let whole = drawn(&mut busy(COLORS, 0), 300, 40);
    let whole = lines(&whole).join("\n");
    let numbers = |text: &str| -> Vec<String> {
        let parts = text.split(|symbol: char| !symbol.is_ascii_digit() && !",.:".contains(symbol));
        parts
            .filter(|part| part.contains(|it: char| it.is_ascii_digit()))
            .map(str::to_owned)
            .collect()
    };
    let plain = |text: &str| text.replace(',', "");
    let all: Vec<String> = numbers(&whole).iter().map(|number| plain(number)).collect();
    for width in 1..120 {
        let mut app = busy(COLORS, 0);
        app.on_resize(width, 20);
        app.panel = Panel::Open;
        let shown = lines(&drawn(&mut app, width, 20));
        let page = app.page();
        let panel = &shown[usize::from(page.detail.y)..][..usize::from(page.detail.height)];
        for number in numbers(&panel.join("\n")) {
            assert!(all.contains(&plain(&number)), "{width}: {number}: {panel:#?}");
        }
    }
    let mut app = busy(COLORS, 0);
    app.on_resize(20, 5);
    press(&mut app, KeyCode::Enter);
    assert_eq!(lines(&drawn(&mut app, 20, 5))[4], "average     1,570.00");
}
