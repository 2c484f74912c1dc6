//! The mouse: clicks on rows and headings, and the wheel.

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::*;

fn mouse(app: &mut App, kind: MouseEventKind, column: u16, row: u16) {
    app.on_mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
}

fn click(app: &mut App, column: u16, row: u16) {
    mouse(app, MouseEventKind::Down(MouseButton::Left), column, row);
}

/// A table of more rows than the screen shows.
fn long() -> App {
    let theme = Theme { color: true, glyphs: Glyphs::Unicode };
    let moment = Moment { now: Instant::now(), unix_s: 1_754_279_100 };
    let instruments = (1..100).map(|at| Named { token: at * 256 + 1, name: format!("NSE:S{at}") });
    let instruments = instruments.collect();
    let mut app = App::new(theme, origin(), Box::new(Four), instruments, Mode::Full, moment);
    app.on_resize(80, 24);
    app
}

#[test]
fn a_click_selects_the_row_under_the_mouse() {
    let mut app = app();
    // The header has three lines, and the headings one.
    click(&mut app, 10, 5);
    assert_eq!(app.table.selected, Some(738_561));
    for (column, row) in [(10, 0), (10, 7), (10, 20), (10, 23), (500, 5)] {
        click(&mut app, column, row);
        assert_eq!(app.table.selected, Some(738_561), "{column},{row} is no row");
    }
    // On a small screen the first row is the third line.
    app.on_resize(20, 5);
    click(&mut app, 3, 4);
    assert_eq!(app.table.selected, Some(779_521));
}

#[test]
fn a_click_selects_the_right_row_of_a_scrolled_table() {
    let mut app = long();
    let selected = app.table.selected;
    mouse(&mut app, MouseEventKind::ScrollDown, 10, 10);
    assert_eq!((app.table.top, app.table.selected), (3, selected), "the wheel does not select");
    click(&mut app, 10, 4);
    assert_eq!(app.table.selected_row().unwrap().symbol(), "S4");
    for _ in 0..100 {
        mouse(&mut app, MouseEventKind::ScrollDown, 10, 10);
    }
    assert_eq!(app.table.top, 99 - app.table.page(), "not past the last row");
    mouse(&mut app, MouseEventKind::ScrollUp, 10, 10);
    assert_eq!(app.table.top, 96 - app.table.page());
}

#[test]
fn the_selected_row_stays_on_a_screen_that_becomes_smaller() {
    let mut app = long();
    press(&mut app, KeyCode::Char('1'));
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Char('1'));
    press(&mut app, KeyCode::Char('1'));
    app.on_resize(80, 3);
    assert_eq!((app.table.top, app.table.page()), (2, 1));
}

#[test]
fn a_click_on_a_heading_sorts_by_it_and_again_reverses_the_order() {
    let mut app = app();
    // symbol last change …: the price ends at column 30.
    click(&mut app, 28, 3);
    assert_eq!((app.table.sort.key, app.table.sort.is_descending), (Key::Last, true));
    click(&mut app, 28, 3);
    assert_eq!((app.table.sort.key, app.table.sort.is_descending), (Key::Last, false));
    click(&mut app, 2, 3);
    assert_eq!(app.table.sort.key, Key::Symbol);
    click(&mut app, 0, 3);
    assert_eq!(app.table.sort.key, Key::Symbol, "above the mark is no heading");
}

#[test]
fn the_wheel_scrolls_what_is_open_and_clicks_do_not_reach_through_it() {
    let mut app = long();
    type_text(&mut app, "?");
    mouse(&mut app, MouseEventKind::ScrollDown, 10, 10);
    assert_eq!(app.focus, Focus::Help { top: 3 });
    let selected = app.table.selected;
    click(&mut app, 10, 8);
    assert_eq!((app.table.selected, app.table.top), (selected, 0));
    press(&mut app, KeyCode::Esc);
    app.choose_list(["a", "b"].map(|name| name.parse().unwrap()).to_vec());
    mouse(&mut app, MouseEventKind::ScrollDown, 10, 10);
    let Focus::Choose(choice) = app.focus.clone() else { panic!("{:?}", app.focus) };
    assert_eq!(choice.chosen, 1);
}
