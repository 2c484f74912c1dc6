//! Truncated, inconsistent and random frames. Good packets are kept, the rest is accounted for byte
//! by byte, and nothing panics.
#![expect(clippy::unwrap_used, reason = "a frame that does not encode fails the test")]

use std::hint::black_box;

use kite_wire::{
    Fields, Frame, FrameEncoder, FrameFault, FullFields, IndexFields, Packet, PacketKind,
    PacketView, QuoteFields, Scan, Segment, Tick,
};
use proptest::prelude::*;
use proptest::sample::select;

const KNOWN: [u16; 5] = [8, 28, 32, 44, 184];

/// A frame that declares `declared` packets and holds bodies of these lengths. Each body starts
/// with its index in the frame, as far as it fits.
fn frame_of(declared: u16, lengths: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::from(declared.to_be_bytes());
    for (index, &length) in lengths.iter().enumerate() {
        bytes.extend(length.to_be_bytes());
        let mut body = vec![7; usize::from(length)];
        let token = (index as u32).to_be_bytes();
        body.iter_mut().zip(token).for_each(|(byte, token)| *byte = token);
        bytes.extend(body);
    }
    bytes
}

/// The position at which a model of the walk stops, and its counts.
struct Expected {
    tokens: Vec<u32>,
    skipped: u16,
    good: usize,
    is_whole: bool,
}

/// Walks in the simplest way: index by index, in 64 bits, sharing no code with the crate.
fn model(bytes: &[u8]) -> Expected {
    if bytes.len() < 2 {
        let is_whole = bytes.len() == 1;
        return Expected { tokens: Vec::new(), skipped: 0, good: bytes.len(), is_whole };
    }
    let word = |at: usize| u64::from(bytes[at]) << 8 | u64::from(bytes[at + 1]);
    let (mut tokens, mut skipped, mut at, mut left) = (Vec::new(), 0, 2, word(0));
    while left > 0 && at + 2 <= bytes.len() {
        let length = word(at);
        if (at + 2) as u64 + length > bytes.len() as u64 {
            break;
        }
        if KNOWN.iter().any(|&known| u64::from(known) == length) {
            tokens.push((word(at + 2) << 16 | word(at + 4)) as u32);
        } else {
            skipped += 1;
        }
        at += 2 + length as usize;
        left -= 1;
    }
    Expected { tokens, skipped, good: at, is_whole: left == 0 && at == bytes.len() }
}

/// Reads the bytes in every way and compares each with the model.
#[track_caller]
fn check(bytes: &[u8]) {
    let expected = model(bytes);
    let frame = Frame::walk(bytes);
    assert_eq!(frame.fault().is_none(), expected.is_whole, "{:?}", frame.fault());
    assert_eq!(frame.as_bytes(), &bytes[..expected.good]);
    assert_eq!(frame.bytes_left(), bytes.len() - expected.good);
    assert_eq!(frame.skipped(), expected.skipped);
    assert_eq!(frame.packets().len(), expected.tokens.len());
    assert!(frame.packets().map(Packet::instrument_token).eq(expected.tokens.iter().copied()));
    assert_eq!(frame.bodies().len(), expected.tokens.len() + usize::from(expected.skipped));
    assert_eq!(frame.bodies().count(), frame.bodies().len());
    assert_eq!(frame.is_heartbeat(), bytes.len() == 1);

    let mut scan = Scan::new(bytes);
    assert!(scan.by_ref().eq(frame.packets()), "one pass and two yield the same packets");
    assert_eq!(scan.finish(), frame);

    for packet in frame.packets() {
        read_everything(packet);
    }
    #[cfg(feature = "bytes")]
    check_batch(bytes, frame);
}

#[cfg(feature = "bytes")]
#[track_caller]
fn check_batch(bytes: &[u8], frame: Frame<'_>) {
    use kite_wire::TickBatch;

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
    assert_eq!((batch.len(), batch.skipped()), (frame.packets().len(), frame.skipped()));
    assert_eq!(batch.is_empty(), batch.iter().next().is_none());
    assert!(batch.iter().eq(frame.packets().map(Tick::from)));
    assert_eq!(batch.detach(), batch);
}

