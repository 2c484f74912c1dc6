//! The bars of today.

use std::time::Duration;

use kite_http::kite_candles::{Config, Scope, Session};
use kite_http::{HttpError, HttpServer, InstrumentNames};
use kite_manager::{Manager, Mode};
use kite_sim::Sim;
use serde_json::{Value, json};

use crate::client::get;
use crate::stage::{INFY, NIFTY, in_time, manager, quiet_sim, server, ticking, until};

struct Names;

impl InstrumentNames for Names {
    fn token(&self, name: &str) -> Option<u32> {
        match name {
            "NSE:INFY" => Some(INFY),
            "NSE:M&M" => Some(519_937),
            _ => None,
        }
    }

    fn name(&self, instrument_token: u32) -> Option<String> {
        (instrument_token == INFY).then(|| "NSE:INFY".to_owned())
    }
}

/// Bars at all hours.
fn config(every: &str) -> Config {
    let mut config = Config::default();
    config.every = every.parse().unwrap();
    let always = Session::new((0, 0), (24, 0)).unwrap();
    config.sessions = config.sessions.with(Scope::All, None, Some(always));
    config
}

fn volume(manager: &Manager) -> u32 {
    manager.latest().unwrap().get(INFY).unwrap().packet().volume().unwrap()
}

/// Lets the instrument trade; returns how much was traded.
async fn trade(sim: &Sim, manager: &Manager) -> u64 {
    let before = volume(manager);
    sim.advance_market(&[INFY], 1);
    sim.tick_now(&[INFY]);
    until("the trade", || volume(manager) > before).await;
    u64::from(volume(manager) - before)
}

/// Returns the bars of a request, and the sum of their volumes, missed ones included.
async fn rows(http: &HttpServer, query: &str) -> (Vec<Value>, u64) {
    let answer = get(http, &format!("/api/candles?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let rows = answer.json().as_array().unwrap().clone();
    let of = |row: &Value, key: &str| row[key].as_u64().unwrap_or(0);
    let sum = rows.iter().map(|row| of(row, "volume") + of(row, "missed_volume")).sum();
    (rows, sum)
}

/// Waits for a while until the bars have this volume.
async fn kept(http: &HttpServer, query: &str, volume: u64) -> Option<Vec<Value>> {
    for _ in 0..100 {
        let (rows, sum) = rows(http, query).await;
        if sum >= volume {
            assert_eq!(sum, volume);
            return Some(rows);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

#[tokio::test]
async fn bars_are_rows_of_the_table_and_go_on_in_the_next_run() {
    let sim = quiet_sim().await;
    let manager = manager(&sim);
    let http = server(&manager).names(Names).candles([config("1m"), config("5m")]).start().unwrap();
    manager.subscribe(&[NIFTY, INFY], Mode::Full).unwrap();
    let mut traded = 0;
    for _run in 0..2 {
        manager.start().await.unwrap();
        // Its snapshot shows nothing of what is traded from here on.
        let is_subscribed =
            || sim.subscriptions().iter().any(|of| of.get(&INFY) == Some(&Mode::Full));
        until("the subscription", is_subscribed).await;
        for every in ["1m", "5m"] {
            let query = format!("i=NSE:INFY&every={every}");
            let trading = async {
                loop {
                    traded += trade(&sim, &manager).await;
                    // The next run may begin before there is a stream of it, and what is traded until
                    // then is missed, which the packet of the next trade shows.
                    if let Some(rows) = kept(&http, &query, traded).await {
                        return rows;
                    }
                }
            };
            let rows = in_time("the bars", trading).await;
            let keys: Vec<_> = rows[0].as_object().unwrap().keys().cloned().collect();
            let mut columns: Vec<_> =
                kite_export::bar_columns(false).iter().map(|it| it.name.to_string()).collect();
            columns.sort();
            assert_eq!(keys, columns);
            assert_eq!(
                (&rows[0]["symbol"], &rows[0]["instrument_token"]),
                (&json!("NSE:INFY"), &json!(INFY))
            );
            let start = rows[0]["start"].as_str().unwrap();
            assert!(start.ends_with(":00+05:30"), "{start}");
        }
        manager.stop().await;
    }
    let status = get(&http, "/api/status").await.json();
    let lengths: Vec<_> = status["candles"].as_array().unwrap().clone();
    assert_eq!(lengths.len(), 2);
    assert_eq!((&lengths[0]["every"], &lengths[0]["ticks_missed"]), (&json!("1m"), &json!(0)));
    assert!(lengths[0]["bars"].is_u64() && lengths[0]["refused"] == 0, "{status}");
}

#[tokio::test]
async fn the_length_may_be_left_out_if_there_is_one() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let http =
        server(&manager).candles([config("1h"), config("5m"), config("1h")]).start().unwrap();
    let answer = get(&http, "/api/candles?i=408065").await;
    let expected = json!({
        "error": "expected a length, such as every=5m",
        "kept": ["5m", "1h"],
    });
    assert_eq!((answer.status, answer.json()), (400, expected));
    let http = server(&manager).candles([config("1h")]).start().unwrap();
    // Both are subscribed, and have no bar yet.
    assert_eq!(rows(&http, "i=408065&i=256265").await, (vec![], 0));
    assert_eq!(rows(&http, "every=1h&i=408065").await, (vec![], 0));
    for (every, status, error) in [
        ("3m", 404, "bars of 3m are not kept"),
        ("60m", 200, ""),
        (
            "%3Cb%3E",
            400,
            "every is not the length of a bar; must be 1s to 1d, such as 15s, 5m or 1h",
        ),
    ] {
        let answer = get(&http, &format!("/api/candles?i=408065&every={every}")).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        if status != 200 {
            assert_eq!(answer.json()["error"], json!(error));
        }
    }
}

#[tokio::test]
async fn instruments_that_the_feed_does_not_carry_are_named() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let http = server(&manager).names(Names).candles([config("1m")]).start().unwrap();
    let answer = get(&http, "/api/candles?i=NSE:INFY&i=NSE:INFI&i=NSE:M%26M&i=%3Cb%3E&i=1").await;
    let expected = json!({
        "error": "instruments without bars",
        "unknown": ["NSE:INFI", "<b>", "1"],
        "not_subscribed": ["NSE:M&M"],
    });
    assert_eq!((answer.status, answer.json()), (404, expected));
    for path in [format!("/api/candles?{}", "i=408065&".repeat(101)), "/api/candles".into()] {
        let answer = get(&http, &path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.body.contains("expected 1 to 100 instruments"), "{}", answer.body);
    }
}

#[tokio::test]
async fn without_lengths_no_bars_are_kept() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let http = server(&manager).start().unwrap();
    let answer = get(&http, "/api/candles?i=408065&every=1m").await;
    assert_eq!((answer.status, answer.json()), (503, json!({"error": "bars are not kept"})));
    assert_eq!(get(&http, "/api/status").await.json()["candles"], json!([]));
}

#[tokio::test]
async fn settings_of_bars_that_cannot_be_kept_are_refused() {
    let sim = quiet_sim().await;
    let manager = manager(&sim);
    let error = server(&manager).candles([config("1m"), config("59s")]).start().unwrap_err();
    assert!(matches!(error, HttpError::BarsTooShort { .. }), "{error}");
    let text = "bars of 59s are too short to keep for a day; must be 1m or longer";
    assert_eq!(error.to_string(), text);
    let mut long = config("1m");
    long.grace = Duration::from_secs(61);
    let error = server(&manager).candles([long]).start().unwrap_err();
    assert_eq!(error.to_string(), "grace of 61000 ms; must be at most 60000 ms");
}
