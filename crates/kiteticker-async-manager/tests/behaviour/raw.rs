//! Raw frames and the full packets in them.

use bytes::Bytes;
use kite_sim::{Sim, universe};
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{ChannelId, Mode, TickerMessage, as_tick_raw};
use tokio::sync::broadcast::error::RecvError;

use crate::rig::{
    all_in, errors_of, manager, mark, next, only_channel, quiet_sim, settle, start, ticks_of,
    until, until_manager, up_to_mark, within,
};

/// Returns the full packets of a frame, parsed as in the specification's example.
fn full_packets(frame: &Bytes) -> Vec<Bytes> {
    let mut packets = Vec::new();
    if frame.len() < 2 {
        return packets;
    }
    let count = u16::from_be_bytes([frame[0], frame[1]]);
    let mut offset = 2;
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes([frame[offset], frame[offset + 1]]));
        if length == 184 {
            packets.push(frame.slice(offset + 2..offset + 2 + length));
        }
        offset += 2 + length;
    }
    packets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_full_subscriber_yields_every_full_packet_of_every_frame_in_order() {
    let builder = Sim::builder().updates_per_second(40.0);
    let builder = builder.heartbeat_every(std::time::Duration::from_millis(10));
    let sim = builder.start().await.unwrap();
    let mut manager = manager(&sim).max_connections(1).build();
    let tokens = universe(60);
    manager.subscribe_symbols(&tokens[..40], Some(Mode::Full)).await.unwrap();
    manager.subscribe_symbols(&tokens[40..50], Some(Mode::Quote)).await.unwrap();
    manager.subscribe_symbols(&tokens[50..], Some(Mode::LTP)).await.unwrap();

    let id = ChannelId::Connection1;
    let mut frames = manager.get_raw_frame_channel(id).unwrap();
    let take = || manager.get_full_raw_subscriber(id).unwrap();
    let mut readers = [take(), take(), take(), take()];
    start(&mut manager).await;
    until(&sim, "updates", |sim| sim.stats().ticks_sent > 2_000).await;
    within("the stop", manager.stop()).await.unwrap();

    let (mut expected, mut heartbeats) = (Vec::new(), 0);
    loop {
        match within("a frame", frames.recv()).await {
            Ok(frame) => {
                heartbeats += u64::from(frame.len() == 1);
                expected.extend(full_packets(&frame));
            }
            Err(end) => {
                assert_eq!(end, RecvError::Closed);
                break;
            }
        }
    }
    assert!(expected.len() > 1_000, "{}", expected.len());
    assert!(heartbeats > 0, "the raw channel carries heartbeats");

    let mut received: [Vec<Bytes>; 4] = Default::default();
    let [plain, by_ref, views, batches] = &mut readers;
    let [by_plain, by_by_ref, by_views, by_batches] = &mut received;
    while let Some(packet) = within("a packet", plain.recv_raw()).await.unwrap() {
        by_plain.push(packet);
    }
    while let Some(packet) = within("a packet", by_ref.recv_raw_ref()).await.unwrap() {
        by_by_ref.push(Bytes::copy_from_slice(packet));
    }
    while let Some(view) = within("a packet", views.recv_raw_tickraw()).await.unwrap() {
        // The view must equal that of the expected packet.
        let packet = &expected[by_views.len()];
        assert_eq!(Some(view), as_tick_raw(packet));
        let token = u32::from_be_bytes(packet[..4].try_into().unwrap());
        assert_eq!(view.header.instrument_token.get(), token);
        by_views.push(packet.clone());
    }
    loop {
        let batch = within("packets", batches.recv_batch_raw(7)).await.unwrap();
        assert!(batch.len() <= 7);
        if batch.is_empty() {
            break;
        }
        by_batches.extend(batch);
    }
    for received in received {
        assert_eq!(received.len(), expected.len());
        assert!(received == expected, "packets differ in order or bytes");
    }
    assert!(readers.iter().all(|reader| reader.lagged() == 0));
    assert!(within("nothing", readers[3].recv_batch_raw(0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lag_is_counted_and_does_not_end_the_loop() {
    const KEPT: u64 = 4;
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).parser_buffer_size(KEPT as usize).build();
    let mut reader = manager.get_full_raw_subscriber(ChannelId::Connection1).unwrap();
    let mut channel = only_channel(&mut manager);
    start(&mut manager).await;
    manager.subscribe_symbols(&[408_065], Some(Mode::Full)).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Full, &[408_065])).await;
    for _ in 0..20 {
        sim.tick_now(&[408_065]);
    }
    within("the pause", sim.pause()).await;
    let frames = sim.stats().frames_sent;
    assert_eq!(frames, 22);
    until_manager(&manager, "all frames", |manager| {
        // A frame causes no event, but the mark sent after it does.
        mark(&sim);
        manager.typed().snapshot().connections[0].figures.frames_delivered == frames
    })
    .await;

    // The newest four are kept; the last of them is the current market state.
    let batch = within("packets", reader.recv_batch_raw(100)).await.unwrap();
    assert_eq!(batch.len() as u64, KEPT);
    assert_eq!(reader.lagged(), frames - KEPT);
    assert_eq!(manager.get_stats().await.unwrap().total_errors, frames - KEPT);
    // The message channel reports the lag as an error and continues.
    assert!(matches!(next(&mut channel).await, Err(RecvError::Lagged(_))));
    assert!(next(&mut channel).await.is_ok());

    sim.tick_now(&[408_065]);
    let packet = within("a packet", reader.recv_raw()).await.unwrap().unwrap();
    let volume = |packet: &Bytes| as_tick_raw(packet).unwrap().header.volume_traded.get();
    assert!(volume(&packet) > volume(&batch[3]) && volume(&batch[3]) > volume(&batch[0]));
    assert_eq!(reader.lagged(), frames - KEPT);
}

#[tokio::test]
async fn raw_only_sends_no_ticks_while_texts_still_arrive() {
    let sim = Sim::builder().updates_per_second(0.0).no_heartbeats().start().await.unwrap();
    let mut manager = manager(&sim).max_connections(1).raw_only(true).build();
    let mut channel = only_channel(&mut manager);
    let mut frames = manager.get_raw_frame_channel(ChannelId::Connection1).unwrap();
    let mut full = manager.get_full_raw_subscriber(ChannelId::Connection1).unwrap();
    start(&mut manager).await;
    manager.subscribe_symbols(&[408_065, 884_737], Some(Mode::Full)).await.unwrap();
    settle(&sim, &all_in(kite_wire::Mode::Full, &[408_065, 884_737])).await;
    sim.send_text(r#"{"type":"error","data":"a text"}"#);
    sim.send_order(serde_json::json!({"order_id": "1"}));
    mark(&sim);

    let messages = up_to_mark(&mut channel).await;
    assert!(ticks_of(&messages).is_empty());
    assert_eq!(errors_of(&messages), ["a text"]);
    let greetings = messages.iter().filter(|it| matches!(it, TickerMessage::Message(_)));
    assert_eq!(greetings.count(), 2);
    assert!(
        messages.iter().any(
            |it| matches!(it, TickerMessage::OrderPostback(Ok(order)) if order.order_id == "1")
        )
    );
    // The raw channels carry the quotes of the subscribe and the full packets of the mode.
    let first = within("a frame", frames.recv()).await.unwrap();
    assert_eq!(first.len(), 2 + 2 * (2 + 44));
    for token in [408_065, 884_737] {
        let view = within("a packet", full.recv_raw_tickraw()).await.unwrap().unwrap();
        assert_eq!(view.header.instrument_token.get(), token);
    }
}

#[tokio::test]
async fn frames_share_the_memory_of_the_ticks() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).build();
    let mut channel = only_channel(&mut manager);
    let mut frames = manager.get_raw_frame_channel(ChannelId::Connection1).unwrap();
    start(&mut manager).await;
    manager.subscribe_symbols(&[408_065], Some(Mode::Quote)).await.unwrap();
    let TickerMessage::Ticks(ticks) = next(&mut channel).await.unwrap() else {
        panic!("expected ticks")
    };
    let frame = within("a frame", frames.recv()).await.unwrap();
    let packet = ticks.packets().next().unwrap();
    assert_eq!(packet.as_bytes().as_ptr(), frame[4..].as_ptr());
}