/// Calls every accessor and compares those that must agree.
fn read_everything(packet: Packet<'_>) {
    let (kind, tick) = (packet.kind(), Tick::from(packet));
    assert_eq!(packet.as_bytes().len(), kind.packet_len());
    assert_eq!((packet.mode(), tick.kind()), (kind.mode(), kind));
    assert_eq!((tick.segment(), tick.last_price()), (packet.segment(), packet.last_price()));
    assert_eq!((tick.change(), tick.change_percent()), (packet.change(), packet.change_percent()));
    assert!(packet.change_percent().is_none_or(f64::is_finite));
    assert_eq!(Segment::from_code(packet.segment().code()), packet.segment());

    assert_eq!(packet.quote().is_some(), matches!(kind, PacketKind::Quote | PacketKind::Full));
    assert_eq!(packet.full().is_some(), kind == PacketKind::Full);
    assert_eq!(
        packet.index().is_some(),
        matches!(kind, PacketKind::IndexQuote | PacketKind::IndexFull)
    );
    assert_eq!(packet.ohlc().is_some(), kind != PacketKind::Ltp);
    assert_eq!(packet.volume(), tick.quote().map(|quote| quote.volume));
    assert_eq!(packet.last_quantity(), tick.quote().map(|quote| quote.last_quantity));
    assert_eq!(
        packet.average_price().map(|price| price.raw()),
        tick.quote().map(|quote| quote.average_price)
    );
    assert_eq!(packet.total_buy_quantity(), tick.quote().map(|quote| quote.total_buy_quantity));
    assert_eq!(packet.total_sell_quantity(), tick.quote().map(|quote| quote.total_sell_quantity));
    assert_eq!(packet.open_interest(), tick.full().map(|full| full.open_interest));
    assert_eq!(packet.open_interest_high(), tick.full().map(|full| full.open_interest_high));
    assert_eq!(packet.open_interest_low(), tick.full().map(|full| full.open_interest_low));
    black_box((packet.last_trade_timestamp(), packet.exchange_timestamp()));
    black_box((packet.best_bid(), packet.best_ask(), packet.spread()));
    if let Some(depth) = packet.depth() {
        let levels = depth.bids().iter().chain(depth.asks());
        let there = levels.clone().filter(|level| level.quantity() != 0).count();
        assert_eq!(depth.bid_levels().count() + depth.ask_levels().count(), there);
        for level in levels {
            black_box((level.price(packet.segment()), level.orders()));
        }
    }
    match packet.view() {
        PacketView::Ltp(view) => assert_eq!(&view.as_bytes()[..], packet.as_bytes()),
        PacketView::IndexQuote(view) => assert_eq!(&view.as_bytes()[..], packet.as_bytes()),
        PacketView::IndexFull(view) => assert_eq!(&view.as_bytes()[..], packet.as_bytes()),
        PacketView::Quote(view) => assert_eq!(&view.as_bytes()[..], packet.as_bytes()),
        PacketView::Full(view) => assert_eq!(&view.as_bytes()[..], packet.as_bytes()),
        _ => panic!("a layout that this test does not know: {kind:?}"),
    }
    black_box(format!("{packet:?} {tick:?} {}", packet.last_price()));
}

/// Encoded ticks of every layout, alone and together.
fn valid_frames() -> Vec<Vec<u8>> {
    let tick = |fields| Tick { instrument_token: 408_065, last_price: -5, fields };
    let (quote, index) = (QuoteFields::default(), IndexFields::default());
    let ticks = [
        tick(Fields::Ltp),
        tick(Fields::IndexQuote(index)),
        tick(Fields::IndexFull { quote: index, exchange_timestamp: 1 }),
        tick(Fields::Quote(quote)),
        tick(Fields::Full { quote, full: FullFields::default() }),
    ];
    let encode = |ticks: &[Tick]| {
        let mut buffer = [0; 1_024];
        let mut encoder = FrameEncoder::new(&mut buffer).unwrap();
        ticks.iter().for_each(|tick| encoder.push(tick).unwrap());
        encoder.finish().to_vec()
    };
    let mut frames: Vec<_> = ticks.iter().map(|tick| encode(&[*tick])).collect();
    frames.push(encode(&ticks));
    frames.push(encode(&[ticks[4], ticks[0], ticks[4]]));
    frames.push(encode(&[]));
    frames
}

#[test]
fn every_prefix_of_every_valid_frame_keeps_its_whole_packets() {
    for bytes in valid_frames() {
        assert_eq!(Frame::walk(&bytes).fault(), None);
        for cut in 0..=bytes.len() {
            check(&bytes[..cut]);
        }
        for cut in 2..bytes.len() {
            assert!(Frame::walk(&bytes[..cut]).fault().is_some(), "cut at {cut}");
        }
    }
}

#[test]
fn a_count_too_low_leaves_trailing_bytes_and_one_too_high_a_missing_length() {
    for declared in 0..=7 {
        let bytes = frame_of(declared, &KNOWN[..4]);
        check(&bytes);
        let frame = Frame::walk(&bytes);
        assert_eq!(frame.packets().len(), usize::from(declared.min(4)));
        match (declared, frame.fault()) {
            (4, None) => {}
            (0..4, Some(FrameFault::TrailingBytes { declared: found, offset, left })) => {
                assert_eq!((found, offset + left), (declared, bytes.len()));
                assert_eq!(frame.bytes_left(), left);
            }
            (5.., Some(fault)) => {
                let offset = bytes.len();
                assert_eq!(fault, FrameFault::TruncatedLength { index: 4, declared, offset });
            }
            (_, fault) => panic!("{declared} declared: {fault:?}"),
        }
    }
    check(&frame_of(u16::MAX, &[8]));
}

