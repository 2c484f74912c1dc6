//! Damaged tapes. Only what is damaged is lost, nothing is invented, and all damage is reported.

use std::vec::Vec;

use super::super::layout::RecordHead;
use super::*;

#[test]
fn every_flipped_bit_harms_only_its_own_block_and_is_reported() {
    let model = small();
    let written: Vec<Owned> = model.records().cloned().collect();
    for bit in 0..model.bytes.len() * 8 {
        let (at, mut bytes) = (bit / 8, model.bytes.clone());
        bytes[at] ^= 1 << (bit % 8);
        if let Err(error) = Tape::open(&bytes) {
            assert!(at < FILE_HEADER_LEN, "{error}");
            continue;
        }
        let (records, skips, ending, tally) = read(&bytes);
        assert!(is_subsequence(&records, &written), "byte {at}: nothing was invented");
        let mut others = Vec::new();
        for (block, (start, end)) in model.blocks.iter().zip(&model.extents) {
            if !(*start..*end).contains(&at) {
                others.extend_from_slice(&block.records);
            }
        }
        assert!(is_subsequence(&others, &records), "byte {at}: other blocks are whole");
        let lost = (written.len() - records.len()) as u64;
        assert!(tally.records_lost <= lost, "byte {at}: {tally:?}");
        if at < model.header_len {
            assert!(Tape::open(&bytes).unwrap().metadata().is_err());
        } else {
            let is_reported =
                !skips.is_empty() || matches!(ending, Ending::Torn { bytes: 1.., .. });
            assert!(is_reported, "byte {at}: {ending:?}");
        }
    }
}

#[test]
fn a_damaged_payload_costs_one_record_and_a_damaged_header_the_rest_of_a_block() {
    let model = small();
    let header = model.extents[0].0 + BLOCK_HEADER_LEN;
    let mut bytes = model.bytes.clone();
    bytes[header + RECORD_HEADER_LEN] ^= 1;
    let (records, skips, _, _) = read(&bytes);
    assert_eq!(records.len(), 6);
    let &[Skipped { from, to, records: Some(1), why: SkipReason::Payload { .. } }] = &skips[..]
    else {
        panic!("{skips:?}")
    };
    assert_eq!((from, to), (header, header + RECORD_HEADER_LEN + 1));

    let mut bytes = model.bytes.clone();
    bytes[header] ^= 1;
    let (records, skips, _, _) = read(&bytes);
    assert_eq!(records.len(), 4);
    let (from, to, why) = (header, model.extents[0].1, SkipReason::RecordHeader);
    assert_eq!(skips, [Skipped { from, to, records: Some(3), why }]);

    let (from, to) = model.extents[1];
    let mut bytes = model.bytes.clone();
    bytes[from] ^= 1;
    let (records, skips, _, _) = read(&bytes);
    assert_eq!(records.len(), 5);
    let why = SkipReason::BlockHeader;
    assert_eq!(skips, [Skipped { from, to, records: None, why }], "reported once");
}

#[test]
fn a_damaged_last_record_is_not_a_torn_tail() {
    let records = std::vec![owned(1, RecordKind::Text, b"")];
    let model = Model::write(b"", std::vec![Written { records, is_sealed: false }]);
    let at = model.bytes.len() - RECORD_HEADER_LEN;
    let mut bytes = model.bytes.clone();
    bytes[at] ^= 2;
    let (records, skips, ending, _) = read(&bytes);
    assert!(records.is_empty());
    let (to, why) = (bytes.len(), SkipReason::RecordHeader);
    assert_eq!(skips, [Skipped { from: at, to, records: None, why }]);
    assert_eq!(ending, Ending::Damaged { at, bytes: RECORD_HEADER_LEN });
}

#[test]
fn a_block_of_another_tape_is_not_read_as_one_of_this() {
    let model = small();
    let mut bytes = model.bytes.clone();
    let end = model.extents[2].0;
    bytes[end] ^= 1;
    let mut room = [0; 200];
    let mut block = BlockBuffer::new(&mut room, ID + 1, 3).unwrap();
    block.push(owned(0, RecordKind::Text, b"").received, RecordKind::Text, b"foreign").unwrap();
    let foreign = block.finish();
    bytes.splice(end..end, foreign.iter().copied());
    let (records, skips, _, _) = read(&bytes);
    assert!(records.iter().eq(model.records()));
    let (from, to) = (end, model.extents[3].0 + foreign.len());
    assert_eq!(skips, [Skipped { from, to, records: None, why: SkipReason::BlockHeader }]);
}

