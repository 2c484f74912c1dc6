//! Every example, started as a user starts it.
#![expect(clippy::expect_used, reason = "a step that fails ends the test")]

mod process;

use std::process::Command;
use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY, Sim, SocketEnd};
use process::{Running, example, run, succeed_in};
use serde_json::json;

/// As the simulator's account, over the simulator of the test.
fn over(sim: &Sim, name: &str, arguments: &[&str]) -> Command {
    let mut command = example(name, arguments);
    command.env("KITE_ENDPOINT", sim.endpoint());
    command.env("KITE_API_KEY", API_KEY).env("KITE_ACCESS_TOKEN", ACCESS_TOKEN);
    command
}

/// Waits without keeping the simulator, which runs on the test's own threads, from its work.
async fn blocking<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(wait).await.expect("no panic")
}

async fn until(sim: &Sim, holds: impl FnMut(&Sim) -> bool) {
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, sim.wait_until(holds)).await.expect("it comes to that");
}

#[test]
fn first_ticks_prints_as_many_as_asked_for_and_ends() {
    let ended = run("first_ticks", &["5"]);
    assert_eq!((ended.code, ended.out.len()), (Some(0), 5), "{ended:?}");
    assert!(ended.out.iter().all(|line| line.contains("volume")), "{ended:?}");
    assert!(ended.err.contains("KITE_ENDPOINT"), "{ended:?}");
}

#[test]
fn an_endpoint_without_credentials_is_refused_by_the_variable_that_is_missing() {
    let mut command = example("first_ticks", &[]);
    command.env("KITE_ENDPOINT", "ws://127.0.0.1:1").env("KITE_API_KEY", "key");
    let ended = Running::start(command).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("KITE_ACCESS_TOKEN is not set"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_prints_each_update_once() {
    let sim = Sim::builder().start().await.expect("a simulator");
    let running = Running::start(over(&sim, "orders", &["2"]));
    until(&sim, |sim| sim.stats().connections_open == 1).await;
    for (id, status) in [("1", "OPEN"), ("2", "REJECTED")] {
        sim.send_order(json!({
            "order_id": id, "status": status, "tradingsymbol": "INFY", "quantity": 10,
            "filled_quantity": 4,
        }));
    }
    let ended = blocking(|| running.ended()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out, ["1 INFY 4 of 10: OPEN", "2 INFY 4 of 10: REJECTED"]);
    assert_eq!(sim.sockets(API_KEY)[0].end, Some(SocketEnd::ClientClosed));
}

#[test]
fn orders_runs_by_itself() {
    let ended = run("orders", &["2"]);
    assert_eq!((ended.code, ended.out.len()), (Some(0), 2), "{ended:?}");
    assert!(ended.out[1].ends_with("INFY 10 of 10: COMPLETE"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_in_the_file_brings_the_ticks_back_after_a_refusal() {
    let sim = Sim::builder().start().await.expect("a simulator");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("access_token");
    std::fs::write(&file, ACCESS_TOKEN).expect("a file");
    let mut command = over(&sim, "token_file", &["1000000"]);
    command.env("KITE_TOKEN_FILE", &file).env_remove("KITE_ACCESS_TOKEN");
    let running = Running::start(command);
    let running = blocking(move || (running.line_with("ticks"), running).1).await;

    sim.set_access_token(API_KEY, "of the next day");
    sim.drop_all();
    until(&sim, |sim| sim.stats().refused.contains_key(&403)).await;
    std::fs::write(&file, "of the next day\n").expect("the file");
    until(&sim, |sim| sim.stats().connections_total == 2).await;
    let lines = blocking(move || {
        let refused = running.line_with("connect failed");
        (refused, running.line_with("up again"), running.line_with("ticks"))
    });
    let (refused, up, _ticks) = lines.await;
    assert!(refused.contains("403"), "{refused}");
    assert_eq!(up, "connection 1 of mine: up again");
}

#[test]
fn token_file_shows_a_day_of_the_simulator_by_itself() {
    let ended = run("token_file", &["20"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let up_again = ended.out.iter().any(|line| line == "connection 1 of mine: up again");
    assert!(up_again, "{ended:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_and_ctrl_c_close_every_socket_and_end_with_0() {
    for signal in ["-TERM", "-INT"] {
        let sim = Sim::builder().start().await.expect("a simulator");
        let running = Running::start(over(&sim, "sigterm", &[]));
        let running = blocking(move || (running.line_with("streams 3"), running).1).await;
        until(&sim, |sim| sim.stats().ticks_sent > 0).await;
        running.signal(signal);
        let ended = blocking(|| running.ended()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.out.last().is_some_and(|line| line.starts_with("stopped after")),
            "{ended:?}"
        );
        let ends: Vec<_> = sim.sockets(API_KEY).into_iter().map(|socket| socket.end).collect();
        assert_eq!(ends, [Some(SocketEnd::ClientClosed); 3], "{signal}");
    }
}

#[test]
fn two_accounts_print_their_ticks_each() {
    let ended = run("two_accounts", &["3"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for account in ["mine", "hers"] {
        let ticks = ended.out.iter().filter(|line| line.starts_with(&format!("{account} ")));
        assert!(ticks.count() >= 3, "{ended:?}");
    }
}

#[test]
fn what_is_recorded_is_replayed_and_loaded_as_a_table() {
    let directory = tempfile::tempdir().expect("a directory");
    let recorded = succeed_in(directory.path(), "record", &["tapes", "2"]);
    let last = recorded.last().expect("a summary");
    assert!(last.contains(" frames and 3 gaps: ") && last.ends_with("in tapes"), "{last}");

    let replayed = succeed_in(directory.path(), "replay", &["tapes"]);
    assert_eq!(replayed[0], "1000 instruments on tape in tapes");
    let bars = replayed.last().and_then(|line| line.strip_suffix(" bars in all"));
    assert!(
        bars.is_some_and(|bars| bars.parse::<u32>().is_ok_and(|bars| bars > 0)),
        "{replayed:?}"
    );

    let loaded = succeed_in(directory.path(), "load_parquet", &["tapes"]);
    assert!(loaded[0].ends_with("ticks exported to tapes.parquet, 3 gaps"), "{loaded:?}");
    // A heading and the ten busiest.
    assert_eq!(loaded.len(), 12, "{loaded:?}");
    assert_eq!(succeed_in(directory.path(), "load_parquet", &["tapes.parquet"]), loaded[1..]);
}
