//! Names belong to the day: those on the tapes, in the lists of days, and on the command line.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Outcome, Running, kite, run};
use crate::server::Server;
use crate::tape;

const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange";

fn run_on(command: &str, tapes: &Path, more: &[&str]) -> Outcome {
    run(&mut kite(&[&[command, tapes.to_str().expect("UTF-8")], more].concat()))
}

/// Returns a note that names the token of INFY after a future.
fn note(date: &str, symbol: &str) -> String {
    format!(
        r#"{{"event":"instruments","date":"{date}","rows":[{{"instrument_token":408065,"mode":"ltp","exchange_token":1594,"tradingsymbol":"{symbol}","name":"","last_price":"0","expiry":null,"strike":"0","tick_size":"0.05","lot_size":75,"instrument_type":"FUT","segment":"NFO-FUT","exchange":"NFO"}}]}}"#
    )
}

/// Writes tapes of two days on which a token was of two instruments.
fn two_days() -> tempfile::TempDir {
    let tapes = tempfile::tempdir().expect("a directory");
    let october = note("2026-11-23", "NIFTY26OCTFUT");
    tape::write_noted(tapes.path(), "kite-2026-11-23", 0, Some(&october));
    let december = note("2026-12-23", "TCS26DECFUT");
    tape::write_noted(tapes.path(), "kite-2026-12-23", 30, Some(&december));
    tapes
}

/// Returns the days and symbols of the rows of the first instrument.
fn symbols(exported: &Outcome) -> Vec<(String, String)> {
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let rows = exported.out.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let first = rows.filter(|row: &Value| row["instrument_token"] == 408_065);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut found: Vec<_> =
        first.map(|row| (text(&row["recv_time"])[..10].to_owned(), text(&row["symbol"]))).collect();
    found.dedup();
    found
}

