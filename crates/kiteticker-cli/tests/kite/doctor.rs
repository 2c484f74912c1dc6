//! `kite doctor` against `kite sim`.

use std::net::TcpListener;

use serde_json::Value;

use crate::process::{Outcome, kite, run, sim, with_credentials};

fn doctor(endpoint: &str, access_token: &str) -> Outcome {
    let command = kite(&["doctor", "--json", "--endpoint", endpoint]);
    run(&mut with_credentials(command, access_token))
}

fn verdict<'a>(report: &'a Value, check: &str) -> &'a str {
    let checks = report["checks"].as_array().expect("checks");
    let one = checks.iter().find(|one| one["check"] == check);
    one.and_then(|one| one["verdict"].as_str()).expect("a verdict")
}

#[test]
fn a_healthy_server_passes_every_check() {
    let (_sim, endpoint) = sim(&[]);
    let ended = doctor(&endpoint, "sim_access_token");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = ended.json();
    assert_eq!(report["ok"], true);
    for check in ["dns", "tcp", "credentials", "handshake", "token", "heartbeat", "ticks"] {
        assert_eq!(verdict(&report, check), "ok", "{report}");
    }
    assert_eq!(verdict(&report, "tls"), "skipped");
}

#[test]
fn a_wrong_token_fails_with_advice() {
    let (_sim, endpoint) = sim(&[]);
    let ended = doctor(&endpoint, "yesterdaystoken");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = ended.json();
    assert_eq!((verdict(&report, "handshake"), verdict(&report, "token")), ("ok", "fail"));
    assert_eq!((verdict(&report, "heartbeat"), verdict(&report, "ticks")), ("skipped", "skipped"));
    assert!(ended.out.contains("create a new access token"));
    assert!(!ended.out.contains("yesterdaystoken") && !ended.err.contains("yesterdaystoken"));
}

#[test]
fn if_nothing_listens_tcp_fails_and_the_rest_is_skipped() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("ws://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let ended = doctor(&endpoint, "sim_access_token");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = ended.json();
    assert_eq!((verdict(&report, "dns"), verdict(&report, "tcp")), ("ok", "fail"));
    for check in ["tls", "clock", "handshake", "token", "heartbeat", "ticks"] {
        assert_eq!(verdict(&report, check), "skipped", "{report}");
    }
}

#[test]
fn without_credentials_the_network_is_still_checked() {
    let (_sim, endpoint) = sim(&[]);
    let ended = run(&mut kite(&["doctor", "--json", "--endpoint", &endpoint]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = ended.json();
    assert_eq!((verdict(&report, "tcp"), verdict(&report, "credentials")), ("ok", "fail"));
}

#[test]
fn a_silent_feed_and_a_lost_socket_fail_the_heartbeat() {
    for (fault, text) in
        [("handshake1=half_open", "no heartbeat within"), ("handshake1=reset", "was lost")]
    {
        let (_sim, endpoint) = sim(&["--fault", fault]);
        let ended = doctor(&endpoint, "sim_access_token");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let report = ended.json();
        assert_eq!(verdict(&report, "heartbeat"), "fail", "{report}");
        assert!(ended.out.contains(text), "{report}");
    }
}

#[test]
fn a_refusal_that_is_not_about_the_token_fails_the_handshake() {
    let (_sim, endpoint) = sim(&["--fault", "handshake1=refusal:429"]);
    // The clock check's request has no upgrade, so it does not count as a handshake.
    let ended = doctor(&endpoint, "sim_access_token");
    let report = ended.json();
    assert_eq!(
        (verdict(&report, "handshake"), verdict(&report, "token")),
        ("fail", "skipped"),
        "{report}"
    );
    assert!(ended.out.contains("three open sockets"), "{report}");
}

#[test]
fn the_most_verbose_logs_contain_no_token() {
    let (_sim, endpoint) = sim(&[]);
    let command = kite(&["doctor", "-vvv", "--endpoint", &endpoint]);
    let ended = run(&mut with_credentials(command, "sim_access_token"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("kite_conn"), "{ended:?}");
    assert!(!ended.err.contains("sim_access_token") && !ended.out.contains("sim_access_token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_untrusted_issuer_fails_tls() {
    let sim = kite_sim::Sim::builder().tls().start().await.expect("a server");
    let endpoint = format!("wss://localhost:{}", sim.addr().port());
    let running = tokio::task::spawn_blocking(move || doctor(&endpoint, "sim_access_token"));
    let ended = running.await.expect("the doctor ends");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = ended.json();
    assert_eq!((verdict(&report, "tcp"), verdict(&report, "tls")), ("ok", "fail"), "{report}");
    assert_eq!((verdict(&report, "clock"), verdict(&report, "handshake")), ("skipped", "skipped"));
    assert!(ended.out.contains("may present its own certificate"), "{report}");
}
