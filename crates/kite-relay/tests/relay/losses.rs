//! Losses upstream, and what clients receive about them.

use std::time::Duration;

use kite_manager::{Event, ManagerEvent};
use kite_sim::{Fault, Refusal};
use kite_wire::Mode;

use crate::client::Client;
use crate::frames::{frame, packet};
use crate::stage::{quiet_sim, relay, started, until};

const ONE: u32 = 408_065;
const TWO: u32 = 884_737;

#[tokio::test]
async fn clients_are_informed_of_an_outage_and_of_what_it_missed() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::with_snapshots(&relay, "one", &[ONE]).await;
    let mut idle = Client::connect(&relay, "two").await;
    sim.refuse_with(Some(Refusal::new(503, "")));
    sim.drop_all();
    one.read_until("the error", |it| it.text("error").is_some()).await;
    let error =
        "No ticks from 1 instrument (408065): the connection to Kite is down; reconnecting.";
    assert_eq!(one.text("error").unwrap(), error);
    // A client that reconnects gets the last values and the error again.
    let mut again = Client::connect(&relay, "one").await;
    again.mode(Mode::Full, &[ONE]).await;
    again.read_until("the error", |it| it.text("error").is_some() && !it.packets.is_empty()).await;
    assert_eq!(again.last(ONE), one.last(ONE));
    sim.advance_market(&[ONE], 5);
    sim.refuse_with(None);
    one.read_until("the gap", |it| it.text("message").is_some()).await;
    let gap = &one.text("message").unwrap()["gap"];
    assert!(gap["instruments"][ONE.to_string()].as_u64().unwrap() > 0, "{gap}");
    assert!(gap["from"].as_str().unwrap() < gap["to"].as_str().unwrap(), "{gap}");
    assert_eq!(one.texts.len(), 2, "{:?}", one.texts);
    idle.sync().await;
    assert!(idle.texts.is_empty(), "{:?}", idle.texts);
    assert_eq!(relay.stats().gaps, 1);
}

#[tokio::test]
async fn connections_without_instruments_have_no_gaps_that_count() {
    let sim = quiet_sim().await;
    let manager = crate::stage::manager(&sim).connections(3).build().unwrap();
    manager.start().await.unwrap();
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::with_snapshots(&relay, "one", &[ONE]).await;
    let mut events = manager.events();
    sim.drop_all();
    let mut connections = std::collections::BTreeSet::new();
    while connections.len() < 3 {
        let event = events.recv().await.expect("the manager runs");
        if let ManagerEvent::Connection { seat, event: Event::Gap(_) } = event {
            connections.insert(seat.connection);
        }
    }
    one.read_until("the gap", |it| it.text("message").is_some()).await;
    assert_eq!(relay.stats().gaps, 1);
}

#[tokio::test]
async fn what_is_subscribed_during_an_outage_has_an_end() {
    let sim = quiet_sim().await;
    let manager = crate::stage::manager(&sim).connections(2).build().unwrap();
    manager.start().await.unwrap();
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::with_snapshots(&relay, "one", &[ONE]).await;
    sim.refuse_with(Some(Refusal::new(503, "")));
    sim.drop_all();
    one.read_until("the error", |it| it.text("error").is_some()).await;
    // One after the other, as a program that subscribes them by different lines.
    let mut two = Client::connect(&relay, "two").await;
    two.subscribe(&[TWO]).await;
    two.subscribe(&[256_265]).await;
    two.read_until("the error", |it| it.text("error").is_some()).await;
    let error = "No ticks from 2 instruments (256265 and 884737): the connection to Kite is down; \
                 reconnecting.";
    assert_eq!(two.text("error").unwrap(), error);
    sim.refuse_with(None);
    let named = |client: &Client| -> Vec<u64> {
        let ends = client.texts.iter().map(|text| &text["data"]["resumed"]["instruments"]);
        let named = ends.filter_map(|it| it.as_array()).flatten();
        named.map(|token| token.as_u64().unwrap()).collect()
    };
    one.read_until("the gap", |it| it.text("message").is_some_and(|it| it["gap"].is_object()))
        .await;
    two.read_until("the ends", |it| named(it).len() == 2).await;
    assert!(named(&one).is_empty() && one.texts.len() == 2, "{:?}", one.texts);
}

#[tokio::test]
async fn clients_are_informed_of_damaged_frames() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::with_snapshots(&relay, "one", &[ONE]).await;
    let mut idle = Client::connect(&relay, "two").await;
    // Its only packet, so that the frame has no tick left.
    assert_eq!(sim.inject("upstream_key", Fault::TruncatedFrame { cut: 1 }), 1);
    one.read_until("the message", |it| it.text("message").is_some()).await;
    assert_eq!(one.text("message").unwrap()["damaged"]["frames"], 1);
    assert_eq!(relay.stats().damaged_frames, 1);
    idle.sync().await;
    assert!(idle.texts.is_empty(), "{:?}", idle.texts);
}

#[tokio::test]
async fn clients_receive_the_whole_packets_of_a_frame_that_declares_more() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::with_snapshots(&relay, "one", &[ONE, TWO]).await;
    // The client's book is all of it. Its frames are checked as they arrive.
    assert_eq!(sim.inject("upstream_key", Fault::LyingCount { by: 3 }), 1);
    sim.tick_now(&[ONE, TWO]);
    one.read_until("the packets", |it| it.packets.values().all(|it| it.len() > 1)).await;
    one.read_until("the message", |it| it.text("message").is_some()).await;
    assert_eq!(one.text("message").unwrap()["damaged"]["frames"], 1);
}

