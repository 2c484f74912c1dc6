//! The newest ticks.

use kite_http::InstrumentNames;
use kite_manager::{Credentials, Manager, Mode};
use serde_json::json;

use crate::client::get;
use crate::stage::{INFY, NIFTY, manager, quiet_sim, server, ticking, until};

/// An instrument that never ticks.
const QUIET: u32 = 738_561;

struct Names;

impl InstrumentNames for Names {
    fn token(&self, name: &str) -> Option<u32> {
        match name {
            "NSE:INFY" => Some(INFY),
            "NSE:NIFTY 50" => Some(NIFTY),
            "NSE:M&M" => Some(QUIET),
            _ => None,
        }
    }

    fn name(&self, instrument_token: u32) -> Option<String> {
        (instrument_token == INFY).then(|| "NSE:INFY".to_owned())
    }
}

#[tokio::test]
async fn ticks_are_rows_of_an_export_in_the_order_asked() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let http = server(&manager).names(Names).start().unwrap();
    let path = "/api/latest?i=NSE%3AINFY&other=1&i=256265&i=NSE:NIFTY+50&i=408065";
    let answer = get(&http, path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let ticks = answer.json();
    let tokens: Vec<_> =
        ticks.as_array().unwrap().iter().map(|it| it["instrument_token"].clone()).collect();
    assert_eq!(tokens, [INFY, NIFTY, NIFTY, INFY]);
    assert_eq!((&ticks[0]["symbol"], &ticks[1]["symbol"]), (&json!("NSE:INFY"), &json!(null)));
    assert_eq!((&ticks[0]["account"], &ticks[0]["connection"]), (&json!(0), &json!(0)));
    assert_eq!((&ticks[0]["mode"], &ticks[0]["segment"]), (&json!("full"), &json!("NSE")));
    let tick = manager.latest().unwrap().get(INFY).unwrap();
    let price = tick.packet().last_price().to_string();
    assert!(answer.body.contains(&format!("\"last_price\":{price},")), "{}", answer.body);
    let keys: Vec<_> = ticks[0].as_object().unwrap().keys().cloned().collect();
    let columns = kite_export::tick_columns(true, true);
    assert!(
        columns.iter().all(|column| keys.contains(&column.name.to_string()))
            && keys.len() == columns.len()
    );
}

#[tokio::test]
async fn the_newest_tick_is_sent_without_the_delay_of_a_sample() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let http = server(&manager).start().unwrap();
    for _ in 0..3 {
        let before = manager.latest().unwrap().get(INFY).unwrap().received();
        sim.tick_now(&[INFY]);
        let newest = || manager.latest().unwrap().get(INFY).unwrap();
        until("the tick", || newest().received() > before).await;
        let price = newest().packet().last_price().to_string();
        let body = get(&http, "/api/latest?i=408065").await.body;
        assert!(body.contains(&format!("\"last_price\":{price},")), "{body}");
    }
}

#[tokio::test]
async fn instruments_without_a_tick_are_named() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let http = server(&manager).names(Names).start().unwrap();
    let answer = get(&http, "/api/latest?i=NSE:INFY&i=NSE:INFI&i=NSE:M%26M&i=%3Cb%3E&i=1").await;
    assert_eq!(answer.status, 404);
    let expected = json!({
        "error": "instruments without a tick",
        "unknown": ["NSE:INFI", "<b>", "1"],
        "without_tick": ["NSE:M&M"],
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn a_token_is_unknown_if_it_is_neither_subscribed_nor_named() {
    let sim = quiet_sim().await;
    let manager = manager(&sim);
    // Nothing ticks, because it is not started.
    manager.subscribe(&[NIFTY], Mode::Full).unwrap();
    let http = server(&manager).names(Names).start().unwrap();
    let answer = get(&http, "/api/latest?i=256265&i=408065&i=99&i=738561").await;
    assert_eq!(answer.status, 404);
    let answer = answer.json();
    // The one is subscribed, the other has a name.
    assert_eq!(answer["without_tick"], json!(["256265", "408065"]));
    assert_eq!(answer["unknown"], json!(["99", "738561"]));
}

#[tokio::test]
async fn the_number_of_instruments_is_limited() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let http = server(&manager).start().unwrap();
    let asked = |times: usize| format!("/api/latest?{}", "i=408065&".repeat(times));
    assert_eq!(get(&http, &asked(1_000)).await.json().as_array().unwrap().len(), 1_000);
    for path in [asked(1_001), asked(0), "/api/latest".into(), "/api/latest?j=1".into()] {
        let answer = get(&http, &path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.body.contains("expected 1 to 1000 instruments"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_manager_without_a_table_has_no_newest_ticks() {
    let manager = Manager::builder().account("main", Credentials::new("key", "token"));
    let manager = manager.build().unwrap();
    manager.subscribe(&[INFY], Mode::Full).unwrap();
    let http = server(&manager).start().unwrap();
    let answer = get(&http, "/api/latest?i=408065").await;
    assert_eq!(
        (answer.status, answer.json()),
        (503, json!({"error": "the newest ticks are not kept"}))
    );
}
