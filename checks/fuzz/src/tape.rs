//! A tape of arbitrary bytes: nothing panics, reading moves forwards and reports how the tape ends,
//! and a writer can continue it without losing what was read.

use kite_wire::tape::{
    BlockBuffer, BlockEncoder, Ending, FILE_HEADER_LEN, Received, Record, RecordKind, Seal,
    SkipReason, Skipped, Source, Tape, TapeHeader, record_len,
};

const ID: u64 = u64::from_le_bytes(*b"fuzztape");
const LAST: &[u8] = b"resumed";
const CUT_SHORT: SkipReason = SkipReason::CompressedBlock;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    if let Ok(tape) = Tape::recover(bytes) {
        check_tape(tape);
    }
    check_blocks(bytes);
    let blocks = assemble(bytes);
    check_blocks(&blocks);
    check_without_header(&blocks);
    round_trip(bytes);
}

/// Checks a tape with a valid header whose blocks are these bytes.
fn check_blocks(blocks: &[u8]) {
    let header = TapeHeader { created_unix_ns: 0, tape_id: ID, metadata: b"" };
    let mut file = header.head().expect("no metadata").to_vec();
    file.extend_from_slice(blocks);
    let tape = Tape::open(&file).expect("a header without metadata");
    check_tape(tape);

    let resumed = resume(&file);
    let records = read(Tape::open(&resumed).expect("the header stays"));
    let (last, before) = records.split_last().expect("one record was written");
    assert_eq!(last.payload(), LAST);
    // No writer leaves a truncated compressed block that is followed by another block.
    if !tape.records().any(|item| item.is_err_and(|skipped| skipped.why == CUT_SHORT)) {
        assert_eq!(before, read(tape), "continuing loses nothing and adds nothing");
    }
}

/// Checks that a tape with a damaged header is read by its blocks.
fn check_without_header(blocks: &[u8]) {
    let header = TapeHeader { created_unix_ns: 0, tape_id: ID, metadata: b"" };
    let mut file = header.head().expect("no metadata").to_vec();
    file.extend_from_slice(blocks);
    let mut damaged = file.clone();
    damaged[24] ^= 1;
    let intact = Tape::open(&file).expect("a header without metadata");
    match Tape::recover(&damaged) {
        Ok(tape) => {
            assert_eq!(read(tape), read(intact));
            let block = tape.header_damage().expect("a damaged header").to;
            assert_eq!(Tape::at_block(&damaged, block).map(read), Some(read(tape)));
        }
        Err(_) => assert_eq!(intact.blocks().flatten().count(), 0),
    }
}

/// Creates a sequence of parts with valid checksums, which random bytes would not have.
fn assemble(bytes: &[u8]) -> Vec<u8> {
    let mut parts = Vec::new();
    let mut bytes = bytes;
    while let Some((&[part, n, size], rest)) = bytes.split_first_chunk() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(size)));
        bytes = rest;
        let mut block = BlockEncoder::new(ID, u32::from(n));
        let received = Received { recv_unix_ns: u64::from(n), source: Source::RECORDER };
        let record = block.record(received, RecordKind::Binary, payload).expect("a short payload");
        match part % 8 {
            0 => parts.extend_from_slice(&block.opening()),
            1 => parts.extend_from_slice(&block.seal()),
            2 => parts.extend_from_slice(&BlockEncoder::new(ID, u32::from(n)).seal()),
            3 => {
                // Codec 0 means uncompressed and is rejected.
                if let Ok(seal) = block.seal_compressed(n, payload) {
                    parts.extend_from_slice(&seal);
                    parts.extend_from_slice(payload);
                }
            }
            4 => {
                parts.extend_from_slice(&record);
                parts.extend_from_slice(payload);
            }
            5 => parts.extend_from_slice(&record),
            6 => parts.resize(parts.len() + usize::from(n), 0),
            _ => parts.extend_from_slice(payload),
        }
    }
    parts
}

fn read(tape: Tape<'_>) -> Vec<Record<'_>> {
    tape.records().flatten().collect()
}

fn check_tape(tape: Tape<'_>) {
    let length = tape.as_bytes().len();
    let mut records = tape.records();
    let mut at = if tape.header_damage().is_some() { 0 } else { FILE_HEADER_LEN };
    for item in records.by_ref() {
        let (from, to) = match item {
            Ok(record) => {
                let _ = (record.gap(), record.text(), record.frame(), format!("{record:?}"));
                (record.offset(), record.offset() + record_len(record.payload().len()))
            }
            Err(Skipped { from, to, .. }) => (from, to),
        };
        assert!(at <= from && from <= to && to <= length, "forwards and within the tape");
        // A damaged seal lies before the records of its block, so `to` is not passed on for it.
        at = from;
    }
    let ending = records.ending().expect("the end was reached");
    match ending {
        Ending::Clean { at } => assert_eq!(at, length),
        Ending::Torn { at, bytes, .. } | Ending::Damaged { at, bytes } => {
            assert_eq!(at + bytes, length);
        }
        _ => unreachable!("a new ending needs a check"),
    }
    assert_eq!(tape.valid_prefix_len(), ending.at());
    let _ = (tape.metadata(), tape.version(), tape.created_unix_ns());

    for time in [1, 100, u64::MAX] {
        let first = tape.seek(time).flatten().next();
        assert!(first.is_none_or(|first| first.recv_unix_ns() >= time));
    }
}

/// Continues a tape as a writer does after a crash.
fn resume(file: &[u8]) -> Vec<u8> {
    let tape = Tape::open(file).expect("a header");
    let resume = tape.resume();
    let mut file = file.to_vec();
    for Seal { offset, header } in tape.seals() {
        file[offset..offset + header.len()].copy_from_slice(&header);
    }
    file.truncate(resume.append_at);
    let mut buffer = [0; 128];
    let mut block = BlockBuffer::new(&mut buffer, tape.tape_id(), resume.next_sequence)
        .expect("room for a header");
    let received = Received { recv_unix_ns: 1, source: Source::RECORDER };
    block.push(received, RecordKind::Event, LAST).expect("room for a record");
    file.extend_from_slice(block.finish());
    file
}

/// Writes the input as payloads, which must read back from the whole tape and a truncated one.
fn round_trip(bytes: &[u8]) {
    let mut buffer = vec![0; 64 + 2 * record_len(bytes.len())];
    let mut block = BlockBuffer::new(&mut buffer, ID, 0).expect("room for a header");
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    let received = Received { recv_unix_ns: 7, source: Source { account: 1, connection: 2 } };
    for (kind, payload) in [(RecordKind::Binary, head), (RecordKind::Text, tail)] {
        block.push(received, kind, payload).expect("room for two records");
    }
    let header = TapeHeader { created_unix_ns: 3, tape_id: ID, metadata: head };
    let mut file = header.head().expect("short metadata").to_vec();
    file.extend_from_slice(head);
    file.extend_from_slice(block.finish());
    let records = read(Tape::open(&file).expect("what was written"));
    assert!(records.iter().map(Record::payload).eq([head, tail]));
    file.pop();
    let cut = read(Tape::open(&file).expect("the header is whole"));
    assert!(cut.len() < 2 && cut.iter().all(|record| record.payload() == head));
}
