//! Who may connect, what is refused, and clients that misbehave.

use std::time::Duration;

use kite_manager::Credentials;
use kite_relay::{Relay, RelayClient, RelayError};
use kite_wire::Mode;
use tokio_tungstenite::tungstenite::Error;

use crate::client::Client;
use crate::frames::{frame, packet};
use crate::stage::{listed, quiet_sim, relay, started, until};

const ONE: u32 = 408_065;

/// Returns the status of a refused handshake.
async fn refused(relay: &Relay, key: &str, token: &str) -> u16 {
    match Client::try_connect(relay, key, token).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("connected"),
    }
}

#[tokio::test]
async fn clients_are_refused_as_kite_refuses() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    assert_eq!(refused(&relay, "one_key", "two_token").await, 403);
    assert_eq!(refused(&relay, "other_key", "one_token").await, 400);
    assert_eq!(refused(&relay, "upstream_key", "upstream_token").await, 400);
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(Client::connect(&relay, "one").await);
    }
    assert_eq!(refused(&relay, "one_key", "one_token").await, 429);
    Client::connect(&relay, "two").await.sync().await;
    sockets.pop();
    until("a free slot", || relay.stats().clients[0].sockets == 2).await;
    Client::connect(&relay, "one").await.sync().await;
    assert_eq!(relay.stats().refused, [(400, 2), (403, 1), (429, 1)].into());
}

#[tokio::test]
async fn a_command_that_asks_too_much_is_refused_whole() {
    let sim = quiet_sim().await;
    let manager = crate::stage::manager(&sim).connection(|it| it.instrument_limit = 12);
    let manager = manager.build().unwrap();
    manager.start().await.unwrap();
    let relay = relay().client(listed("small").max_instruments(5)).start(&manager).await.unwrap();
    let mut small = Client::connect(&relay, "small").await;
    let tokens: Vec<u32> = (1..=13).map(|number| number << 8 | 1).collect();
    small.subscribe(&tokens[..4]).await;
    small.read_until("snapshots", |it| it.packets.len() == 4).await;
    small.subscribe(&tokens[3..6]).await;
    small.read_until("the refusal", |it| it.text("error").is_some()).await;
    assert_eq!(small.text("error").unwrap(), "Can't subscribe to more than 5 instruments.");
    small.subscribe(&tokens[4..5]).await;
    small.read_until("one more", |it| it.packets.len() == 5).await;
    // Seven are free upstream.
    let mut one = Client::connect(&relay, "one").await;
    one.subscribe(&tokens[5..]).await;
    one.read_until("the refusal", |it| it.text("error").is_some()).await;
    assert_eq!(one.text("error").unwrap(), "Can't subscribe to more than 12 instruments.");
    assert!(one.packets.is_empty());
    one.subscribe(&tokens[..12]).await;
    one.read_until("snapshots", |it| it.packets.len() == 12).await;
    let refused = |name| {
        let stats = relay.stats();
        let client = stats.clients.into_iter().find(|it| it.name == name).unwrap();
        (client.refused_commands, client.last_refusal.unwrap().to_string())
    };
    let small = "2 more instruments asked, 1 of 5 free on its socket";
    assert_eq!(refused("small"), (1, small.to_owned()));
    let one = "8 more instruments asked, 7 of 12 free upstream";
    assert_eq!(refused("one"), (1, one.to_owned()));
}

#[tokio::test]
async fn clients_come_and_go_without_a_restart() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::connect(&relay, "one").await;
    let mut two = Client::connect(&relay, "two").await;
    one.sync().await;
    two.sync().await;
    let renewed = RelayClient::new("two", Credentials::new("two_key", "another"));
    let changed = listed("one").orders(true).max_instruments(1);
    relay.set_clients([changed, listed("three"), renewed]).unwrap();
    assert_eq!(relay.stats().listed, ["one", "three", "two"]);
    two.read_to_end().await.unwrap();
    assert_eq!(u16::from(two.closed.flatten().unwrap().code), 1_008);
    assert_eq!(refused(&relay, "two_key", "two_token").await, 403);
    Client::try_connect(&relay, "two_key", "another").await.unwrap().sync().await;
    Client::connect(&relay, "three").await.sync().await;
    sim.send_order(serde_json::json!({ "order_id": "7" }));
    one.read_until("an order", |it| it.text("order").is_some()).await;
    one.subscribe(&[ONE, ONE + 256]).await;
    one.read_until("the refusal", |it| it.text("error").is_some()).await;
    let invalid = RelayClient::new("four", Credentials::new("four key", "token"));
    let error = relay.set_clients([invalid]).unwrap_err();
    assert!(matches!(error, RelayError::Client(_)), "{error}");
    one.sync().await;
}

