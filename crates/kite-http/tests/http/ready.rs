//! Health, readiness and the status.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kite_http::HttpServer;
use kite_tape::RecorderStats;

use crate::client::{Answer, get};
use crate::stage::{in_time, manager, quiet_sim, server, ticking};

/// Asks until the answer has a status.
async fn until_status(http: &HttpServer, path: &str, status: u16) -> Answer {
    let asking = async {
        loop {
            let answer = get(http, path).await;
            if answer.status == status {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    in_time("a status", asking).await
}

#[tokio::test]
async fn it_is_ready_while_a_connection_is_live() {
    let sim = quiet_sim().await;
    let manager = manager(&sim);
    let http = server(&manager).start().unwrap();
    let answer = get(&http, "/readyz").await;
    assert_eq!((answer.status, &*answer.body), (503, "no connection is live\n"));
    assert_eq!(get(&http, "/healthz").await.status, 200);
    manager.start().await.unwrap();
    assert_eq!(until_status(&http, "/readyz", 200).await.body, "ready\n");
    sim.refuse_with(Some(kite_sim::Refusal::auth()));
    sim.drop_all();
    let answer = until_status(&http, "/readyz", 503).await;
    assert!(answer.body.starts_with("no connection is live: "), "{}", answer.body);
    assert!(answer.body.contains("403"), "{}", answer.body);
    assert_eq!(get(&http, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_recorder_that_cannot_write_is_a_reason() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let is_failing = Arc::new(AtomicBool::new(false));
    let stats = {
        let is_failing = Arc::clone(&is_failing);
        move || {
            let mut stats = RecorderStats::default();
            stats.is_failing = is_failing.load(Ordering::Relaxed);
            stats.last_error = stats.is_failing.then(|| "No space left on device".to_owned());
            stats
        }
    };
    let http = server(&manager).recorder("/", stats).start().unwrap();
    assert_eq!(get(&http, "/readyz").await.status, 200);
    is_failing.store(true, Ordering::Relaxed);
    let answer = until_status(&http, "/readyz", 503).await;
    assert_eq!(answer.body, "the recorder cannot write: No space left on device\n");
    is_failing.store(false, Ordering::Relaxed);
    until_status(&http, "/readyz", 200).await;
}

#[tokio::test]
async fn the_status_has_the_state_and_what_happened() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let http = server(&manager).start().unwrap();
    let status = get(&http, "/api/status").await.json();
    assert_eq!(
        (status["is_ready"].clone(), status["reasons"].clone()),
        (true.into(), [(); 0].as_slice().into())
    );
    assert_eq!(status["feed"]["connections"][0]["phase"], "live");
    assert_eq!(status["feed"]["instruments"], 2);
    assert_eq!(status["incidents"]["gaps"], 0);
    sim.drop_all();
    let gap = async {
        loop {
            let status = get(&http, "/api/status").await.json();
            if status["incidents"]["gaps"] == 1 {
                return status["incidents"].clone();
            }
            sim.tick_now(&[crate::stage::NIFTY, crate::stage::INFY]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let incidents = in_time("the gap", gap).await;
    let kinds: Vec<_> =
        incidents["last"].as_array().unwrap().iter().map(|it| it["kind"].clone()).collect();
    for kind in ["down", "up", "gap"] {
        assert!(kinds.contains(&kind.into()), "{kinds:?}");
    }
    assert!(incidents["gap_seconds"].as_f64().unwrap() > 0.0);
}
