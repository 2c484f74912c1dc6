//! Starting, stopping, restarting and dropping.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use kite_sim::{ACCESS_TOKEN, API_KEY, Refusal, Sim, universe};
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{
    ChannelId, KiteTickerManagerBuilder, Mode, MultiApiKiteTickerManager, TickerMessage,
};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{
    Tally, add_ticks, all_in, manager, mark, next, only_channel, quiet_sim, settle, start, until,
    up_to_mark, within,
};

#[tokio::test]
async fn starting_while_running_is_ok_and_opens_nothing() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    start(&mut manager).await;
    start(&mut manager).await;
    assert_eq!((sim.stats().connections_total, sim.stats().connections_open), (3, 3));
}

#[test]
fn a_start_on_a_runtime_without_timers_or_io_is_an_error_and_can_be_repeated() {
    let usable = Builder::new_current_thread().enable_all().build().unwrap();
    let sim = usable.block_on(quiet_sim());
    let mut one = manager(&sim).max_connections(1).build();
    let mut channel = only_channel(&mut one);
    let mut several = MultiApiKiteTickerManager::builder()
        .add_api_key("mine", API_KEY, ACCESS_TOKEN)
        .endpoint(sim.endpoint())
        .build();
    for (enable, missing) in [
        (Builder::enable_io as fn(&mut Builder) -> &mut Builder, "enable_time"),
        (Builder::enable_time, "enable_io"),
    ] {
        let runtime = enable(&mut Builder::new_current_thread()).build().unwrap();
        for started in runtime.block_on(async { [one.start().await, several.start().await] }) {
            let error = started.unwrap_err();
            assert!(error.starts_with("start: ") && error.contains(missing), "{error}");
        }
        assert!(!one.typed().is_running() && !several.typed().is_running());
    }
    usable.block_on(async {
        start(&mut one).await;
        within("the subscription", one.subscribe_symbols(&[408_065], None)).await.unwrap();
        assert_eq!(crate::rig::next_ticks(&mut channel).await[0].instrument_token, 408_065);
    });
}

#[tokio::test]
async fn stopping_before_the_start_is_ok_and_changes_nothing() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).build();
    let mut channel = only_channel(&mut manager);
    manager.subscribe_symbols(&[408_065], None).await.unwrap();
    within("the stop", manager.stop()).await.unwrap();
    within("another stop", manager.stop()).await.unwrap();
    start(&mut manager).await;
    assert_eq!(crate::rig::next_ticks(&mut channel).await[0].instrument_token, 408_065);
}

#[tokio::test]
async fn stop_ends_every_channel_after_a_closing_message() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let channels = manager.get_all_channels();
    let raw = manager.get_all_raw_frame_channels();
    let mut full = manager.get_full_raw_subscriber(ChannelId::Connection2).unwrap();
    start(&mut manager).await;
    within("the stop", manager.stop()).await.unwrap();

    assert_eq!(channels.len(), 3);
    for (id, mut channel) in channels {
        match next(&mut channel).await {
            Ok(TickerMessage::ClosingMessage(message)) => {
                assert_eq!(message["connection"], id.to_index() + 1);
                assert_eq!(message["state"], "closed");
            }
            other => panic!("{id:?}: {other:?}"),
        }
        assert_eq!(next(&mut channel).await.unwrap_err(), RecvError::Closed);
    }
    assert_eq!(raw.len(), 3);
    for (_, mut channel) in raw {
        assert_eq!(within("the end", channel.recv()).await, Err(RecvError::Closed));
    }
    assert_eq!(within("the end", full.recv_raw()).await, Ok(None));
    assert_eq!(sim.stats().connections_open, 0);
    assert!(manager.get_health().await.unwrap().is_critical());
}

