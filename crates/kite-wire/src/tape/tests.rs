//! Whole and truncated tapes: written records read back, and a writer can continue them.

mod arbitrary;
mod damage;

use std::vec::Vec;

use super::checksum::{crc32c, work};
use super::layout::{BLOCK_MAGIC, SEAL_AT};
use super::*;

const ID: u64 = 0x0123_4567_89ab_cdef;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    received: Received,
    kind: RecordKind,
    payload: Vec<u8>,
}

impl From<Record<'_>> for Owned {
    fn from(record: Record<'_>) -> Self {
        let received = Received { recv_unix_ns: record.recv_unix_ns(), source: record.source() };
        Self { received, kind: record.kind(), payload: record.payload().to_vec() }
    }
}

#[derive(Debug, Clone)]
struct Written {
    records: Vec<Owned>,
    is_sealed: bool,
}

/// A tape, and where its parts end.
#[derive(Debug, Clone)]
struct Model {
    bytes: Vec<u8>,
    blocks: Vec<Written>,
    header_len: usize,
    /// Start and end of each block.
    extents: Vec<(usize, usize)>,
    /// End of each record, across all blocks.
    ends: Vec<usize>,
}

impl Model {
    fn write(metadata: &[u8], blocks: Vec<Written>) -> Self {
        let header = TapeHeader { created_unix_ns: 5, tape_id: ID, metadata };
        let mut bytes = std::vec![0; header.encoded_len()];
        assert_eq!(header.encode(&mut bytes), Ok(bytes.len()));
        let header_len = bytes.len();
        let (mut extents, mut ends) = (Vec::new(), Vec::new());
        for (sequence, block) in blocks.iter().enumerate() {
            let start = bytes.len();
            let mut encoder = BlockEncoder::new(ID, sequence as u32);
            bytes.extend_from_slice(&encoder.opening());
            for Owned { received, kind, payload } in &block.records {
                bytes.extend_from_slice(&encoder.record(*received, *kind, payload).unwrap());
                bytes.extend_from_slice(payload);
                ends.push(bytes.len());
            }
            assert_eq!(bytes.len() - start, BLOCK_HEADER_LEN + encoder.body_len());
            if block.is_sealed {
                bytes[start..start + BLOCK_HEADER_LEN].copy_from_slice(&encoder.seal());
            }
            extents.push((start, bytes.len()));
        }
        Self { bytes, blocks, header_len, extents, ends }
    }

    fn records(&self) -> impl Iterator<Item = &Owned> {
        self.blocks.iter().flat_map(|block| &block.records)
    }
}

fn owned(recv_unix_ns: u64, kind: RecordKind, payload: &[u8]) -> Owned {
    let source = Source { account: 1, connection: 2 };
    Owned { received: Received { recv_unix_ns, source }, kind, payload: payload.to_vec() }
}

/// Four blocks, of which the second and the last are open, one is empty and one starts earlier than
/// the one before it.
fn small() -> Model {
    use RecordKind::{Binary, Event, Text};
    let gap = Gap { reason: GapReason::Lagged, from_unix_ns: 1, to_unix_ns: 2, frames: Some(3) };
    let blocks = [
        (true, std::vec![owned(11, Binary, &[7]), owned(12, Text, b"{}"), owned(10, Binary, b"")]),
        (
            false,
            std::vec![owned(20, RecordKind::Gap, &gap.to_bytes()), owned(21, Event, b"up\xff")],
        ),
        (true, std::vec![]),
        (false, std::vec![owned(19, Binary, &[1; 9]), owned(30, Binary, &[0, 1, 2])]),
    ];
    let blocks = blocks.map(|(is_sealed, records)| Written { records, is_sealed });
    Model::write(b"{\"feed\":1}", blocks.to_vec())
}

