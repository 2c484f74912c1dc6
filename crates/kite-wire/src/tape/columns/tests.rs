use alloc::vec;
use alloc::vec::Vec;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use super::*;
use crate::tape::checksum::crc32c;
use crate::tape::layout::RecordHead;
use crate::tape::{Received, RecordKind, Source};

fn encode(body: &[u8]) -> Vec<u8> {
    let mut columns = Vec::new();
    ColumnsEncoder::new().encode(body, &mut columns).unwrap();
    columns
}

fn decode(columns: &[u8], len: usize) -> Result<Vec<u8>, ColumnsError> {
    let mut body = vec![0; len];
    decode_columns(columns, &mut body).map(|()| body)
}

/// A part of a block's body.
#[derive(Debug, Clone)]
enum Part {
    Record { elapsed: i32, kind: u8, connection: u8, payload: Vec<u8>, is_damaged: bool },
    Bytes(Vec<u8>),
}

fn body(parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut recv_unix_ns = 1_767_585_600_000_000_000_u64;
    for part in parts {
        match part {
            Part::Record { elapsed, kind, connection, payload, is_damaged } => {
                recv_unix_ns = recv_unix_ns.wrapping_add_signed((*elapsed).into());
                let source = [*kind, kind / 16, 1, *connection];
                let checksum = crc32c(payload) ^ u32::from(*is_damaged);
                let len = payload.len() as u32;
                let head = RecordHead::from_parts(recv_unix_ns, len, source, checksum);
                body.extend_from_slice(&head.to_bytes());
                body.extend_from_slice(payload);
            }
            Part::Bytes(bytes) => body.extend_from_slice(bytes),
        }
    }
    body
}

/// Packets of few instruments, most of whose numbers are near each other.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![
        8 => prop::sample::select(vec![8_usize, 28, 32, 44, 184, 184, 184]),
        1 => 0..200_usize,
    ];
    let number =
        prop_oneof![4 => 0..4_u32, 2 => (0..40_u32).prop_map(|n| n * 75), 1 => any::<u32>()];
    (len, 0..3_u32, vec_of(number, 50)).prop_map(|(len, token, numbers)| {
        let numbers = [token].into_iter().chain(numbers);
        let mut bytes: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
        bytes.truncate(len);
        bytes
    })
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let declared = prop_oneof![4 => Just(None), 1 => (0..9_u16).prop_map(Some)];
    (vec_of(packet(), 0..6), declared, vec_of(any::<u8>(), 0..3), 0..3_u8).prop_map(
        |(packets, declared, tail, is_cut)| {
            let mut frame = declared.unwrap_or(packets.len() as u16).to_be_bytes().to_vec();
            for packet in packets {
                frame.extend_from_slice(&(packet.len() as u16).to_be_bytes());
                frame.extend_from_slice(&packet);
            }
            if is_cut == 0 {
                frame.extend_from_slice(&tail);
            }
            frame
        },
    )
}

fn part() -> impl Strategy<Value = Part> {
    let payload = prop_oneof![3 => frame(), 1 => vec_of(any::<u8>(), 0..700)];
    let kind = prop_oneof![8 => Just(1_u8), 1 => any::<u8>()];
    let record = (any::<i32>(), kind, 0..3_u8, payload, 0..9_u8).prop_map(
        |(elapsed, kind, connection, payload, damage)| Part::Record {
            elapsed,
            kind,
            connection,
            payload,
            is_damaged: damage == 0,
        },
    );
    prop_oneof![40 => record, 1 => vec_of(any::<u8>(), 0..40).prop_map(Part::Bytes)]
}

proptest! {
    #[test]
    fn any_records_come_back_byte_for_byte(parts in vec_of(part(), 0..30)) {
        let body = body(&parts);
        let columns = encode(&body);
        prop_assert_eq!(decode(&columns, body.len()), Ok(body.clone()));
        // An encoder that has been used before writes the same.
        let (mut encoder, mut again) = (ColumnsEncoder::new(), Vec::new());
        encoder.encode(&body, &mut again).unwrap();
        encoder.encode(&body, &mut again).unwrap();
        prop_assert_eq!(again, columns);
    }

    #[test]
    fn any_bytes_come_back(body in vec_of(any::<u8>(), 0..300)) {
        prop_assert_eq!(decode(&encode(&body), body.len()), Ok(body));
    }

    #[test]
    fn damaged_columns_are_an_error_or_other_records(
        parts in vec_of(part(), 1..8),
        at in any::<prop::sample::Index>(),
        bytes in vec_of(any::<u8>(), 1..5),
        other_len in 0..5_000_usize,
    ) {
        let body = body(&parts);
        let mut columns = encode(&body);
        prop_assert!(decode(&columns, other_len).is_err() || other_len == body.len());
        let at = at.index(columns.len());
        for (column, byte) in columns[at..].iter_mut().zip(bytes) {
            *column = byte;
        }
        let _ = decode(&columns, body.len());
        columns.truncate(at);
        prop_assert!(decode(&columns, body.len()).is_err());
    }

    #[test]
    fn arbitrary_columns_do_not_panic(columns in vec_of(0..6_u8, 0..600), len in 0..5_000_usize) {
        let _ = decode(&columns, len);
    }
}

