//! Damages frames, with pure functions from valid bytes to damaged ones.

use kite_wire::PacketKind;

use super::InvalidFrame;

/// Opcodes of RFC 6455, section 5.2; 3 to 7 are reserved.
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const RESERVED: u8 = 3;
const FINAL: u8 = 0x80;
const RESERVED_BIT: u8 = 0x40;
const MASKED: u8 = 0x80;

/// Wraps a payload into one binary WebSocket frame, as a server sends it.
pub(crate) fn binary_message(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FINAL | BINARY];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => frame.push(short),
        (_, Ok(medium)) => {
            frame.push(126);
            frame.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Returns a WebSocket frame that breaks the protocol.
pub(crate) fn invalid_message(way: InvalidFrame) -> &'static [u8] {
    match way {
        InvalidFrame::ReservedOpcode => &[FINAL | RESERVED, 2, b'o', b'k'],
        InvalidFrame::ReservedBit => &[FINAL | RESERVED_BIT | TEXT, 2, b'o', b'k'],
        InvalidFrame::Masked => &[FINAL | TEXT, MASKED | 2, 0, 0, 0, 0, b'o', b'k'],
        InvalidFrame::InvalidUtf8 => &[FINAL | TEXT, 2, 0xc3, 0x28],
    }
}

/// Cuts bytes from the last packet of a frame, at least one of them and at most all but one. `None`
/// if there is no packet.
pub(crate) fn truncate(mut frame: Vec<u8>, cut: usize) -> Option<Vec<u8>> {
    let (start, _) = packets(&frame).last()?;
    let whole = frame.len() - start;
    frame.truncate(frame.len() - cut.clamp(1, whole - 1));
    Some(frame)
}

/// Changes the declared number of packets; `None` if it cannot change.
pub(crate) fn change_count(mut frame: Vec<u8>, by: i16) -> Option<Vec<u8>> {
    let count = declared(&frame);
    let claimed = count.saturating_add_signed(by);
    frame.get_mut(..2)?.copy_from_slice(&claimed.to_be_bytes());
    (claimed != count).then_some(frame)
}

/// Inserts a packet of unknown length after the first packet of a frame.
pub(crate) fn add_unknown(mut frame: Vec<u8>, length: u16) -> Option<Vec<u8>> {
    let is_known = |length: u16| PacketKind::of_len(length.into()).is_some();
    let length = if is_known(length) { length + 1 } else { length };
    let count = declared(&frame).checked_add(1)?;
    let at = packets(&frame).next().map_or(2, |(_, end)| end);
    let body = std::iter::repeat_n(0xff, length.into());
    frame.splice(at..at, length.to_be_bytes().into_iter().chain(body));
    frame.get_mut(..2)?.copy_from_slice(&count.to_be_bytes());
    Some(frame)
}

fn declared(frame: &[u8]) -> u16 {
    frame.first_chunk().map_or(0, |count| u16::from_be_bytes(*count))
}

/// Returns the start of each packet, including its length prefix, and its end.
fn packets(frame: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut end = 2;
    std::iter::from_fn(move || {
        let start = end;
        let length = frame.get(start..)?.first_chunk()?;
        end = start + 2 + usize::from(u16::from_be_bytes(*length));
        Some((start, end))
    })
}

#[cfg(test)]
mod tests {
    use kite_wire::Frame;

    use super::*;

    /// Two LTP packets.
    fn good() -> Vec<u8> {
        let mut frame = vec![0, 2];
        for token in 1..=2 {
            frame.extend_from_slice(&[0, 8, 0, 0, token, 1, 0, 0, 0, 9]);
        }
        frame
    }

    #[test]
    fn only_the_last_packet_is_truncated() {
        for cut in [0, 1, 9, 10, 100] {
            let frame = truncate(good(), cut).unwrap();
            assert_eq!(frame.len(), good().len() - cut.clamp(1, 9));
            let frame = Frame::walk(&frame);
            assert_eq!(frame.packets().len(), 1);
            assert!(frame.fault().is_some());
        }
        assert_eq!(truncate(vec![0, 0], 1), None);
    }

    #[test]
    fn only_the_declared_count_changes() {
        for (by, decodable) in [(5, 2), (-1, 1), (-9, 0), (i16::MAX, 2)] {
            let frame = change_count(good(), by).unwrap();
            assert_eq!(frame[2..], good()[2..]);
            let frame = Frame::walk(&frame);
            assert_eq!(frame.packets().len(), decodable, "{by}");
            assert!(frame.fault().is_some());
        }
        assert_eq!(change_count(good(), 0), None);
        assert_eq!(change_count(vec![0, 0], -3), None);
    }

    #[test]
    fn an_unknown_packet_leaves_the_others_intact() {
        for length in [0, 1, 8, 44, 184, 300] {
            let frame = add_unknown(good(), length).unwrap();
            let frame = Frame::walk(&frame);
            assert_eq!((frame.fault(), frame.packets().len(), frame.skipped()), (None, 2, 1));
        }
        assert_eq!(add_unknown(vec![0, 0], 3).unwrap(), [0, 1, 0, 3, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn messages_have_the_shortest_header() {
        for (length, header) in [(1, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let message = binary_message(&vec![7; length]);
            assert_eq!(message.len(), header + length);
            assert_eq!(message[header..], vec![7; length]);
        }
        assert_eq!(binary_message(&[7; 300])[..4], [0x82, 126, 1, 44]);
        assert_eq!(binary_message(&[7; 65_536])[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