#[tokio::test]
async fn a_start_after_a_stop_restores_the_subscriptions_on_channels_taken_in_between() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let tokens = universe(30);
    manager.subscribe_symbols(&tokens, Some(Mode::Full)).await.unwrap();
    for _ in 0..3 {
        let (sent_before, mut received) = (sim.sent(), Tally::new());
        let channels = manager.get_all_channels();
        let mut full = manager.get_full_raw_subscriber(ChannelId::Connection3).unwrap();
        start(&mut manager).await;
        settle(&sim, &all_in(kite_wire::Mode::Full, &tokens)).await;
        assert_eq!(within("packets", full.recv_batch_raw(10)).await.unwrap().len(), 10);
        mark(&sim);
        for (_, mut channel) in channels {
            add_ticks(&mut received, &up_to_mark(&mut channel).await);
        }
        assert_eq!(received.len(), 30);
        for (token, received) in received {
            let before = sent_before.get(&token).map_or(0, |sent| sent.ticks);
            assert_eq!(received.ticks, sim.sent()[&token].ticks - before);
        }
        within("the stop", manager.stop()).await.unwrap();
        assert_eq!(sim.stats().connections_open, 0);
        assert_eq!(manager.get_symbol_distribution().values().flatten().count(), 30);
    }
}

#[tokio::test]
async fn channels_and_subscriptions_made_before_the_start_get_the_first_snapshot() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let channels = manager.get_all_channels();
    let tokens = universe(300);
    manager.subscribe_symbols(&tokens, Some(Mode::Quote)).await.unwrap();
    start(&mut manager).await;
    settle(&sim, &all_in(kite_wire::Mode::Quote, &tokens)).await;
    mark(&sim);
    let mut received = Tally::new();
    for (_, mut channel) in channels {
        add_ticks(&mut received, &up_to_mark(&mut channel).await);
    }
    assert_eq!(received, sim.sent());
    assert_eq!(received.len(), 300);
}

#[tokio::test]
async fn channels_taken_only_after_start_and_subscribe_still_get_the_first_snapshot() {
    let sim = Sim::builder().updates_per_second(0.0).no_heartbeats().start().await.unwrap();
    let mut manager = manager(&sim).build();
    start(&mut manager).await;
    let tokens = universe(300);
    manager.subscribe_symbols(&tokens, Some(Mode::Full)).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Full, &tokens)).await;
    mark(&sim);
    // Everything has been read from the sockets before a channel is taken.
    crate::rig::until_manager(&manager, "three marks", |manager| {
        let connections = manager.typed().snapshot().connections;
        connections.iter().all(|connection| connection.figures.texts == 3)
    })
    .await;

    let (mut received, mut raw_ticks) = (Tally::new(), 0);
    for (_, mut channel) in manager.get_all_channels() {
        let messages = up_to_mark(&mut channel).await;
        let texts = messages.iter().filter(|it| matches!(it, TickerMessage::Message(_)));
        assert_eq!(texts.count(), 2, "the greetings are kept too");
        add_ticks(&mut received, &messages);
    }
    let raw = manager.get_all_raw_frame_channels();
    within("the stop", manager.stop()).await.unwrap();
    for (_, mut channel) in raw {
        while let Ok(frame) = within("the end", channel.recv()).await {
            raw_ticks += u64::from(u16::from_be_bytes([frame[0], frame[1]]));
        }
    }
    assert_eq!(received, sim.sent());
    assert_eq!(raw_ticks, sim.stats().ticks_sent);
}

#[tokio::test]
async fn a_second_receiver_gets_only_messages_sent_after_it_was_taken() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).build();
    let mut first = only_channel(&mut manager);
    start(&mut manager).await;
    mark(&sim);
    assert!(up_to_mark(&mut first).await.is_empty());
    let mut second = manager.get_channel(ChannelId::Connection1).unwrap();
    sim.send_text(r#"{"type":"error","data":"for both"}"#);
    for channel in [&mut first, &mut second] {
        let message = next(channel).await.unwrap();
        assert!(matches!(&message, TickerMessage::Error(text) if text == "for both"));
    }
    assert!(manager.get_channel(ChannelId::Connection2).is_none());
    assert!(manager.get_raw_frame_channel(ChannelId::Connection3).is_none());
    assert!(manager.get_full_raw_subscriber(ChannelId::Connection2).is_none());
}

