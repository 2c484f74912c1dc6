//! The columns of a block: any bytes come back from them, and damaged ones are an error or other
//! bytes of the same length.

use kite_wire::tape::{
    BlockEncoder, ColumnsEncoder, ColumnsError, Received, RecordKind, Source, decode_columns,
};

/// Lengths of the known packets, and of one that is not known.
const LENS: [usize; 8] = [8, 28, 32, 44, 184, 184, 184, 12];

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let _ = decode(bytes, 4_096);
    round_trip(bytes);
    let (changes, parts) = bytes.split_at(bytes.len().min(6));
    let body = assemble(parts);
    let mut columns = round_trip(&body);
    let (_, cut) = columns.split_last().expect("the lengths of the columns");
    assert!(decode(cut, body.len()).is_err(), "every byte belongs to a column");
    for change in changes.chunks(3) {
        if let &[high, low, byte] = change {
            let at = usize::from(u16::from_be_bytes([high, low])) % columns.len();
            columns[at] = byte;
        }
    }
    let _ = decode(&columns, body.len());
}

/// Checks that the bytes come back, and returns their columns.
fn round_trip(body: &[u8]) -> Vec<u8> {
    let mut columns = Vec::new();
    ColumnsEncoder::new().encode(body, &mut columns).expect("a short body");
    assert_eq!(decode(&columns, body.len()).as_deref(), Ok(body));
    assert!(decode(&columns, body.len() + 1).is_err(), "the length is that of the records");
    columns
}

fn decode(columns: &[u8], len: usize) -> Result<Vec<u8>, ColumnsError> {
    let mut body = vec![0; len];
    decode_columns(columns, &mut body).map(|()| body)
}

/// Creates records with valid checksums, and packets of few instruments that change a little.
fn assemble(bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut block = BlockEncoder::new(1, 0);
    let mut packets = [[0_u8; 184]; 4];
    let mut bytes = bytes;
    let mut time = 0_u64;
    while let Some((&[part, elapsed, count], rest)) = bytes.split_first_chunk() {
        bytes = rest;
        time = time.wrapping_add(u64::from(elapsed) << (part >> 3 & 31));
        let (payload, kind) = match part % 8 {
            0..5 => (frame(count % 8, part, &mut packets, &mut bytes), RecordKind::Binary),
            kind => {
                let (payload, rest) = bytes.split_at(bytes.len().min(count.into()));
                bytes = rest;
                if kind == 7 {
                    body.extend_from_slice(payload);
                    continue;
                }
                let kind = if kind == 5 { RecordKind::Binary } else { RecordKind::Text };
                (payload.to_vec(), kind)
            }
        };
        let source = Source { account: 0, connection: part % 3 };
        let received = Received { recv_unix_ns: time, source };
        let head = block.record(received, kind, &payload).expect("a short payload");
        body.extend_from_slice(&head);
        body.extend_from_slice(&payload);
    }
    body
}

fn frame(count: u8, part: u8, packets: &mut [[u8; 184]; 4], bytes: &mut &[u8]) -> Vec<u8> {
    // One in eight declares another number of packets than it has.
    let declared = u16::from(count) + u16::from(part / 32 == 7);
    let mut frame = declared.to_be_bytes().to_vec();
    for number in 0..count {
        let packet = &mut packets[usize::from(number % 4)];
        packet[3] = number;
        if let Some((&[at, value, len], rest)) = bytes.split_first_chunk() {
            *bytes = rest;
            packet[usize::from(at) % 184] = value;
            let len = LENS[usize::from(len) % LENS.len()];
            frame.extend_from_slice(&(len as u16).to_be_bytes());
            frame.extend_from_slice(&packet[..len]);
        }
    }
    frame
}
