//! Many event streams, half of which are not read: the feed and the recorder notice nothing.
//!
//! 60 streams in a debug build. With `KITE_BROWSERS=1000`, a thousand:
//! `KITE_BROWSERS=1000 cargo test --release -p kite-http --test http browsers -- --nocapture`.

use std::env;
use std::time::{Duration, Instant};

use kite_manager::{Endpoint, Manager, Mode};
use kite_sim::Sim;
use kite_tape::{Recorder, RecorderConfig};
use serde_json::Value;

use crate::browser::Browser;
use crate::stage::{account, server};

/// Streams of the test that runs with all others.
const BROWSERS: usize = 60;

/// Instruments, each of which ticks twice a second as at Kite.
const INSTRUMENTS: u32 = 3_000;

/// Seconds that each reading browser sees. The operating system and the server keep about three of
/// them for one that does not read.
const SECONDS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_browsers_costs_neither_a_tick_nor_a_record() {
    let browsers = env::var("KITE_BROWSERS").map_or(BROWSERS, |count| count.parse().unwrap());
    let (key, token) = account();
    let sim = Sim::builder().credentials(key, token).updates_per_second(2.0).start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(directory.path(), RecorderConfig::default()).unwrap();
    let tap = {
        let recorder = recorder.clone();
        move |_| recorder.sink(kite_wire::tape::Source { account: 0, connection: 0 })
    };
    let manager = Manager::builder()
        .endpoint(Endpoint::parse(&sim.endpoint()).unwrap())
        .account("main", kite_manager::Credentials::new(key, token))
        .connections(1)
        .latest(true)
        .tap(tap)
        .build()
        .unwrap();
    let tokens: Vec<u32> = (1..=INSTRUMENTS).map(|number| number << 8 | 1).collect();
    manager.subscribe(&tokens, Mode::Full).unwrap();
    manager.start().await.unwrap();
    let stats = recorder.clone();
    let http = server(&manager)
        .recorder(directory.path(), move || stats.stats())
        .max_connections(2 * browsers)
        .stall(Duration::from_secs(300))
        .start()
        .unwrap();

    let (mut reading, mut stalled) = (Vec::new(), Vec::new());
    for number in 0..browsers {
        let query = format!("rows=100&from={}", number % 29 * 100);
        let browser = Browser::open(http.address(), &query).await;
        assert_eq!(browser.status, 200);
        if number % 2 == 0 { reading.push(browser) } else { stalled.push(browser) }
    }
    let began = Instant::now();
    let readers: Vec<_> = reading.into_iter().map(|browser| tokio::spawn(read(browser))).collect();
    let mut events = 0;
    for reader in readers {
        events += reader.await.unwrap();
    }
    let passed = began.elapsed();

    // Those that did not read have not been queued for: what they read next skips seconds.
    let now_ms = manager.snapshot().unix_ms;
    for browser in &mut stalled {
        assert!(catch_up(browser, now_ms).await, "a browser that did not read got every second");
    }
    let figures = manager.snapshot().total;
    let stopped = manager.drain(Duration::from_secs(30)).await;
    assert!(stopped.clean && stopped.discarded_frames == 0, "{stopped:?}");
    let summary = recorder.finish().unwrap().stats;
    assert_eq!((summary.dropped, summary.lost, summary.failures), (0, 0, 0));
    assert_eq!(summary.ticks, manager.snapshot().total.ticks);
    assert_eq!(summary.ticks, sim.stats().ticks_sent);
    assert_eq!(figures.sockets_lost(), 0);
    println!(
        "{browsers} streams, {events} events read in {passed:.1?}; {} ticks on the tape, hand-over \
         p99 {} us",
        summary.ticks,
        figures.latency_ns.p99 / 1_000
    );
}

/// Reads until the browser has seen the state change several times. Returns the number of events.
async fn read(mut browser: Browser) -> usize {
    let (mut seen, mut events, mut prices): (Vec<Value>, usize, usize) = (Vec::new(), 0, 0);
    while seen.len() < SECONDS || prices < SECONDS {
        let (name, data) = browser.next().await.expect("the stream has ended");
        events += 1;
        match &*name {
            "status" => seen.push(data["now_ms"].clone()),
            "prices" => prices += 1,
            _ => {}
        }
    }
    assert!(seen.is_sorted_by_key(|it| it.as_u64()), "{seen:?}");
    events
}

/// Reads to the newest state. Returns whether seconds were skipped: rates come once a second, and
/// then with the points of several.
async fn catch_up(browser: &mut Browser, now_ms: u64) -> bool {
    let (mut is_new, mut is_first, mut has_skipped) = (false, true, false);
    loop {
        let (name, data) = browser.next().await.expect("the stream has ended");
        match &*name {
            "status" => is_new = data["now_ms"].as_u64().unwrap() >= now_ms,
            // The first ones are those of the last ten minutes.
            "rates" if !std::mem::take(&mut is_first) => {
                has_skipped |= data["points"].as_array().unwrap().len() > 1;
                if is_new {
                    return has_skipped;
                }
            }
            _ => {}
        }
    }
}
