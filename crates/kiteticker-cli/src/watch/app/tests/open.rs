//! What is open over the table: the panel, the help, prompts; and how it closes.

use super::*;
use crate::watch::help;

fn is_panel_shown(app: &App) -> bool {
    app.page().detail.height > 0
}

#[test]
fn escape_closes_what_is_open_one_after_the_other_and_never_quits() {
    let mut app = app();
    type_text(&mut app, "/re");
    press(&mut app, KeyCode::Enter);
    type_text(&mut app, "?");
    assert!(matches!(app.focus, Focus::Help { .. }));
    assert_eq!(press(&mut app, KeyCode::Esc), None);
    assert_eq!((app.focus.clone(), symbols(&app).len()), (Focus::Table, 1), "closes the help only");
    assert_eq!(press(&mut app, KeyCode::Esc), None);
    assert_eq!((symbols(&app).len(), is_panel_shown(&app)), (3, true), "clears the filter only");
    assert_eq!(press(&mut app, KeyCode::Esc), None);
    assert!(!is_panel_shown(&app));
    for _ in 0..3 {
        assert_eq!(press(&mut app, KeyCode::Esc), None, "nothing is open");
    }
    assert_eq!(press(&mut app, KeyCode::Char('q')), Some(Effect::Quit));
}

#[test]
fn enter_opens_and_closes_the_panel_on_a_screen_of_any_size() {
    for (width, height) in [(80, 24), (40, 10), (20, 5)] {
        let mut app = app();
        app.on_resize(width, height);
        let is_shown = is_panel_shown(&app);
        for expected in [!is_shown, is_shown, !is_shown] {
            press(&mut app, KeyCode::Enter);
            assert_eq!(is_panel_shown(&app), expected, "{width}x{height}");
            assert_eq!(app.table.page(), app.page().rows(), "{width}x{height}");
        }
    }
}

#[test]
fn a_panel_that_was_opened_on_a_large_screen_does_not_cover_a_small_one() {
    let mut app = app();
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Enter);
    app.on_resize(40, 10);
    assert!(!is_panel_shown(&app));
    app.on_resize(80, 24);
    assert!(is_panel_shown(&app));
}

#[test]
fn the_help_scrolls_to_its_last_line_and_not_further() {
    let mut app = app();
    app.on_resize(20, 5);
    press(&mut app, KeyCode::Char('?'));
    let top = |app: &App| match app.focus {
        Focus::Help { top } => top,
        _ => panic!("{:?}", app.focus),
    };
    press(&mut app, KeyCode::Down);
    assert_eq!(top(&app), 1);
    press(&mut app, KeyCode::Up);
    press(&mut app, KeyCode::Up);
    assert_eq!(top(&app), 0);
    press(&mut app, KeyCode::End);
    let (width, height) = app.help_size();
    assert_eq!(top(&app) + height, help::lines(width).len());
    press(&mut app, KeyCode::PageDown);
    assert_eq!(top(&app) + height, help::lines(width).len());
    // A larger screen shows more, so there is less to scroll.
    app.on_resize(80, 60);
    assert_eq!(top(&app), 0);
    press(&mut app, KeyCode::Char('q'));
    assert_eq!(app.focus, Focus::Table);
}

#[test]
fn control_u_and_control_w_erase_what_was_typed() {
    let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    let typed = |app: &App| match &app.focus {
        Focus::Filter => app.table.filter.clone(),
        Focus::Add(adding) => adding.text.clone(),
        Focus::Save(saving) => saving.text.clone(),
        other => panic!("{other:?}"),
    };
    for opening in ["/", "a", "W"] {
        let mut app = app();
        match opening {
            "W" => app.name_list(Vec::new()),
            _ => drop(type_text(&mut app, opening)),
        }
        type_text(&mut app, "nifty next 50 ");
        for left in ["nifty next ", "nifty ", "", ""] {
            assert_eq!((app.on_key(control('w')), typed(&app)), (None, left.to_owned()));
        }
        type_text(&mut app, "in fy");
        assert_eq!((app.on_key(control('u')), typed(&app)), (None, String::new()));
        type_text(&mut app, "in");
        assert_eq!(typed(&app), "in", "{opening}: the prompt is still open");
    }
    let mut app = app();
    type_text(&mut app, "a");
    let all = app.focus.clone();
    type_text(&mut app, "infy");
    app.on_key(control('u'));
    assert_eq!(app.focus, all, "the completions are those of the empty text again");
}

#[test]
fn control_c_quits_and_control_z_suspends_from_anywhere() {
    let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    for opening in ["", "?", "/", "a"] {
        let mut app = app();
        type_text(&mut app, opening);
        let focus = app.focus.clone();
        assert_eq!(app.on_key(control('z')), Some(Effect::Suspend));
        assert_eq!(app.focus, focus, "what is open is still so afterwards");
        assert_eq!(app.on_key(control('q')), None, "Ctrl with a letter is not the letter");
        assert_eq!(app.on_key(control('c')), Some(Effect::Quit));
    }
}

#[test]
fn c_shows_the_chart_in_the_panel_and_the_depth_again() {
    let mut app = app();
    let lines = |app: &App| app.page().detail.height;
    assert_eq!((app.content, lines(&app)), (Content::Depth, 7));
    press(&mut app, KeyCode::Char('c'));
    assert_eq!((app.content, lines(&app)), (Content::Chart, 13));
    assert_eq!(app.table.page(), app.page().rows());
    press(&mut app, KeyCode::Char('c'));
    assert_eq!((app.content, lines(&app)), (Content::Depth, 7));
    press(&mut app, KeyCode::Enter);
    press(&mut app, KeyCode::Char('c'));
    assert_eq!((app.content, lines(&app)), (Content::Chart, 13), "opens the panel");
    app.on_resize(20, 5);
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Char('c'));
    assert_eq!((app.content, lines(&app)), (Content::Chart, 2), "on a screen of any size");
}
