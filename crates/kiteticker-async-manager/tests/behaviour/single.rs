//! A single connection and its subscribers.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use kite_sim::{ACCESS_TOKEN, API_KEY, MAX_SOCKETS, Sim, universe};
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{KiteTickerAsync, KiteTickerSubscriber, Mode, TickerMessage};
use tokio::runtime::Builder;
use tokio::sync::broadcast::error::RecvError;

use crate::rig::{Modes, Tally, all_in, mark, quiet_sim, settle, until, within};

async fn connect(sim: &Sim) -> KiteTickerAsync {
    let endpoint = sim.endpoint();
    let connecting = KiteTickerAsync::connect_to(&endpoint, API_KEY, ACCESS_TOKEN, false);
    within("the connection", connecting).await.unwrap()
}

/// Returns the ticks before the mark, and the number of other messages.
async fn up_to_mark(subscriber: &mut KiteTickerSubscriber) -> (Vec<(u32, Mode)>, Tally, usize) {
    within("the mark", read_to_mark(subscriber)).await
}

async fn read_to_mark(subscriber: &mut KiteTickerSubscriber) -> (Vec<(u32, Mode)>, Tally, usize) {
    let (mut ticks, mut tally, mut others) = (Vec::new(), Tally::new(), 0);
    loop {
        match subscriber.next_message().await.unwrap().unwrap() {
            TickerMessage::Message(text) if text == "the mark" => return (ticks, tally, others),
            TickerMessage::Ticks(batch) => {
                ticks.extend(batch.iter().map(|tick| (tick.instrument_token, tick.content.mode)));
                for packet in batch.packets() {
                    tally.entry(packet.instrument_token()).or_default().add(packet.as_bytes());
                }
            }
            _ => others += 1,
        }
    }
}

#[tokio::test]
async fn a_subscriber_receives_the_ticks_of_its_connection() {
    let sim = quiet_sim().await;
    let mut client = connect(&sim).await;
    assert!(client.is_connected());
    assert_eq!((client.receiver_count(), client.channel_capacity()), (0, 10_000));
    let tokens = universe(20);
    let mut subscriber =
        within("subscribe", client.subscribe(&tokens, Some(Mode::Full))).await.unwrap();
    assert_eq!(client.receiver_count(), 1);
    settle(&sim, &all_in(kite_wire::Mode::Full, &tokens)).await;
    sim.tick_now(&tokens);
    within("the pause", sim.pause()).await;
    mark(&sim);
    let (_, received, others) = up_to_mark(&mut subscriber).await;
    assert_eq!((received, others), (sim.sent(), 0));
    let mut expected = tokens.clone();
    expected.sort_unstable();
    assert_eq!(subscriber.get_subscribed(), expected);
    assert_eq!(subscriber.lagged(), 0);
}

#[tokio::test]
async fn an_empty_list_means_all_that_is_subscribed() {
    let sim = quiet_sim().await;
    let mut client = connect(&sim).await;
    // The default mode is quote.
    let mut subscriber = client.subscribe(&[408_065, 884_737], None).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Quote, &[408_065, 884_737])).await;
    subscriber.subscribe(&[738_561], Some(Mode::LTP)).await.unwrap();
    subscriber.set_mode(&[408_065, 5_633], Mode::LTP).await.unwrap();
    let modes = Modes::from([
        (408_065, kite_wire::Mode::Ltp),
        (738_561, kite_wire::Mode::Ltp),
        (884_737, kite_wire::Mode::Quote),
    ]);
    settle(&sim, &modes).await;
    subscriber.set_mode(&[], Mode::Full).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Full, &[408_065, 738_561, 884_737])).await;
    mark(&sim);
    up_to_mark(&mut subscriber).await;
    sim.tick_now(&[408_065, 738_561, 884_737]);
    within("the pause", sim.pause()).await;
    mark(&sim);
    let (mut ticks, ..) = up_to_mark(&mut subscriber).await;
    ticks.sort_unstable();
    assert_eq!(ticks, [408_065, 738_561, 884_737].map(|token| (token, Mode::Full)));

    subscriber.unsubscribe(&[738_561, 5_633]).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Full, &[408_065, 884_737])).await;
    subscriber.unsubscribe(&[]).await.unwrap();
    settle(&sim, &Modes::new()).await;
    assert!(subscriber.get_subscribed().is_empty());
    // With no subscriptions an empty list does nothing.
    subscriber.unsubscribe(&[]).await.unwrap();
    subscriber.set_mode(&[], Mode::LTP).await.unwrap();
}

#[tokio::test]
async fn subscribing_again_changes_the_mode_and_too_many_instruments_are_rejected() {
    let sim = quiet_sim().await;
    let mut client = connect(&sim).await;
    let mut first = client.subscribe(&[408_065], Some(Mode::LTP)).await.unwrap();
    let _second = client.subscribe(&[408_065, 884_737], Some(Mode::Full)).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Full, &[408_065, 884_737])).await;
    assert_eq!((first.get_subscribed(), client.receiver_count()), (vec![408_065, 884_737], 2));
    let error = first.subscribe(&universe(3_001), None).await.unwrap_err();
    assert!(error.contains("2999") && error.contains("2998"), "{error}");
    assert_eq!(first.get_subscribed(), [408_065, 884_737]);
}