/// Reads to the end and checks what a reader guarantees for any bytes.
fn read(bytes: &[u8]) -> (Vec<Owned>, Vec<Skipped>, Ending, Tally) {
    let mut records = Tape::open(bytes).expect("the header is intact").records();
    let (mut good, mut skips, mut at) = (Vec::new(), Vec::new(), 0);
    for item in records.by_ref() {
        let from = match item {
            Ok(record) => {
                good.push(record.into());
                record.offset()
            }
            Err(skipped) => {
                skips.push(skipped);
                assert!(skipped.from <= skipped.to && skipped.to <= bytes.len(), "{skipped:?}");
                skipped.from
            }
        };
        assert!(at <= from, "reading goes forwards");
        at = from;
    }
    assert!(records.next().is_none());
    let (ending, tally) = (records.ending().expect("the end was reached"), records.tally());
    assert_eq!((tally.records, tally.skips), (good.len() as u64, skips.len() as u64));
    match ending {
        Ending::Clean { at } => assert_eq!(at, bytes.len()),
        Ending::Torn { at, bytes: left, .. } | Ending::Damaged { at, bytes: left } => {
            assert_eq!(at + left, bytes.len());
        }
    }
    assert_eq!(Tape::open(bytes).unwrap().valid_prefix_len(), ending.at());
    (good, skips, ending, tally)
}

/// Continues a tape as a writer does after a crash.
fn resume(bytes: &[u8], more: &Owned) -> Vec<u8> {
    let tape = Tape::open(bytes).unwrap();
    let resume = tape.resume();
    let mut bytes = bytes.to_vec();
    for Seal { offset, header } in tape.seals() {
        bytes[offset..offset + header.len()].copy_from_slice(&header);
    }
    bytes.resize(resume.append_at + BLOCK_HEADER_LEN + record_len(more.payload.len()), 0);
    let room = &mut bytes[resume.append_at..];
    let mut block = BlockBuffer::new(room, ID, resume.next_sequence).unwrap();
    block.push(more.received, more.kind, &more.payload).unwrap();
    assert_eq!(block.finish().len(), bytes.len() - resume.append_at);
    bytes
}

fn is_subsequence(part: &[Owned], whole: &[Owned]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|record| whole.any(|written| written == record))
}

#[test]
fn written_records_are_read_back() {
    let model = small();
    let (records, skips, ending, _) = read(&model.bytes);
    assert!(records.iter().eq(model.records()));
    assert_eq!(skips, []);
    let at = model.bytes.len();
    let tear = Tear::OpenBlock;
    assert_eq!(ending, Ending::Torn { at, bytes: 0, records_lost: None, tear });

    let tape = Tape::open(&model.bytes).unwrap();
    assert_eq!(tape.metadata(), Ok(&b"{\"feed\":1}"[..]));
    assert_eq!((tape.version(), tape.created_unix_ns(), tape.tape_id()), ((1, 0), 5, ID));
    let gap = tape.records().flatten().find_map(|record| record.gap()).unwrap();
    assert_eq!((gap.reason, gap.frames), (GapReason::Lagged, Some(3)));
    assert!(tape.records().flatten().nth(1).unwrap().text().unwrap().is_ok());
    assert!(tape.records().flatten().nth(4).unwrap().text().unwrap().is_err());
    assert!(tape.records().flatten().next().unwrap().frame().unwrap().is_heartbeat());
    let spans = tape.blocks().flatten().map(|b| (b.earliest_unix_ns(), b.latest_unix_ns()));
    assert!(spans.eq([(10, 12), (20, 21), (0, 0), (19, 30)]));
}