#[tokio::test]
async fn a_start_that_fails_authentication_returns_immediately_and_can_be_repeated() {
    let sim = quiet_sim().await;
    let mut manager = KiteTickerManagerBuilder::new(API_KEY, "yesterdays_token")
        .endpoint(sim.endpoint())
        .connection_timeout(Duration::from_secs(3_600))
        .build();
    let channels = manager.get_all_channels();
    let tokens = universe(7);
    manager.subscribe_symbols(&tokens, Some(Mode::LTP)).await.unwrap();

    let error = within("the refusal", manager.start()).await.unwrap_err();
    for part in ["start: ", "403", "Authentication failed.", "access token"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert_eq!(sim.stats().connections_open, 0);
    assert_eq!(sim.stats().refused[&403], 3);
    assert_eq!(manager.get_symbol_distribution().values().flatten().count(), 7);
    assert!(within("the refusal", manager.start()).await.is_err());

    manager.set_access_token(kite_sim::ACCESS_TOKEN);
    start(&mut manager).await;
    settle(&sim, &all_in(kite_wire::Mode::Ltp, &tokens)).await;
    mark(&sim);
    let mut received = Tally::new();
    for (_, mut channel) in channels {
        let messages = up_to_mark(&mut channel).await;
        assert!(crate::rig::errors_of(&messages).iter().any(|text| text.contains("403")));
        add_ticks(&mut received, &messages);
    }
    assert_eq!(received, sim.sent());
}

#[tokio::test]
async fn without_a_server_the_start_fails_at_the_connection_timeout() {
    // Bound, so that no other process gets the port, but not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = format!("ws://{}", socket.local_addr().unwrap());
    // The operating system accepts connections, but no handshake is answered.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = format!("ws://{}", listener.local_addr().unwrap());

    for (endpoint, reason) in
        [(closed, "Connection refused"), (mute, "the WebSocket handshake did not finish")]
    {
        let timeout = Duration::from_millis(250);
        let mut manager = KiteTickerManagerBuilder::new("key", "token")
            .endpoint(&endpoint)
            .connection_timeout(timeout)
            .reconnect_delay(Duration::from_millis(20))
            .build();
        manager.subscribe_symbols(&[408_065], None).await.unwrap();
        let begun = Instant::now();
        let error = within("the timeout", manager.start()).await.unwrap_err();
        assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());
        assert!(error.starts_with("start: ") && error.contains("within 250ms"), "{error}");
        assert!(error.contains(reason), "{error}");
        assert_eq!(manager.get_symbol_distribution().values().flatten().count(), 1);
        within("the stop", manager.stop()).await.unwrap();
    }
    // No socket is left open, because the stream ends after the request.
    let (mut stream, _) = within("a connection", listener.accept()).await.unwrap();
    within("its end", stream.read_to_end(&mut Vec::new())).await.unwrap();
}

#[tokio::test]
async fn start_succeeds_once_the_server_is_available_again() {
    let sim = quiet_sim().await;
    sim.refuse_with(Some(Refusal::new(503, "<html>busy</html>")));
    let mut manager = manager(&sim).connection_timeout(Duration::from_millis(300)).build();
    let error = within("the timeout", manager.start()).await.unwrap_err();
    assert!(error.contains("within 300ms") && error.contains("503"), "{error}");
    sim.refuse_with(None);
    // Repeated, because a handshake may exceed the timeout on a loaded machine.
    let started = async { while manager.start().await.is_err() {} };
    within("the start", started).await;
    assert!(sim.stats().connections_open >= 1);
}

