//! Each order update is delivered once, although every socket receives it.

use std::time::Duration;

use kite_conn::{Event, Stamp};
use kite_manager::{Events, Manager, ManagerEvent, OrderItem, Orders, TextItem};
use kite_sim::{Fault, Refusal, Sim};
use kite_wire::Mode;
use kite_wire::text::TextMessage;
use serde_json::json;

use crate::stage::{agreed, builder, in_time, key, live, name, sim, sim_until, socket, until};

fn send(sim: &Sim, id: &str) {
    sim.send_order(json!({"order_id": id, "status": "OPEN"}));
}

/// Sends a last update, waits until `sockets` sockets have received it, and returns all delivered
/// updates, because by then every earlier copy has been filtered.
async fn delivered(
    sim: &Sim,
    events: &mut Events,
    orders: &mut Orders,
    sockets: usize,
) -> Vec<String> {
    send(sim, "the-last");
    let mut copies = 0;
    in_time("all copies", async {
        while copies < sockets {
            let event = events.recv().await.unwrap();
            if let ManagerEvent::Connection { event: Event::Text { text, .. }, .. } = event {
                copies += usize::from(String::from_utf8_lossy(&text).contains("the-last"));
            }
        }
    })
    .await;
    let mut delivered = Vec::new();
    while let Ok(item) = orders.try_recv() {
        let OrderItem::Update(update) = item else { panic!("{item:?}") };
        let TextMessage::Order(order) = &*update.message else { panic!("{:?}", update.message) };
        delivered.push(format!("{} {}", update.account, order.order_id.as_deref().unwrap()));
    }
    delivered
}

