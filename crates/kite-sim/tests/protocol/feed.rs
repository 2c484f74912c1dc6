//! Commands, snapshots, updates and text frames.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::SinkExt;
use kite_sim::{API_KEY, MAX_INSTRUMENTS, Sim, universe};
use kite_wire::{Command, Frame, Mode, PacketKind, Tick};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::bare::{BINARY, Bare, Door, TEXT};
use crate::client::{Client, quiet_sim, ticks, until};

/// An instrument of each segment.
const NSE: u32 = 408_065;
const INDEX: u32 = 1_001 << 8 | 9;
const CDS: u32 = 1_003 << 8 | 3;
const NCO: u32 = 31_132_428;

fn kinds(ticks: &[Tick]) -> BTreeMap<u32, PacketKind> {
    ticks.iter().map(|tick| (tick.instrument_token, tick.kind())).collect()
}

#[tokio::test]
async fn the_first_frame_after_a_subscribe_holds_every_instrument_in_quote_mode() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    client.say(Command::Subscribe(&[NSE, INDEX, CDS, NCO])).await;
    let first = client.ticks().await;
    let expected = [
        (NSE, PacketKind::Quote),
        (INDEX, PacketKind::IndexQuote),
        (CDS, PacketKind::Quote),
        (NCO, PacketKind::Quote),
    ];
    assert_eq!(first.len(), 4);
    assert_eq!(kinds(&first), expected.into());
    assert_eq!(sim.subscriptions(), [expected.map(|(token, _)| (token, Mode::Quote)).into()]);

    // In rupees, by the segment's unit.
    let price = |token: u32| {
        let tick = first.iter().find(|tick| tick.instrument_token == token).unwrap();
        tick.last_price().to_f64()
    };
    assert!((50.0..130.0).contains(&price(CDS)), "{}", price(CDS));
    assert!((90.0..10_000.0).contains(&price(NCO)), "{}", price(NCO));
    assert!((4_000.0..90_000.0).contains(&price(INDEX)), "{}", price(INDEX));
}

#[tokio::test]
async fn three_thousand_instruments_arrive_in_one_snapshot() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    let tokens = universe(MAX_INSTRUMENTS);
    client.say(Command::Subscribe(&tokens)).await;
    assert_eq!(client.ticks().await.len(), 3_000);
    client.say(Command::Mode(Mode::Full, &tokens)).await;
    let full = client.binary().await;
    assert!(full.len() <= kite_wire::MAX_FRAME_BYTES);
    assert!(ticks(&full).iter().all(|tick| tick.kind().mode() == Mode::Full));
}

#[tokio::test]
async fn a_mode_command_sends_what_it_changed_in_the_new_mode() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    client.say(Command::Subscribe(&[NSE, INDEX])).await;
    client.ticks().await;
    client.say(Command::Mode(Mode::Full, &[NSE, INDEX])).await;
    let full = [(NSE, PacketKind::Full), (INDEX, PacketKind::IndexFull)];
    assert_eq!(kinds(&client.ticks().await), full.into());
    // One in that mode already, one changed, one that was not subscribed.
    client.say(Command::Mode(Mode::Ltp, &[INDEX])).await;
    assert_eq!(kinds(&client.ticks().await), [(INDEX, PacketKind::Ltp)].into());
    client.say(Command::Mode(Mode::Full, &[NSE, INDEX, CDS])).await;
    let changed = [(INDEX, PacketKind::IndexFull), (CDS, PacketKind::Full)];
    assert_eq!(kinds(&client.ticks().await), changed.into());
    let modes = [NSE, INDEX, CDS].map(|token| (token, Mode::Full)).into();
    assert_eq!(sim.subscriptions(), [modes]);
}

#[tokio::test]
async fn the_packet_lengths_of_modes_are_the_documented_ones() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    for (mode, tradable, index) in [(Mode::Ltp, 8, 8), (Mode::Full, 184, 32), (Mode::Quote, 44, 28)]
    {
        client.say(Command::Mode(mode, &[NSE, INDEX])).await;
        client.binary().await;
        sim.tick_now(&[NSE, INDEX]);
        let frame = client.binary().await;
        let lengths: Vec<usize> = Frame::walk(&frame).bodies().map(<[u8]>::len).collect();
        assert_eq!(lengths, [tradable, index], "{mode}");
    }
}