#[tokio::test]
async fn after_a_close_every_reader_ends() {
    let sim = quiet_sim().await;
    let mut client = connect(&sim).await;
    let mut subscriber = client.subscribe(&[408_065], None).await.unwrap();
    let mut frames = client.subscribe_raw_frames();
    let mut full = client.subscribe_full_raw();
    settle(&sim, &all_in(kite_wire::Mode::Quote, &[408_065])).await;
    within("the close", client.close()).await.unwrap();
    assert!(!client.is_connected());
    assert_eq!(sim.stats().connections_open, 0);

    let mut last = None;
    while let Some(message) = within("the end", subscriber.next_message()).await.unwrap() {
        last = Some(message);
    }
    assert!(matches!(last, Some(TickerMessage::ClosingMessage(_))), "{last:?}");
    assert!(within("the end", subscriber.next_message()).await.unwrap().is_none());
    assert_eq!(within("a frame", frames.recv()).await.unwrap().len(), 2 + 2 + 44);
    assert_eq!(within("the end", frames.recv()).await, Err(RecvError::Closed));
    assert_eq!(within("the end", full.recv_raw()).await, Ok(None));

    // Calls on a closed connection still return.
    assert!(client.ping().await.unwrap_err().contains("not up"));
    assert!(client.subscribe(&[408_065], None).await.is_err());
    assert_eq!(
        within("the end", client.subscribe_raw_frames().recv()).await,
        Err(RecvError::Closed)
    );
    assert_eq!(within("the end", client.subscribe_full_raw().recv_raw()).await, Ok(None));
    within("another close", client.close()).await.unwrap();
}