#[test]
fn every_truncated_tape_keeps_its_complete_records_and_can_be_continued() {
    let model = small();
    let clean = |cut| {
        let sealed = model.blocks.iter().zip(&model.extents).filter(|(block, _)| block.is_sealed);
        cut == model.header_len || sealed.map(|(_, extent)| extent.1).any(|end| end == cut)
    };
    let mut boundaries = model.ends.clone();
    boundaries.push(model.header_len);
    boundaries.extend(model.extents.iter().map(|(start, _)| start + BLOCK_HEADER_LEN));
    boundaries.sort_unstable();

    for cut in 0..=model.bytes.len() {
        let bytes = &model.bytes[..cut];
        match Tape::open(bytes) {
            Ok(_) => assert!(cut >= model.header_len),
            Err(error) => {
                let needed = if cut < 40 { 40 } else { model.header_len };
                let cut_error = TapeError::HeaderCut { needed, found: cut };
                assert_eq!(error, if cut == 0 { TapeError::Empty } else { cut_error });
                continue;
            }
        }
        let complete = model.ends.iter().filter(|end| **end <= cut).count();
        let expected: Vec<Owned> = model.records().take(complete).cloned().collect();
        let (records, skips, ending, _) = read(bytes);
        assert_eq!((&records, &skips[..]), (&expected, &[][..]), "cut at {cut}");
        let boundary = boundaries.iter().rev().find(|boundary| **boundary <= cut).unwrap();
        assert_eq!(ending.at(), *boundary, "cut at {cut}");
        assert_eq!(matches!(ending, Ending::Clean { .. }), clean(cut), "cut at {cut}: {ending:?}");
        assert!(!matches!(ending, Ending::Damaged { .. }), "cut at {cut}: {ending:?}");
        if let Ending::Torn { records_lost: Some(lost), .. } = ending {
            assert_eq!(complete + lost as usize, 3, "the first block is sealed and has 3 records");
        }

        let more = owned(99, RecordKind::Event, b"resumed");
        let (records, skips, ending, _) = read(&resume(bytes, &more));
        assert_eq!(records.split_last(), Some((&more, &expected[..])), "cut at {cut}");
        assert_eq!(skips, [], "cut at {cut}");
        assert!(matches!(ending, Ending::Clean { .. }), "cut at {cut}");
    }
}

#[test]
fn every_cut_of_a_preallocated_file_is_a_torn_tail() {
    let model = small();
    for cut in model.header_len..=model.bytes.len() {
        let mut bytes = model.bytes[..cut].to_vec();
        bytes.extend_from_slice(&[0; 100]);
        let (records, skips, ending, _) = read(&bytes);
        let complete = model.ends.iter().filter(|end| **end <= cut).count();
        assert!(records.len() >= complete, "cut at {cut}");
        assert!(records.iter().zip(model.records()).all(|(read, written)| read == written));
        assert!(skips.iter().all(|skipped| skipped.why == SkipReason::BlockSeal), "{skips:?}");
        assert!(matches!(ending, Ending::Torn { .. }), "cut at {cut}: {ending:?}");
    }
}

#[test]
fn seeking_returns_the_first_record_at_or_after_a_time_and_all_that_follow() {
    let model = small();
    let tape = Tape::open(&model.bytes).unwrap();
    for time in 0..40 {
        let expected = model.records().skip_while(|record| record.received.recv_unix_ns < time);
        let found = tape.seek(time).map(|record| Owned::from(record.unwrap()));
        assert!(found.eq(expected.cloned()), "from {time} on");
    }
}

#[test]
fn a_damaged_record_does_not_end_the_search_for_a_time() {
    let records = [10, 30, 20, 31].map(|time| owned(time, RecordKind::Binary, &[1]));
    let mut model =
        Model::write(b"", std::vec![Written { records: records.to_vec(), is_sealed: true }]);
    model.bytes[model.ends[1] - 1] ^= 1;
    let tape = Tape::open(&model.bytes).unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = tape.seek(25).partition(Result::is_ok);
    assert_eq!((good.len(), good[0].unwrap().recv_unix_ns(), bad.len()), (1, 31, 1));
}

#[test]
fn seeking_reads_no_record_of_sealed_blocks_before_the_time() {
    let block = |n: u64| {
        let records = (0..50).map(|i| owned(n * 100 + i, RecordKind::Binary, &[1; 500]));
        Written { records: records.collect(), is_sealed: true }
    };
    let model = Model::write(b"", (0..20).map(block).collect());
    let tape = Tape::open(&model.bytes).unwrap();
    work::take();
    assert_eq!(tape.seek(1_900).next().unwrap().unwrap().recv_unix_ns(), 1_900);
    assert!(work::take() < 20 * 3 * BLOCK_HEADER_LEN + 1_000);
    assert_eq!(tape.seek(u64::MAX).count(), 0);
    assert!(work::take() < 20 * 3 * BLOCK_HEADER_LEN + 1_000);
}

