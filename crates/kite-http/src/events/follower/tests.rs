use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use kite_wire::{Fields, Mode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::history::Counts;
use crate::incidents::Incidents;

const RUN: &str = "run-1";

/// The server's side: a board, and the newest ticks.
struct Server {
    board: Board,
    newest: BTreeMap<u32, Newest>,
    now: u64,
    seconds: u64,
}

impl Server {
    fn new(instruments: u32) -> Self {
        let mut board = Board::new(RUN.to_owned());
        board.set_incidents(&Incidents::default());
        subscribe(&mut board, instruments);
        Self { board, newest: BTreeMap::new(), now: 1_000, seconds: 0 }
    }

    fn tick(&mut self, token: u32, last_price: i32) {
        self.now += 1;
        let tick = Tick { instrument_token: token, last_price, fields: Fields::Ltp };
        self.newest.insert(token, Newest { tick, received: Stamp::from_nanos(self.now) });
    }

    /// A second passes.
    fn second(&mut self) {
        self.seconds += 1;
        let ticks = Some(self.seconds * 10);
        let counts = Counts { ticks, ..Counts::default() };
        self.board.history.sample(Duration::from_secs(self.seconds), counts);
        self.board.set_status(&json!({ "second": self.seconds }));
    }

    fn next(&self, follower: &mut Follower) -> Option<String> {
        let newest = |token| self.newest.get(&token).copied();
        let bytes = follower.next(&self.board, newest, Stamp::from_nanos(self.now))?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }
}

fn subscribe(board: &mut Board, instruments: u32) {
    let subscribed = (1..=instruments).map(|token| (token, Mode::Full)).collect();
    board.directory.set(subscribed, |token| Some(format!("NSE:S{token:05}")));
}

/// The browser's side: applies events as the page does.
#[derive(Debug, Default, PartialEq)]
struct Browser {
    status: Value,
    points: Vec<Value>,
    list: Vec<u64>,
    prices: BTreeMap<u64, String>,
}

impl Browser {
    fn apply(&mut self, text: &str) {
        for event in text.split_terminator("\n\n") {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            match name.strip_prefix("event: ").unwrap() {
                "status" => self.status = data,
                "incidents" => {}
                "rates" => {
                    if data["all"] == true {
                        self.points.clear();
                    }
                    self.points.extend(data["points"].as_array().unwrap().iter().cloned());
                }
                "list" => {
                    let tokens = data["rows"].as_array().unwrap().iter();
                    self.list = tokens.map(|row| row["token"].as_u64().unwrap()).collect();
                }
                "prices" => {
                    for row in data["rows"].as_array().unwrap() {
                        let last = row["last"].as_str().unwrap().to_owned();
                        self.prices.insert(row["token"].as_u64().unwrap(), last);
                    }
                }
                other => panic!("unknown event {other}"),
            }
        }
        let shown = &self.list;
        self.prices.retain(|token, _| shown.contains(token));
    }
}

fn follower(query: &str) -> Follower {
    Follower::new(View::from_query(query).unwrap())
}

fn names(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("event: ")).collect()
}

#[test]
fn the_first_events_are_the_whole_state_and_then_only_what_is_new() {
    let mut server = Server::new(3);
    server.second();
    server.second();
    server.tick(2, 100);
    let mut follower = follower("");
    let first = server.next(&mut follower).unwrap();
    assert_eq!(names(&first), ["status", "incidents", "rates", "list", "prices"]);
    assert_eq!(server.next(&mut follower), None);
    server.tick(3, 5);
    let text = server.next(&mut follower).unwrap();
    assert_eq!(names(&text), ["prices"]);
    assert!(text.contains("\"token\":3") && !text.contains("\"token\":2"), "{text}");
    server.second();
    assert_eq!(names(&server.next(&mut follower).unwrap()), ["status", "rates"]);
}

#[test]
fn only_the_rows_shown_are_sent() {
    let mut server = Server::new(9_000);
    (1..=9_000).for_each(|token| server.tick(token, 100));
    let mut follower = follower("filter=S0012&from=2&rows=3");
    let mut browser = Browser::default();
    browser.apply(&server.next(&mut follower).unwrap());
    assert_eq!(browser.list, [122, 123, 124]);
    assert_eq!(browser.prices.len(), 3);
    server.tick(1, 200);
    assert_eq!(server.next(&mut follower), None, "it is not shown");
}

