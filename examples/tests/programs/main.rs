//! Runs every example as a user would.
#![expect(clippy::expect_used, reason = "a failed step ends the test")]

mod process;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use kite_instruments::{Amount, Instruments};
use kite_sim::{ACCESS_TOKEN, API_KEY, Sim, SocketEnd};
use process::{Running, example, run, succeed_in};
use serde_json::json;

/// Returns the command of an example that connects to the test's simulator.
fn connected_to(sim: &Sim, name: &str, arguments: &[&str]) -> Command {
    let mut command = example(name, arguments);
    command.env("KITE_ENDPOINT", sim.endpoint());
    command.env("KITE_API_KEY", API_KEY).env("KITE_ACCESS_TOKEN", ACCESS_TOKEN);
    command
}

/// Runs a blocking wait on another thread, so that the simulator continues on the test's threads.
async fn blocking<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(wait).await.expect("the wait does not panic")
}

async fn until(sim: &Sim, holds: impl FnMut(&Sim) -> bool) {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, sim.wait_until(holds)).await.expect("the condition is met in time");
}

#[test]
fn first_ticks_prints_the_requested_number_and_exits() {
    let ended = run("first_ticks", &["5"]);
    assert_eq!((ended.code, ended.out.len()), (Some(0), 5), "{ended:?}");
    assert!(ended.out.iter().all(|line| line.contains("volume")), "{ended:?}");
    assert!(ended.err.contains("KITE_ENDPOINT"), "{ended:?}");
}

