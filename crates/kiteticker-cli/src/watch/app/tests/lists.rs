//! Watch lists: choosing, naming, and what loading one changes.

use super::*;
use crate::watch::watchlists::Name;

fn names(names: &[&str]) -> Vec<Name> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn listed(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_watch_list_is_chosen_with_the_arrows() {
    let mut app = app();
    assert_eq!(press(&mut app, KeyCode::Char('w')), Some(Effect::ChooseList));
    app.choose_list(names(&["all", "bank", "it"]));
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Up);
    let effect = press(&mut app, KeyCode::Enter);
    assert_eq!(effect, Some(Effect::Load("bank".parse().unwrap())));
    assert_eq!(app.focus, Focus::Table);
    app.choose_list(names(&["all"]));
    assert_eq!((press(&mut app, KeyCode::Esc), app.focus.clone()), (None, Focus::Table));
    app.choose_list(Vec::new());
    assert_eq!(app.focus, Focus::Table, "there is nothing to choose");
    assert!(app.journal.last(1).next().unwrap().text.contains("W saves one"));
}

#[test]
fn loading_subscribes_to_what_is_new_and_keeps_the_ticks_of_what_stays() {
    let mut app = app();
    let now = app.moment.now;
    feed_tick(&mut app, full(738_561, 105, 5), now);
    type_text(&mut app, "/in");
    press(&mut app, KeyCode::Enter);
    let name: Name = "it".parse().unwrap();
    let texts = listed(&["NSE:ITC", "NSE:RELIANCE", "NSE:GONE", "NSE:ITC"]);
    assert_eq!(
        app.on_loaded(name.clone(), &texts),
        Some(Effect::Replace {
            removed: vec![408_065, 779_521],
            added: vec![424_961],
            mode: Mode::Full
        })
    );
    assert_eq!(symbols(&app), ["ITC", "RELIANCE"], "the filter is cleared");
    assert_eq!(app.table.row(738_561).unwrap().tick().unwrap().last_price, 105);
    assert_eq!((app.list.clone(), app.table.selected), (Some(name), Some(424_961)));
    let log: Vec<&str> = app.journal.last(2).map(|line| line.text.as_str()).collect();
    assert_eq!(log, ["left out of it, as unknown: NSE:GONE", "watching it"]);
    // Ticks reach the rows in their new places.
    feed_tick(&mut app, full(424_961, 7, 5), now);
    assert_eq!(app.table.row(424_961).unwrap().tick().unwrap().last_price, 7);
}

#[test]
fn a_list_without_a_known_instrument_changes_nothing() {
    let mut app = app();
    assert_eq!(app.on_loaded("old".parse().unwrap(), &listed(&["NSE:GONE"])), None);
    assert_eq!((symbols(&app).len(), app.list.clone()), (3, None));
}

#[test]
fn the_instruments_are_saved_as_listed_under_a_valid_name() {
    let mut app = app();
    type_text(&mut app, "2");
    assert_eq!(type_text(&mut app, "W"), Some(Effect::NameList));
    app.name_list(names(&["bank"]));
    type_text(&mut app, "../x");
    assert_eq!(press(&mut app, KeyCode::Enter), None);
    let Focus::Save(saving) = app.focus.clone() else { panic!("{:?}", app.focus) };
    assert!(saving.refusal.is_some() && !saving.replaces());
    for _ in 0.."../x".len() {
        press(&mut app, KeyCode::Backspace);
    }
    type_text(&mut app, "bank");
    let Focus::Save(saving) = app.focus.clone() else { panic!("{:?}", app.focus) };
    assert!(saving.replaces());
    let name: Name = "bank".parse().unwrap();
    let listed = listed(&["NSE:INFY", "NSE:RELIANCE", "NSE:SBIN"]);
    assert_eq!(press(&mut app, KeyCode::Enter), Some(Effect::Save { name: name.clone(), listed }));
    app.on_saved(name.clone());
    // The name is offered when the list is saved again.
    app.name_list(vec![name]);
    let Focus::Save(saving) = app.focus.clone() else { panic!("{:?}", app.focus) };
    assert_eq!(saving.text, "bank");
}

#[test]
fn the_name_of_the_open_list_is_replaced_by_what_is_typed() {
    let saved = |keys: &[KeyCode]| {
        let mut app = app();
        app.list = Some("old".parse().unwrap());
        app.name_list(names(&["old"]));
        let mut last = None;
        for &key in keys.iter().chain(&[KeyCode::Enter]) {
            last = press(&mut app, key);
        }
        match last {
            Some(Effect::Save { name, .. }) => name.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let bank = ['b', 'a', 'n', 'k'].map(KeyCode::Char);
    assert_eq!(saved(&[]), "old");
    assert_eq!(saved(&bank), "bank");
    assert_eq!(saved(&[&[KeyCode::Backspace], &bank[..]].concat()), "bank");
    assert_eq!(saved(&[&[KeyCode::Right], &bank[..]].concat()), "oldbank");
}
