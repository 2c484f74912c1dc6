//! Writes a tape with known contents.

use std::path::{Path, PathBuf};

use kite_wire::tape::{BlockBuffer, Gap, GapReason, Received, RecordKind, Source, TapeHeader};

/// 23 November 2026, 09:15 in India, in Unix nanoseconds.
pub(crate) const OPENING: u64 = 1_795_405_500_000_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// The number of frames on the tape, one per second with two ticks each.
pub(crate) const FRAMES: u64 = 10;

/// A frame with the last prices of INFY and RELIANCE.
fn frame(price: u32) -> Vec<u8> {
    let mut frame = vec![0, 2];
    for token in [408_065_u32, 738_561] {
        frame.extend([0, 8]);
        frame.extend(token.to_be_bytes());
        frame.extend(price.to_be_bytes());
    }
    frame
}

/// Writes `day.ktape`: ten frames in two blocks, a heartbeat, a text message and a gap of 3 s.
pub(crate) fn write(directory: &Path) -> PathBuf {
    write_day(directory, "day", 0)
}

/// Writes the same some days later, to a file with this name.
pub(crate) fn write_day(directory: &Path, name: &str, days: u64) -> PathBuf {
    write_noted(directory, name, days, None)
}

/// Writes the same, beginning with a note.
pub(crate) fn write_noted(directory: &Path, name: &str, days: u64, note: Option<&str>) -> PathBuf {
    let (opening, tape_id) = (OPENING + days * 86_400 * SECOND, 7 + days);
    let received = |second: u64| Received {
        recv_unix_ns: opening + second * SECOND,
        source: Source { account: 0, connection: 0 },
    };
    let header = TapeHeader { created_unix_ns: opening, tape_id, metadata: b"{}" };
    let mut file = vec![0; 8_192];
    let mut len = header.encode(&mut file).expect("room");
    for (block, seconds) in [(0, 0..5), (1, 5..FRAMES)] {
        let mut buffer = BlockBuffer::new(&mut file[len..], tape_id, block).expect("room");
        if let Some(note) = note.filter(|_| block == 0) {
            let recorder = Received { source: Source::RECORDER, ..received(0) };
            buffer.push(recorder, RecordKind::Event, note.as_bytes()).expect("room");
        }
        for second in seconds {
            let price = 100_000 + second as u32;
            buffer.push(received(second), RecordKind::Binary, &frame(price)).expect("room");
        }
        if block == 1 {
            buffer.push(received(9), RecordKind::Binary, &[0]).expect("room");
            buffer.push(received(9), RecordKind::Text, b"{}").expect("room");
            let gap = Gap {
                reason: GapReason::Disconnected,
                from_unix_ns: opening + 6 * SECOND,
                to_unix_ns: opening + 9 * SECOND,
                frames: None,
            };
            buffer.push_gap(received(9), &gap).expect("room");
        }
        len += buffer.finish().len();
    }
    let path = directory.join(format!("{name}.ktape"));
    std::fs::write(&path, &file[..len]).expect("a file");
    path
}

/// Writes a tape of this many frames, one per millisecond, in blocks of 1,000.
pub(crate) fn write_long(directory: &Path, frames: u64) -> PathBuf {
    let header = TapeHeader { created_unix_ns: OPENING, tape_id: 99, metadata: b"{}" };
    let mut file = vec![0; 1 << 10];
    let header_len = header.encode(&mut file).expect("room");
    file.truncate(header_len);
    let mut space = vec![0; 64 << 10];
    for block in 0..frames / 1_000 {
        let mut buffer = BlockBuffer::new(&mut space, 99, block as u32).expect("room");
        for at in 0..1_000 {
            let recv_unix_ns = OPENING + (block * 1_000 + at) * SECOND / 1_000;
            let source = Source { account: 0, connection: 0 };
            let frame = frame(100_000 + at as u32);
            buffer
                .push(Received { recv_unix_ns, source }, RecordKind::Binary, &frame)
                .expect("room");
        }
        file.extend_from_slice(buffer.finish());
    }
    let path = directory.join("long.ktape");
    std::fs::write(&path, file).expect("a file");
    path
}

/// Writes a tape with one tick of each of this many instruments, tokens counted from 1, and then one
/// of INFY, which a note states as subscribed.
pub(crate) fn write_unsubscribed(directory: &Path, instruments: u32) -> PathBuf {
    let header = TapeHeader { created_unix_ns: OPENING, tape_id: 98, metadata: b"{}" };
    let mut file = vec![0; 2 << 20];
    let mut len = header.encode(&mut file).expect("room");
    let mut buffer = BlockBuffer::new(&mut file[len..], 98, 0).expect("room");
    let received = |source| Received { recv_unix_ns: OPENING, source };
    let note =
        r#"{"event":"instruments","date":"2026-11-23","rows":[{"instrument_token":408065}]}"#;
    buffer.push(received(Source::RECORDER), RecordKind::Event, note.as_bytes()).expect("room");
    let tokens: Vec<u32> = (1..=instruments).chain([408_065]).collect();
    for tokens in tokens.chunks(3_000) {
        let mut frame = (tokens.len() as u16).to_be_bytes().to_vec();
        for token in tokens {
            frame.extend([0, 8]);
            frame.extend(token.to_be_bytes());
            frame.extend([0, 1, 0, 0]);
        }
        let source = Source { account: 0, connection: 0 };
        buffer.push(received(source), RecordKind::Binary, &frame).expect("room");
    }
    len += buffer.finish().len();
    let path = directory.join("unsubscribed.ktape");
    std::fs::write(&path, &file[..len]).expect("a file");
    path
}

/// Flips a bit in the last record of a tape.
pub(crate) fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).expect("the file");
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("the file");
}

/// Cuts a tape within its last record.
pub(crate) fn cut(path: &Path) {
    let bytes = std::fs::read(path).expect("the file");
    std::fs::write(path, &bytes[..bytes.len() - 5]).expect("the file");
}
