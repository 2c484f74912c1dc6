//! `kite sim`.

use crate::clients;
use crate::process::{Running, kite, run, sim};
use crate::socket::{PING, PONG, Socket, TEXT};

#[test]
fn it_prints_its_endpoint_and_ends_with_a_summary() {
    let mut sim = Running::start(kite(&["sim"]));
    let endpoint = sim.line().replace("endpoint  ", "");
    assert!(endpoint.starts_with("ws://127.0.0.1:"), "{endpoint}");
    assert_eq!(sim.line(), "export KITE_API_KEY=sim_api_key KITE_ACCESS_TOKEN=sim_access_token");
    assert!(sim.line().starts_with("kite watch --endpoint ws://127.0.0.1:"));
    clients::check(&mut sim, &endpoint);
    sim.interrupt();
    let ended = sim.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("3 sockets, 0 ticks in 0 frames, "), "{ended:?}");
}

#[test]
fn sigterm_stops_it_cleanly() {
    let (sim, _) = sim(&[]);
    sim.signal("-TERM");
    assert_eq!(sim.ended().code, Some(0));
}

#[test]
fn it_stops_after_the_given_time() {
    let ended = run(&mut kite(&["sim", "--json", "--for", "10ms", "--accounts", "3"]));
    assert_eq!(ended.code, Some(0));
    let first = ended.out.lines().next().and_then(|line| serde_json::from_str(line).ok());
    let report: serde_json::Value = first.expect("a line of JSON");
    assert_eq!(report["accounts"].as_array().map(Vec::len), Some(3));
    assert_eq!(report["accounts"][2]["api_key"], "sim_api_key_3");
}

#[test]
fn a_port_in_use_is_status_three() {
    let (_sim, endpoint) = sim(&[]);
    let port = endpoint.rsplit(':').next().expect("a port");
    let ended = run(&mut kite(&["sim", "--port", port]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.starts_with("error: cannot start the simulator: "), "{ended:?}");
}

#[test]
fn faults_are_listed_and_an_unknown_one_is_invalid_usage() {
    let listed = run(&mut kite(&["sim", "--list-faults"]));
    assert_eq!(listed.code, Some(0));
    assert!(listed.out.contains("half_open[:TIME]"));
    assert!(listed.out.contains("slow_link[:BYTES]"));
    let wrong = run(&mut kite(&["sim", "--fault", "5s=halfopen"]));
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("there is no fault \"halfopen\""), "{wrong:?}");
}

#[test]
fn ignored_commands_and_refused_handshakes_are_logged_with_their_reasons_and_counted() {
    let (sim, endpoint) = sim(&["-v"]);
    let (_, head) = Socket::ask(&format!("{endpoint}/?api_key=mine&access_token=my_secret"));
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let (_, head) = Socket::ask(&format!("{endpoint}/?api_key=sim_api_key&access_token=my_secret"));
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let mut client = Socket::open(&endpoint);
    for text in [
        r#"{"a":"subscribe","v":["408065"]}"#,
        r#"{"a":"subscribe","v":[408065"#,
        "{\"a\":\"my_secret\u{1b}[2J\",\"v\":[408065]}",
    ] {
        client.send(TEXT, text.as_bytes());
    }
    client.send(PING, b"done");
    assert_eq!(client.until(PONG), b"done");
    sim.interrupt();
    let ended = sim.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = ended.json();
    assert_eq!(
        (&report["ignored_commands"], &report["refused_handshakes"]),
        (&3.into(), &2.into())
    );
    let client = format!("client={}", client.address());
    for (who, reason) in [
        ("", "unknown api_key"),
        ("", "the access_token is not that of this api_key"),
        (&client, "instrument tokens must be numbers without quotes; 1 of the list are not"),
        (&client, "not a command: malformed JSON at byte 28"),
        (&client, "unknown action; expected subscribe, unsubscribe or mode"),
    ] {
        let is_it = |line: &str| line.contains(who) && line.contains(reason);
        assert!(ended.err.lines().any(is_it), "no {reason:?} of {who:?} in {}", ended.err);
    }
    assert!(!ended.err.contains("my_secret") && !ended.err.contains('\u{1b}'), "{}", ended.err);
}

#[test]
fn the_summary_counts_what_was_ignored() {
    let mut sim = Running::start(kite(&["sim"]));
    let endpoint = sim.line().replace("endpoint  ", "");
    let mut client = Socket::open(&endpoint);
    client.send(TEXT, b"{");
    client.send(PING, b"");
    client.until(PONG);
    sim.interrupt();
    let ended = sim.ended();
    let counted = "ignored in whole or in part: 1 command; -v logs the reasons";
    assert!(ended.out.contains(counted), "{ended:?}");
}