#[test]
fn a_reused_token_is_named_by_the_tape_of_each_day() {
    let tapes = two_days();
    let days = [("2026-11-23", "NFO:NIFTY26OCTFUT"), ("2026-12-23", "NFO:TCS26DECFUT")]
        .map(|(day, symbol)| (day.to_owned(), symbol.to_owned()));
    let jsonl = ["--to", "-", "--format", "jsonl"];
    assert_eq!(symbols(&run_on("export", tapes.path(), &jsonl)), days);
    assert_eq!(symbols(&run_on("replay", tapes.path(), &["--stdout", "--speed", "max"])), days);
    for (number, name) in ["NFO:NIFTY26OCTFUT", "tcs"].into_iter().enumerate() {
        let name = if name == "tcs" { "nfo:tcs26decfut" } else { name };
        let one = [&jsonl[..], &["--instruments", name]].concat();
        let exported = run_on("export", tapes.path(), &one);
        assert_eq!(symbols(&exported), days[number..=number]);
        assert_eq!(exported.out.lines().count() as u64, tape::FRAMES, "one instrument of one day");
    }
    let report = run_on("inspect", tapes.path(), &["--json"]).json();
    assert_eq!(report["instruments"], 3);
    let names = report["busiest"].as_array().expect("an array").iter().map(|one| &one["name"]);
    let names: Vec<_> = names.filter_map(Value::as_str).collect();
    assert_eq!(names, ["NSE:RELIANCE", "NFO:NIFTY26OCTFUT", "NFO:TCS26DECFUT"]);
    let parts = tapes.path().join("parts");
    let to = parts.to_str().expect("UTF-8");
    let ended = run_on("export", tapes.path(), &["--to", to, "--partition-by", "date,symbol"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(parts.join("date=2026-12-23/symbol=NFO%3ATCS26DECFUT/ticks.parquet").is_file());
    assert!(!parts.join("date=2026-12-23/symbol=NFO%3ANIFTY26OCTFUT").exists());
}

#[test]
fn a_given_list_comes_before_the_names_on_the_tapes() {
    let tapes = two_days();
    let list = tapes.path().join("list.csv");
    std::fs::write(&list, format!("{HEADER}\n408065,1,GIVEN,,0,,0,0.05,1,FUT,NFO,NFO\n"))
        .expect("a file");
    let list = list.to_str().expect("UTF-8");
    let more =
        ["--to", "-", "--format", "jsonl", "--instruments-file", list, "--day", "2026-11-23"];
    let given = ("2026-11-23".to_owned(), "NFO:GIVEN".to_owned());
    assert_eq!(symbols(&run_on("export", tapes.path(), &more)), [given]);
}

#[test]
fn a_recording_holds_the_names_it_was_made_with() {
    let (tapes, list) =
        (tempfile::tempdir().expect("one"), tempfile::NamedTempFile::new().expect("a file"));
    let csv = format!("{HEADER}\n408065,1594,INFYOLD,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE\n");
    std::fs::write(list.path(), csv).expect("a file");
    let (to, list) = (tapes.path().to_str().expect("UTF-8"), list.path().to_str().expect("UTF-8"));
    let record = ["record", "--sim", "INFYOLD", "738561", "999424", "--instruments-file", list];
    let ended =
        run(&mut kite(&[&record[..], &["--to", to, "--for", "1s", "--rate", "20"]].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = run_on("inspect", tapes.path(), &["--json"]).json();
    let busiest = report["busiest"].as_array().expect("an array");
    assert!(busiest.iter().any(|one| one["name"] == "NSE:INFYOLD"), "{report}");
    let watch = ["watch", "--replay", to, "NSE:INFYOLD", "--speed", "max", "--json"];
    let mut watching = Running::start(kite(&watch));
    let row: Value = serde_json::from_str(&watching.line()).expect("JSON");
    assert_eq!(row["symbol"], "NSE:INFYOLD");
}

/// A cache with a list of one day, fetched from a local server.
fn cached(symbol: &str, day: &str) -> (tempfile::TempDir, String) {
    let home = tempfile::tempdir().expect("a directory");
    let csv = format!("{HEADER}\n408065,1594,{symbol},,0,,0,0.05,1,FUT,NFO,NFO\n");
    let server = Server::start(vec![Server::ok(&csv)]);
    let url = server.url().to_owned();
    let mut fetch = kite(&["instruments", "408065"]);
    run(fetch.env("HOME", home.path()).env("KITE_INSTRUMENTS_URL", &url));
    assert_eq!(server.requests().len(), 1);
    let lists = std::fs::read_dir(home.path().join(".cache/kiteticker")).expect("a cache");
    let today: PathBuf = lists.flatten().next().expect("a list").path();
    let name = today.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let (prefix, _) = name.split_at(name.len() - "2026-11-23.csv.gz".len());
    std::fs::rename(&today, today.with_file_name(format!("{prefix}{day}.csv.gz")))
        .expect("renamed");
    (home, url)
}

#[test]
fn tapes_without_names_are_named_by_the_list_of_their_day_or_another_with_a_warning() {
    let tapes = tempfile::tempdir().expect("a directory");
    let path = tape::write(tapes.path());
    let path = path.to_str().expect("UTF-8");
    let export = ["export", path, "--to", "-", "--format", "jsonl"];
    for (day, warning) in [
        ("2026-11-23", ""),
        (
            "2026-11-20",
            "warning: the names of 2026-11-23 are neither on the tapes nor cached: using the list of \
             2026-11-20, in which tokens may have been reused for other instruments\n",
        ),
    ] {
        let (home, url) = cached("LISTED", day);
        let mut command = kite(&export);
        let ended = run(command.env("HOME", home.path()).env("KITE_INSTRUMENTS_URL", &url));
        assert_eq!(symbols(&ended), [("2026-11-23".to_owned(), "NFO:LISTED".to_owned())]);
        assert!(
            ended.err.starts_with(warning) && ended.err.contains("warning") != warning.is_empty(),
            "{ended:?}"
        );
    }
}

#[test]
fn lists_older_than_requested_are_removed() {
    let (home, url) = cached("LISTED", "2020-01-01");
    let cache = home.path().join(".cache/kiteticker");
    let lists = || std::fs::read_dir(&cache).expect("a cache").count();
    // Today's list, so that none is downloaded.
    let old = std::fs::read_dir(&cache).expect("a cache").flatten().next().expect("a list").path();
    let name = old.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let today = kite_instruments::Date::today_in_india().to_string();
    std::fs::copy(&old, old.with_file_name(name.replace("2020-01-01", &today))).expect("a copy");
    let find = |days: &str| {
        let mut command = kite(&["instruments", "listed", "--keep-lists", days]);
        run(command.env("HOME", home.path()).env("KITE_INSTRUMENTS_URL", &url))
    };
    assert_eq!((find("9000").code, lists()), (Some(0), 2));
    assert_eq!((find("400").code, lists()), (Some(0), 1));
    assert_eq!(find("0").code, Some(2));
}

#[test]
fn instruments_that_never_ticked_are_reported_by_record_and_inspect() {
    let (from, to) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let path = tape::write(from.path());
    let (replay, to) = (path.to_str().expect("UTF-8"), to.path().to_str().expect("UTF-8"));
    let record = ["record", "--replay", replay, "--speed", "max", "--to", to, "--json"];
    let ended = run(&mut kite(&[&record[..], &["408065", "999424", "1594"]].concat()));
    let report = "warning: 2 instruments never ticked: 1594, 999424\n";
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains(report), "{ended:?}");
    assert_eq!(ended.json()["unseen"], serde_json::json!([1_594, 999_424]));
    let ended = run_on("inspect", Path::new(to), &["--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.err, report);
    assert_eq!(ended.json()["unseen"], serde_json::json!([1_594, 999_424]));
    let ended = run_on("inspect", from.path(), &["--json"]);
    assert_eq!(
        ended.json()["unseen"],
        serde_json::json!([]),
        "nothing is known of what was subscribed"
    );
}

#[test]
fn a_piped_watch_reports_instruments_that_never_ticked() {
    let tapes = tempfile::tempdir().expect("a directory");
    let path = tape::write(tapes.path());
    let replay = path.to_str().expect("UTF-8");
    let arguments = ["watch", "408065", "999424", "--replay", replay, "--speed", "max", "--json"];
    let mut watching = Running::start(kite(&arguments));
    assert!(watching.line().contains("NSE:INFY"));
    watching.interrupt();
    let ended = watching.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("warning: 1 instrument never ticked: 999424\n"), "{ended:?}");
}

#[test]
fn all_unknown_names_on_the_command_line_are_reported_together() {
    let tapes = two_days();
    let to = tapes.path().to_str().expect("UTF-8");
    let unknown = "error: 2 instruments are unknown: NSE:INFX (did you mean NSE:INFY?), \
                   NSE:RELIANC (did you mean NSE:RELIANCE?)\nhelp: ";
    let record = ["record", "--sim", "NSE:INFX", "NSE:TCS", "NSE:RELIANC", "--to", to];
    let export = ["export", to, "--to", "-", "--format", "csv", "--instruments"];
    for command in [kite(&record), kite(&[&export[..], &["NSE:INFX,NSE:TCS,NSE:RELIANC"]].concat())]
    {
        let mut command = command;
        let ended = run(&mut command);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.starts_with(unknown), "{ended:?}");
    }
}

#[test]
fn several_names_in_one_are_explained_as_they_are_written_there() {
    let tapes = two_days();
    let to = tapes.path().to_str().expect("UTF-8");
    let list = tapes.path().join("mine.txt");
    std::fs::write(&list, "NSE:INFY NSE:TCS\n").expect("a file");
    let list = list.to_str().expect("UTF-8");
    let export = ["export", to, "--to", "-", "--format", "csv", "--instruments"];
    let record = ["record", "--sim", "--to", to];
    for (line, name, help) in [
        ([&record[..], &["INFY,RELIANCE"]].concat(), "INFY,RELIANCE", "as separate arguments"),
        ([&record[..], &["INFY, TYPO"]].concat(), "INFY, TYPO", "as separate arguments"),
        ([&record[..], &["infy 738561"]].concat(), "infy 738561", "as separate arguments"),
        ([&export[..], &["NSE:INFY NSE:TCS"]].concat(), "NSE:INFY NSE:TCS", "by commas"),
        (
            [&record[..], &["--strict", "--list", list]].concat(),
            "NSE:INFY NSE:TCS",
            "one name a line",
        ),
    ] {
        let ended = run(&mut kite(&line));
        assert_eq!(ended.code, Some(2), "{line:?}: {ended:?}");
        assert!(ended.err.contains(&format!("{name} is several names\nhelp: ")), "{ended:?}");
        assert!(ended.err.contains(help), "{line:?}: {ended:?}");
    }
    let ended = run(&mut kite(&["record", "--sim", "NSE:NIFTY  50", "--to", to]));
    assert!(!ended.err.contains("several"), "blanks belong to the name: {ended:?}");
    let ended = run(&mut kite(&["record", "--sim", "INFY,TCS", "NSE:INFX", "--to", to]));
    let error = "2 instruments are unknown: INFY,TCS (several names), NSE:INFX (did you mean \
                 NSE:INFY?)\nhelp: write several names as separate arguments\n";
    assert!(ended.err.contains(error), "{ended:?}");
}

#[test]
fn a_name_that_expires_is_found_in_a_list_only_and_the_error_says_how() {
    let directory = tempfile::tempdir().expect("a directory");
    let (list, to) = (directory.path().join("list.csv"), directory.path().join("tapes"));
    let (list_name, to) = (list.to_str().expect("UTF-8"), to.to_str().expect("UTF-8"));
    let record = ["record", "--sim", "NCO:CRUDEOILM", "--for", "1s", "--to", to, "--json"];
    let ended = run(&mut kite(&record));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(
        ended.err,
        "error: no instrument is named NCO:CRUDEOILM\nhelp: only a few indices and shares are \
         built in; download the list by kite instruments, or pass one with --instruments-file\n"
    );
    std::fs::write(&list, "token,exchange,symbol\n33539084,NCO,CRUDEOILM\n").expect("a file");
    let ended = run(&mut kite(&[&record[..], &["--instruments-file", list_name]].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("recording 1 instrument "), "{ended:?}");
}

#[test]
fn an_empty_name_after_a_comma_is_ignored_and_one_alone_is_an_error() {
    let tapes = two_days();
    let to = tapes.path().to_str().expect("UTF-8");
    let export = |names: &str| {
        let export = ["export", to, "--to", "-", "--format", "csv", "--instruments", names];
        run(&mut kite(&export))
    };
    let (ended, expected) = (export("RELIANCE, ,"), export("RELIANCE"));
    assert_eq!((ended.code, ended.out), (Some(0), expected.out));
    let record = run(&mut kite(&["record", "--sim", "", "--to", to]));
    for ended in [export(""), export(","), record] {
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("an empty name"), "{ended:?}");
    }
}

#[test]
fn unknown_names_in_a_list_are_left_out_unless_strict() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("mine.txt");
    let path = list.to_str().expect("UTF-8");
    let to = directory.path().join("tapes");
    let to = to.to_str().expect("UTF-8");
    let record = |more: &[&str]| {
        let arguments = ["record", "--sim", "--list", path, "--to", to, "--for", "1s", "--json"];
        run(&mut kite(&[&arguments[..], more].concat()))
    };
    std::fs::write(&list, "NSE:INFY\nNSE:INFX\nNSE:TCS # mine\nEXPIRED\n").expect("a file");
    let ended = record(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let warning = format!(
        "warning: left out of {path}, as unknown: NSE:INFX (did you mean NSE:INFY?), EXPIRED\n"
    );
    assert!(ended.err.contains(&warning), "{ended:?}");
    assert!(ended.err.contains("recording 2 instruments "), "{ended:?}");
    let ended = record(&["--strict"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let error = format!(
        "error: 2 instruments are unknown: NSE:INFX (did you mean NSE:INFY?) in {path}, line 2, \
         EXPIRED in {path}, line 4\n"
    );
    assert!(ended.err.starts_with(&error), "{ended:?}");
    let many: String = (0..255).map(|number| format!("EXPIRED{number:03}\n")).collect();
    std::fs::write(&list, many + "NSE:INFY\n").expect("a file");
    let ended = record(&[]);
    assert!(ended.err.contains(", EXPIRED008, EXPIRED009 and 245 more\n"), "{ended:?}");
    let utf16 = "\u{feff}NSE:INFY\u{a0}\r\n \t\r\n 738561 \r\n".encode_utf16();
    let bytes: Vec<u8> = utf16.flat_map(u16::to_le_bytes).collect();
    std::fs::write(&list, bytes).expect("a file");
    let ended = record(&["--strict"]);
    assert_eq!(ended.code, Some(0), "as PowerShell writes it: {ended:?}");
    assert!(ended.err.contains("recording 2 instruments "), "{ended:?}");
    std::fs::write(&list, "# mine\nEXPIRED\n").expect("a file");
    let ended = record(&["--strict"]);
    let error = format!("error: {path}, line 2: no instrument is named EXPIRED\n");
    assert!(ended.err.starts_with(&error), "{ended:?}");
    let ended = record(&[]);
    assert_eq!(ended.code, Some(2), "the default instruments are not recorded instead: {ended:?}");
}

#[test]
fn an_instrument_without_a_name_is_null_in_the_lines_of_every_command() {
    let watch = ["watch", "--sim", "10368770", "408065", "--json"];
    let mut watching = Running::start(kite(&watch));
    let symbols: std::collections::BTreeMap<u64, Value> = (0..40)
        .map(|_| serde_json::from_str(&watching.line()).expect("JSON"))
        .map(|row: Value| {
            (row["instrument_token"].as_u64().expect("a token"), row["symbol"].clone())
        })
        .collect();
    assert_eq!(symbols[&10_368_770], Value::Null);
    assert_eq!(symbols[&408_065], "NSE:INFY");
    watching.interrupt();
    assert_eq!(watching.ended().code, Some(0));
}