#[tokio::test]
async fn clients_stay_while_the_manager_waits_for_a_token_or_is_started_again() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::with_snapshots(&relay, "one", &[ONE, TWO]).await;
    sim.set_access_token("upstream_key", "of the next day");
    sim.drop_all();
    one.read_until("the error", |it| it.text("error").is_some()).await;
    let error = "No ticks from 2 instruments (408065 and 884737): Kite refuses the access token; waiting \
                 for a new one.";
    assert_eq!(one.text("error").unwrap(), error);
    manager.set_access_token("of the next day");
    one.read_until("the gap", |it| it.text("message").is_some()).await;

    manager.stop().await;
    manager.start().await.unwrap();
    sim.send_text(r#"{"type":"message","data":"in the next run"}"#);
    until("the subscription", || sim.subscriptions().iter().any(|it| it.len() == 2)).await;
    sim.send_binary(frame(&[ONE], 9));
    let expected = packet(ONE, 9, Mode::Full);
    one.read_until("a packet", |it| it.last(ONE) == Some(&expected)).await;
    one.read_until("a text", |it| it.text("message") == Some(&"in the next run".into())).await;
}

#[tokio::test]
async fn an_outage_of_several_connections_is_one_error_and_another_reason_a_second() {
    let sim = quiet_sim().await;
    let manager = crate::stage::manager(&sim).connections(3).build().unwrap();
    manager.start().await.unwrap();
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::with_snapshots(&relay, "one", &[ONE, TWO, 256_265]).await;
    assert!(manager.distribution().iter().all(|it| it.len() == 1));
    sim.refuse_with(Some(Refusal::new(503, "")));
    sim.drop_all();
    one.read_until("the error", |it| it.text("error").is_some()).await;
    sim.refuse_with(Some(Refusal::new(429, "")));
    let reason = "all sockets of the account are in use; retrying.";
    let has_reason = |text: &serde_json::Value| text["data"].as_str().unwrap().ends_with(reason);
    one.read_until("the reason", |it| it.texts.iter().any(has_reason)).await;
    let errors: Vec<_> = one.texts.iter().filter(|it| it["type"] == "error").collect();
    assert!(errors[0]["data"].as_str().unwrap().starts_with("No ticks from 3 instruments ("));
    assert!(errors.iter().filter(|text| !has_reason(text)).count() == 1, "{errors:?}");
}

#[tokio::test]
async fn a_silent_line_upstream_is_reported_and_withholds_heartbeats_before_it_is_given_up() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::connect(&relay, "one").await;
    one.mode(Mode::Full, &[ONE]).await;
    one.read_until("heartbeats", |it| it.last(ONE).is_some() && it.heartbeats > 0).await;
    sim.go_silent(true);
    let silent = async {
        loop {
            let heartbeats = one.heartbeats;
            let next = one.read_until("a heartbeat", |it| it.heartbeats > heartbeats);
            // Heartbeats are a second apart.
            if tokio::time::timeout(Duration::from_secs(3), next).await.is_err() {
                break;
            }
        }
    };
    crate::stage::in_time("the end of heartbeats", silent).await;
    one.read_until("the error", |it| it.text("error").is_some()).await;
    let error = "No ticks from 1 instrument (408065): nothing received from Kite for 5 s.";
    assert_eq!(one.text("error").unwrap(), error);
    assert!(manager.is_live());
    sim.go_silent(false);
    let heartbeats = one.heartbeats;
    one.read_until("a heartbeat again", |it| it.heartbeats > heartbeats).await;
    one.read_until("the end", |it| it.text("message").is_some()).await;
    let resumed = &one.text("message").unwrap()["resumed"];
    assert_eq!(resumed["instruments"], serde_json::json!([ONE]));
    assert!(resumed["from"].as_str().unwrap() < resumed["to"].as_str().unwrap(), "{resumed}");
    let stats = relay.stats();
    assert_eq!((one.texts.len(), stats.silences, stats.gaps), (2, 1, 0), "{:?}", one.texts);
}

#[tokio::test]
async fn a_relay_may_be_started_before_its_manager() {
    let sim = quiet_sim().await;
    let manager = crate::stage::manager(&sim).build().unwrap();
    let relay = relay().instruments(&[(TWO, Mode::Ltp)]).start(&manager).await.unwrap();
    let mut one = Client::connect(&relay, "one").await;
    one.mode(Mode::Quote, &[ONE]).await;
    one.sync().await;
    manager.start().await.unwrap();
    one.read_until("a snapshot", |it| it.last(ONE).is_some()).await;
    assert_eq!(sim.subscriptions(), [[(ONE, Mode::Quote), (TWO, Mode::Ltp)].into()]);
    // Kite greets each new socket, and so does the relay.
    assert!(one.texts.is_empty(), "{:?}", one.texts);
    let mut two = Client::connect(&relay, "two").await;
    two.read_until("the greeting", |it| it.texts.len() == 2).await;
    let kinds: Vec<_> = two.texts.iter().map(|text| text["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["instruments_meta", "app_code"]);
}
