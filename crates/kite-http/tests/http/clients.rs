//! The clients of a relay.

use std::sync::{Arc, Mutex};

use kite_manager::{Credentials, Manager};
use kite_relay::{ClientStats, RelayStats};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::client::get;
use crate::stage::server;

/// Returns the counts of a relay whose client `old` has been connected and was removed since, and
/// whose client `new` has never connected.
fn reloaded() -> RelayStats {
    let mut old = ClientStats::default();
    (old.name, old.accepted, old.queued, old.out) = ("old".into(), 1, 7, 7);
    let mut stats = RelayStats::default();
    (stats.clients, stats.ticks_out, stats.listed) = (vec![old], 7, vec!["new".into()]);
    stats
}

fn shown(clients: &Value, keys: [&str; 4]) -> Vec<[Value; 4]> {
    let row = |client: &Value| keys.map(|key| client[key].clone());
    clients.as_array().unwrap().iter().map(row).collect()
}

#[tokio::test]
async fn clients_are_shown_before_they_connect_and_marked_once_removed() {
    let account = Credentials::new("key", "token");
    let manager = Manager::builder().account("main", account).build().unwrap();
    let stats = Arc::new(Mutex::new(reloaded()));
    let read = Arc::clone(&stats);
    let http = server(&manager).relay(move || read.lock().unwrap().clone()).start().unwrap();
    let relay = get(&http, "/api/status").await.json()["relay"].clone();
    let expected = [
        [json!("new"), json!(false), json!(0), json!(0)],
        [json!("old"), json!(true), json!(0), json!(7)],
    ];
    assert_eq!(shown(&relay["clients"], ["name", "is_removed", "sockets", "out"]), expected);
    assert_eq!(relay["ticks_out"], 7);
    let metrics = get(&http, "/metrics").await.body;
    for line in ["{client=\"new\"} 0\n", "{client=\"old\"} 0\n"] {
        assert!(metrics.contains(&format!("kite_relay_dropped_total{line}")), "{metrics}");
    }
    let mut browser = Browser::open(http.address(), "").await;
    let status = browser.until("status", |_| true).await;
    let clients = &status["relay"]["clients"];
    assert_eq!(shown(clients, ["name", "removed", "sockets", "out"]), expected);
}
