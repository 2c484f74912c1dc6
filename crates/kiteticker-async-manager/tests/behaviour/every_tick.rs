//! 9,000 instruments on three connections, where every tick sent is received exactly once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kite_sim::{Sim, universe};
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{Mode, TickerMessage};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::rig::{Tally, held, manager, mark, start, until, up_to_mark, within};

/// Tallies raw frames until the channel ends, with its own parser.
async fn raw_tally(mut channel: Receiver<Bytes>) -> Tally {
    let mut tally = Tally::new();
    loop {
        let frame = match channel.recv().await {
            Ok(frame) => frame,
            Err(RecvError::Closed) => return tally,
            Err(lagged) => panic!("{lagged}"),
        };
        for packet in packets_of(&frame) {
            let token = u32::from_be_bytes(packet[..4].try_into().unwrap());
            tally.entry(token).or_default().add(packet);
        }
    }
}

fn packets_of(frame: &[u8]) -> Vec<&[u8]> {
    let Some((count, mut rest)) = frame.split_first_chunk::<2>() else { return Vec::new() };
    let packets = (0..u16::from_be_bytes(*count)).map(|_| {
        let (length, after) = rest.split_first_chunk::<2>().unwrap();
        let (packet, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        rest = after;
        packet
    });
    packets.collect()
}

async fn message_tally(mut channel: Receiver<TickerMessage>) -> Tally {
    let mut tally = Tally::new();
    crate::rig::add_ticks(&mut tally, &up_to_mark(&mut channel).await);
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tick_sent_is_received_exactly_once() {
    let sim = Sim::builder().heartbeat_every(Duration::from_millis(50)).start().await.unwrap();
    let mut manager = manager(&sim).build();
    start(&mut manager).await;

    let tokens = universe(9_000);
    let mut modes = BTreeMap::new();
    for (share, mode) in tokens.chunks(3_000).zip([Mode::Full, Mode::Quote, Mode::LTP]) {
        manager.subscribe_symbols(share, Some(mode)).await.unwrap();
        modes.extend(share.iter().map(|&token| (token, kite_wire::Mode::from(mode))));
    }
    let distribution = manager.get_symbol_distribution();
    assert!(distribution.values().all(|share| share.len() == 3_000));

    let mut channels = Vec::new();
    for (_, channel) in manager.get_all_channels() {
        channels.push(tokio::spawn(message_tally(channel)));
    }
    let mut raw_channels = Vec::new();
    for (_, channel) in manager.get_all_raw_frame_channels() {
        raw_channels.push(tokio::spawn(raw_tally(channel)));
    }

    until(&sim, "9,000 subscriptions", |sim| held(sim) == modes).await;
    // The snapshots (two if the mode is not quote), then about two updates of each instrument.
    until(&sim, "updates", |sim| sim.stats().ticks_sent >= 15_000 + 18_000).await;
    within("the pause", sim.pause()).await;
    let (sent, stats) = (sim.sent(), sim.stats());
    mark(&sim);

    let mut received = Tally::new();
    for channel in channels {
        let tally = within("the ticks", channel).await.unwrap();
        assert_eq!(tally.len(), 3_000);
        received.extend(tally);
    }
    assert_eq!(received.values().map(|sum| sum.ticks).sum::<u64>(), stats.ticks_sent);
    assert!(received == sent, "the channels do not match what was sent");

    within("the stop", manager.stop()).await.unwrap();
    let mut received = Tally::new();
    for channel in raw_channels {
        received.extend(within("the raw frames", channel).await.unwrap());
    }
    assert!(received == sent, "the raw channels do not match what was sent");
    assert_eq!(manager.get_stats().await.unwrap().total_errors, 0);
}