#[test]
fn an_endpoint_without_credentials_fails_and_names_the_missing_variable() {
    let mut command = example("first_ticks", &[]);
    command.env("KITE_ENDPOINT", "ws://127.0.0.1:1").env("KITE_API_KEY", "key");
    let ended = Running::start(command).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("KITE_ACCESS_TOKEN is not set"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_prints_each_update_once() {
    let sim = Sim::builder().start().await.expect("the simulator starts");
    let running = Running::start(connected_to(&sim, "orders", &["2"]));
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
fn orders_runs_without_any_setup() {
    let ended = run("orders", &["2"]);
    assert_eq!((ended.code, ended.out.len()), (Some(0), 2), "{ended:?}");
    assert!(ended.out[1].ends_with("INFY 10 of 10: COMPLETE"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_in_the_file_resumes_the_ticks_after_a_refusal() {
    let sim = Sim::builder().start().await.expect("the simulator starts");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("credentials");
    let write = |token: &str| {
        let new = tempfile::NamedTempFile::new_in(&directory).expect("a file");
        let text = format!("api_key = {API_KEY}\naccess_token = {token}\n");
        std::fs::write(new.path(), text).expect("the file is written");
        new.persist(&file).expect("the file is replaced");
    };
    write(ACCESS_TOKEN);
    let mut command = connected_to(&sim, "token_file", &["1000000"]);
    command.env("KITE_TOKEN_FILE", &file).env_remove("KITE_ACCESS_TOKEN");
    let running = Running::start(command);
    let running = blocking(move || (running.line_with("ticks"), running).1).await;

    sim.set_access_token(API_KEY, "next_day_token");
    sim.drop_all();
    until(&sim, |sim| sim.stats().refused.contains_key(&403)).await;
    write("next_day_token");
    until(&sim, |sim| sim.stats().connections_total == 2).await;
    let lines = blocking(move || {
        let refused = running.line_with("connection attempt");
        (refused, running.line_with("up again"), running.line_with("ticks"))
    });
    let (refused, up, _ticks) = lines.await;
    assert!(refused.contains("403"), "{refused}");
    assert_eq!(up, "connection 1 of mine: up again");
}

#[test]
fn token_file_reconnects_after_the_simulators_token_expires() {
    let ended = run("token_file", &["40"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let up_again = ended.out.iter().any(|line| line == "connection 1 of mine: up again");
    assert!(up_again, "{ended:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_and_ctrl_c_close_every_socket_and_exit_with_0() {
    for signal in ["-TERM", "-INT"] {
        let sim = Sim::builder().start().await.expect("the simulator starts");
        let running = Running::start(connected_to(&sim, "sigterm", &[]));
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
fn two_accounts_prints_ticks_of_both() {
    let ended = run("two_accounts", &["3"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for account in ["first", "second"] {
        let ticks = ended.out.iter().filter(|line| line.starts_with(&format!("{account} ")));
        assert!(ticks.count() >= 3, "{ended:?}");
    }
}

#[test]
fn minute_bars_stores_each_bar_as_it_ends() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let said = succeed_in(directory.path(), "minute_bars", &["bars.csv", "1s", "6"]);
    let stored = std::fs::read_to_string(directory.path().join("bars.csv")).expect("the bars");
    let (header, bars) = stored.split_once('\n').expect("a header");
    assert!(header.starts_with("start,symbol,instrument_token,open,high,low,close,volume,"));
    let count = bars.lines().count();
    assert!(count >= 6 && bars.lines().all(|bar| bar.ends_with(",ended")), "{stored}");
    let last = said.last().expect("a summary line");
    assert!(last.starts_with(&format!("{count} lines of bars from ")), "{last}");
}

#[test]
fn a_recording_is_replayed_and_loaded_as_a_table() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let recorded = succeed_in(directory.path(), "record", &["tapes", "2"]);
    let last = recorded.last().expect("a summary line");
    assert!(last.contains(" frames and 3 gaps: ") && last.ends_with("in tapes"), "{last}");

    let replayed = succeed_in(directory.path(), "replay", &["tapes"]);
    assert_eq!(replayed[0], "1000 instruments recorded in tapes");
    let bars = replayed.last().and_then(|line| line.strip_suffix(" bars in total"));
    assert!(
        bars.is_some_and(|bars| bars.parse::<u32>().is_ok_and(|bars| bars > 0)),
        "{replayed:?}"
    );

    let loaded = succeed_in(directory.path(), "load_parquet", &["tapes"]);
    assert!(loaded[0].ends_with("ticks exported to tapes.parquet, 3 gaps"), "{loaded:?}");
    // The export, a heading and the ten busiest instruments.
    assert_eq!(loaded.len(), 12, "{loaded:?}");
    assert_eq!(succeed_in(directory.path(), "load_parquet", &["tapes.parquet"]), loaded[1..]);
}

/// Returns the strike that a line of `option_chain` names.
fn strike(line: &str) -> i64 {
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!((words[0], words[2], words[3]), ("NIFTY", "22", "options"), "{line}");
    words[5].parse().expect("a strike of whole rupees")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_option_chain_follows_the_index_and_leaves_no_other_option_subscribed() {
    let sim = Sim::builder().start().await.expect("the simulator starts");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let list = directory.path().join("instruments.csv");
    std::fs::write(&list, examples::option_list()).expect("the file is written");
    let mut command = connected_to(&sim, "option_chain", &[]);
    command.env("KITE_INSTRUMENTS", &list);
    let mut running = Running::start(command);
    let nifty = [examples::INSTRUMENTS[0]];
    let mut strikes = Vec::new();
    while strikes.len() < 3 {
        let mut reading =
            Box::pin(blocking(move || (running.line_with("options around"), running)));
        let line = loop {
            let ticks = sim.stats().ticks_sent;
            sim.advance_market(&nifty, 200);
            sim.tick_now(&nifty);
            tokio::select! {
                read = &mut reading => {
                    running = read.1;
                    break read.0;
                }
                () = until(&sim, |sim| sim.stats().ticks_sent > ticks) => {}
            }
        };
        strikes.push(strike(&line));
    }
    assert!(strikes.windows(2).all(|pair| pair[0] != pair[1]), "{strikes:?}");

    // A complete chain and the index, and none of the options of earlier chains.
    let list = Instruments::from_csv(examples::option_list()).expect("a valid list");
    let strike_of = |token: u32| list.instruments.by_token(token).and_then(|option| option.strike);
    until(&sim, |sim| {
        let subscribed = sim.subscriptions().into_iter().flat_map(BTreeMap::into_keys);
        let chain: Vec<Amount> = subscribed.filter_map(strike_of).collect();
        let ends = chain.iter().min().zip(chain.iter().max());
        chain.len() == 22 && ends.is_some_and(|(low, high)| *high - *low == Amount::from(500))
    })
    .await;
}

#[test]
fn the_option_chain_runs_without_any_setup() {
    let ended = run("option_chain", &["1"]);
    assert_eq!((ended.code, ended.out.len()), (Some(0), 2), "{ended:?}");
    strike(&ended.out[0]);
}

#[test]
fn price_alerts_come_from_a_plain_thread() {
    let ended = run("price_alerts", &["2"]);
    assert_eq!((ended.code, ended.out.len()), (Some(0), 2), "{ended:?}");
    assert!(ended.out.iter().all(|line| line.contains(", moved by ")), "{ended:?}");
}

#[test]
fn average_prices_are_the_same_from_a_tape_and_from_its_replay() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    succeed_in(directory.path(), "record", &["tapes", "2"]);
    let from_tape = succeed_in(directory.path(), "vwap", &["tapes"]);
    assert!(from_tape.len() > 100, "{} instruments were traded", from_tape.len());
    assert_eq!(succeed_in(directory.path(), "vwap", &["tapes", "replay"]), from_tape);
}
