//! The worked example of docs/tape-format.md: read, written, and compared with the page.

use kite_wire::tape::{
    BlockBuffer, Ending, Gap, GapReason, Received, RecordKind, Source, Tape, TapeHeader,
};

/// The bytes of the example as the page shows them.
const EXAMPLE: &str = "\
89 4b 54 41 50 45 0d 0a 01 00 00 00 0e 00 00 00
00 80 18 f6 bc b9 87 18 88 77 66 55 44 33 22 11
21 3c 83 0f 88 d2 3b 62 7b 22 61 70 70 22 3a 22
64 65 6d 6f 22 7d 89 4b 42 4c 4f 43 4b 0a 88 77
66 55 44 33 22 11 00 00 00 00 00 00 00 00 d2 c0
5b 04 03 00 00 00 00 80 18 f6 bc b9 87 18 b8 8b
18 f6 bc b9 87 18 8f 00 00 00 8f 00 00 00 00 00
00 00 36 94 a7 89 00 80 18 f6 bc b9 87 18 0c 00
00 00 01 00 00 01 41 a1 2c c8 0a 32 bc 44 00 01
00 08 00 06 3a 01 00 02 66 ba e8 83 18 f6 bc b9
87 18 1b 00 00 00 02 00 00 01 5b d6 ac 3f 42 e2
3a f8 7b 22 74 79 70 65 22 3a 22 65 72 72 6f 72
22 2c 22 64 61 74 61 22 3a 22 78 22 7d b8 8b 18
f6 bc b9 87 18 20 00 00 00 03 00 00 01 14 53 9f
46 75 73 1a 82 03 00 00 00 00 00 00 00 d0 87 18
f6 bc b9 87 18 b8 8b 18 f6 bc b9 87 18 ff ff ff
ff ff ff ff ff";

const CREATED: u64 = 1_767_585_600_000_000_000;
const TAPE_ID: u64 = 0x1122_3344_5566_7788;
const METADATA: &[u8] = br#"{"app":"demo"}"#;
const FRAME: [u8; 12] = [0, 1, 0, 8, 0x00, 0x06, 0x3a, 0x01, 0x00, 0x02, 0x66, 0xba];
const TEXT: &[u8] = br#"{"type":"error","data":"x"}"#;
const GAP: Gap = Gap {
    reason: GapReason::Disconnected,
    from_unix_ns: CREATED + 2_000,
    to_unix_ns: CREATED + 3_000,
    frames: None,
};

fn received(after_start_ns: u64) -> Received {
    let source = Source { account: 0, connection: 1 };
    Received { recv_unix_ns: CREATED + after_start_ns, source }
}

fn example() -> Vec<u8> {
    EXAMPLE
        .split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect::<Result<_, _>>()
        .unwrap_or_default()
}

#[test]
fn the_example_reads_as_the_page_says() {
    let bytes = example();
    let tape = Tape::open(&bytes).unwrap();
    assert_eq!(
        (tape.version(), tape.created_unix_ns(), tape.tape_id()),
        ((1, 0), CREATED, TAPE_ID)
    );
    assert_eq!(tape.metadata(), Ok(METADATA));
    let block = tape.blocks().next().unwrap().unwrap();
    assert_eq!((block.offset(), block.records_len(), block.is_sealed()), (54, 3, true));
    assert_eq!((block.earliest_unix_ns(), block.latest_unix_ns()), (CREATED, CREATED + 3_000));

    let mut records = tape.records();
    let mut next = || records.next().unwrap().unwrap();
    let (binary, text, gap) = (next(), next(), next());
    assert!(records.next().is_none());
    assert_eq!(records.ending(), Some(Ending::Clean { at: bytes.len() }));
    assert_eq!((binary.kind(), binary.payload()), (RecordKind::Binary, &FRAME[..]));
    let packet = binary.frame().unwrap().packets().next().unwrap();
    assert_eq!((packet.instrument_token(), packet.last_price().raw()), (408_065, 157_370));
    assert_eq!((text.kind(), text.payload()), (RecordKind::Text, TEXT));
    assert_eq!((gap.recv_unix_ns(), gap.gap()), (CREATED + 3_000, Some(GAP)));
    assert!([binary, text, gap].iter().all(|record| record.source() == received(0).source));
}

#[test]
fn the_example_is_written_byte_for_byte() {
    let header = TapeHeader { created_unix_ns: CREATED, tape_id: TAPE_ID, metadata: METADATA };
    let mut bytes = [0; 512];
    let mut length = header.encode(&mut bytes).unwrap();
    let mut block = BlockBuffer::new(&mut bytes[length..], TAPE_ID, 0).unwrap();
    block.push(received(0), RecordKind::Binary, &FRAME).unwrap();
    block.push(received(1_000), RecordKind::Text, TEXT).unwrap();
    block.push_gap(received(3_000), &GAP).unwrap();
    length += block.finish().len();
    let hex: Vec<String> = bytes[..length]
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(bytes[..length], example(), "\n{}", hex.join("\n"));
}

#[test]
fn the_page_shows_the_example() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tape-format.md");
    let Ok(page) = std::fs::read_to_string(page) else {
        println!("skipped: the page is not part of the package");
        return;
    };
    for line in EXAMPLE.lines() {
        assert!(page.contains(line), "{line}");
    }
}
