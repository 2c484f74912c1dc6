//! What the command prints of texts from outside: neither secrets nor control characters.

use serde_json::Value;

use crate::process::{Outcome, kite, run, with_credentials};
use crate::tape;

/// Clears the screen, sets a title, recolours, and turns the line around.
const HOSTILE: &str = "A\u{1b}[2J\u{1b}]0;x\u{7}\u{1b}[31m\u{9b}2J\u{202e}\u{2066}Z";
const CLEANED: &str = "A [2J ]0;x  [31m 2J  Z";

const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange";

/// Writes a list whose only instrument has a hostile symbol and name.
fn list() -> tempfile::NamedTempFile {
    let list = tempfile::NamedTempFile::new().expect("a file");
    let row = format!("408065,1594,{HOSTILE},{HOSTILE},0,,0,0.05,1,EQ,NSE,NSE");
    std::fs::write(list.path(), format!("{HEADER}\n{row}\n")).expect("a list");
    list
}

fn assert_clean(ended: &Outcome, line: &[&str]) {
    let is_bad = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}".contains(c);
    assert!(!ended.out.contains(is_bad) && !ended.err.contains(is_bad), "{line:?}: {ended:?}");
}

/// Asserts that no text of a JSON value has control characters, which programs would print.
fn assert_clean_json(value: &Value) {
    match value {
        Value::String(text) => assert!(!text.contains(char::is_control), "{text:?}"),
        Value::Array(all) => all.iter().for_each(assert_clean_json),
        Value::Object(all) => all.values().for_each(assert_clean_json),
        _ => {}
    }
}

#[test]
fn an_endpoint_that_holds_a_secret_is_refused_without_printing_it() {
    let tapes = tempfile::tempdir().expect("a directory");
    let to = tapes.path().to_str().expect("UTF-8");
    for (endpoint, reason) in [
        ("wss://ws.kite.trade?api_key=abc&access_token=s3cr3t", "the endpoint's query has api_key"),
        ("wss://ws.kite.trade/?access_token=s3cr3t", "the endpoint's query has access_token"),
        ("wss://me:s3cr3t@ws.kite.trade", "user information"),
        ("wss://s3cr3t@ws.kite.trade", "user information"),
        ("wss://me:s3c/r3t/s3cr3t@ws.kite.trade", "user information"),
        ("wss://ws.kite.trade#access_token=s3cr3t", "a fragment"),
        ("https://ws.kite.trade?access_token=s3cr3t", "scheme https"),
        ("ws.kite.trade?api_key=abc&access_token=s3cr3t", "no scheme"),
        ("ws://ws.kite.trade/?user_id=s3cr3t", "unencrypted"),
        ("wss://ws.kite.trade:99999/?access_token=s3cr3t", "port"),
    ] {
        for command in [&["watch", "408065"][..], &["record", "408065", "--to", to], &["doctor"]] {
            for given in [vec!["--endpoint", endpoint], vec![&*format!("--endpoint={endpoint}")]] {
                let line = [command, &given].concat();
                let ended = run(&mut with_credentials(kite(&line), "sim_access_token"));
                assert_eq!(ended.code, Some(2), "{line:?}: {ended:?}");
                assert!(ended.err.contains(reason), "{line:?}: {ended:?}");
                let shown = ended.out.clone() + &ended.err;
                assert!(!shown.contains("s3cr3t") && !shown.contains("s3c"), "{ended:?}");
            }
        }
    }
}

#[test]
fn an_endpoint_in_a_wrong_place_is_not_printed_with_its_secrets() {
    let endpoint = "wss://me:s3cr3t@h/?api_key=s3cr3t&access_token=s3cr3t";
    for line in [
        &[endpoint][..],
        &["watch", "--sim", endpoint],
        &["watch", endpoint, "--mode", endpoint],
        &["watch", "--sim", "--list", endpoint],
        &["inspect", endpoint],
        &["sim", "--port", endpoint],
        &["watch", "--endpont", endpoint],
        &["record", "--sim", "--to", "/dev/null", "--mode", "access_token=s3cr3t"],
    ] {
        let ended = run(&mut kite(line));
        assert!(ended.code == Some(2) || ended.code == Some(3), "{line:?}: {ended:?}");
        assert!(!(ended.out.clone() + &ended.err).contains("s3cr3t"), "{line:?}: {ended:?}");
    }
}