#[test]
fn records_of_unknown_kinds_are_ignored_and_counted() {
    let model = small();
    let mut bytes = model.bytes.clone();
    let header = model.extents[0].0 + BLOCK_HEADER_LEN;
    bytes[header + 12] = 200;
    let crc = crc32c(&bytes[header..header + 20]);
    bytes[header + 20..header + 24].copy_from_slice(&crc.to_le_bytes());
    let (records, skips, _, tally) = read(&bytes);
    assert_eq!((records.len(), skips.len(), tally.unknown_kinds), (6, 0, 1));
}

#[test]
fn a_compressed_block_is_returned_as_stored_and_read_from_its_decoded_bytes() {
    let mut encoder = BlockEncoder::new(ID, 0);
    let record = owned(3, RecordKind::Binary, &[1, 2, 3]);
    let mut raw = encoder.record(record.received, record.kind, &record.payload).unwrap().to_vec();
    raw.extend_from_slice(&record.payload);
    let stored: Vec<u8> = raw.iter().map(|byte| !byte).collect();
    let mut bytes = Model::write(b"", std::vec![]).bytes;
    let start = bytes.len();
    bytes.extend_from_slice(&encoder.seal_compressed(CODEC_ZSTD, &stored).unwrap());
    bytes.extend_from_slice(&stored);

    let (records, skips, ending, _) = read(&bytes);
    let (to, why) = (bytes.len(), SkipReason::Codec { codec: CODEC_ZSTD });
    assert_eq!(skips, [Skipped { from: start, to, records: Some(1), why }]);
    assert!(records.is_empty() && ending == Ending::Clean { at: to });

    let block = Tape::open(&bytes).unwrap().blocks().next().unwrap().unwrap();
    assert!(block.is_stored_intact());
    assert_eq!((block.stored(), block.raw_len() as usize), (&stored[..], raw.len()));
    let decoded: Vec<Owned> = block.decoded(&raw).map(|record| record.unwrap().into()).collect();
    assert_eq!(decoded, [record]);
    assert_eq!(block.decoded(&[]).next().unwrap().unwrap_err().records, Some(1));

    bytes[start + SEAL_AT] ^= 1;
    let (_, skips, ending, _) = read(&bytes);
    let why = SkipReason::CompressedBlock;
    assert_eq!(skips, [Skipped { from: start, to, records: None, why }]);
    assert_eq!(ending, Ending::Damaged { at: start, bytes: to - start });
    bytes[start + SEAL_AT] ^= 1;

    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(!Tape::open(&bytes).unwrap().blocks().next().unwrap().unwrap().is_stored_intact());
    for cut in start + 1..bytes.len() {
        let (_, skips, ending, _) = read(&bytes[..cut]);
        assert_eq!(skips, []);
        assert!(matches!(ending, Ending::Torn { at, .. } if at == start), "cut at {cut}");
    }
}

#[test]
fn foreign_bytes_and_other_versions_are_rejected() {
    let refusal = |bytes: &[u8]| Tape::open(bytes).unwrap_err();
    assert_eq!(refusal(b""), TapeError::Empty);
    assert_eq!(refusal(b"RIFF"), TapeError::ForeignMagic { found: *b"RIFF\0\0\0\0" });
    let mut bytes = small().bytes;
    bytes[8] = 2;
    assert_eq!(refusal(&bytes[..12]), TapeError::UnsupportedVersion { major: 2, minor: 0 });
    bytes[8] = 1;
    bytes[10] = 9;
    assert!(matches!(refusal(&bytes), TapeError::HeaderChecksum { .. }));
    let crc = crc32c(&bytes[..36]);
    bytes[36..40].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Tape::open(&bytes).unwrap().version(), (1, 9), "a later minor version is read");
}

#[test]
fn a_tape_with_columns_is_of_version_1_1() {
    let header = TapeHeader { created_unix_ns: 3, tape_id: ID, metadata: b"" };
    let mut bytes = header.head_with_columns().unwrap();
    assert_eq!(Tape::open(&bytes).unwrap().version(), (1, 1));
    bytes[8] = 7;
    let damaged = Tape::open(&bytes).unwrap_err();
    assert!(matches!(damaged, TapeError::HeaderChecksum { .. }), "damage, not a later version");
    let head = header.head().unwrap();
    assert_eq!(Tape::open(&head).unwrap().version(), (1, 0), "others stay of version 1.0");
}