#[test]
fn a_length_past_the_end_is_reported_with_the_bytes_left() {
    for length in [1_u16, 8, 44, 184, u16::MAX] {
        let mut bytes = frame_of(2, &[8]);
        bytes.extend(length.to_be_bytes());
        bytes.resize(bytes.len() + usize::from(length) - 1, 3);
        check(&bytes);
        let (offset, left) = (14, usize::from(length) - 1);
        let fault = FrameFault::TruncatedPacket { index: 1, declared: 2, offset, length, left };
        let frame = Frame::walk(&bytes);
        assert_eq!((frame.fault(), frame.packets().len()), (Some(fault), 1));
        assert_eq!(frame.bytes_left(), 2 + left, "the wrong length is left too");
    }
}

#[test]
fn packets_of_every_unknown_length_are_skipped_between_good_ones() {
    let unknown = |length: &u16| !KNOWN.contains(length);
    for length in (0..=256).chain([1_024, 32_768, u16::MAX]).filter(unknown) {
        let bytes = frame_of(3, &[8, length, 184]);
        check(&bytes);
        let frame = Frame::walk(&bytes);
        assert_eq!((frame.fault(), frame.skipped()), (None, 1), "{length}");
        assert!(frame.packets().map(Packet::instrument_token).eq([0, 2]));
    }
}

#[test]
fn trailing_bytes_of_any_number_cost_no_packet() {
    for surplus in [1, 2, 3, 10, 70_000] {
        let mut bytes = frame_of(2, &[8, 44]);
        let offset = bytes.len();
        bytes.resize(offset + surplus, 0);
        check(&bytes);
        let fault = FrameFault::TrailingBytes { declared: 2, offset, left: surplus };
        assert_eq!(Frame::walk(&bytes).fault(), Some(fault));
    }
}

#[test]
fn every_segment_is_read_under_every_layout() {
    for length in KNOWN {
        for segment in 0..=u8::MAX {
            let mut bytes = frame_of(1, &[length]);
            bytes[7] = segment;
            check(&bytes);
            let packet = Frame::walk(&bytes).packets().next().unwrap();
            assert_eq!(packet.segment().code(), segment);
            assert_eq!(packet.kind().packet_len(), usize::from(length));
        }
    }
}

#[test]
fn the_largest_count_of_the_smallest_packets_is_walked_whole() {
    // 65,535 empty packets: quadratic work would take hours.
    let bytes = frame_of(u16::MAX, &vec![0; usize::from(u16::MAX)]);
    let frame = Frame::walk(&bytes);
    assert_eq!((frame.fault(), frame.skipped(), frame.bytes_left()), (None, u16::MAX, 0));
    assert_eq!((frame.packets().len(), frame.packets().count()), (0, 0));
    assert_eq!(frame.bodies().count(), usize::from(u16::MAX));
    check(&bytes);

    // The only good packet is the last.
    let mut lengths = vec![0; usize::from(u16::MAX)];
    *lengths.last_mut().unwrap() = 8;
    let bytes = frame_of(u16::MAX, &lengths);
    check(&bytes);
    assert_eq!(Frame::walk(&bytes).find(65_534).map(Packet::kind), Some(PacketKind::Ltp));
}

proptest! {
    #[test]
    fn noise_is_accounted_for(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        check(&bytes);
    }

    /// Random bytes rarely look like a frame. Here most lengths are known, bodies are random, the
    /// count may be wrong and the end may be cut or extended.
    #[test]
    fn almost_valid_frames_are_accounted_for(
        packets in proptest::collection::vec(
            prop_oneof![8 => select(&KNOWN[..]), 1 => 0_u16..260]
                .prop_flat_map(|length| proptest::collection::vec(any::<u8>(), usize::from(length))),
            0..10,
        ),
        count_error in prop_oneof![3 => Just(0_i32), 1 => -2_i32..3],
        cut in prop_oneof![Just(0_usize), 0_usize..250],
        surplus in prop_oneof![Just(0_usize), 0_usize..20],
        flip in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let declared = (packets.len() as i32 + count_error).max(0) as u16;
        let mut bytes = Vec::from(declared.to_be_bytes());
        for packet in &packets {
            bytes.extend((packet.len() as u16).to_be_bytes());
            bytes.extend(packet);
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        bytes.resize(bytes.len() + surplus, 0);
        if let Some((at, value)) = flip
            && !bytes.is_empty()
        {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        check(&bytes);
    }

    #[test]
    fn a_packet_is_read_if_and_only_if_its_length_is_known(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let known = KNOWN.iter().any(|&known| usize::from(known) == bytes.len());
        match Packet::from_bytes(&bytes) {
            Ok(packet) => {
                prop_assert!(known);
                read_everything(packet);
            }
            Err(error) => {
                prop_assert!(!known);
                prop_assert_eq!(error.length, bytes.len());
            }
        }
    }
}