async fn started(sim: &Sim, accounts: usize, connections: usize) -> Manager {
    let manager = builder(sim, accounts).connections(connections).build().unwrap();
    in_time("start", manager.start()).await.unwrap();
    manager
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_of_any_type_is_delivered_once_although_three_sockets_receive_it() {
    let sim = sim(1, |it| it.greet(false)).await;
    let manager = started(&sim, 1, 3).await;
    let mut texts = manager.texts();
    let sent = [r#"{"type":"message","data":"a"}"#, r#"{"type":"new","data":"b"}"#];
    sent.iter().for_each(|text| sim.send_text(text));
    send(&sim, "1");
    // A copy of an earlier one would come before the last.
    for expected in [sent[0], sent[1], "order_id"] {
        let item = in_time("a text", texts.recv()).await;
        let Some(TextItem::Update(update)) = item else { panic!("{item:?}") };
        let text = String::from_utf8_lossy(&update.text).into_owned();
        assert!(text.contains(expected), "{text}");
    }
    manager.stop().await;
    assert!(in_time("the end", texts.recv()).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_on_three_sockets_is_delivered_once_per_account() {
    let sim = sim(2, |it| it).await;
    let manager = started(&sim, 2, 3).await;
    let (mut events, mut orders) = (manager.events(), manager.orders());
    send(&sim, "1");
    send(&sim, "2");
    // The same text again is a separate update.
    send(&sim, "1");
    let mut delivered = delivered(&sim, &mut events, &mut orders, 6).await;
    delivered.sort();
    let expected = ["1", "1", "2", "the-last"];
    let of = |account| expected.map(|id| format!("{} {id}", name(account)));
    assert_eq!(delivered, [of(0), of(1)].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_on_one_or_more_sockets_is_two_updates() {
    let sim = sim(1, |it| it).await;
    let manager = started(&sim, 1, 3).await;
    let (mut events, mut orders) = (manager.events(), manager.orders());
    let twice =
        |id: &str| Fault::DuplicateOrder { data: json!({"order_id": id, "status": "OPEN"}) };
    assert_eq!(sim.inject(&key(0), twice("all")), 3);
    let one = sim.sockets(&key(0))[1].id;
    assert!(sim.inject_socket(one, twice("one")));
    let mut delivered = delivered(&sim, &mut events, &mut orders, 3).await;
    delivered.sort();
    assert_eq!(
        delivered,
        ["all", "all", "one", "one", "the-last"].map(|id| format!("{} {id}", name(0)))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_text_for_two_accounts_is_two_updates() {
    let sim = sim(2, |it| it).await;
    let manager = builder(&sim, 2).build().unwrap();
    manager.subscribe(&kite_sim::universe(6), Mode::Ltp).unwrap();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    let (mut events, mut orders) = (manager.events(), manager.orders());
    let twice = Fault::DuplicateOrder { data: json!({"order_id": "1", "status": "OPEN"}) };
    // On one connection of each account, with different numbers.
    for (account, connection) in [(0, 0), (1, 2)] {
        let instruments = &manager.distribution()[account * 3 + connection];
        let id = socket(&sim, account, instruments).id;
        assert!(sim.inject_socket(id, twice.clone()));
    }
    let mut delivered = delivered(&sim, &mut events, &mut orders, 6).await;
    delivered.sort();
    let of = |account| ["1", "1", "the-last"].map(|id| format!("{} {id}", name(account)));
    assert_eq!(delivered, [of(0), of(1)].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconnect_neither_loses_nor_repeats_an_update() {
    let sim = sim(1, |it| it).await;
    let manager = started(&sim, 1, 3).await;
    let (mut events, mut orders) = (manager.events(), manager.orders());
    let close = Fault::Close { code: 1_001, waits: false };
    for round in 0..6 {
        send(&sim, &format!("before-{round}"));
        sim.refuse_with(Some(Refusal::new(503, "busy")));
        let records = sim.sockets(&key(0));
        let open: Vec<u64> = records.iter().filter(|it| it.end.is_none()).map(|it| it.id).collect();
        assert!(sim.inject_socket(open[round % 3], close.clone()));
        until("a loss", || live(&manager.snapshot()) == 2).await;
        send(&sim, &format!("between-{round}"));
        sim.refuse_with(None);
        // Sent while the socket opens, which may or may not receive it.
        sim_until(&sim, "a socket", |sim| sim.stats().connections_open == 3).await;
        send(&sim, &format!("opening-{round}"));
        in_time("live", manager.wait_until_live(Duration::from_secs(9))).await.unwrap();
        send(&sim, &format!("after-{round}"));
    }
    let mut delivered = delivered(&sim, &mut events, &mut orders, 3).await;
    let mut expected: Vec<String> = (0..6)
        .flat_map(|round| {
            ["before", "between", "opening", "after"].map(|it| format!("{it}-{round}"))
        })
        .chain(["the-last".to_owned()])
        .map(|id| format!("{} {id}", name(0)))
        .collect();
    delivered.sort();
    expected.sort();
    assert_eq!(delivered, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_missed_by_a_connection_does_not_hide_a_later_one() {
    let sim = sim(1, |it| it).await;
    let manager = started(&sim, 1, 2).await;
    let (mut events, mut orders) = (manager.events(), manager.orders());
    let busy = || sim.refuse_with(Some(Refusal::new(503, "busy")));
    let close = |nth: usize| {
        let open = sim.sockets(&key(0)).into_iter().filter(|it| it.end.is_none()).nth(nth);
        assert!(sim.inject_socket(open.unwrap().id, Fault::Close { code: 1_001, waits: false }));
    };
    busy();
    close(0);
    until("a loss", || live(&manager.snapshot()) == 1).await;
    send(&sim, "same");
    let first = in_time("the first", orders.recv()).await.unwrap();
    let OrderItem::Update(first) = first else { panic!("{first:?}") };
    // Longer than a new socket may still deliver it.
    until("the end of the grace time", || first.received.elapsed() > Duration::from_millis(2_100))
        .await;
    sim.refuse_with(None);
    in_time("live", manager.wait_until_live(Duration::from_secs(9))).await.unwrap();
    // The connection that received it is lost, and the same text arrives again on the other.
    busy();
    close(0);
    until("a loss", || live(&manager.snapshot()) == 1).await;
    send(&sim, "same");
    let second = in_time("the second", orders.recv()).await.unwrap();
    let OrderItem::Update(second) = second else { panic!("{second:?}") };
    assert_eq!(first.text, second.text);
    assert!(second.received > first.received && second.received <= Stamp::now());
    assert_eq!(
        delivered(&sim, &mut events, &mut orders, 1).await,
        [format!("{} the-last", name(0))]
    );
}
