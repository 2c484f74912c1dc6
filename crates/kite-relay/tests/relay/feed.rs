//! What clients receive of the feed.

use std::time::Duration;

use kite_manager::Credentials;
use kite_sim::{Fault, FaultKind, Sim};
use kite_wire::Mode;

use crate::client::Client;
use crate::stage::{KEY, in_time, quiet_sim, relay, started};

const ONE: u32 = 408_065;
const TWO: u32 = 884_737;

/// Ticks one instrument until a client has the packet.
async fn tick(sim: &Sim, client: &mut Client, token: u32) {
    let before = client.packets.get(&token).map_or(0, Vec::len);
    sim.advance_market(&[token], 1);
    sim.tick_now(&[token]);
    client.read_until("a tick", |it| it.packets.get(&token).map_or(0, Vec::len) > before).await;
}

#[tokio::test]
async fn each_client_receives_its_own_instruments_in_its_own_modes() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let (mut one, mut two) =
        (Client::connect(&relay, "one").await, Client::connect(&relay, "two").await);
    one.mode(Mode::Full, &[ONE]).await;
    one.read_until("a snapshot", |it| it.last(ONE).is_some()).await;
    two.mode(Mode::Ltp, &[ONE]).await;
    two.mode(Mode::Quote, &[TWO]).await;
    two.read_until("snapshots", |it| it.packets.len() == 2).await;
    assert_eq!(sim.subscriptions(), [[(ONE, Mode::Full), (TWO, Mode::Quote)].into()]);
    for _ in 0..10 {
        tick(&sim, &mut two, TWO).await;
        tick(&sim, &mut two, ONE).await;
        one.read_until("the same tick", |it| it.last(ONE).map(|full| &full[..8]) == two.last(ONE))
            .await;
    }
    let full = &one.packets[&ONE];
    assert!(full.iter().all(|packet| packet.len() == 184));
    assert_eq!(one.packets.len(), 1);
    // From the snapshot on, the same packets, cut.
    let ltp: Vec<_> = full.iter().map(|packet| packet[..8].to_vec()).collect();
    assert!(ltp.ends_with(&two.packets[&ONE]));
    assert!(two.packets[&TWO].iter().all(|packet| packet.len() == 44));
    let ended = async { tokio::join!(one.read_to_end(), two.read_to_end()) };
    let (stopped, _) = tokio::join!(relay.stop(Duration::from_secs(10)), ended);
    assert!(stopped.is_complete, "{stopped:?}");
    assert_eq!(stopped.stats.ticks_queued, stopped.stats.ticks_out);
    for client in [one, two] {
        assert_eq!(u16::from(client.closed.flatten().unwrap().code), 1_001);
    }
}

#[tokio::test]
async fn a_client_that_joins_a_quiet_market_receives_the_last_packets_first() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::with_snapshots(&relay, "one", &[ONE, TWO]).await;
    tick(&sim, &mut one, ONE).await;
    let sent = sim.stats().ticks_sent;
    let mut two = Client::connect(&relay, "two").await;
    two.subscribe(&[TWO, ONE]).await;
    two.read_until("snapshots", |it| it.packets.len() == 2).await;
    for token in [ONE, TWO] {
        assert_eq!(two.packets[&token], [one.last(token).unwrap()[..44].to_vec()]);
    }
    two.mode(Mode::Full, &[ONE]).await;
    two.read_until("a full packet", |it| it.packets[&ONE].len() == 2).await;
    assert_eq!(two.last(ONE), one.last(ONE));
    // What is unsubscribed and what is in the mode already is not sent.
    two.unsubscribe(&[TWO]).await;
    two.mode(Mode::Full, &[ONE]).await;
    two.sync().await;
    assert_eq!((two.packets[&ONE].len(), two.packets[&TWO].len()), (2, 1));
    assert_eq!(sim.stats().ticks_sent, sent, "the snapshots are the relay's own");
}

#[tokio::test]
async fn full_mode_asked_for_before_there_is_a_full_packet_needs_no_tick() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().instruments(&[(ONE, Mode::Quote)]).start(&manager).await.unwrap();
    let mut one = Client::connect(&relay, "one").await;
    one.subscribe(&[ONE]).await;
    one.read_until("a snapshot", |it| it.last(ONE).is_some()).await;
    // What the relay has is leaner than full until the server has read the command.
    sim.inject(KEY, Fault::StopsReading);
    let faults = |sim: &Sim| sim.stats().faults.get(&FaultKind::StopsReading).copied();
    in_time("a socket that is not read", sim.wait_until(|sim| faults(sim) == Some(1))).await;
    let mut two = Client::connect(&relay, "two").await;
    two.mode(Mode::Full, &[ONE]).await;
    two.sync().await;
    assert!(two.packets.is_empty(), "neither an older packet nor a leaner one");
    sim.heal(KEY);
    two.read_until("a full packet", |it| it.last(ONE).is_some()).await;
    assert_eq!(two.packets[&ONE].len(), 1);
    assert_eq!(
        two.last(ONE).map(|full| (full.len(), &full[..44])),
        Some((184, one.last(ONE).unwrap()))
    );
}

#[tokio::test]
async fn orders_reach_only_clients_that_may_have_them_and_messages_reach_all() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let (mut one, mut two) =
        (Client::connect(&relay, "one").await, Client::connect(&relay, "two").await);
    one.sync().await;
    two.sync().await;
    sim.send_order(serde_json::json!({ "order_id": "7" }));
    sim.send_text(r#"{"type":"error","data":"Kite's own"}"#);
    sim.send_text(r#"{"type":"message","data":"to all"}"#);
    for client in [&mut one, &mut two] {
        client.read_until("the message", |it| it.text("message").is_some()).await;
        assert_eq!(
            (client.text("message").unwrap(), client.text("error")),
            (&"to all".into(), None)
        );
    }
    assert_eq!(two.text("order").unwrap()["order_id"], "7");
    assert_eq!(one.text("order"), None);
}

#[tokio::test]
async fn two_accounts_carry_more_and_a_broadcast_of_both_is_sent_once() {
    let sim = crate::stage::sim(|it| it.updates_per_second(0.0).account("other", "token")).await;
    let manager = crate::stage::manager(&sim)
        .account("second", Credentials::new("other", "token"))
        .connection(|it| it.instrument_limit = 10)
        .build()
        .unwrap();
    manager.start().await.unwrap();
    let relay = relay().start(&manager).await.unwrap();
    let mut two = Client::connect(&relay, "two").await;
    let tokens: Vec<u32> = (1..=20).map(|number| number << 8 | 1).collect();
    two.mode(Mode::Full, &tokens).await;
    two.read_until("snapshots", |it| it.packets.len() == 20).await;
    assert_eq!(sim.subscriptions().iter().map(|it| it.len()).collect::<Vec<_>>(), [10, 10]);
    sim.send_text(r#"{"type":"message","data":"first"}"#);
    sim.send_text(r#"{"type":"message","data":"last"}"#);
    two.read_until("the last", |it| it.text("message") == Some(&"last".into())).await;
    // The accounts' copies of the last one may still be on their way, those of the first are not.
    let firsts = two.texts.iter().filter(|text| text["data"] == "first").count();
    assert_eq!(firsts, 1);
    drop(relay);
}
