//! `kite doctor` against `kite sim`.

use std::net::TcpListener;

use kite_sim::Sim;
use rcgen::{BasicConstraints, CertificateParams, IsCa, date_time_ymd};
use serde_json::Value;

use crate::https::{Https, pem_file};
use crate::process::{Outcome, kite, run, sim, with_credentials};
use crate::proxy::Proxy;

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
    let ended = doctor(&endpoint, "sim_access_token");
    let report = ended.json();
    assert_eq!(
        (verdict(&report, "handshake"), verdict(&report, "token")),
        ("fail", "skipped"),
        "{report}"
    );
    assert!(ended.out.contains("other programs hold the account's sockets"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_this_machine_is_not_asked_for_its_time() {
    let server = Sim::builder().start().await.expect("a server");
    let endpoint = server.endpoint();
    let ended = tokio::task::spawn_blocking(move || doctor(&endpoint, "sim_access_token"));
    let report = ended.await.expect("it ends").json();
    assert_eq!((&report["ok"], verdict(&report, "clock")), (&true.into(), "skipped"), "{report}");
    assert!(server.stats().refused.is_empty(), "{:?}", server.stats());
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
    let sim = Sim::builder().tls().start().await.expect("a server");
    let endpoint = format!("wss://localhost:{}", sim.addr().port());
    let running = tokio::task::spawn_blocking(move || doctor(&endpoint, "sim_access_token"));
    let ended = running.await.expect("the doctor ends");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = ended.json();
    assert_eq!((verdict(&report, "tcp"), verdict(&report, "tls")), ("ok", "fail"), "{report}");
    assert_eq!((verdict(&report, "clock"), verdict(&report, "handshake")), ("skipped", "skipped"));
    assert!(ended.out.contains("presents its own"), "{report}");
}

/// Runs the doctor on a server with TLS, with these variables.
fn doctor_of(port: u16, arguments: &[&str], variables: &[(&str, &str)]) -> Value {
    let endpoint = format!("wss://localhost:{port}");
    let command = kite(&[&["doctor", "--json", "--endpoint", &endpoint], arguments].concat());
    let mut command = with_credentials(command, "sim_access_token");
    command.envs(variables.iter().copied());
    run(&mut command).json()
}

fn text<'a>(report: &'a Value, check: &str, field: &str) -> &'a str {
    let checks = report["checks"].as_array().expect("checks");
    let one = checks.iter().find(|one| one["check"] == check).expect("the check");
    one[field].as_str().unwrap_or_else(|| panic!("no {field} of {check}: {report}"))
}

#[test]
fn each_fault_of_a_certificate_has_its_words() {
    let in_year = |params: &mut CertificateParams, from, to| {
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
    };
    let folder = tempfile::tempdir().expect("a folder");
    let judged = |server: &Https, is_trusted: bool| {
        let file = pem_file(&folder, &[&server.certificate]).display().to_string();
        let arguments: &[&str] = if is_trusted { &["--ca-file", &file] } else { &[] };
        let report = doctor_of(server.port, arguments, &[]);
        assert_eq!(verdict(&report, "tls"), "fail", "{report}");
        (text(&report, "tls", "says").to_owned(), text(&report, "tls", "help").to_owned())
    };
    let expired = Https::start("localhost", |it| in_year(it, 2020, 2021), "");
    let (says, help) = judged(&expired, true);
    assert!(
        says.starts_with("the certificate expired on 2021-01-01 05:30:00 IST, and it is 2"),
        "{says}"
    );
    assert!(!help.contains("clock"), "{help}");
    let early = Https::start("localhost", |it| in_year(it, 2090, 2091), "");
    let (says, help) = judged(&early, true);
    assert!(says.starts_with("the certificate is valid from 2090-01-01 05:30:00 IST"), "{says}");
    assert!(help.contains("set this machine's clock"), "{help}");
    let foreign = Https::start("other.example", |_| {}, "");
    let (says, _) = judged(&foreign, true);
    assert_eq!(says, "the certificate is for other.example, not for localhost");
    let authority =
        Https::start("localhost", |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), "");
    for is_trusted in [true, false] {
        let (says, help) = judged(&authority, is_trusted);
        assert_eq!(says, "the server's certificate is that of an authority, probably self-signed");
        assert!(help.contains("CA:FALSE"), "{help}");
    }
    let unknown = Https::start("localhost", |_| {}, "");
    let (says, help) = judged(&unknown, false);
    assert_eq!(says, "the certificate's issuer is not trusted");
    assert!(help.contains("--ca-file"), "{help}");
    let file = pem_file(&folder, &[&foreign.certificate]).display().to_string();
    let report = doctor_of(unknown.port, &["--ca-file", &file], &[]);
    let says = text(&report, "tls", "says");
    assert!(says.starts_with("the certificate's issuer is not among the roots in /"), "{says}");
    let before = Https::start("localhost", |_| {}, "");
    let file = pem_file(&folder, &[&before.certificate]).display().to_string();
    let report = doctor_of(unknown.port, &["--ca-file", &file], &[]);
    let says = "a root of the issuer's name is trusted, but another key has signed";
    assert_eq!(text(&report, "tls", "says"), says);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_passes_through_a_proxy_and_with_given_roots() {
    let (sim, proxy) = (Sim::builder().tls().start().await.expect("a server"), Proxy::start(200));
    let folder = tempfile::tempdir().expect("a folder");
    let file = pem_file(&folder, &[sim.certificate_der().expect("a certificate")]);
    let (url, file) = (format!("http://{}", proxy.address), file.display().to_string());
    let port = sim.addr().port();
    let report = doctor_of(port, &["--ca-file", &file], &[("HTTPS_PROXY", &url)]);
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(text(&report, "proxy", "says"), format!("{url}, from HTTPS_PROXY"));
    assert_eq!(text(&report, "dns", "says"), "the proxy's host is an IP address");
    let connected =
        format!("connected to the proxy at {}, and by it to localhost:{port}", proxy.address);
    assert_eq!(text(&report, "tcp", "says"), connected);
    assert!(text(&report, "tls", "says").ends_with("roots.pem (--ca-file)"), "{report}");
    assert_eq!(proxy.requests().len(), 2, "the stages and the connection");
}

