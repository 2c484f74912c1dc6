//! `kite instruments`, with a list from a file and from a local server.

use std::path::PathBuf;

use crate::process::{Outcome, kite, run};
use crate::server::Server;
use crate::tape;

const LIST: &str = "\
instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,\
instrument_type,segment,exchange
408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE
738561,2885,RELIANCE,RELIANCE INDUSTRIES,0,,0,0.05,1,EQ,NSE,NSE
9604354,37517,NIFTY26DEC24500CE,NIFTY,0,2026-12-29,24500,0.05,75,CE,NFO-OPT,NFO
9604610,37518,NIFTY26DEC24600CE,NIFTY,0,2026-12-29,24600,0.05,75,CE,NFO-OPT,NFO
";

fn listed(directory: &tempfile::TempDir, list: &str) -> PathBuf {
    let path = directory.path().join("instruments.csv");
    std::fs::write(&path, list).expect("a file");
    path
}

fn find(arguments: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().expect("a directory");
    let list = listed(&directory, LIST);
    let list = list.to_str().expect("UTF-8");
    run(&mut kite(&[&["instruments", "--file", list], arguments].concat()))
}

#[test]
fn instruments_are_found_by_words_token_and_type() {
    for (arguments, tokens) in [
        (&["infosys"][..], &[408_065][..]),
        (&["NSE:INFY"], &[408_065]),
        (&["408065"], &[408_065]),
        (&["24500"], &[9_604_354]),
        (&["--token", "738561"], &[738_561]),
        (&["--type", "ce", "--strike", "24550..25000"], &[9_604_610]),
        (&["nifty", "--strike", "24500"], &[9_604_354]),
        (&["--exchange", "nfo", "--expiry", "2026-12-29"], &[9_604_354, 9_604_610]),
    ] {
        let ended = find(&[arguments, &["--json"]].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let found = ended.json();
        let found: Vec<u64> = found
            .as_array()
            .expect("an array")
            .iter()
            .filter_map(|one| one["instrument_token"].as_u64())
            .collect();
        assert_eq!(found, tokens, "{arguments:?}");
    }
}

#[test]
fn instruments_are_printed_as_a_table() {
    let ended = find(&["nifty", "24500"]);
    assert_eq!(
        ended.out,
        "     TOKEN  SYMBOL                 KIND EXPIRY        STRIKE    LOT   TICK  NAME\n   \
         9604354  NFO:NIFTY26DEC24500CE  CE   2026-12-29     24500     75   0.05  NIFTY\n"
    );
}

#[test]
fn no_match_is_status_one() {
    let ended = find(&["nosuchthing"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains("no instrument of 4 matches\n"), "{ended:?}");
}

#[test]
fn a_mistyped_symbol_or_company_is_answered_with_what_may_have_been_meant() {
    for (typed, meant) in [
        (&["infosis"][..], "NSE:INFY"),
        (&["NSE:INFFY"], "NSE:INFY"),
        (&["reliance", "industreis"], "NSE:RELIANCE"),
        (&["--name", "NIFTTY"], "NFO:NIFTY26DEC24500CE, NFO:NIFTY26DEC24600CE"),
    ] {
        let ended = find(typed);
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
        let meant = format!("matches; did you mean {meant}?\n");
        assert!(ended.err.contains(&meant), "{ended:?}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let list = listed(&directory, LIST);
    let list = list.to_str().expect("UTF-8");
    let record = ["record", "--sim", "infosis", "--instruments-file", list, "--to", "x"];
    let ended = run(&mut kite(&record));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let error = "error: no instrument is named infosis\nhelp: did you mean NSE:INFY?\n";
    assert_eq!(ended.err, error);
}

#[test]
fn a_filter_that_cannot_match_is_explained_by_what_the_list_has() {
    for (arguments, explained) in [
        (&["--exchange", "NZE"][..], "no exchange NZE (did you mean NSE?), only NFO, NSE\n"),
        (&["--type", "xx"], "no type XX, only CE, EQ\n"),
        (
            &["infy", "--segment", "NFO-OPTS"],
            "no segment NFO-OPTS (did you mean NFO-OPT?), only NFO-OPT, NSE\n",
        ),
        (
            &["--expiry", "2026-12-30"],
            "no expiry 2026-12-30 (did you mean 2026-12-29?), only 2026-12-29\n",
        ),
    ] {
        let ended = find(arguments);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let explained = format!("no instrument of 4 matches; the list has {explained}");
        assert!(ended.err.contains(&explained), "{ended:?}");
    }
    for (arguments, error) in [
        (["--strike", "26000..25000"], "the range is reversed; write 25000..26000"),
        (["--limit", "0"], "0 is not in 1.."),
    ] {
        let ended = find(&arguments);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains(error), "{ended:?}");
    }
}

#[test]
fn a_list_without_a_usable_row_is_an_error_that_says_so() {
    let header = LIST.lines().next().expect("a header");
    for (rows, why) in [("", "only a header"), ("x,1,A,,0,,0,0,0,EQ,NSE,NSE\n", "none in 1 row")] {
        let directory = tempfile::tempdir().expect("a directory");
        let list = listed(&directory, &format!("{header}\n{rows}"));
        let list = list.to_str().expect("UTF-8");
        let to = directory.path().join("tapes");
        let record = ["record", "--sim", "408065", "--to", to.to_str().expect("UTF-8")];
        for line in [
            ["instruments", "infy", "--file", list].to_vec(),
            [&record[..], &["--instruments-file", list]].concat(),
        ] {
            let ended = run(&mut kite(&line));
            assert_eq!(ended.code, Some(3), "{ended:?}");
            let error = format!("error: the instrument list has no usable row: {why}\nhelp: ");
            assert!(ended.err.contains(&error), "{ended:?}");
        }
    }
}

#[test]
fn matches_beyond_the_limit_are_counted() {
    let ended = find(&["--limit", "1"]);
    assert_eq!(ended.out.lines().count(), 2);
    assert!(ended.err.contains("1 of 4 shown"), "{ended:?}");
}

#[test]
fn invalid_rows_are_reported_by_line_and_the_rest_loads() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = listed(&directory, &format!("{LIST}bad,1,X,X,0,,0,0.05,1,EQ,NSE,NSE\n"));
    let list = list.to_str().expect("UTF-8");
    let ended = run(&mut kite(&["instruments", "infy", "--file", list]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("warning: line 6: instrument_token"), "{ended:?}");
}

#[test]
fn a_list_of_tokens_exchanges_and_symbols_is_enough_as_a_spreadsheet_writes_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "\u{feff}Symbol ,note, exchange,token\r\n INFY ,\"mine, too\", NSE , 408065\r\n";
    let list = listed(&directory, text);
    let list = list.to_str().expect("UTF-8");
    let ended = run(&mut kite(&["instruments", "infy", "--file", list, "--json"]));
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(
        ended.json(),
        serde_json::json!([{
            "instrument_token": 408_065, "exchange": "NSE", "tradingsymbol": "INFY",
            "exchange_token": null, "name": null, "last_price": null, "expiry": null,
            "strike": null, "tick_size": null, "lot_size": null, "instrument_type": null,
            "segment": null,
        }]),
        "absent, not wrong"
    );
    let ended = run(&mut kite(&["instruments", "infy", "--file", list]));
    assert!(ended.out.ends_with("    408065  NSE:INFY\n"), "{ended:?}");
}

#[test]
fn expiries_are_read_with_the_year_first_or_last() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = listed(&directory, &LIST.replace("2026-12-29", "29-12-2026"));
    let list = list.to_str().expect("UTF-8");
    for day in ["2026-12-29", "29-12-2026"] {
        let line = ["instruments", "--file", list, "--expiry", day, "--strike", "24600", "--json"];
        let ended = run(&mut kite(&line));
        assert_eq!(ended.json()[0]["expiry"], "2026-12-29", "{ended:?}");
    }
}

#[test]
fn a_list_that_has_lost_most_of_its_rows_is_used_only_if_it_is_accepted() {
    let header = "token,exchange,symbol\n".to_owned();
    let short = header.clone() + "408065,NSE,INFY\n";
    let whole = short.clone() + "738561,NSE,RELIANCE\n2953217,NSE,TCS\n";
    let server = Server::start([&whole, &short, &short].map(|list| Server::ok(list)).to_vec());
    let url = server.url().to_owned();
    let home = tempfile::tempdir().expect("a directory");
    let find = |more: &[&str]| {
        let mut command = kite(&[&["instruments", "tcs"], more].concat());
        run(command.env("HOME", home.path()).env("KITE_INSTRUMENTS_URL", &url))
    };
    assert_eq!(find(&[]).code, Some(0));
    // The list of yesterday.
    let cache = home.path().join(".cache/kiteticker");
    let today = kite_instruments::Date::today_in_india().to_string();
    let path = std::fs::read_dir(&cache).expect("a cache").flatten().next().expect("a list").path();
    let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    std::fs::rename(&path, path.with_file_name(name.replace(&today, "2026-11-20")))
        .expect("renamed");
    // The second time without another request.
    for _ in 0..2 {
        let ended = find(&[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains("NSE:TCS"), "{ended:?}");
        let warning = "warning: using the instrument list of 2026-11-20: today's has only \
                       1 instrument, fewer than half of its 3; it is downloaded again in 15 min, \
                       and kite instruments --refresh accepts it\n";
        assert_eq!(ended.err, warning);
    }
    let ended = find(&["--refresh"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.starts_with("no instrument of 1 matches"), "{ended:?}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn the_list_is_downloaded_once_and_then_names_instruments_on_tapes() {
    // Only one request is answered; a second would fail.
    let server = Server::start(vec![Server::ok(&LIST.replace("INFY", "INFYRENAMED"))]);
    let url = server.url().to_owned();
    let home = tempfile::tempdir().expect("a directory");
    let with_list = |arguments: &[&str]| {
        let mut command = kite(arguments);
        run(command.env("HOME", home.path()).env("KITE_INSTRUMENTS_URL", &url))
    };
    for _ in 0..2 {
        let ended = with_list(&["instruments", "infosys"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains("NSE:INFYRENAMED"), "{ended:?}");
    }
    assert_eq!(server.requests().len(), 1);
    let tapes = tempfile::tempdir().expect("a directory");
    let path = tape::write(tapes.path());
    let ended = with_list(&["inspect", path.to_str().expect("UTF-8")]);
    assert!(ended.out.contains("NSE:INFYRENAMED (408065)"), "{ended:?}");
    assert!(ended.err.contains("the names of 2026-11-23 are neither on the tapes"), "{ended:?}");
}

#[test]
fn an_exchange_token_is_explained_wherever_it_is_given() {
    let explained = "1594 is the exchange token of NSE:INFY: use 408065\n";
    for arguments in [&["1594"][..], &["--token", "1594"]] {
        let ended = find(arguments);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains(&format!("of 4 matches; {explained}")), "{ended:?}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let list = listed(&directory, LIST);
    let list = list.to_str().expect("UTF-8");
    let day = tape::write(directory.path());
    let day = day.to_str().expect("UTF-8");
    let to = directory.path().join("tapes");
    let to = to.to_str().expect("UTF-8");
    let replayed = ["--replay", day, "--speed", "max", "--instruments-file", list];
    let csv = ["--format", "csv", "--instruments-file", list, "--to", "-"];
    let cut = directory.path().join("cut");
    let cut = ["--instruments-file", list, "--to", cut.to_str().expect("UTF-8")];
    for line in [
        [&["record", "1594", "408065", "--to", to][..], &replayed].concat(),
        [&["watch", "1594", "408065", "--json"][..], &replayed].concat(),
        [&["export", day, "--instruments", "1594,408065"][..], &csv].concat(),
        [&["cut", day, "--instruments", "1594,408065"][..], &cut].concat(),
    ] {
        let ended = run(&mut kite(&line));
        assert!(ended.err.contains(&format!("warning: {explained}")), "{line:?}: {ended:?}");
        assert!(!ended.err.contains("408065 is the exchange"), "{line:?}: {ended:?}");
    }
    let ended = run(&mut kite(&["inspect", to, "--instruments-file", list]));
    let report = "1 instrument never ticked: 1594 (the exchange token of NSE:INFY: use 408065)\n";
    assert!(ended.err.contains(report), "{ended:?}");
}