#[tokio::test]
async fn closing_a_subscriber_does_not_affect_the_others() {
    let sim = quiet_sim().await;
    let mut client = connect(&sim).await;
    let mut first = client.subscribe(&[408_065], None).await.unwrap();
    let mut second = client.subscribe(&[], None).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Quote, &[408_065])).await;
    first.close().await.unwrap();
    assert!(within("the end", first.next_message()).await.unwrap().is_none());
    assert_eq!(client.receiver_count(), 1);
    sim.tick_now(&[408_065]);
    mark(&sim);
    let (ticks, ..) = up_to_mark(&mut second).await;
    assert_eq!(ticks.last(), Some(&(408_065, Mode::Quote)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_lags_counts_its_losses_and_continues() {
    // The channel's capacity is rounded up to a power of two.
    const KEPT: u64 = 16_384;
    const SENT: u64 = KEPT + 1_000;
    let sim = quiet_sim().await;
    let mut client = connect(&sim).await;
    let mut slow = client.subscribe(&[], None).await.unwrap();
    let mut quick = client.subscribe(&[], None).await.unwrap();
    for _ in 0..SENT {
        sim.send_text(r#"{"type":"error","data":"one of many"}"#);
    }
    mark(&sim);
    up_to_mark(&mut quick).await;
    let (_, _, others) = up_to_mark(&mut slow).await;
    // The mark itself is one of the messages kept.
    assert_eq!((slow.lagged(), others as u64), (SENT + 1 - KEPT, KEPT - 1));
    mark(&sim);
    assert_eq!(up_to_mark(&mut slow).await.2, 0);
}

#[tokio::test]
async fn a_ping_reaches_the_server() {
    let sim = quiet_sim().await;
    let mut client = connect(&sim).await;
    client.ping().await.unwrap();
    until(&sim, "the ping", |sim| sim.stats().pings_received == 1).await;
}

#[tokio::test]
async fn the_last_activity_is_the_second_of_the_last_frame_of_any_kind() {
    let sim = quiet_sim().await;
    let before = unix_s();
    let mut client = connect(&sim).await;
    let last = client.last_activity();
    let seconds = || before..=unix_s();
    assert!(seconds().contains(&last.load(Relaxed)), "the handshake counts");
    let _subscriber = client.subscribe(&[408_065], None).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Quote, &[408_065])).await;
    for frame in ["pong", "text", "ticks"] {
        let (frames, round_trip) = counts(&client);
        last.store(0, Relaxed);
        match frame {
            "pong" => client.ping().await.unwrap(),
            "text" => mark(&sim),
            _ => sim.tick_now(&[408_065]),
        }
        let recorded = async {
            while last.load(Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        };
        within(frame, recorded).await;
        assert!(seconds().contains(&last.load(Relaxed)), "{frame}");
        assert_ne!(counts(&client), (frames, round_trip), "{frame}");
    }
    within("the close", client.close()).await.unwrap();
    assert!(seconds().contains(&client.last_activity().load(Relaxed)));
}

/// Returns how many messages were received, and the last round-trip time.
fn counts(client: &KiteTickerAsync) -> (u64, Option<u64>) {
    let connection = client.typed().snapshot().connections.remove(0);
    (connection.figures.frames + connection.figures.texts, connection.last_round_trip_ns)
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn raw_only_sends_no_ticks() {
    let sim = quiet_sim().await;
    let endpoint = sim.endpoint();
    let connecting = KiteTickerAsync::connect_to(&endpoint, API_KEY, ACCESS_TOKEN, true);
    let mut client = within("the connection", connecting).await.unwrap();
    let mut full = client.subscribe_full_raw();
    let mut subscriber = client.subscribe(&[408_065], Some(Mode::Full)).await.unwrap();
    let view = within("a packet", full.recv_raw_tickraw()).await.unwrap().unwrap();
    assert_eq!(view.header.instrument_token.get(), 408_065);
    mark(&sim);
    let (ticks, ..) = up_to_mark(&mut subscriber).await;
    assert!(ticks.is_empty());
}

#[tokio::test]
async fn a_refused_connection_is_an_error_and_leaves_no_socket() {
    let sim = quiet_sim().await;
    let endpoint = sim.endpoint();
    let connecting = KiteTickerAsync::connect_to(&endpoint, API_KEY, "wrong", false);
    let error = within("the refusal", connecting).await.unwrap_err();
    assert!(error.starts_with("connect: ") && error.contains("Authentication failed."), "{error}");
    let connecting = KiteTickerAsync::connect_to("ws://192.0.2.1", API_KEY, "wrong", false);
    let error = within("the refusal", connecting).await.unwrap_err();
    assert!(error.starts_with("connect: ") && error.contains("unencrypted"), "{error}");
    assert_eq!(sim.stats().connections_open, 0);
}

#[test]
fn connecting_on_a_runtime_without_timers_is_an_error() {
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    // No request leaves, because the port is never tried.
    let connecting = KiteTickerAsync::connect_to("ws://127.0.0.1:9", API_KEY, ACCESS_TOKEN, false);
    let error = runtime.block_on(connecting).unwrap_err();
    assert!(error.starts_with("connect: ") && error.contains("enable_time"), "{error}");
}

#[tokio::test]
async fn the_connection_stays_open_as_long_as_its_client_or_a_subscriber_exists() {
    let sim = quiet_sim().await;
    let mut client = connect(&sim).await;
    let mut subscriber = client.subscribe(&[408_065], None).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Quote, &[408_065])).await;
    drop(client);
    sim.tick_now(&[408_065]);
    mark(&sim);
    assert_eq!(up_to_mark(&mut subscriber).await.0.len(), 2);
    drop(subscriber);
    until(&sim, "the end of the socket", |sim| sim.stats().connections_open == 0).await;
}

#[tokio::test]
async fn a_lost_socket_is_reopened_with_its_subscriptions() {
    let sim = quiet_sim().await;
    let mut clients = Vec::new();
    for token in [408_065, 884_737, 738_561] {
        let mut client = connect(&sim).await;
        let subscriber = client.subscribe(&[token], Some(Mode::Full)).await.unwrap();
        clients.push((client, subscriber));
    }
    assert_eq!(clients.len(), MAX_SOCKETS);
    let modes = all_in(kite_wire::Mode::Full, &[408_065, 884_737, 738_561]);
    settle(&sim, &modes).await;
    sim.drop_all();
    settle(&sim, &modes).await;
    assert!(sim.stats().refused.is_empty());
}

#[tokio::test]
async fn a_connection_whose_token_expired_resumes_with_a_new_one() {
    let sim = quiet_sim().await;
    let mut client = connect(&sim).await;
    let mut subscriber = client.subscribe(&[408_065], Some(Mode::Full)).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Full, &[408_065])).await;
    sim.set_access_token(API_KEY, "new_token");
    sim.drop_all();
    let parked = async {
        loop {
            let message = subscriber.next_message().await.unwrap().unwrap();
            if matches!(&message, TickerMessage::Error(text) if text.contains("parked")) {
                break;
            }
        }
    };
    within("the parking", parked).await;
    assert!(!client.is_connected());
    client.set_access_token("new_token");
    settle(&sim, &all_in(kite_wire::Mode::Full, &[408_065])).await;
    assert_eq!(client.typed().snapshot().instruments, 1);
}

#[tokio::test]
async fn subscribing_on_a_closed_connection_is_an_error() {
    let sim = quiet_sim().await;
    let mut client = connect(&sim).await;
    let mut subscriber = client.subscribe(&[408_065], None).await.unwrap();
    within("the close", client.close()).await.unwrap();
    let error = subscriber.subscribe(&[884_737], None).await.unwrap_err();
    assert_eq!(error, "subscribe: the connection has been closed");
    assert_eq!(subscriber.get_subscribed(), [408_065]);
    assert!(client.subscribe(&[884_737], None).await.is_err());
}