#[tokio::test]
async fn stop_during_an_outage_does_not_wait_for_its_end() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let channels = manager.get_all_channels();
    start(&mut manager).await;
    sim.refuse_with(Some(Refusal::new(503, "")));
    sim.drop_all();
    until(&sim, "a refused handshake", |sim| sim.stats().refused.contains_key(&503)).await;
    within("the stop", manager.stop()).await.unwrap();
    for (_, mut channel) in channels {
        let mut last = None;
        while let Ok(message) = next(&mut channel).await {
            last = Some(message);
        }
        assert!(matches!(last, Some(TickerMessage::ClosingMessage(_))), "{last:?}");
    }
}

#[tokio::test]
async fn stop_does_not_wait_forever_for_a_server_that_does_not_answer() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let channels = manager.get_all_channels();
    start(&mut manager).await;
    sim.go_silent(true);
    within("the stop", manager.stop()).await.unwrap();
    for (_, mut channel) in channels {
        assert!(matches!(next(&mut channel).await, Ok(TickerMessage::ClosingMessage(_))));
        assert_eq!(next(&mut channel).await.unwrap_err(), RecvError::Closed);
    }
    until(&sim, "the end of the sockets", |sim| sim.stats().connections_open == 0).await;
}

/// Starts a server whose task returns the last message of its only client.
async fn recording_server() -> (String, JoinHandle<Option<Message>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("ws://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let mut last = None;
        while let Some(Ok(message)) = socket.next().await {
            last = Some(message);
        }
        last
    });
    (endpoint, server)
}

fn assert_normal_close(last: Option<Message>) {
    match last {
        Some(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1_000),
        other => panic!("expected a close frame, not {other:?}"),
    }
}

#[tokio::test]
async fn stop_sends_a_close_frame() {
    let (endpoint, server) = recording_server().await;
    let builder = KiteTickerManagerBuilder::new("key", "token").endpoint(endpoint);
    let mut manager = builder.max_connections(1).build();
    start(&mut manager).await;
    within("the stop", manager.stop()).await.unwrap();
    assert_normal_close(within("the server's end", server).await.unwrap());
}

#[tokio::test]
async fn dropping_the_manager_sends_a_close_frame() {
    let (endpoint, server) = recording_server().await;
    let builder = KiteTickerManagerBuilder::new("key", "token").endpoint(endpoint);
    let mut manager = builder.max_connections(1).build();
    start(&mut manager).await;
    drop(manager);
    assert_normal_close(within("the server's end", server).await.unwrap());
}

#[tokio::test]
async fn dropping_the_manager_leaves_no_socket_and_ends_the_channels() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).build();
    let channels = manager.get_all_channels();
    start(&mut manager).await;
    drop(manager);
    until(&sim, "the end of the sockets", |sim| sim.stats().connections_open == 0).await;
    for (_, mut channel) in channels {
        let end = within("the end", async {
            loop {
                if let Err(end) = channel.recv().await {
                    return end;
                }
            }
        });
        assert_eq!(end.await, RecvError::Closed);
    }
}

#[tokio::test]
async fn a_cancelled_start_can_be_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("ws://{}", listener.local_addr().unwrap());
    let mut manager = KiteTickerManagerBuilder::new("key", "token").endpoint(endpoint).build();
    let channel = manager.get_channel(ChannelId::Connection1).unwrap();
    {
        // The handshake is never answered, so once a connection is accepted, the start is under
        // way.
        let mut starting = Box::pin(manager.start());
        tokio::select! {
            started = &mut starting => panic!("{started:?}"),
            accepted = within("a connection", listener.accept()) => drop(accepted.unwrap()),
        }
    }
    within("the stop", manager.stop()).await.unwrap();
    let mut channel = channel;
    while let Ok(message) = next(&mut channel).await {
        assert!(!matches!(message, TickerMessage::Ticks(_)));
    }
}