#[test]
fn a_proxy_that_fails_is_named() {
    for (status, help) in [
        (407, "the proxy wants other credentials"),
        (403, "the proxy does not permit"),
        (502, "the proxy cannot reach the server"),
    ] {
        let proxy = Proxy::start(status);
        let url = format!("http://user:s3cr3t@{}", proxy.address);
        let report = doctor_of(8_443, &[], &[("HTTPS_PROXY", &url)]);
        let says =
            format!("the proxy {} refused the connection with status {status}", proxy.address);
        assert_eq!(
            (verdict(&report, "tcp"), text(&report, "tcp", "says")),
            ("fail", says.as_str())
        );
        assert!(text(&report, "tcp", "help").starts_with(help), "{report}");
        assert!(!report.to_string().contains("s3cr3t"), "{report}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    // It accepts connections and never answers.
    let report = doctor_of(8_443, &["--proxy", &format!("http://{address}")], &[]);
    let help = "it does not answer: wrong port, or it cannot reach the server";
    assert_eq!(text(&report, "tcp", "help"), help);
    drop(listener);
    let report = doctor_of(8_443, &["--proxy", &format!("u:s3cr3t@{address}")], &[]);
    let says = text(&report, "tcp", "says");
    assert!(
        says.starts_with(&format!("the proxy http://…@{address} at {address} failed: ")),
        "{says}"
    );
    assert!(
        text(&report, "tcp", "help").starts_with("check the proxy's host and port"),
        "{report}"
    );
}

#[test]
fn a_proxy_that_is_set_and_not_used_is_said() {
    let (_sim, endpoint) = sim(&[]);
    let mut command = kite(&["doctor", "--json", "--endpoint", &endpoint]);
    let report = run(command.env("HTTPS_PROXY", "http://h:1")).json();
    let says = "HTTPS_PROXY is set but not used: it is for wss://, this is ws://";
    assert_eq!((verdict(&report, "proxy"), text(&report, "proxy", "says")), ("skipped", says));
    assert_eq!(verdict(&report, "tcp"), "ok", "{report}");
    let variables = [("HTTPS_PROXY", "http://h:1"), ("NO_PROXY", "localhost")];
    let server = Https::start("localhost", |_| {}, "");
    let report = doctor_of(server.port, &[], &variables);
    let says = "HTTPS_PROXY is set but not used: NO_PROXY names the host";
    assert_eq!(text(&report, "proxy", "says"), says);
    assert_eq!(verdict(&report, "tcp"), "ok", "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_stops_after_its_snapshot_fails() {
    let sim =
        Sim::builder().no_heartbeats().updates_per_second(0.0).start().await.expect("a server");
    let endpoint = sim.endpoint();
    let ended = tokio::task::spawn_blocking(move || doctor(&endpoint, "sim_access_token"));
    let ended = ended.await.expect("the doctor ends");
    let report = ended.json();
    assert_eq!((ended.code, verdict(&report, "heartbeat")), (Some(1), "fail"), "{report}");
    let says = text(&report, "heartbeat", "says");
    assert!(says.starts_with("silence after the first ticks"), "{says}");
}
