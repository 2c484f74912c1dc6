//! Metrics, against the table of the documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, SystemTime};

use kite_http::HttpServer;
use kite_nats::PublisherStats;
use kite_relay::{Relay, RelayClient};
use kite_tape::RecorderStats;
use serde_json::Value;

use crate::client::get;
use crate::stage::{NIFTY, quiet_sim, server, ticking, until};

/// The values by name and labels, as they are written.
fn values(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

/// Names with their types, from the lines that begin with `# TYPE`.
fn types(text: &str) -> BTreeSet<(String, String)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, kind)| (name.into(), kind.into()))
        .collect()
}

fn of_docs(name: &str) -> String {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap()
}

/// The first two columns of the table in `docs/metrics.md`.
fn documented() -> BTreeSet<(String, String)> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.to_owned()))
    };
    of_docs("metrics.md").lines().filter_map(row).collect()
}

#[tokio::test]
async fn the_exported_metrics_are_those_of_the_documentation() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let client = RelayClient::new("one", kite_manager::Credentials::new("one_key", "one_token"));
    let relay = Relay::builder().listen("127.0.0.1:0".parse().unwrap()).client(client);
    let relay = relay.start(&manager).await.unwrap();
    let counts = relay.counts();
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let http: HttpServer = server(&manager)
        .relay(move || counts.stats())
        .recorder("/", RecorderStats::default)
        .nats(PublisherStats::default)
        .token_expires(move || Some(expires))
        .start()
        .unwrap();
    let answer = get(&http, "/metrics").await;
    let kind = answer.header("content-type");
    assert_eq!((answer.status, kind), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    assert_eq!(types(&answer.body), documented());
    let values = values(&answer.body);
    let version = concat!("kite_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert_eq!(values[version], 1.0);
    assert_eq!(values["kite_token_expires_timestamp_seconds"], 1_800_000_000.0);
    assert_eq!(values["kite_recorder_up"], 1.0);
    assert!(values["kite_recorder_disk_free_bytes"] > 0.0);
    assert_eq!(values["kite_relay_clients"], 0.0);
}

#[tokio::test]
async fn the_values_are_those_of_the_manager() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    sim.tick_now(&[NIFTY]);
    until("the tick", || manager.snapshot().total.ticks >= 3).await;
    let http = server(&manager).start().unwrap();
    let text = get(&http, "/metrics").await.body;
    let values = values(&text);
    let feed = manager.snapshot();
    assert_eq!(values["kite_connection_up{account=\"main\",connection=\"0\"}"], 1.0);
    assert_eq!(values["kite_connection_losses_total{cause=\"silence\"}"], 0.0);
    assert_eq!(values["kite_instruments{state=\"subscribed\"}"], 2.0);
    assert_eq!(values["kite_ticks_total"], feed.total.ticks as f64);
    assert_eq!(values["kite_received_bytes_total"], feed.total.bytes as f64);
    assert_eq!(values["kite_handover_seconds_count"], feed.total.latency_ns.count as f64);
    assert_eq!(
        values["kite_handover_seconds_bucket{le=\"+Inf\"}"],
        values["kite_handover_seconds_count"]
    );
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - values["kite_last_frame_timestamp_seconds"];
    assert!((-1.0..30.0).contains(&age), "{age}");
    assert!(!text.contains("256265"), "no series for an instrument: {text}");
}

/// Names of metrics in expressions, with the suffixes of a histogram's series removed.
fn named(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_word(c)).filter(|word| word.starts_with("kite_"));
    words.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned()).collect()
}

#[test]
fn the_dashboard_and_the_alerts_use_exported_metrics() {
    let exported: BTreeSet<String> = documented().into_iter().map(|(name, _)| name).collect();
    let dashboard: Value = serde_json::from_str(&of_docs("grafana/dashboard.json")).unwrap();
    let mut expressions = String::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            expressions += target["expr"].as_str().unwrap();
            expressions.push(' ');
        }
    }
    let mut shown = named(&expressions);
    // The variables of the dashboard list the processes by it.
    shown.insert("kite_build_info".into());
    assert_eq!(shown, exported, "the dashboard shows every metric, and no other");
    let alerts = named(&of_docs("grafana/alerts.yml"));
    assert!(alerts.len() > 10 && alerts.is_subset(&exported), "{alerts:?}");
}
