//! Watch lists saved by name.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::{Running, kite, run};

/// Returns a command whose watch lists are in a directory that holds two.
fn with_lists(config: &Path, arguments: &[&str]) -> Command {
    let lists = config.join("kiteticker/watchlists");
    std::fs::create_dir_all(&lists).expect("a directory");
    let bank = "NSE:SBIN\nNSE:NIFTY 50\nNSE:NO SUCH NAME\n";
    for (name, text) in [("bank.list", bank), ("it.list", "408065\n")] {
        std::fs::write(lists.join(name), text).expect("a file");
    }
    let mut command = kite(arguments);
    command.env("XDG_CONFIG_HOME", config);
    command
}

#[test]
fn a_saved_list_is_watched_by_its_name_and_by_its_file() {
    let config = tempfile::tempdir().expect("a directory");
    let file = config.path().join("kiteticker/watchlists/bank.list");
    let file = file.to_str().expect("UTF-8");
    for option in [["--watchlist", "bank"], ["--list", file]] {
        let line = [&["watch", "--sim", "--json"], &option[..]].concat();
        let mut running = Running::start(with_lists(config.path(), &line));
        let mut tokens = Vec::new();
        while tokens.len() < 2 {
            let tick: Value = serde_json::from_str(&running.line()).expect("JSON");
            let token = tick["instrument_token"].as_u64().expect("a token");
            assert!([779_521, 256_265].contains(&token), "{tick}");
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        running.interrupt();
        let ended = running.ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.err.contains("as unknown: NSE:NO SUCH NAME"), "{ended:?}");
    }
}

#[test]
fn a_list_that_does_not_exist_is_wrong_usage_and_the_saved_ones_are_named() {
    let config = tempfile::tempdir().expect("a directory");
    let wrong = |name| {
        let outcome = run(&mut with_lists(config.path(), &["watch", "--sim", "--watchlist", name]));
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(2), ""), "{outcome:?}");
        outcome.err
    };
    let err = wrong("banks");
    assert!(err.contains("no watch list is named banks"), "{err}");
    assert!(err.contains("the saved ones are bank, it"), "{err}");
    assert!(wrong("../bank").contains("a name has letters, digits, - and _ only"));
    let both = ["watch", "--sim", "--watchlist", "it", "--list", "x"];
    assert_eq!(run(&mut with_lists(config.path(), &both)).code, Some(2));
}
