//! What `kite record` and a `kite watch` without a terminal report of their connections.

use kite_sim::Sim;

use crate::process::{Running, kite, with_credentials};

/// Starts a command that receives one instrument of the server, in three variants.
fn commands(endpoint: &str, to: &str) -> [Running; 3] {
    let start = |more: &[&str]| {
        let line = [more, &["408065", "--endpoint", endpoint]].concat();
        Running::start(with_credentials(kite(&line), "sim_access_token"))
    };
    [start(&["record", "--to", to]), start(&["watch"]), start(&["watch", "--json"])]
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_reconnects_gaps_and_the_end_of_a_token_are_reported_alike() {
    let tapes = tempfile::tempdir().expect("a directory");
    let server = Sim::builder().start().await.expect("a server");
    let running = commands(&server.endpoint(), tapes.path().to_str().expect("UTF-8"));
    // Only instruments that have ticked can miss something.
    let has_sent = |server: &Sim| {
        let sockets = server.sockets("sim_api_key");
        sockets.len() == 3 && sockets.iter().all(|socket| socket.ticks > 0)
    };
    server.wait_until(has_sent).await;
    for one in &running {
        one.wait_until_error("connection 1: up\n");
    }
    server.drop_all();
    for one in &running {
        for part in ["connection 1: lost: ", "connection 1: up again\n", "connection 1: gap: "] {
            one.wait_until_error(part);
        }
    }
    server.revoke_token("sim_api_key");
    server.drop_all();
    for running in running {
        let ended = tokio::task::spawn_blocking(|| running.ended()).await.expect("it ends");
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.err.contains("error: all connections have stopped: "), "{ended:?}");
        assert!(!ended.err.contains("sim_access_token"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_never_reached_is_a_finding() {
    let tapes = tempfile::tempdir().expect("a directory");
    let server = Sim::builder().start().await.expect("a server");
    server.refuse_with(Some(kite_sim::Refusal::kite(503, "Unavailable")));
    for running in commands(&server.endpoint(), tapes.path().to_str().expect("UTF-8")) {
        running.wait_until_error("waiting for ");
        running.interrupt();
        let ended = tokio::task::spawn_blocking(|| running.ended()).await.expect("it ends");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("the server had not been reached"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_that_lasts_at_the_end_is_a_finding() {
    let tapes = tempfile::tempdir().expect("a directory");
    let server = Sim::builder().start().await.expect("a server");
    let (endpoint, to) = (server.endpoint(), tapes.path().to_str().expect("UTF-8"));
    let start = |more: &[&str]| {
        let line = [&["-q"], more, &["408065", "--endpoint", &endpoint]].concat();
        Running::start(with_credentials(kite(&line), "sim_access_token"))
    };
    let running = [
        start(&["serve", "--json", "--relay", "127.0.0.1:0", "--connections", "1"]),
        start(&["record", "--json", "--to", to]),
        start(&["watch"]),
    ];
    let has_sent = |server: &Sim| {
        let sockets = server.sockets("sim_api_key");
        sockets.len() == 3 && sockets.iter().all(|socket| socket.ticks > 0)
    };
    server.wait_until(has_sent).await;
    server.refuse_with(Some(kite_sim::Refusal::kite(503, "Unavailable")));
    server.drop_all();
    for one in &running {
        one.wait_until_error("connection 1: lost: ");
    }
    // Shorter outages are not reported.
    let lost = std::time::Instant::now();
    running[0].wait_until(|| lost.elapsed() > std::time::Duration::from_millis(1_200));
    for (has_json, running) in [true, true, false].into_iter().zip(running) {
        running.interrupt();
        let ended = tokio::task::spawn_blocking(|| running.ended()).await.expect("it ends");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("connection 1 was down at the end since "), "{ended:?}");
        if has_json {
            let last = ended.out.lines().last().expect("a summary");
            let report: serde_json::Value = serde_json::from_str(last).expect("JSON");
            let down = &report["down_at_end"];
            assert_eq!((&down[0]["connection"], &down[0]["instruments"]), (&0.into(), &1.into()));
            assert!(down[0]["since"].is_string(), "{down}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_reported_by_its_severity_also_when_quiet() {
    let tapes = tempfile::tempdir().expect("a directory");
    let server = Sim::builder().start().await.expect("a server");
    let (endpoint, to) = (server.endpoint(), tapes.path().to_str().expect("UTF-8"));
    let line = ["-q", "--log=json", "record", "--to", to, "408065", "--endpoint", &endpoint];
    let running = Running::start(with_credentials(kite(&line), "sim_access_token"));
    server.wait_until(|server| server.stats().ticks_sent > 0).await;
    server.refuse_with(Some(kite_sim::Refusal::kite(503, "Unavailable")));
    server.drop_all();
    running.wait_until_error("waiting for ");
    server.refuse_with(None);
    running.wait_until_error("connection 1: gap: ");
    running.interrupt();
    let ended = tokio::task::spawn_blocking(|| running.ended()).await.expect("it ends");
    let levels = ended.err.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = |key: &str| line[key].as_str().expect("a text").to_owned();
        (text("level"), text("message"))
    });
    let levels: Vec<_> = levels.collect();
    for (level, start) in [
        ("error", "connection 1: lost: "),
        ("warn", "waiting for "),
        ("warn", "connection 1: gap: "),
    ] {
        let is_it = |(of, text): &(String, String)| of == level && text.starts_with(start);
        assert!(levels.iter().any(is_it), "{start}: {levels:?}");
    }
    assert!(levels.iter().all(|(level, _)| level != "info"), "{levels:?}");
}

/// Returns a frame of an LTP packet.
fn ltp(token: u32) -> Vec<u8> {
    let words = [1_u16.to_be_bytes(), 8_u16.to_be_bytes()].concat();
    [words, token.to_be_bytes().to_vec(), 100_u32.to_be_bytes().to_vec()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn instruments_that_are_not_subscribed_are_reported_once_and_not_shown() {
    let tapes = tempfile::tempdir().expect("a directory");
    let server = Sim::builder().start().await.expect("a server");
    let running = commands(&server.endpoint(), tapes.path().to_str().expect("UTF-8"));
    for one in &running {
        one.wait_until_error("connection 1: up\n");
    }
    (0..1_000).for_each(|number| server.send_binary(ltp((50_000 + number) << 8 | 1)));
    for (command, running) in ["record", "watch", "watch --json"].into_iter().zip(running) {
        running.wait_until_error("not subscribed");
        running.interrupt();
        let ended = tokio::task::spawn_blocking(|| running.ended()).await.expect("it ends");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let text = "connection 1: ticks of instruments that are not subscribed arrive, the first of 12800001\n";
        assert_eq!(ended.err.matches(text).count(), 1, "{ended:?}");
        // JSON lines have all that arrives.
        assert_eq!(ended.out.contains("12800001"), command == "watch --json", "{ended:?}");
    }
}