#[tokio::test]
async fn the_fixed_instruments_change_without_a_reconnect() {
    let sim = quiet_sim().await;
    let manager = crate::stage::manager(&sim).connection(|it| it.instrument_limit = 3);
    let manager = manager.build().unwrap();
    manager.start().await.unwrap();
    let relay = relay().linger(Duration::ZERO).instruments(&[(ONE, Mode::Full), (256, Mode::Ltp)]);
    let relay = relay.start(&manager).await.unwrap();
    let subscribed =
        |wanted: &[(u32, Mode)]| sim.subscriptions() == [wanted.iter().copied().collect()];
    until("the first list", || subscribed(&[(ONE, Mode::Full), (256, Mode::Ltp)])).await;
    let mut one = Client::connect(&relay, "one").await;
    one.subscribe(&[256]).await;
    until("the client's mode", || subscribed(&[(ONE, Mode::Full), (256, Mode::Quote)])).await;

    relay.set_instruments(&[(512, Mode::Full), (768, Mode::Ltp)]).await.unwrap();
    let now = [(256, Mode::Quote), (512, Mode::Full), (768, Mode::Ltp)];
    until("the second list", || subscribed(&now)).await;
    let error =
        relay.set_instruments(&[1, 2, 3].map(|token| (token, Mode::Ltp))).await.unwrap_err();
    assert!(matches!(error, RelayError::Instruments(_)), "{error}");
    assert!(relay.responds().await && subscribed(&now));
    one.sync().await;
    assert_eq!(sim.stats().connections_total, 1);
}

#[tokio::test]
async fn without_clients_one_pair_is_made() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let address = "127.0.0.1:0".parse().unwrap();
    let relay = Relay::builder().listen(address).start(&manager).await.unwrap();
    let made = relay.credentials_made().unwrap().clone();
    let (key, token) = (made.api_key(), made.access_token().expose());
    assert_eq!((key.len(), token.len()), (32, 32));
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(Client::try_connect(&relay, key, token).await.unwrap());
    }
    assert_eq!(refused(&relay, key, "token").await, 403);
    let debug = format!("{relay:?}");
    assert!(!debug.contains(key) && !debug.contains(token), "{debug}");
}

#[tokio::test]
async fn other_machines_need_tls() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let address = "0.0.0.0:0".parse().unwrap();
    let error = relay().listen(address).start(&manager).await.unwrap_err();
    assert!(matches!(error, RelayError::NotLoopback { .. }), "{error}");
    relay().listen(address).insecure(true).start(&manager).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_commands_delays_its_own_client_only() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::with_snapshots(&relay, "one", &[ONE]).await;
    let mut flooder = Client::connect(&relay, "two").await;
    let tokens: Vec<u32> = (1..=3_000).map(|number| number << 8 | 1).collect();
    let flood = tokio::spawn(async move {
        loop {
            flooder.mode(Mode::Quote, &tokens[..2_500]).await;
            flooder.unsubscribe(&tokens[500..]).await;
        }
    });
    for number in 0..200 {
        sim.send_binary(frame(&[ONE], number));
        let expected = packet(ONE, number, Mode::Full);
        one.read_until("a packet", |it| it.last(ONE) == Some(&expected)).await;
        one.sync().await;
    }
    flood.abort();
}

#[tokio::test]
async fn a_client_that_is_killed_leaves_nothing() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().linger(Duration::ZERO).start(&manager).await.unwrap();
    let mut one = Client::connect(&relay, "one").await;
    let mut two = Client::connect(&relay, "two").await;
    one.mode(Mode::Ltp, &[ONE]).await;
    two.mode(Mode::Full, &[ONE, 256_265]).await;
    two.read_until("snapshots", |it| it.packets.len() == 2).await;
    two.reset();
    until("the end", || relay.stats().clients[1].sockets == 0).await;
    sim.wait_until(|sim| sim.subscriptions() == [[(ONE, Mode::Ltp)].into()]).await;
    sim.send_binary(frame(&[ONE], 3));
    let expected = packet(ONE, 3, Mode::Ltp);
    one.read_until("a packet", |it| it.last(ONE) == Some(&expected)).await;
}

#[tokio::test]
async fn a_relay_that_is_dropped_closes_its_clients() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().start(&manager).await.unwrap();
    let mut one = Client::connect(&relay, "one").await;
    one.sync().await;
    drop(relay);
    // With a close frame or, if that takes too long, a reset.
    let _ = one.read_to_end().await;
    assert!(manager.is_live());
}
