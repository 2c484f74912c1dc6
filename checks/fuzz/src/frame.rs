//! A binary frame of arbitrary bytes: nothing panics and nothing is unaccounted for.

use std::hint::black_box;

use kite_wire::{Frame, Packet, PacketKind, Scan, Tick, TickBatch};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let frame = Frame::walk(bytes);
    check_accounting(frame, bytes);
    assert_eq!(Scan::new(bytes).finish(), frame, "one pass yields the same counts");
    assert!(Scan::new(bytes).eq(frame), "and the same packets");
    for packet in frame {
        read_everything(packet);
    }
    check_batch(frame, bytes);
}

fn check_accounting(frame: Frame<'_>, bytes: &[u8]) {
    let good = frame.as_bytes();
    assert_eq!(good, &bytes[..good.len()], "the good part is a prefix");
    assert_eq!(good.len() + frame.bytes_left(), bytes.len(), "all bytes are accounted for");
    assert_eq!(frame.is_heartbeat(), bytes.len() == 1);
    if frame.fault().is_none() {
        assert_eq!(frame.bytes_left(), 0, "nothing is cut off without a fault");
    }

    let skipped = usize::from(frame.skipped());
    assert_eq!(frame.packets().count(), frame.packets().len(), "the iterator knows its length");
    assert_eq!(frame.bodies().count(), frame.bodies().len());
    assert_eq!(frame.bodies().len(), frame.packets().len() + skipped, "all packets are counted");
    let unknown = frame.bodies().filter(|body| PacketKind::of_len(body.len()).is_none()).count();
    assert_eq!(unknown, skipped, "unknown lengths are skipped and no others");

    if let Some((declared, _)) = bytes.split_first_chunk::<2>() {
        let head_and_bodies = 2 + frame.bodies().map(|body| 2 + body.len()).sum::<usize>();
        assert_eq!(head_and_bodies, good.len(), "the good part is its packets");
        let declared = usize::from(u16::from_be_bytes(*declared));
        assert!(frame.bodies().len() <= declared);
        if frame.fault().is_none() {
            assert_eq!(frame.bodies().len(), declared, "a frame without fault is complete");
        }
    }
}

fn read_everything(packet: Packet<'_>) {
    assert_eq!(packet.as_bytes().len(), packet.kind().packet_len());
    assert_eq!(packet.mode(), packet.kind().mode());
    assert_eq!(packet.quote().is_some(), packet.volume().is_some());
    assert_eq!(packet.full().is_some(), packet.depth().is_some());
    assert_eq!(packet.ohlc().is_some(), packet.kind() != PacketKind::Ltp);
    let tick = Tick::from(packet);
    assert_eq!(tick.change(), packet.change(), "views and ticks agree on the change");
    assert_eq!(tick.change_percent(), packet.change_percent());
    assert!(packet.change_percent().is_none_or(f64::is_finite));
    black_box((packet.view(), packet.index(), packet.segment(), packet.exchange_timestamp()));
    black_box((packet.best_bid(), packet.best_ask(), packet.open_interest()));
    if let Some(full) = packet.full() {
        black_box((full.last_trade_timestamp(), full.exchange_timestamp()));
        black_box((full.open_interest_high(), full.open_interest_low()));
    }
    if let Some(depth) = packet.depth() {
        for level in depth.bids().iter().chain(depth.asks()) {
            black_box((level.quantity(), level.price(packet.segment()), level.orders()));
        }
    }
    black_box(format!("{packet:?} {}", packet.last_price()));
}

fn check_batch(frame: Frame<'_>, bytes: &[u8]) {
    let batch = match TickBatch::new(bytes.to_vec().into()) {
        Ok(batch) => {
            assert_eq!(frame.fault(), None);
            batch
        }
        Err(damaged) => {
            assert_eq!(Some(damaged.fault), frame.fault());
            assert_eq!(damaged.bytes_left, frame.bytes_left());
            damaged.batch
        }
    };
    assert_eq!(batch.as_bytes(), frame.as_bytes());
    assert_eq!(batch.skipped(), frame.skipped());
    assert_eq!(batch.len(), frame.packets().len());
    assert!(batch.iter().eq(frame.packets().map(Tick::from)), "both decode to the same ticks");
    assert_eq!(batch.detach(), batch);
}