/// A full packet whose fields all differ.
fn full(token: u32, last: u32) -> Vec<u8> {
    let numbers = (0..44).map(|n| 75 * (n + 1));
    [token, last].into_iter().chain(numbers).flat_map(u32::to_be_bytes).collect()
}

fn record(recv_unix_ns: u64, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = (packets.len() as u16).to_be_bytes().to_vec();
    for packet in packets {
        frame.extend_from_slice(&(packet.len() as u16).to_be_bytes());
        frame.extend_from_slice(packet);
    }
    let received = Received { recv_unix_ns, source: Source { account: 0, connection: 1 } };
    let checksum = crc32c(&frame);
    let head = RecordHead::new(received, RecordKind::Binary, frame.len() as u32, checksum);
    [head.to_bytes().as_slice(), &frame].concat()
}

/// With 1,000 packets, the lengths of the columns are the smaller part.
#[test]
fn a_packet_that_is_as_expected_takes_a_byte_for_its_place_and_one_for_each_group() {
    let packets: Vec<_> = (0..10).map(|n| full(256 * n + 1, 5_000)).collect();
    let body: Vec<u8> =
        (0..100).flat_map(|second| record(second * 1_000_000_000, &packets)).collect();
    let columns = encode(&body);
    assert!(columns.len() < 1_000 * 5 + 100 * 20 + 10 * 184 + 212, "{}", columns.len());
    assert_eq!(decode(&columns, body.len()), Ok(body));
}

#[test]
fn a_unit_that_no_longer_divides_is_given_up() {
    let mut odd = full(1, 100);
    odd[11] += 1;
    let body = [vec![full(1, 100)], vec![odd], vec![full(1, 105)]]
        .iter()
        .enumerate()
        .flat_map(|(second, packets)| record(second as u64, packets))
        .collect::<Vec<u8>>();
    assert_eq!(decode(&encode(&body), body.len()), Ok(body));
}

/// Sources and instruments beyond the limits are kept as they are, and a reader refuses more.
#[test]
fn limits_of_sources_and_instruments_lose_nothing() {
    let sources: Vec<Part> = (0..2 * MAX_SOURCES)
        .map(|n| Part::Record {
            elapsed: 1,
            kind: (n / 256) as u8,
            connection: n as u8,
            payload: vec![7],
            is_damaged: false,
        })
        .collect();
    let body_of_sources = body(&sources);
    let columns = encode(&body_of_sources);
    assert_eq!(decode(&columns, body_of_sources.len()), Ok(body_of_sources));

    let packets: Vec<Vec<u8>> =
        (0..60_000_u32).map(|token| [token, 1].map(u32::to_be_bytes).concat()).collect();
    let mut others = packets.clone();
    others.iter_mut().for_each(|it| it[0] = 1);
    let mut more = packets.clone();
    more.iter_mut().for_each(|it| it[0] = 2);
    let body = [record(1, &packets), record(2, &others), record(3, &more)].concat();
    assert_eq!(decode(&encode(&body), body.len()), Ok(body));
}

#[test]
fn a_body_beyond_the_limit_is_an_error() {
    let body = vec![0; MAX_COLUMNS_BODY_LEN + 1];
    let error = ColumnsEncoder::new().encode(&body, &mut Vec::new());
    assert!(error.is_err());
}

/// The columns of a body that uses every field, so that the format does not change unnoticed.
#[test]
fn the_columns_of_known_records_are_those_of_version_1_1() {
    let mut body = Vec::new();
    let mut state = 1_u32;
    for second in 0..40_u64 {
        let packets: Vec<Vec<u8>> = [8, 28, 32, 44, 184, 184, 100]
            .into_iter()
            .enumerate()
            .map(|(n, len)| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let mut packet = full(256 * n as u32 + 1, 5_000 + 5 * (state >> 29));
                for at in (11..184).step_by(4) {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if state >> 30 == 0 {
                        packet[at] ^= (state >> 20) as u8;
                    }
                }
                packet.truncate(len);
                packet
            })
            .collect();
        body.extend(record(1_767_585_600_000_000_000 + second * 500_000_000, &packets));
    }
    let columns = encode(&body);
    assert_eq!((body.len(), columns.len(), crc32c(&columns)), (24_800, 11_208, 2_224_740_670));
}