#[test]
fn names_of_a_list_are_cleaned_in_every_output() {
    let (list, tapes) = (list(), tempfile::tempdir().expect("a directory"));
    let list = list.path().to_str().expect("UTF-8");
    let tape = tape::write(tapes.path());
    let tape = tape.to_str().expect("UTF-8");
    let csv = tapes.path().join("x.csv");
    for line in [
        &["instruments", "--file", list, "--token", "408065"][..],
        &["instruments", "--file", list, "--token", "408065", "--color", "always"],
        &["instruments", "--file", list, "--token", "408065", "--json"],
        &["instruments", "--file", list, "--token", "408065", "--symbols"],
        &["inspect", tape, "--instruments-file", list],
        &["inspect", tape, "--instruments-file", list, "--json"],
        &["export", tape, "--instruments-file", list, "--to", "-", "--format", "csv"],
        &["export", tape, "--instruments-file", list, "--to", "-", "--format", "jsonl"],
        &["replay", tape, "--instruments-file", list, "--stdout", "--speed", "max"],
        &[
            "watch",
            "--replay",
            tape,
            "408065",
            "--instruments-file",
            list,
            "--mode",
            "ltp",
            "--speed",
            "100",
        ],
        &[
            "watch",
            "--replay",
            tape,
            "408065",
            "--instruments-file",
            list,
            "--json",
            "--speed",
            "max",
        ],
        &["export", tape, "--instruments-file", list, "--to", csv.to_str().expect("UTF-8")],
    ] {
        let ended = run(&mut kite(line));
        assert_eq!(ended.code, Some(0), "{line:?}: {ended:?}");
        if !line.contains(&"always") {
            assert_clean(&ended, line);
        }
        assert!(!ended.out.contains("\u{1b}[2J") && !ended.out.contains("\u{1b}[31m"), "{ended:?}");
        let is_json =
            line.contains(&"--json") || line.contains(&"jsonl") || line.contains(&"--stdout");
        if is_json {
            ended.out.lines().for_each(|line| {
                assert_clean_json(&serde_json::from_str(line).expect("JSON"));
            });
        }
        // A list of one instrument does not name the other one of the tape.
        let is_shown = ended.out.contains(CLEANED) || line[0] == "export" && ended.out.len() < 200;
        assert!(is_shown, "{line:?}: {ended:?}");
    }
    assert!(std::fs::read_to_string(csv).expect("a file").contains(CLEANED));
}

#[cfg(unix)]
#[test]
fn names_of_files_and_unknown_instruments_are_cleaned() {
    let directory = tempfile::tempdir().expect("a directory");
    let hostile = directory.path().join(HOSTILE.replace('\u{9b}', ""));
    std::fs::create_dir(&hostile).expect("a directory");
    tape::write(&hostile);
    let hostile = hostile.to_str().expect("UTF-8");
    let missing = format!("{hostile}/missing");
    for (line, code) in [
        (&["inspect", hostile][..], 0),
        (&["inspect", hostile, "--json"], 0),
        (&["inspect", &missing], 3),
        (&["watch", "--sim", "--list", &missing], 3),
        (&["watch", "--sim", HOSTILE], 2),
        (&["watch", "--mode", HOSTILE], 2),
        (&[HOSTILE], 2),
        (&["watch", "--credentials", &missing, "408065"], 3),
        (&["instruments", "--file", &missing], 3),
        (&["record", "--sim", "--for", "1s", "--to", hostile], 0),
        (&["record", "--sim", "--for", "1s", "--to", hostile, "--json"], 0),
        (&["cut", hostile, "--to", &missing, "--from", "09:15"], 0),
    ] {
        let ended = run(&mut kite(line));
        assert_eq!(ended.code, Some(code), "{line:?}: {ended:?}");
        assert_clean(&ended, line);
    }
}

#[cfg(unix)]
#[test]
fn a_name_of_a_file_is_recognisable_on_one_line_and_true_in_json() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let (hostile, cut) = (path("t\u{1b}[31m\nx"), path("c\u{202e}\u{9b}\n"));
    let record = ["record", "--sim", "--for", "1s", "--to", &hostile];
    let first = run(&mut kite(&record));
    let file = std::fs::read_dir(&hostile).expect("a directory").flatten().map(|it| it.path());
    let file = file.filter(|it| it.extension().is_some_and(|it| it == "ktape"));
    let file = file.last().expect("a tape").to_str().expect("UTF-8").to_owned();
    let shown = file.replace("\u{1b}[31m\n", "\\u{1b}[31m\\n");
    let inspect = ["inspect", &hostile];
    for ended in [&first, &run(&mut kite(&inspect))] {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.lines().any(|line| line.ends_with(&shown) || line.contains(&shown)));
    }
    assert!(first.err.contains("t\\u{1b}[31m\\nx\n"), "{first:?}");
    for (line, pointer) in [(&record[..], "/files/0"), (&inspect, "/files/0/path")] {
        let ended = run(&mut kite(&[line, &["--json"]].concat()));
        assert_clean(&ended, line);
        assert_eq!(ended.json().pointer(pointer), Some(&Value::from(&*file)), "{ended:?}");
    }
    let cutting = ["cut", &hostile, "--to", &cut, "--from", "00:00"];
    let ended = run(&mut kite(&cutting));
    assert!(ended.out.contains("/c\\u{202e}\\u{9b}\\n/kite-"), "{ended:?}");
}
