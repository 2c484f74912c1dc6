//! Packets of every layout: decoding and encoding are inverse, and prices print exactly.

use kite_wire::{Frame, FrameEncoder, FullPacket, Packet, PacketKind, Price, Tick};

const KINDS: [PacketKind; 5] = [
    PacketKind::Ltp,
    PacketKind::IndexQuote,
    PacketKind::IndexFull,
    PacketKind::Quote,
    PacketKind::Full,
];

/// Checks one input.
pub fn check(bytes: &[u8]) {
    assert_eq!(Packet::from_bytes(bytes).is_ok(), PacketKind::of_len(bytes.len()).is_some());
    for kind in KINDS {
        if let Some(packet) = bytes.get(..kind.packet_len()) {
            round_trip(packet, kind);
        }
    }
}

fn round_trip(bytes: &[u8], kind: PacketKind) {
    let packet = Packet::from_bytes(bytes).expect("the length of a layout");
    assert_eq!(packet.kind(), kind);
    let tick = Tick::from(packet);
    assert_eq!((tick.kind(), tick.segment()), (kind, packet.segment()));

    let mut encoded = [0; FullPacket::LEN];
    let length = tick.encode(&mut encoded).expect("room for the largest packet");
    let encoded = &encoded[..length];
    assert_eq!(encoded, without_padding(bytes), "a tick encodes to the bytes it came from");

    let mut buffer = [0; 2 + 2 + FullPacket::LEN];
    let mut frame = FrameEncoder::new(&mut buffer).expect("room for the packet count");
    frame.push(&tick).expect("room for one packet");
    let frame = Frame::walk(frame.finish());
    assert_eq!(frame.fault(), None);
    assert!(frame.packets().map(Tick::from).eq([tick]), "a frame returns its tick");

    let price = packet.last_price();
    let read: Price = price.to_string().parse().expect("a printed price is a price");
    assert_eq!((read, read.raw()), (price, price.raw()));
    let exact = Price::from_amount(price.amount(), packet.segment());
    assert_eq!(exact, Ok(price), "an amount returns its price");
}

/// The last two bytes of a depth entry have no meaning and are written as zero.
fn without_padding(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() == FullPacket::LEN {
        for entry in bytes[64..].chunks_exact_mut(12) {
            entry[10..].fill(0);
        }
    }
    bytes
}
