//! Scripted and random faults, and a market moved without sending; all with the clock paused.

use std::time::Duration;

use kite_sim::{
    API_KEY, Fault, FaultChance, FaultKind, FaultScript, Refusal, Sim, SocketEnd, SocketRecord,
    universe,
};
use kite_wire::{Command, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::bare::{self, BINARY, Bare, CLOSE, Door, TEXT, masked};

const NSE: u32 = 408_065;
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_script_strikes_at_its_times_and_handshakes() {
    let script = FaultScript::new(API_KEY)
        .after(SECOND * 30, Fault::Close { code: 1_011, waits: false })
        .after(SECOND * 10, Fault::HalfOpen)
        .heal_after(SECOND * 20)
        .on_handshake(2, Fault::refuse(Refusal::new(502, "")))
        .on_handshake(4, Fault::EndOfStream { at: 0 });
    let builder = Sim::builder().updates_per_second(0.0).greet(false).script(script);
    let sim = builder.start().await.unwrap();
    let begun = Instant::now();

    let mut client = Bare::connect(&sim, Door::Memory).await;
    assert_eq!(Bare::status(&sim, Door::Memory).await, 502);
    let mut heartbeats = Vec::new();
    loop {
        match client.frame().await {
            (BINARY, _) => heartbeats.push(begun.elapsed().as_secs()),
            (CLOSE, payload) => break assert_eq!(payload, 1_011_u16.to_be_bytes()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(begun.elapsed(), SECOND * 30);
    assert!(heartbeats.contains(&9) && heartbeats.contains(&21), "{heartbeats:?}");
    assert!(!heartbeats.iter().any(|at| (11..20).contains(at)), "{heartbeats:?}");

    assert_eq!(Bare::status(&sim, Door::Memory).await, 101);
    let mut struck = Bare::connect(&sim, Door::Memory).await;
    assert_eq!(struck.rest().await, (Vec::new(), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_socket_fault_that_is_due_without_a_socket_counts_as_missed() {
    let (order, restart) = ("order".parse().unwrap(), Fault::Restart { down: SECOND });
    let script = FaultScript::new(API_KEY)
        .after(SECOND, order)
        .after(SECOND * 2, Fault::refuse(Refusal::new(503, "")))
        .after(SECOND * 3, restart)
        .after(SECOND * 10, Fault::UnknownText);
    let sim = Sim::builder().greet(false).script(script).start().await.unwrap();
    // The refusal waits for a handshake, and the restart needs no socket.
    sim.wait_until(|sim| sim.stats().faults.contains_key(&FaultKind::Restart)).await;
    sleep(SECOND * 2).await;
    assert_eq!(Bare::status(&sim, Door::Memory).await, 503);
    let mut client = Bare::connect(&sim, Door::Memory).await;
    while client.frame().await.0 != TEXT {}
    let stats = sim.stats();
    assert_eq!(stats.missed_faults.into_iter().collect::<Vec<_>>(), [(FaultKind::Order, 1)]);
    assert_eq!(stats.faults.get(&FaultKind::Order), None);
}

#[tokio::test(start_paused = true)]
async fn a_script_played_later_counts_from_then() {
    let sim = Door::Memory.quiet_sim().await;
    assert_eq!(Bare::status(&sim, Door::Memory).await, 101);
    let script = FaultScript::new(API_KEY)
        .on_handshake(1, Fault::refuse(Refusal::new(503, "")))
        .on_handshake(1, Fault::refuse(Refusal::new(504, "")));
    sim.play(script);
    for status in [503, 504, 101] {
        assert_eq!(Bare::status(&sim, Door::Memory).await, status);
    }
}

/// Lets a client reconnect for ten minutes despite all faults; returns the records.
async fn chaos(seed: u64, kinds: &[FaultKind]) -> (Sim, Vec<SocketRecord>) {
    let chance = FaultChance::new(seed, SECOND * 2).kinds(kinds.iter().copied());
    let builder = Sim::builder().updates_per_second(1.0).chance(chance);
    let sim = builder.start().await.unwrap();
    let begun = Instant::now();
    let subscribe = masked(TEXT, Command::Subscribe(&universe(3)).to_string().as_bytes());
    while begun.elapsed() < SECOND * 600 {
        // Without a pause the clock would never advance while the server is down.
        sleep(SECOND / 10).await;
        let mut stream = sim.connect();
        if stream.write_all(&bare::request()).await.is_err() {
            continue;
        }
        let mut bytes = [0; 4_096];
        // After five seconds of silence the client reconnects, as a careful client does.
        while let Ok(Ok(length @ 1..)) = timeout(SECOND * 5, stream.read(&mut bytes)).await {
            if bytes[..length].starts_with(b"HTTP/1.1 101 ") {
                // A socket that ends meanwhile ends the loop.
                let _ = stream.write_all(&subscribe).await;
            }
        }
    }
    sim.pause().await;
    let records = sim.sockets(API_KEY);
    (sim, records)
}

const STURDY: [FaultKind; 6] = [
    FaultKind::Reset,
    FaultKind::HalfOpen,
    FaultKind::Burst,
    FaultKind::TruncatedFrame,
    FaultKind::Close,
    FaultKind::UnknownText,
];

#[tokio::test(start_paused = true)]
async fn random_faults_repeat_with_their_seed() {
    let (_, first) = chaos(5, &STURDY).await;
    let (_, again) = chaos(5, &STURDY).await;
    let (_, other) = chaos(6, &STURDY).await;
    assert!(first.len() > 20, "{}", first.len());
    assert!(first == again, "the same seed produced other faults or frames");
    let faults = |records: &[SocketRecord]| -> Vec<_> {
        records.iter().flat_map(|record| record.faults.clone()).collect()
    };
    assert_ne!(faults(&first), faults(&other));
    for kind in STURDY {
        assert!(faults(&first).contains(&kind), "{kind} never occurred");
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_occurs_at_random() {
    let (sim, records) = chaos(1, Fault::KINDS).await;
    let stats = sim.stats();
    for kind in Fault::KINDS {
        assert!(stats.faults.contains_key(kind), "{kind} never occurred: {:?}", stats.faults);
    }
    // A fault waits for ticks since the previous one.
    for record in &records {
        assert!(record.faults.is_empty() || record.ticks > 0, "{record:?}");
    }
    assert!(records.iter().any(|record| record.end == Some(SocketEnd::Reset)));
}

#[tokio::test(start_paused = true)]
async fn calm_ends_random_faults_and_heals() {
    let chance =
        FaultChance::new(1, SECOND).kinds([FaultKind::HalfOpen]).heal_after(SECOND * 9_999);
    let builder = Sim::builder().updates_per_second(1.0).greet(false).chance(chance);
    let sim = builder.start().await.unwrap();
    let (mut client, _) = Bare::subscribed(&sim, Door::Memory, &[NSE]).await;
    sim.wait_until(|sim| sim.stats().faults.contains_key(&FaultKind::HalfOpen)).await;
    sim.at_next_handshake(API_KEY, Fault::HangingHandshake);
    sim.calm();
    let ticks = sim.stats().ticks_sent;
    let until = Instant::now() + SECOND * 600;
    while Instant::now() < until {
        client.frame_of(BINARY).await;
    }
    assert!(sim.stats().ticks_sent > ticks + 590);
    assert_eq!(sim.stats().faults, [(FaultKind::HalfOpen, 1)].into());
    assert_eq!(Bare::status(&sim, Door::Memory).await, 101);
}

#[tokio::test(start_paused = true)]
async fn a_trading_day_in_memory_has_its_ticks_and_heartbeats() {
    let sim = Sim::builder().updates_per_second(1.0).greet(false).start().await.unwrap();
    let (mut client, mut received) = Bare::subscribed(&sim, Door::Memory, &universe(5)).await;
    let day = SECOND * (6 * 3_600 + 15 * 60);
    let mut heartbeats = 0;
    let listen = async {
        loop {
            match client.frame_of(BINARY).await {
                frame if frame.len() == 1 => heartbeats += 1,
                frame => received.add(&frame),
            }
        }
    };
    assert!(timeout(day + SECOND / 2, listen).await.is_err());
    assert_eq!((heartbeats, received.ticks), (22_500, 5 * 22_501));
    assert!(sim.sent() == received.sent);
    assert!(sim.sockets(API_KEY)[0].has_prefix(received.frames, received.chain));
}

/// Returns the volume in the next frame, which has one packet.
async fn volume(client: &mut Bare) -> u32 {
    let frame = client.frame_of(BINARY).await;
    Frame::walk(&frame).packets().next().unwrap().volume().unwrap()
}

#[tokio::test(start_paused = true)]
async fn volume_missed_in_a_gap_shows_in_the_next_snapshot() {
    let sim = Door::Memory.quiet_sim().await;
    let mut first = Bare::connect(&sim, Door::Memory).await;
    let subscribe = Command::Subscribe(&[NSE]).to_string();
    first.say(TEXT, subscribe.as_bytes()).await;
    let before = volume(&mut first).await;
    assert_eq!(sim.instrument(NSE).volume(), Some(before));
    sim.advance_market(&[NSE], 500);
    let after = sim.instrument(NSE).volume().unwrap();
    assert!(after >= before + 500);

    let mut second = Bare::connect(&sim, Door::Memory).await;
    second.say(TEXT, subscribe.as_bytes()).await;
    assert_eq!(volume(&mut second).await, after);
    // The socket that was subscribed all along continues from there too.
    sim.tick_now(&[NSE]);
    let next = volume(&mut second).await;
    assert_eq!((volume(&mut first).await, sim.instrument(NSE).volume()), (next, Some(next)));
    assert!(next > after);

    sim.next_day();
    sim.tick_now(&[NSE]);
    let morning = volume(&mut first).await;
    assert!(morning < before, "{morning}");
    assert_eq!(volume(&mut second).await, morning);
}