/// The tape id is chosen so that the header of block 1 is also the intact header of a record with
/// ten bytes.
#[test]
fn a_block_header_that_reads_as_a_record_is_still_a_block_header() {
    let tape_id = 0x3bb1_fefd_0000_000a;
    let header = TapeHeader { created_unix_ns: 0, tape_id, metadata: b"" };
    let mut bytes = header.head().unwrap().to_vec();
    let record = owned(3, RecordKind::Text, b"text");
    for sequence in 0..2 {
        let mut encoder = BlockEncoder::new(tape_id, sequence);
        bytes.extend_from_slice(&encoder.opening());
        let head = encoder.record(record.received, record.kind, &record.payload).unwrap();
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&record.payload);
    }
    assert!(RecordHead::read(&BlockEncoder::new(tape_id, 1).opening()).is_some());
    let (records, skips, _, _) = read(&bytes);
    assert_eq!(records, [record.clone(), record]);
    assert_eq!(skips, []);
}

#[test]
fn damage_at_the_end_is_kept_when_a_writer_continues() {
    let model = small();
    let mut bytes = model.bytes.clone();
    let start = model.extents[3].0 + BLOCK_HEADER_LEN;
    bytes[start] ^= 1;
    let (_, _, ending, _) = read(&bytes);
    assert_eq!(ending, Ending::Damaged { at: start, bytes: bytes.len() - start });
    let more = owned(99, RecordKind::Event, b"resumed");
    let resumed = resume(&bytes, &more);
    assert_eq!(resumed[start..bytes.len()], bytes[start..]);
    let (records, skips, ending, _) = read(&resumed);
    assert_eq!((records.last(), skips.len()), (Some(&more), 1));
    assert!(matches!(ending, Ending::Clean { .. }));
}

#[test]
fn lost_and_repeated_blocks_are_reported() {
    let model = small();
    let (start, end) = model.extents[1];
    let mut bytes = model.bytes.clone();
    bytes.drain(start..end);
    let (records, skips, _, _) = read(&bytes);
    assert_eq!(records.len(), 5);
    let why = SkipReason::BlockSequence { expected: 1, found: 2 };
    assert_eq!(skips, [Skipped { from: start, to: start, records: None, why }]);
}

#[test]
fn a_block_that_the_next_one_cuts_short_is_reported() {
    let model = small();
    let (cut, end) = (model.ends[1], model.ends[2]);
    let mut bytes = model.bytes[..model.extents[2].1].to_vec();
    bytes.drain(cut..end);
    // Without the blocks after it, the first block would end after the end of the tape.
    bytes.drain(cut..cut + model.extents[1].1 - model.extents[1].0);
    let first = model.extents[0].0;
    let mut longer = BlockEncoder::new(ID, 0);
    for Owned { received, kind, payload } in &model.blocks[0].records[..2] {
        longer.record(*received, *kind, payload).unwrap();
    }
    longer
        .record(owned(12, RecordKind::Binary, b"").received, RecordKind::Text, &[0; 500])
        .unwrap();
    bytes[first..first + BLOCK_HEADER_LEN].copy_from_slice(&longer.seal());
    let (records, skips, ending, _) = read(&bytes);
    assert!(records.iter().eq(model.records().take(2)));
    let (from, to) = (cut, cut);
    let why = SkipReason::BlockSequence { expected: 1, found: 2 };
    let cut_short = Skipped { from, to, records: Some(1), why: SkipReason::BlockCut };
    assert_eq!(skips, [cut_short, Skipped { from, to, records: None, why }]);
    assert_eq!(ending, Ending::Clean { at: bytes.len() });

    bytes.splice(cut..cut, [0xee; 30]);
    let (_, skips, _, _) = read(&bytes);
    let (to, why) = (cut + 30, SkipReason::RecordHeader);
    assert_eq!(skips, [Skipped { from, to, records: Some(1), why }], "reported once");
}
