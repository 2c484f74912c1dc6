//! `kite doctor` against `kite sim`.

use std::net::TcpListener;

use serde_json::Value;

use crate::process::{Ended, kite, run, sim, with_credentials};

fn doctor(endpoint: &str, access_token: &str) -> Ended {
    let command = kite(&["doctor", "--json", "--endpoint", endpoint]);
    run(&mut with_credentials(command, access_token))
}

fn verdict<'a>(said: &'a Value, check: &str) -> &'a str {
    let checks = said["checks"].as_array().expect("checks");
    let one = checks.iter().find(|one| one["check"] == check);
    one.and_then(|one| one["verdict"].as_str()).expect("a verdict")
}

#[test]
fn a_healthy_server_passes_every_check() {
    let (_sim, endpoint) = sim(&[]);
    let ended = doctor(&endpoint, "sim_access_token");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = ended.json();
    assert_eq!(said["ok"], true);
    for check in ["dns", "tcp", "credentials", "handshake", "token", "heartbeat", "ticks"] {
        assert_eq!(verdict(&said, check), "ok", "{said}");
    }
    assert_eq!(verdict(&said, "tls"), "skipped");
}

#[test]
fn a_wrong_token_fails_with_what_to_do() {
    let (_sim, endpoint) = sim(&[]);
    let ended = doctor(&endpoint, "yesterdaystoken");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.json();
    assert_eq!((verdict(&said, "handshake"), verdict(&said, "token")), ("ok", "fail"));
    assert_eq!((verdict(&said, "heartbeat"), verdict(&said, "ticks")), ("skipped", "skipped"));
    assert!(ended.out.contains("make a new access token"));
    assert!(!ended.out.contains("yesterdaystoken") && !ended.err.contains("yesterdaystoken"));
}

#[test]
fn where_nothing_listens_tcp_fails_and_the_rest_is_skipped() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("ws://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let ended = doctor(&endpoint, "sim_access_token");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.json();
    assert_eq!((verdict(&said, "dns"), verdict(&said, "tcp")), ("ok", "fail"));
    for check in ["tls", "clock", "handshake", "token", "heartbeat", "ticks"] {
        assert_eq!(verdict(&said, check), "skipped", "{said}");
    }
}

#[test]
fn without_credentials_the_network_is_checked_all_the_same() {
    let (_sim, endpoint) = sim(&[]);
    let ended = run(&mut kite(&["doctor", "--json", "--endpoint", &endpoint]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.json();
    assert_eq!((verdict(&said, "tcp"), verdict(&said, "credentials")), ("ok", "fail"));
}

#[test]
fn a_dead_feed_and_a_lost_socket_fail_the_heartbeat() {
    for (fault, says) in [("handshake1=half_open", "none within"), ("handshake1=reset", "was lost")]
    {
        let (_sim, endpoint) = sim(&["--fault", fault]);
        let ended = doctor(&endpoint, "sim_access_token");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = ended.json();
        assert_eq!(verdict(&said, "heartbeat"), "fail", "{said}");
        assert!(ended.out.contains(says), "{said}");
    }
}

#[test]
fn a_refusal_that_is_not_about_the_token_fails_the_handshake() {
    let (_sim, endpoint) = sim(&["--fault", "handshake1=refusal:429"]);
    // The first request without an upgrade is the clock's: it counts as no handshake of the account.
    let ended = doctor(&endpoint, "sim_access_token");
    let said = ended.json();
    assert_eq!(
        (verdict(&said, "handshake"), verdict(&said, "token")),
        ("fail", "skipped"),
        "{said}"
    );
    assert!(ended.out.contains("three sockets"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_nobody_we_believe_fails_tls() {
    let sim = kite_sim::Sim::builder().tls().start().await.expect("a server");
    let endpoint = format!("wss://localhost:{}", sim.addr().port());
    let asked = tokio::task::spawn_blocking(move || doctor(&endpoint, "sim_access_token"));
    let ended = asked.await.expect("the doctor ends");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.json();
    assert_eq!((verdict(&said, "tcp"), verdict(&said, "tls")), ("ok", "fail"), "{said}");
    assert_eq!((verdict(&said, "clock"), verdict(&said, "handshake")), ("skipped", "skipped"));
    assert!(ended.out.contains("shows a certificate of its own"), "{said}");
}