/// Frames that a test sends at full speed, far more than its ring of 64 holds.
const FRAMES: usize = 600;

/// Returns a frame of 200 full packets.
fn large_frame() -> Bytes {
    let mut frame = vec![0, 200];
    for _ in 0..200 {
        frame.extend([0, 184]);
        frame.resize(frame.len() + 184, 7);
    }
    frame.into()
}

#[tokio::test]
async fn a_connection_lets_receivers_that_are_far_behind_catch_up() {
    let sim = quiet_sim().await;
    for raw_only in [true, false] {
        let builder = manager(&sim).max_connections(1).parser_buffer_size(64).raw_only(raw_only);
        let mut manager = builder.build();
        let mut raw = manager.get_raw_frame_channel(ChannelId::Connection1).unwrap();
        let mut messages = only_channel(&mut manager);
        start(&mut manager).await;
        let frame = large_frame();
        (0..FRAMES).for_each(|_| sim.send_binary(frame.clone()));
        for received in 0..FRAMES {
            // The connection reads several frames a turn.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            let bytes = within("a frame", raw.recv()).await.map(|frame| frame.len());
            assert_eq!(bytes, Ok(frame.len()), "after {received} frames");
            if !raw_only {
                let message = next(&mut messages).await;
                assert!(matches!(message, Ok(TickerMessage::Ticks(_))), "{message:?}");
            }
        }
        within("the stop", manager.stop()).await.unwrap();
    }
}

#[tokio::test]
async fn a_receiver_that_reads_nothing_stops_neither_the_feed_nor_other_receivers() {
    let sim = quiet_sim().await;
    let mut manager =
        manager(&sim).max_connections(1).parser_buffer_size(64).raw_only(true).build();
    let mut idle = manager.get_raw_frame_channel(ChannelId::Connection1).unwrap();
    let mut reader = manager.get_raw_frame_channel(ChannelId::Connection1).unwrap();
    start(&mut manager).await;
    let frame = large_frame();
    (0..FRAMES).for_each(|_| sim.send_binary(frame.clone()));
    let bytes = frame.len();
    // In a task, because the runtime polls a test's own future less often than tasks.
    let reading = tokio::spawn(async move {
        for _ in 0..FRAMES {
            assert_eq!(reader.recv().await.map(|frame| frame.len()), Ok(bytes));
        }
    });
    within("all frames", reading).await.unwrap();
    assert_eq!(idle.recv().await, Err(RecvError::Lagged((FRAMES - 64) as u64)));
}
