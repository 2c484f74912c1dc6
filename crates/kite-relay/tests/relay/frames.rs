//! Frames of the tests' own making, which the simulator sends as they are.

use bytes::Bytes;
use kite_wire::{FrameEncoder, Mode};

/// Returns a frame of full packets, with a number in all fields.
pub(crate) fn frame(tokens: &[u32], number: u8) -> Bytes {
    let mut buffer = vec![0; 2 + tokens.len() * 186];
    let mut encoder = FrameEncoder::new(&mut buffer).unwrap();
    for &token in tokens {
        encoder.push_bytes(&packet(token, number, Mode::Full)).unwrap();
    }
    encoder.finish().to_vec().into()
}

/// Returns a packet of such a frame, cut to a mode.
pub(crate) fn packet(token: u32, number: u8, mode: Mode) -> Vec<u8> {
    let mut packet = vec![number; 184];
    packet[..4].copy_from_slice(&token.to_be_bytes());
    packet.truncate(match mode {
        Mode::Ltp => 8,
        Mode::Quote => 44,
        Mode::Full => 184,
    });
    packet
}