#[test]
fn exceeding_a_limit_is_an_error_and_changes_nothing() {
    let metadata = std::vec![0; MAX_METADATA_LEN + 1];
    let header = TapeHeader { created_unix_ns: 0, tape_id: ID, metadata: &metadata };
    let length = metadata.len();
    assert_eq!(header.head(), Err(TapeWriteError::MetadataTooLong { length }));
    let header = TapeHeader { metadata: b"ab", ..header };
    let full = TapeWriteError::BufferFull { needed: 42, free: 41 };
    assert_eq!(header.encode(&mut [0; 41]), Err(full));

    let Owned { received, kind, .. } = owned(1, RecordKind::Binary, b"");
    let mut encoder = BlockEncoder::new(ID, 0);
    let payload = std::vec![0; MAX_PAYLOAD_LEN + 1];
    let refused = TapeWriteError::PayloadTooLong { length: payload.len() };
    assert_eq!(encoder.record(received, kind, &payload), Err(refused));
    for _ in 0..3 {
        encoder.record(received, kind, &payload[1..]).unwrap();
    }
    let (needed, used) = (record_len(MAX_PAYLOAD_LEN), 3 * record_len(MAX_PAYLOAD_LEN));
    let refused = TapeWriteError::BlockFull { needed, used };
    assert_eq!(encoder.record(received, kind, &payload[1..]), Err(refused));
    assert_eq!((encoder.records(), encoder.body_len()), (3, used));

    let mut buffer = [0; BLOCK_HEADER_LEN + 30];
    assert!(BlockBuffer::new(&mut buffer[1..BLOCK_HEADER_LEN], ID, 0).is_err());
    let mut block = BlockBuffer::new(&mut buffer, ID, 0).unwrap();
    block.push(received, kind, &[1; 6]).unwrap();
    let full = TapeWriteError::BufferFull { needed: 24, free: 0 };
    assert_eq!(block.push(received, kind, b""), Err(full));
    assert_eq!((block.encoder().records(), block.body().len()), (1, 30));
}

#[test]
fn compressed_bytes_are_not_sealed_as_stored_ones() {
    let mut encoder = BlockEncoder::new(ID, 0);
    let Owned { received, kind, payload } = owned(1, RecordKind::Binary, b"abc");
    encoder.record(received, kind, &payload).unwrap();
    let refused = Err(TapeWriteError::NotACompression);
    assert_eq!(encoder.seal_compressed(CODEC_STORED, b"xyz"), refused);
    assert!(encoder.seal_compressed(CODEC_ZSTD, b"xyz").is_ok());
}

#[test]
fn hostile_tapes_take_linear_time() {
    let header = Model::write(b"", std::vec![]).bytes;
    let opening = BlockEncoder::new(ID, 0).opening();
    let mut blank_tail = opening.to_vec();
    let zero_ended = owned(1, RecordKind::Binary, &[1, 0]);
    let record = BlockEncoder::new(ID, 0).record(zero_ended.received, zero_ended.kind, &[2, 0]);
    blank_tail.extend_from_slice(&record.unwrap());
    blank_tail.extend_from_slice(&zero_ended.payload);
    let mut damaged_seal = opening.to_vec();
    damaged_seal[SEAL_AT] = 1;
    let mut long = BlockEncoder::new(ID, 0);
    long.record(zero_ended.received, zero_ended.kind, &[0; MAX_PAYLOAD_LEN]).unwrap();
    let beyond_the_end = long.seal();
    for piece in
        [&opening[..], &opening[..28], &BLOCK_MAGIC, &blank_tail, &damaged_seal, &beyond_the_end]
    {
        let mut bytes = header.clone();
        bytes.extend(piece.repeat(5_000));
        bytes.extend(std::vec![0; 1 << 20]);
        work::take();
        let tape = Tape::open(&bytes).unwrap();
        tape.records().for_each(drop);
        assert!(work::take() <= 12 * bytes.len(), "pieces of {} bytes", piece.len());
    }
}
