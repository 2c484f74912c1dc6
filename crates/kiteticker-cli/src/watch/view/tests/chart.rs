//! The chart in the panel.

use super::*;

/// Feeds trades of some minutes.
fn trade(app: &mut App) {
    for (minute, price) in [(0, 157_000), (1, 157_400), (6, 157_300), (12, 157_100)] {
        let mut bytes = [0; 184];
        let mut tick = full(INFY, price);
        if let Fields::Full { quote, full } = &mut tick.fields {
            (quote.high, quote.low) = (0, 0);
            quote.volume += minute;
            full.last_trade_timestamp = OPENING + minute * 60;
            full.exchange_timestamp = full.last_trade_timestamp;
        }
        let len = tick.encode(&mut bytes).unwrap();
        let at = u64::from(OPENING + minute * 60) * 1_000_000_000;
        app.on_traded(0, Packet::from_bytes(&bytes[..len]).unwrap(), at);
    }
}

#[test]
fn the_panel_can_show_the_day_of_the_selected_instrument_as_candles() {
    let mut app = busy(COLORS, 0);
    let press = |app: &mut App| app.on_key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::NONE));
    press(&mut app);
    let buffer = drawn(&mut app, 80, 24);
    assert!(
        line_with(&buffer, "no trade yet since the instrument is in the table").starts_with(' ')
    );
    trade(&mut app);
    let buffer = drawn(&mut app, 80, 24);
    let title = line_with(&buffer, "bars of the day");
    assert!(title.starts_with("─ NSE:INFY  5m bars of the day  full mode ──"), "{title}");
    let line = line_with(&buffer, "1,574.00┤");
    // The details stay beside it.
    assert!(line.starts_with("1,574.00┤╹") && line.ends_with("1,570.00"), "{line}");
    assert!(lines(&buffer).iter().any(|line| line.starts_with("         09:15 ")));
    assert_eq!(colors_at(&buffer, "╹").0, Color::Green);
    for (width, height) in [(20, 5), (40, 12), (30, 20), (200, 50)] {
        drawn(&mut app, width, height);
    }
}

#[test]
fn a_wide_screen_shows_the_chart_beside_the_depth() {
    let mut app = busy(COLORS, 0);
    trade(&mut app);
    let buffer = drawn(&mut app, 200, 50);
    assert!(line_with(&buffer, "orders").starts_with(" orders "));
    let line = line_with(&buffer, "1,574.00┤");
    assert!(line.find("1,574.00┤").is_some_and(|at| at > 70), "{line}");
    let narrow = drawn(&mut app, 120, 50);
    assert!(!lines(&narrow).iter().any(|line| line.contains('┤')));
}
