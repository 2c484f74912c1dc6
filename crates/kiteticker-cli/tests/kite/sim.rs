//! `kite sim`.

use std::time::{SystemTime, UNIX_EPOCH};

use kite_wire::ist::IstDateTime;
use serde_json::{Value, json};

use crate::clients;
use crate::process::{Running, kite, run, sim};
use crate::socket::{BINARY, PING, PONG, Socket, TEXT};

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
        r#"{"a":"subscribe","v":[-1,99999999999]}"#,
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
        (&4.into(), &2.into())
    );
    let client = format!("client={}", client.address());
    for (who, reason) in [
        ("", "unknown api_key"),
        ("", "the access_token is not that of this api_key"),
        (&client, "instrument tokens must be whole numbers without quotes; 1 of the list is not"),
        (&client, "instrument tokens must be from 0 to 4,294,967,295; 2 of the list are not"),
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

#[test]
fn an_order_fault_is_one_update_with_the_requested_status() {
    let (sim, endpoint) = sim(&["--fault", "handshake1=order:REJECTED,handshake1=order"]);
    let is_order = |text: &Value| text["type"] == "order";
    for status in ["REJECTED", "COMPLETE"] {
        let mut client = Socket::open(&endpoint);
        client.send(PING, b"done");
        let (mut texts, mut frame) = (Vec::new(), client.frame());
        while frame.0 != PONG {
            if frame.0 == TEXT {
                texts.push(serde_json::from_slice::<Value>(&frame.1).expect("JSON"));
            }
            frame = client.frame();
        }
        let updates: Vec<_> = texts.iter().filter(|text| is_order(text)).collect();
        assert_eq!(updates.len(), 1, "{texts:?}");
        assert_eq!(updates[0]["data"]["status"], status);
        assert_eq!(updates[0]["data"].as_object().map(serde_json::Map::len), Some(39));
    }
    sim.interrupt();
    let ended = sim.ended();
    assert_eq!(ended.json()["faults"]["order"], 2, "{ended:?}");
}

#[test]
fn a_fault_that_is_due_without_a_client_is_reported_and_counted() {
    let (waiting, _) = sim(&["--fault", "1ms=order:FOO"]);
    let line = "warning: no client is connected: the fault order has no effect";
    waiting.wait_until_error(line);
    waiting.interrupt();
    let ended = waiting.ended();
    assert_eq!((ended.code, ended.err.matches(line).count()), (Some(0), 1), "{ended:?}");
    let report = ended.json();
    assert_eq!((&report["missed_faults"]["order"], &report["faults"]), (&1.into(), &json!({})));

    let short = run(&mut kite(&["sim", "--fault", "1ms=order", "--for", "100ms"]));
    assert!(short.err.contains(line), "{short:?}");
    assert!(short.out.contains("fault order without a client: 1"), "{short:?}");
}

#[test]
fn a_refusal_with_a_status_that_refuses_nothing_is_invalid_usage() {
    let wrong = run(&mut kite(&["sim", "--fault", "5s=refusal:200"]));
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.err.contains("an HTTP status from 300 to 999, such as 503"), "{wrong:?}");
}

/// Returns the time of the greeting and the exchange timestamp of a first packet in full mode, in
/// Unix seconds.
fn times(endpoint: &str) -> [i64; 2] {
    let mut client = Socket::open(endpoint);
    client.until(TEXT);
    let greeting: Value = serde_json::from_slice(&client.until(TEXT)).expect("JSON");
    let greeting = greeting["timestamp"].as_str().expect("a time").to_owned();
    client.send(TEXT, br#"{"a":"mode","v":["full",[408065]]}"#);
    let frame = loop {
        let frame = client.until(BINARY);
        if frame.len() > 1 {
            break frame;
        }
    };
    // Two bytes each for the number of packets and the length precede the packet.
    let timestamp = frame[4 + 60..4 + 64].try_into().expect("four bytes");
    let greeting: IstDateTime = greeting[..19].replace('T', " ").parse().expect("a time");
    [greeting.unix_seconds(), i64::from(u32::from_be_bytes(timestamp))]
}

#[test]
fn the_markets_clock_is_at_now_or_at_the_given_time_of_today() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let before = now();
    let (_sim, endpoint) = sim(&[]);
    let found = times(&endpoint);
    assert!(found.iter().all(|time| (before..=now()).contains(time)), "{found:?} of {before}");

    let midnight = |now: i64| (now + 19_800).div_euclid(86_400) * 86_400 - 19_800;
    let day_before = midnight(now());
    let (_sim, endpoint) = self::sim(&["--start", "09:15"]);
    let found = times(&endpoint);
    let day_after = midnight(now());
    let opened = |time: i64| {
        [day_before, day_after].iter().any(|day| (0..60).contains(&(time - day - 33_300)))
    };
    assert!(found.into_iter().all(opened), "{found:?} of {day_before}");
}

