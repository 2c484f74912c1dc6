//! `--select`: contracts chosen by a text, in `instruments`, `watch` and `record`.

use std::io::{Seek as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;

use kite_instruments::Date;
use serde_json::Value;

use crate::process::{Outcome, Running, kite, run, sim, with_credentials};
use crate::tape;

const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange";

/// A list with options of NIFTY: expired, of tomorrow and of a later day, at every 500 points.
struct Listed {
    directory: tempfile::TempDir,
    path: String,
}

impl Listed {
    fn new() -> Self {
        let mut csv = format!("{HEADER}\n256265,1,NIFTY 50,,0,,0,0,0,EQ,INDICES,NSE\n");
        for (series, days) in ["OLD", "W1", "W2"].into_iter().zip([-6, 1, 8]) {
            for strike in (10_000..45_000).step_by(500) {
                for (number, kind) in (0..).zip(["CE", "PE"]) {
                    let token = 0x10_0002 + ((days + 6) * 0x10_0000) + strike * 0x200 / 500 * 2;
                    let token = token + number * 0x100;
                    csv += &format!(
                        "{token},1,NIFTY{series}{strike}{kind},NIFTY,0,{},{strike},0.05,75,{kind},\
                         NFO-OPT,NFO\n",
                        expiry(days)
                    );
                }
            }
        }
        let directory = tempfile::tempdir().expect("a directory");
        let file: PathBuf = directory.path().join("list.csv");
        std::fs::write(&file, csv).expect("a file");
        let path = file.to_str().expect("UTF-8").to_owned();
        Self { directory, path }
    }

    fn instruments(&self, arguments: &[&str]) -> Outcome {
        run(&mut kite(&[&["instruments", "--file", &self.path], arguments].concat()))
    }

    /// Records with the list until so many instruments have ticked, and returns their names.
    fn record(&self, arguments: &[&str], count: usize) -> (Outcome, Vec<String>) {
        let to = self.tapes();
        let record = ["record", "--instruments-file", &self.path, "--to", &to];
        let recording = Running::start(kite(&[&record[..], arguments].concat()));
        recording.wait_until(|| recorded(&to).len() >= count);
        recording.interrupt();
        let ended = recording.ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        (ended, recorded(&to))
    }

    fn tapes(&self) -> String {
        self.directory.path().join("tapes").to_str().expect("UTF-8").to_owned()
    }
}

fn expiry(days: i32) -> Date {
    Date::from_days(Date::today_in_india().days() + days).expect("a day")
}

/// Returns the symbol of a tick in JSON.
fn symbol(line: &str) -> String {
    let row: Value = serde_json::from_str(line).expect("JSON");
    row["symbol"].as_str().expect("a symbol").to_owned()
}

/// Returns the names of the instruments on tapes, sorted.
fn recorded(tapes: &str) -> Vec<String> {
    let report = run(&mut kite(&["inspect", tapes, "--json"]));
    if report.out.is_empty() {
        // No tape yet.
        return Vec::new();
    }
    let report = report.json();
    let busiest = report["busiest"].as_array().expect("an array");
    let names = busiest.iter().filter_map(|one| one["name"].as_str());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}

#[test]
fn contracts_are_listed_and_their_names_are_what_a_list_on_stdin_needs() {
    let listed = Listed::new();
    let chosen = listed.instruments(&["--select", "nifty nearest 26000±1 ce", "--symbols"]);
    assert_eq!(chosen.code, Some(0), "{chosen:?}");
    assert_eq!(chosen.out, "NFO:NIFTYW125500CE\nNFO:NIFTYW126000CE\nNFO:NIFTYW126500CE\n");
    let names = chosen.out.lines();
    let watch = ["watch", "--sim", "--json", "--instruments-file", &listed.path, "--list", "-"];
    let mut command = kite(&watch);
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(chosen.out.as_bytes()).expect("written");
    file.rewind().expect("at its start");
    command.stdin(file);
    let mut watching = Running::start(command);
    // The first packets come in the order of the list.
    for name in names {
        assert_eq!(symbol(&watching.line()), name);
    }
    watching.interrupt();
    let ended = watching.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn what_the_list_lacks_is_named_and_the_rest_is_printed() {
    let listed = Listed::new();
    let (missing, old) = (expiry(2), expiry(-6));
    let ended = listed.instruments(&[
        "--symbols",
        "--select",
        &format!("NIFTY {missing} 26000"),
        "--select",
        &format!("NIFTY {old} 26000"),
        "--select",
        "NIFTY next 26100 CE",
        "--select",
        "NIFTY next 10500+-2 PE",
    ]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let (first, second) = (expiry(1), expiry(8));
    for text in [
        &format!("no options of NIFTY expire on {missing}; expiries from "),
        &format!("on: {first}, {second}\n"),
        &format!("error: --select 'NIFTY {old} 26000': {old} is past"),
        &format!(
            "NIFTY has no strike 26100 that expires on {second}; the nearest are 26000 and 26500"
        ),
        "warning: NIFTY next 10500+-2 PE: 1 strike below not in the list\n",
    ] {
        assert!(ended.err.contains(text), "{text}: {ended:?}");
    }
    let names = ["10000", "10500", "11000", "11500"].map(|it| format!("NFO:NIFTYW2{it}PE\n"));
    assert_eq!(ended.out, names.concat());
}

#[test]
fn wrong_texts_and_prices_are_wrong_usage() {
    let listed = Listed::new();
    for (arguments, message) in [
        (&["--select", "NIFTY soon 26000"][..], "\"soon\" is not an expiry"),
        (&["--select", "NIFTY nearest ATM"], "ATM needs the price of NIFTY's underlying"),
        (&["--select", "NIFTY nearest 26000", "--spot", "5"], "--spot 5 is not needed"),
        (&["--select", "NIFTY nearest 26000", "nifty"], "cannot be used with"),
        (&["--select", "NIFTY nearest 26000", "--type", "CE"], "cannot be used with"),
    ] {
        let ended = listed.instruments(arguments);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains(message), "{message}: {ended:?}");
    }
    let to = listed.tapes();
    let record = ["record", "--sim", "--instruments-file", &listed.path, "--to", &to];
    let ended = run(&mut kite(&[&record[..], &["--select", "NIFTI nearest 26000"]].concat()));
    assert_eq!(ended.code, Some(2), "nothing else is recorded instead: {ended:?}");
    assert!(ended.err.contains("no options of NIFTI (did you mean NIFTY?)"), "{ended:?}");
}

#[test]
fn a_text_with_next_that_was_recorded_is_explained_on_the_tapes() {
    let listed = Listed::new();
    let select = ["--select", "NIFTY next 26000 CE"];
    listed.record(&[&["--sim"], &select[..]].concat(), 1);
    let tapes = listed.tapes();
    let export = ["export", &tapes, "--to", "-", "--format", "csv"];
    let ended = run(&mut kite(&[&export[..], &select[..]].concat()));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let help = format!("help: the tapes have only {}: write nearest, or pass ", expiry(8));
    assert!(ended.err.contains(&help), "{ended:?}");
    let ended =
        run(&mut kite(&[&export[..], &select[..], &["--instruments-file", &listed.path]].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_recording_holds_what_was_chosen_by_the_first_price_of_the_underlying() {
    let listed = Listed::new();
    // The price of the simulator's index, from a recording of it.
    let index = tempfile::tempdir().expect("a directory");
    let index = index.path().to_str().expect("UTF-8");
    let ended = run(&mut kite(&["record", "--sim", "256265", "--to", index, "--for", "1s"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let first = run(&mut kite(&["export", index, "--to", "-", "--format", "jsonl"]));
    let first: Value =
        serde_json::from_str(first.out.lines().next().expect("a tick")).expect("JSON");
    let price = first["last_price"].as_f64().expect("a price");
    let middle = (price / 500.0).round() as i32 * 500;

    let select = ["--select", "NIFTY nearest ATM+-1 PE", "--select", "NIFTY next 26000 CE"];
    let (ended, recorded) = listed.record(&[&["--sim"], &select[..]].concat(), 5);
    assert!(ended.err.contains("waiting for the price of NSE:NIFTY 50 from "), "{ended:?}");
    assert!(ended.err.contains(", underlying at "), "{ended:?}");
    let mut names: Vec<String> =
        [-500, 0, 500].map(|by| format!("NFO:NIFTYW1{}PE", middle + by)).to_vec();
    // The underlying is recorded, so that its price is found on the tapes.
    names.extend(["NFO:NIFTYW226000CE", "NSE:NIFTY 50"].map(str::to_owned));
    assert_eq!(recorded, names, "{ended:?}");
}

#[test]
fn a_given_price_is_not_waited_for() {
    let listed = Listed::new();
    let select = ["--select", "NIFTY nearest ATM CE", "--spot", "nifty=31234.5"];
    let (ended, recorded) = listed.record(&[&["--sim"], &select[..]].concat(), 1);
    assert!(!ended.err.contains("waiting for the price"), "{ended:?}");
    assert_eq!(recorded, ["NFO:NIFTYW131000CE"]);
}

#[test]
fn watch_chooses_by_the_first_price_of_a_server() {
    let listed = Listed::new();
    let (_sim, endpoint) = sim(&[]);
    let watch = ["watch", "--json", "--endpoint", &endpoint, "--instruments-file", &listed.path];
    let watch = kite(&[&watch[..], &["--select", "NIFTY nearest ATM CE"]].concat());
    let mut watching = Running::start(with_credentials(watch, "sim_access_token"));
    assert!(symbol(&watching.line()).starts_with("NFO:NIFTYW1"));
    watching.interrupt();
    let ended = watching.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_price_that_does_not_arrive_before_the_end_is_reported() {
    let (listed, tapes) = (Listed::new(), tempfile::tempdir().expect("a directory"));
    let path = tape::write(tapes.path());
    // It waits for another socket and sends nothing but heartbeats.
    let serve = ["replay", path.to_str().expect("UTF-8"), "--sockets", "2", "--json"];
    let mut server = Running::start(kite(&serve));
    let report: Value = serde_json::from_str(&server.line()).expect("JSON");
    let endpoint = report["endpoint"].as_str().expect("an endpoint");
    let to = listed.tapes();
    let record =
        ["record", "--endpoint", endpoint, "--instruments-file", &listed.path, "--to", &to];
    let record = [&record[..], &["--for", "1s", "--select", "NIFTY nearest ATM"]].concat();
    let ended = run(&mut with_credentials(kite(&record), "sim_access_token"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("error: no price of NSE:NIFTY 50 arrived in time"), "{ended:?}");
    assert!(ended.err.contains("--spot"), "{ended:?}");
}

#[test]
fn what_is_chosen_from_a_recording_can_be_chosen_from_again() {
    let listed = Listed::new();
    let (_, all) = listed.record(&["--sim", "--select", "NIFTY nearest ATM+-2 CE"], 6);
    let (tapes, kept) = (listed.tapes(), tempfile::tempdir().expect("a directory"));
    let kept = kept.path().to_str().expect("UTF-8");
    let record = ["record", "--replay", &tapes, "--speed", "max", "--to", kept];
    let select = ["--select", "NIFTY nearest ATM CE"];
    let ended = run(&mut kite(&[&record[..], &select[..]].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let middle = all.iter().filter(|name| name.ends_with("CE")).nth(2).expect("five calls");
    let chosen = [middle.clone(), "NSE:NIFTY 50".to_owned()];
    assert_eq!(recorded(kept), chosen, "{ended:?}");
    let cut = tempfile::tempdir().expect("a directory");
    let to = cut.path().to_str().expect("UTF-8");
    let ended = run(&mut kite(&[&["cut", &tapes, "--to", to], &select[..]].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(recorded(to), chosen);
    for tapes in [&tapes, to] {
        let export = ["export", tapes, "--to", "-", "--format", "jsonl"];
        let exported = run(&mut kite(&[&export[..], &select[..]].concat()));
        assert_eq!(exported.code, Some(0), "{exported:?}");
        assert!(exported.out.lines().count() > 0);
        assert!(exported.out.lines().all(|line| symbol(line) == *middle), "{exported:?}");
    }
}

#[test]
fn a_tape_without_the_underlying_is_said_to_lack_its_price() {
    let listed = Listed::new();
    let select = ["--select", "NIFTY nearest ATM CE"];
    let spot = [&select[..], &["--spot", "26000"]].concat();
    listed.record(&[&["--sim"], &spot[..]].concat(), 1);
    let tapes = listed.tapes();
    let cut = listed.directory.path().join("cut");
    let to = cut.to_str().expect("UTF-8");
    for command in [&["cut", &tapes, "--to", to][..], &["export", &tapes, "--to", "x.csv"]] {
        let ended = run(&mut kite(&[command, &select[..]].concat()));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let advice = "NSE:NIFTY 50 has no price on the tapes in the chosen times: record it as \
                      well, or pass its price with --spot";
        assert!(ended.err.contains(advice), "{ended:?}");
        assert!(!cut.exists(), "{ended:?}");
    }
    let ended = run(&mut kite(&[&["cut", &tapes, "--to", to], &spot[..]].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_stop_while_the_server_was_never_reached_is_a_finding_and_has_a_report() {
    let (listed, unused) = (Listed::new(), TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let endpoint = format!("ws://{}", unused.local_addr().expect("an address"));
    drop(unused);
    let to = listed.tapes();
    let feed = ["--endpoint", &endpoint, "--instruments-file", &listed.path, "--json"];
    let select = ["--select", "NIFTY nearest ATM"];
    for (command, is_timed) in [
        (&["record", "--to", &to][..], false),
        (&["record", "--to", &to], true),
        (&["watch"], false),
    ] {
        let limit: &[&str] = if is_timed { &["--for", "3s"] } else { &[] };
        let line = [command, &feed[..], &select[..], limit].concat();
        let running = Running::start(with_credentials(kite(&line), "sim_access_token"));
        if !is_timed {
            running.wait_until_error("waiting for 127.0.0.1");
            running.interrupt();
        }
        let ended = running.ended();
        assert_eq!(ended.code, Some(1), "{line:?}: {ended:?}");
        let error = "error: no price of NSE:NIFTY 50 arrived: at the end a connection was refused, \
                     or the server had not been reached";
        assert!(ended.err.contains(error), "{line:?}: {ended:?}");
        if command[0] == "record" {
            assert_eq!(ended.json()["ticks"], 0, "{ended:?}");
        }
    }
    assert!(!std::path::Path::new(&to).exists(), "nothing was recorded");
}
