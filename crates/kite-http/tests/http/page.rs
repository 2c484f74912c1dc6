//! The page for people and its event stream.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kite_http::InstrumentNames;
use kite_nats::PublisherStats;
use serde_json::json;

use crate::browser::Browser;
use crate::client::{get, get_with};
use crate::stage::{INFY, NIFTY, account, in_time, manager, quiet_sim, server, ticking};

const SECRET: &str = "a-token-of-32-characters-or-more";

/// Knows two names, one of which would be markup if it were read as such.
struct Names;

impl InstrumentNames for Names {
    fn token(&self, name: &str) -> Option<u32> {
        (name == "NSE:INFY").then_some(INFY)
    }

    fn name(&self, instrument_token: u32) -> Option<String> {
        match instrument_token {
            INFY => Some("NSE:INFY".to_owned()),
            NIFTY => Some("NSE:<b>NIFTY</b>\n50".to_owned()),
            _ => None,
        }
    }
}

#[tokio::test]
async fn the_page_needs_no_token_but_what_it_shows_does() {
    let sim = quiet_sim().await;
    let http = server(&manager(&sim)).token(SECRET).start().unwrap();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = get(&http, path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self'"), "{policy}");
    }
    assert_eq!(get(&http, "/events").await.status, 401);
    assert_eq!(get(&http, "/events?token=a-token-of-32-characters-or-more").await.status, 401);
    let wrong = format!("Authorization: Bearer {SECRET}\r\n");
    let answer = get_with(&http, "/events?rows=101", &wrong).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, "rows must be a whole number from 0 to 100\n");
}

#[tokio::test]
async fn a_page_shows_whether_a_publisher_is_connected_and_what_it_dropped() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let stats = Arc::new(Mutex::new(PublisherStats::default()));
    let read = Arc::clone(&stats);
    let http = server(&manager).nats(move || read.lock().unwrap().clone()).start().unwrap();
    let mut browser = Browser::open(http.address(), "").await;
    let away = browser.until("status", |_| true).await;
    assert_eq!((&away["level"], &away["nats"]["connected"]), (&"degraded".into(), &json!(false)));

    {
        let mut stats = stats.lock().unwrap();
        (stats.is_connected, stats.ticks, stats.dropped_ticks, stats.losses) = (true, 7, 2, 1);
        stats.last_error = Some("IO error".to_owned());
    }
    let back = browser.until("status", |it| it["level"] == "healthy").await;
    let shown = json!({
        "connected": true,
        "error": "IO error",
        "ticks": 7,
        "dropped": 2,
        "unconfirmed": 0,
        "losses": 1,
    });
    assert_eq!(back["nats"], shown);
}

#[tokio::test]
async fn a_page_shows_what_becomes_of_a_connection() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let http = server(&manager).names(Names).start().unwrap();
    let mut browser = Browser::open(http.address(), "").await;
    let status = browser.until("status", |_| true).await;
    assert_eq!(status["level"], "healthy");
    let connection = &status["connections"][0];
    assert_eq!((&connection["phase"], &connection["why"]), (&"live".into(), &json!(null)));
    assert_eq!(connection["reconnects"], 0);

    sim.refuse_with(Some(kite_sim::Refusal::auth()));
    sim.drop_all();
    let down = browser.until("status", |it| it["level"] == "critical").await;
    let down = &down["connections"][0];
    assert_ne!(down["phase"], "live");
    assert!(down["why"].is_string(), "{down}");
    let tried = |it: &serde_json::Value| it["connections"][0]["failed_attempts"] != 0;
    browser.until("status", tried).await;
    let named = |kind: &'static str| {
        move |it: &serde_json::Value| {
            it["last"].as_array().unwrap().iter().any(|it| it["kind"] == kind)
        }
    };
    // Every page gets the incidents so far.
    let mut another = Browser::open(http.address(), "").await;
    another.until("incidents", named("down")).await;

    sim.refuse_with(None);
    manager.set_access_token("upstream_token");
    let up = browser.until("status", |it| it["level"] == "healthy").await;
    assert_eq!(up["connections"][0]["reconnects"], 1);
    assert_eq!(up["connections"][0]["failed_attempts"], 0);
    another.until("incidents", named("up")).await;
}

#[tokio::test]
async fn a_page_gets_the_prices_that_it_shows_and_a_depth() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let http = server(&manager).names(Names).start().unwrap();
    let query = format!("filter=nifty&depth={INFY}");
    let mut browser = Browser::open(http.address(), &query).await;
    let list = browser.until("list", |_| true).await;
    assert_eq!((&list["subscribed"], &list["found"]), (&json!(2), &json!(1)));
    assert_eq!(list["rows"], json!([{ "token": NIFTY, "name": "NSE:<b>NIFTY</b> 50" }]));
    let prices = browser.until("prices", |_| true).await;
    assert_eq!(prices["rows"].as_array().unwrap().len(), 1);
    assert_eq!(prices["panel"]["name"], "NSE:INFY");
    assert_eq!(prices["panel"]["tick"]["bids"].as_array().unwrap().len(), 5);
    sim.advance_market(&[NIFTY, INFY], 50);
    let latest = manager.latest().unwrap();
    let is_newest = |it: &serde_json::Value| {
        let last = latest.get(INFY).unwrap().tick().last_price().to_string();
        it["panel"]["tick"]["last"] == last
    };
    sim.tick_now(&[NIFTY, INFY]);
    browser.until("prices", is_newest).await;
}

#[tokio::test]
async fn a_page_that_does_not_read_is_ended() {
    let (key, token) = account();
    let sim = kite_sim::Sim::builder().credentials(key, token).updates_per_second(10.0);
    let sim = sim.start().await.unwrap();
    let manager = manager(&sim);
    let tokens: Vec<u32> = (1..=100).map(|number| number << 8 | 1).collect();
    manager.subscribe(&tokens, kite_manager::Mode::Full).unwrap();
    manager.start().await.unwrap();
    let http = server(&manager).max_connections(4).stall(Duration::from_millis(200));
    let http = http.start().unwrap();
    let mut stalled = Vec::new();
    for _ in 0..3 {
        stalled.push(Browser::open(http.address(), "rows=100").await);
    }
    // Their places are free again once they have been ended.
    let free = async {
        while Browser::open(http.address(), "rows=0").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    in_time("a free place", free).await;
    drop(stalled);
}

#[tokio::test]
async fn pages_leave_connections_for_metrics_and_health() {
    let sim = quiet_sim().await;
    let http = server(&manager(&sim)).max_connections(4).start().unwrap();
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Browser::open(http.address(), "").await);
    }
    assert!(open.iter().all(|browser| browser.status == 200));
    let refused = get(&http, "/events").await;
    assert_eq!((refused.status, &*refused.body), (503, "too many pages are open\n"));
    assert_eq!(get(&http, "/healthz").await.status, 200);
    http.stop();
    for mut browser in open {
        while browser.next().await.is_some() {}
    }
}