#[tokio::test]
async fn subscribing_again_resets_the_mode_to_quote() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    client.say(Command::Mode(Mode::Full, &[NSE])).await;
    client.ticks().await;
    client.say(Command::Subscribe(&[NSE])).await;
    assert_eq!(kinds(&client.ticks().await), [(NSE, PacketKind::Quote)].into());
}

#[tokio::test]
async fn a_command_beyond_the_limit_is_rejected_as_a_whole_with_kites_text() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    let tokens = universe(MAX_INSTRUMENTS + 1);
    client.say(Command::Subscribe(&tokens[..2_999])).await;
    client.ticks().await;
    for command in
        [Command::Subscribe(&tokens[2_998..]), Command::Mode(Mode::Full, &tokens[2_998..])]
    {
        client.say(command).await;
        let text = r#"{"type":"error","data":"Can't subscribe to more than 3000 instruments."}"#;
        assert_eq!(client.text().await, text);
    }
    assert_eq!(sim.subscriptions()[0].len(), 2_999);
    assert_eq!(sim.stats().refused_commands, 2);
    client.say(Command::Subscribe(&tokens[2_999..3_000])).await;
    assert_eq!(client.ticks().await.len(), 1);
}

#[tokio::test]
async fn unknown_tokens_and_broken_commands_are_ignored() {
    let sim = Sim::builder().unknown_token(NSE).updates_per_second(0.0).no_heartbeats();
    let sim = sim.greet(false).start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    client.say(Command::Subscribe(&[NSE, 9])).await;
    client.say(r#"{"a":"subscribe","v":["884737"]}"#).await;
    client.say("{").await;
    client.say(r#"{"a":"dance","v":[884737]}"#).await;
    client.say(Command::Subscribe(&[NSE, CDS])).await;
    assert_eq!(kinds(&client.ticks().await), [(CDS, PacketKind::Quote)].into());
    until(&sim, |sim| sim.stats().commands_received == 3).await;
    assert_eq!(sim.stats().ignored_commands, 3, "quoted, broken, unknown action");
}

#[tokio::test]
async fn updates_arrive_in_each_instruments_mode_until_unsubscribed() {
    let sim = Sim::builder().updates_per_second(50.0).no_heartbeats().greet(false);
    let sim = sim.start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    client.say(Command::Subscribe(&[NSE, INDEX])).await;
    client.say(Command::Mode(Mode::Full, &[NSE])).await;
    client.say(Command::Mode(Mode::Ltp, &[INDEX])).await;
    until(&sim, |sim| sim.stats().commands_received == 3).await;
    let settled = sim.stats().ticks_sent;
    until(&sim, |sim| sim.stats().ticks_sent > settled + 20).await;
    client.say(Command::Unsubscribe(&[NSE])).await;
    until(&sim, |sim| sim.stats().commands_received == 4).await;
    sim.send_text("from here on");

    let mut seen = BTreeMap::<u32, PacketKind>::new();
    loop {
        match client.message().await {
            Message::Binary(frame) => seen.extend(kinds(&ticks(&frame))),
            Message::Text(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [(NSE, PacketKind::Full), (INDEX, PacketKind::Ltp)].into());
    for _ in 0..10 {
        assert_eq!(kinds(&client.ticks().await), [(INDEX, PacketKind::Ltp)].into());
    }
}

#[tokio::test]
async fn a_paused_market_still_sends_snapshots() {
    let sim = Sim::builder().updates_per_second(200.0).no_heartbeats().greet(false);
    let sim = sim.start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    sim.pause().await;
    client.say(Command::Subscribe(&[NSE])).await;
    assert_eq!(client.ticks().await.len(), 1);
    sim.send_text("nothing in between");
    assert_eq!(client.text().await, "nothing in between");
    sim.resume();
    assert_eq!(client.ticks().await.len(), 1);
}

#[tokio::test]
async fn heartbeats_have_one_byte_and_need_no_subscription() {
    let sim = Sim::builder().heartbeat_every(std::time::Duration::from_millis(5)).greet(false);
    let sim = sim.start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    for _ in 0..3 {
        assert_eq!(client.binary().await.len(), 1);
    }
    assert!(sim.stats().heartbeats_sent >= 3);
    assert_eq!(sim.stats().frames_sent, 0);
}

#[tokio::test]
async fn pings_are_answered() {
    let sim = quiet_sim().await;
    let mut client = Client::connect(&sim).await;
    client.socket.send(Message::Ping("marco".into())).await.unwrap();
    assert_eq!(client.message().await, Message::Pong("marco".into()));
    until(&sim, |sim| sim.stats().pings_received == 1).await;
}

#[tokio::test]
async fn the_greeting_is_two_text_frames_of_undocumented_types() {
    let sim = Sim::builder().market_time(1_754_295_628).start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    let meta = r#"{"type":"instruments_meta","data":{"count":86481,"etag":"W/\"68907d60-55bf\""}}"#;
    assert_eq!(client.text().await, meta);
    let code = r#"{"type":"app_code","timestamp":"2025-08-04T13:50:28+05:30"}"#;
    assert_eq!(client.text().await, code);
}

#[tokio::test]
async fn orders_text_frames_and_raw_frames_reach_every_socket() {
    let sim = quiet_sim().await;
    let mut clients = [Client::connect(&sim).await, Client::connect(&sim).await];
    sim.send_order(json!({"order_id": "1", "tag": null}));
    sim.send_text("as it is");
    sim.send_binary(vec![0, 9, 1]);
    for client in &mut clients {
        let order = r#"{"type":"order","data":{"order_id":"1","tag":null}}"#;
        assert_eq!(client.text().await, order);
        assert_eq!(client.text().await, "as it is");
        assert_eq!(client.binary().await, [0, 9, 1].as_slice());
    }
    assert!(sim.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_runs_stamps_greetings_packets_and_orders_alike() {
    const START: u32 = 1_754_295_628;
    const HOUR: u32 = 3_600;
    let sim = Sim::builder().updates_per_second(0.0).no_heartbeats();
    let sim = sim.market_time(START).run_clock(true).start().await.unwrap();
    // Whole hours of simulated time, and less than a second of the test's own.
    let hours = |unix_s: u32| unix_s.checked_sub(START).map(|since| (since / HOUR, since % HOUR));
    for (number, days) in [(1, 0), (2, 0), (3, 1)] {
        tokio::time::sleep(Duration::from_secs(HOUR.into())).await;
        if days > 0 {
            sim.next_day();
        }
        let expected = Some((number + days * 24, 0));
        let mut client = Bare::connect(&sim, Door::Memory).await;
        client.text().await;
        let hour = 13 + number;
        let at = format!("2025-08-0{}T{hour}:50:28+05:30", 4 + days);
        assert_eq!(client.text().await, format!(r#"{{"type":"app_code","timestamp":"{at}"}}"#));
        client.say(TEXT, Command::Mode(Mode::Full, &[NSE]).to_string().as_bytes()).await;
        let snapshot = *ticks(&client.frame_of(BINARY).await)[0].full().unwrap();
        assert_eq!(hours(snapshot.exchange_timestamp), expected);
        // Before the first trade of the day's first client there is no earlier one to name.
        let traded = if number == 1 { expected } else { Some((number - 1, 0)) };
        assert_eq!(hours(snapshot.last_trade_timestamp), traded, "{number}");
        sim.tick_now(&[NSE]);
        let tick = *ticks(&client.frame_of(BINARY).await)[0].full().unwrap();
        let times = [tick.exchange_timestamp, tick.last_trade_timestamp];
        assert_eq!(times.map(hours), [expected; 2]);
        sim.inject(API_KEY, "order".parse().unwrap());
        assert!(client.text().await.contains(&at[..19].replace('T', " ")));
        drop(client);
        until(&sim, |sim| sim.stats().connections_open == 0).await;
    }
}

#[tokio::test]
async fn with_a_list_other_tokens_are_accepted_and_stay_silent() {
    let sim = Sim::builder().only_tokens([NSE]).updates_per_second(0.0).no_heartbeats();
    let sim = sim.greet(false).start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    client.say(Command::Subscribe(&[CDS, NSE])).await;
    assert_eq!(kinds(&client.ticks().await), [(NSE, PacketKind::Quote)].into());
    sim.tick_now(&[NSE, CDS]);
    assert_eq!(kinds(&client.ticks().await), [(NSE, PacketKind::Quote)].into());
    assert_eq!(sim.stats().ignored_commands, 0);
}