#[test]
fn with_a_list_only_its_instruments_tick() {
    let list = tempfile::NamedTempFile::new().expect("a file");
    let csv = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
               tick_size,lot_size,instrument_type,segment,exchange\n\
               408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE\n";
    std::fs::write(list.path(), csv).expect("a file");
    let (_sim, endpoint) = sim(&["--instruments-file", list.path().to_str().expect("UTF-8")]);
    let mut client = Socket::open(&endpoint);
    client.send(TEXT, br#"{"a":"subscribe","v":[408065,738561]}"#);
    for _ in 0..3 {
        let frame = loop {
            let frame = client.until(BINARY);
            if frame.len() > 1 {
                break frame;
            }
        };
        assert_eq!((&frame[..2], &frame[4..8]), (&[0, 1][..], &408_065_u32.to_be_bytes()[..]));
    }
    let missing = run(&mut kite(&["sim", "--instruments-file", "/nonexistent/list.csv"]));
    assert_eq!(missing.code, Some(3), "{missing:?}");
}

#[test]
fn a_start_that_is_no_time_is_invalid_usage() {
    for start in ["soon", "2120-01-01"] {
        let ended = run(&mut kite(&["sim", "--for", "10ms", "--start", start]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
}

#[test]
fn the_login_that_it_prints_waits_where_its_page_leads_and_writes_a_file_of_its_own() {
    for (line, port) in [
        (&["sim", "--for", "1ms"][..], ""),
        (&["sim", "--for", "1ms", "--redirect-url", "http://localhost:5010/x"], ""),
        (&["sim", "--for", "1ms", "--redirect-url", "http://127.0.0.1:8000"], " --port 8000"),
    ] {
        let ended = run(&mut kite(line));
        let login = ended.out.lines().find(|line| line.contains(" kite login "));
        let login = login.expect("a command");
        let (_, after_url) = login.split_once(" --api-url http://127.0.0.1:").expect("a URL");
        let options = after_url.trim_start_matches(|symbol: char| symbol.is_ascii_digit());
        assert_eq!(options, format!("{port} --credentials sim.credentials"), "{ended:?}");
    }
}

#[test]
fn its_login_page_and_api_are_printed_and_its_tokens_die_when_asked() {
    let line = ["sim", "--json", "--token-dies", "1ms", "--login-fault", "expired,slow:5"];
    let mut sim = Running::start(kite(&line));
    let report: Value = serde_json::from_str(&sim.line()).expect("JSON");
    let api = report["api_url"].as_str().expect("a URL");
    assert!(api.starts_with("http://127.0.0.1:"), "{report}");
    assert_eq!(report["login_url"], format!("{api}/connect/login"));
    assert_eq!(report["accounts"][0]["api_secret"], "sim_api_secret");
    sim.wait_until_error("the access tokens have died\n");
    let endpoint = report["endpoint"].as_str().expect("an endpoint");
    let url = format!("{endpoint}/?api_key=sim_api_key&access_token=sim_access_token");
    let (_, head) = Socket::ask(&url);
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    sim.interrupt();
    let ended = sim.ended();
    assert_eq!((ended.json()["logins"].as_u64(), ended.code), (Some(0), Some(0)), "{ended:?}");
    for wrong in [["--login-fault", "dies"], ["--redirect-url", "https://example.com"]] {
        let ended = run(&mut kite(&["sim", wrong[0], wrong[1]]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
}