#[test]
fn the_depth_of_one_instrument_is_sent_as_it_changes() {
    let mut server = Server::new(3);
    let mut follower = follower("rows=0&depth=2");
    let text = server.next(&mut follower).unwrap();
    assert!(text.contains(r#""panel":{"token":2,"name":"NSE:S00002","mode":"full","tick":null}"#));
    assert_eq!(server.next(&mut follower), None);
    server.tick(2, 157_370);
    assert!(server.next(&mut follower).unwrap().contains(r#""tick":{"age_ms":0,"last":"1573.70""#));
    server.tick(1, 1);
    assert_eq!(server.next(&mut follower), None);
    subscribe(&mut server.board, 1);
    assert!(!server.next(&mut follower).unwrap().contains("panel"), "it is no longer subscribed");
}

#[test]
fn a_browser_that_comes_back_gets_only_the_points_that_it_lacks() {
    let mut server = Server::new(1);
    (0..100).for_each(|_| server.second());
    let points = |query: &str| {
        let mut browser = Browser::default();
        browser.apply(&server.next(&mut follower(query)).unwrap());
        browser.points.len()
    };
    assert_eq!(points(""), 99);
    assert_eq!(points(&format!("run={RUN}&since=97")), 2);
    assert_eq!(points(&format!("run={RUN}&since=99")), 0);
    assert_eq!(points("run=run-0&since=97"), 99, "points of another run");
    assert_eq!(points(&format!("run={RUN}&since=5000")), 0, "no such point yet");
}

/// A slow browser costs no memory, because there is no queue, and what it gets next has a size that
/// does not depend on what it has missed.
#[test]
fn a_browser_that_has_not_read_gets_the_newest_state() {
    let mut server = Server::new(50);
    let mut follower = follower("rows=25");
    server.next(&mut follower);
    for round in 0..5_000 {
        (1..=50).for_each(|token| server.tick(token, round));
        server.second();
    }
    let text = server.next(&mut follower).unwrap();
    let mut browser = Browser { list: (1..=25).collect(), ..Browser::default() };
    browser.apply(&text);
    assert_eq!(browser.status, json!({ "second": 5_000 }));
    assert_eq!(browser.prices.len(), 25);
    // The number of decimals is that of the segment.
    let is_newest = |price: &String| price.replace('.', "").ends_with("4999");
    assert!(browser.prices.values().all(is_newest), "{:?}", browser.prices);
    assert_eq!(browser.points.len(), 600);
    assert!(text.len() < 64 * 1024, "{} bytes", text.len());
}

#[derive(Debug, Clone)]
enum Op {
    Tick(u32, i32),
    Second,
    Subscribe(u32),
    Read,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1_u32..8, 1..10_000).prop_map(|(token, price)| Op::Tick(token, price)),
        2 => Just(Op::Second),
        1 => (0_u32..8).prop_map(Op::Subscribe),
        2 => Just(Op::Read),
    ]
}

proptest! {
    /// However rarely a browser reads, it ends with the state of one that has just come.
    #[test]
    fn a_slow_browser_ends_with_the_newest_state(ops in prop::collection::vec(op(), 0..80)) {
        let server = RefCell::new(Server::new(4));
        let (mut slow, mut browser) = (follower("from=1&rows=3"), Browser::default());
        let read = |follower: &mut Follower, browser: &mut Browser| {
            if let Some(text) = server.borrow().next(follower) {
                browser.apply(&text);
            }
        };
        for op in ops {
            match op {
                Op::Tick(token, price) => server.borrow_mut().tick(token, price),
                Op::Second => server.borrow_mut().second(),
                Op::Subscribe(count) => subscribe(&mut server.borrow_mut().board, count),
                Op::Read => read(&mut slow, &mut browser),
            }
        }
        read(&mut slow, &mut browser);
        let mut fresh = Browser::default();
        read(&mut follower("from=1&rows=3"), &mut fresh);
        prop_assert_eq!(browser, fresh);
    }
}
