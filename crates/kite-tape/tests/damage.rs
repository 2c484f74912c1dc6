//! Damaged files cause clear errors and never affect intact blocks.

#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::error::Error as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use kite_tape::{Damage, DamageCause, OpenError, Reel, TapeFile};
use kite_wire::tape::{
    BlockEncoder, CODEC_ZSTD, Ending, Received, RecordKind, Source, TapeError, TapeHeader,
};

const TAPE_ID: u64 = 0x1122_3344_5566_7788;

/// A tape of four blocks with two records each, alternately stored and compressed, with the range
/// of each block.
fn tape() -> (Vec<u8>, Vec<Range<usize>>) {
    let header = TapeHeader { created_unix_ns: 1, tape_id: TAPE_ID, metadata: b"{}" };
    let mut bytes = vec![0; header.encoded_len()];
    header.encode(&mut bytes).unwrap();
    let mut blocks = Vec::new();
    for number in 0..4_u8 {
        let mut block = BlockEncoder::new(TAPE_ID, number.into());
        let mut body = Vec::new();
        for record in 0..2_u8 {
            let source = Source { account: 0, connection: 1 };
            let recv_unix_ns = u64::from(2 * number + record);
            let received = Received { recv_unix_ns, source };
            let payload = [2 * number + record; 20];
            body.extend(block.record(received, RecordKind::Binary, &payload).unwrap());
            body.extend(payload);
        }
        let start = bytes.len();
        if number % 2 == 0 {
            bytes.extend(block.seal());
        } else {
            body = zstd::bulk::compress(&body, 1).unwrap();
            bytes.extend(block.seal_compressed(CODEC_ZSTD, &body).unwrap());
        }
        bytes.extend(body);
        blocks.push(start..bytes.len());
    }
    (bytes, blocks)
}

fn write(directory: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join("a.ktape");
    fs::write(&path, bytes).unwrap();
    path
}

fn read(path: &Path) -> (Vec<u8>, Vec<Damage>, Ending) {
    let reel = Reel::open([path]).unwrap();
    let (mut records, mut damages) = (Vec::new(), Vec::new());
    for item in reel.entries() {
        match item {
            Ok(entry) => {
                assert_eq!(entry.payload[..], [entry.recv_unix_ns() as u8; 20]);
                records.push(entry.recv_unix_ns() as u8);
            }
            Err(damage) => {
                assert!(damage.to_string().contains(path.to_str().unwrap()));
                assert!(damage.to_string().contains(&damage.offset.to_string()));
                damages.push(damage);
            }
        }
    }
    (records, damages, reel.files()[0].ending())
}

fn refusal(bytes: &[u8]) -> TapeError {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, bytes);
    let error = TapeFile::open(&path).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()));
    assert!(error.source().is_none(), "the text would name it twice");
    match &error {
        OpenError::Tape { source, .. } => {
            assert!(error.to_string().ends_with(&source.to_string()), "{error}");
            *source
        }
        other => panic!("{other}"),
    }
}

#[test]
fn files_that_are_not_tapes_are_rejected_with_the_reason() {
    assert_eq!(refusal(&[]), TapeError::Empty);
    assert!(matches!(refusal(b"\x7fELF and so on"), TapeError::ForeignMagic { .. }));
    let (mut bytes, blocks) = tape();
    bytes[8] = 2;
    let crc = crc32c(&bytes[..36]);
    bytes[36..40].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(refusal(&bytes), TapeError::UnsupportedVersion { major: 2, minor: 0 });
    bytes[9] ^= 1;
    bytes.truncate(blocks[0].start);
    assert!(matches!(refusal(&bytes), TapeError::UnsupportedVersion { major: 258, .. }));
    let directory = tempfile::tempdir().unwrap();
    let none = directory.path().join("none.ktape");
    let error = Reel::open([&none]).unwrap_err();
    assert!(matches!(&error, OpenError::Io { path, .. } if *path == none));
    assert!(matches!(Reel::open([directory.path()]), Err(OpenError::NoTapes { .. })));
    assert!(matches!(Reel::open([""; 0]), Err(OpenError::Nothing)));
}

#[test]
fn a_tape_cut_at_any_length_keeps_its_complete_blocks() {
    let (bytes, blocks) = tape();
    let directory = tempfile::tempdir().unwrap();
    for length in 0..blocks[0].start {
        assert!(matches!(
            refusal(&bytes[..length]),
            TapeError::Empty | TapeError::HeaderCut { .. }
        ));
    }
    for length in blocks[0].start..=bytes.len() {
        let (records, damages, ending) = read(&write(&directory, &bytes[..length]));
        let complete = blocks.iter().filter(|block| block.end <= length).count();
        assert!(records.len() >= 2 * complete, "cut at {length}");
        assert_eq!(records, (0..records.len() as u8).collect::<Vec<_>>());
        assert!(damages.is_empty(), "cut at {length}: {damages:?}");
        let is_whole = blocks.iter().any(|block| block.end == length || block.start == length);
        assert_eq!(matches!(ending, Ending::Clean { .. }), is_whole, "cut at {length}");
    }
}

#[test]
fn a_flipped_byte_is_reported_and_affects_only_its_block() {
    let (bytes, blocks) = tape();
    let directory = tempfile::tempdir().unwrap();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            let path = write(&directory, &bytes);
            let (records, damages, _) = read(&path);
            if at < 40 {
                assert_eq!((records.len(), damages.len()), (8, 1), "byte {at} flipped");
                assert_eq!((damages[0].offset, damages[0].records), (0, Some(0)));
                assert_eq!((damages[0].from_unix_ns, damages[0].to_unix_ns), (None, Some(0)));
                let file = TapeFile::open(&path).unwrap();
                assert_eq!(file.tape().tape_id(), TAPE_ID);
                assert_eq!(file.tape().metadata().is_ok(), !(32..36).contains(&at));
                continue;
            }
            let Some(hit) = blocks.iter().position(|block| block.contains(&at)) else {
                // The metadata.
                assert_eq!((records.len(), damages.len()), (8, 0));
                continue;
            };
            let others = (0..8).filter(|record| usize::from(record / 2) != hit);
            let found = records.iter().copied().filter(|record| usize::from(record / 2) != hit);
            assert!(found.eq(others), "byte {at} flipped: {records:?}");
            assert!(!damages.is_empty(), "byte {at} flipped");
            for damage in damages {
                let first = 2 * hit as u64;
                let lost = first.saturating_sub(1)..=first + 2;
                assert!(damage.from_unix_ns.is_none_or(|it| lost.contains(&it)), "{damage:?}");
                assert!(damage.to_unix_ns.is_none_or(|it| lost.contains(&it)), "{damage:?}");
                assert!(damage.from_unix_ns.is_some() || hit == 0);
                assert!(damage.to_unix_ns.is_some() || hit == 3);
                // A wrong block number is reported at the start of the next block.
                assert!((blocks[hit].start..=blocks[hit].end).contains(&damage.offset), "{damage}");
            }
        }
    }
}

/// CRC-32C, bit by bit as in the format's description.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

/// A tape with a good block after one whose body declares `claimed` bytes but decompresses to
/// `unpacked`.
fn bomb(claimed: u32, unpacked: usize) -> Vec<u8> {
    let (bytes, blocks) = tape();
    let body = zstd::bulk::compress(&vec![0; unpacked], 1).unwrap();
    let mut head = BlockEncoder::new(TAPE_ID, 0).seal_compressed(CODEC_ZSTD, &body).unwrap();
    head[52..56].copy_from_slice(&claimed.to_le_bytes());
    let crc = crc32c(&head[..60]);
    head[60..].copy_from_slice(&crc.to_le_bytes());
    [&bytes[..blocks[0].start], &head, &body, &bytes[blocks[1].clone()]].concat()
}

#[test]
fn a_block_never_decompresses_to_more_than_it_declares() {
    let directory = tempfile::tempdir().unwrap();
    let (bytes, blocks) = tape();
    let good = &bytes[blocks[1].clone()];
    assert!(!good.is_empty());
    for (claimed, unpacked) in [(1_000, 200 << 20), (u32::MAX, 200 << 20), (64 << 20, 200 << 20)] {
        let (records, damages, _) = read(&write(&directory, &bomb(claimed, unpacked)));
        assert_eq!(records, [2, 3]);
        assert_eq!(damages.len(), 1);
        assert_eq!(damages[0].offset, blocks[0].start);
        match damages[0].cause {
            DamageCause::BlockTooLong { declared } => assert_eq!(declared, u32::MAX),
            DamageCause::Unpack(_) => assert!(claimed <= 64 << 20),
            ref other => panic!("{other}"),
        }
    }
}

#[test]
fn a_tape_that_has_lost_its_header_and_blocks_is_read_by_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let (mut bytes, blocks) = tape();
    bytes[..blocks[1].start].fill(0);
    let (records, damages, _) = read(&write(&directory, &bytes));
    assert_eq!(records, [2, 3, 4, 5, 6, 7]);
    let causes: Vec<_> = damages.iter().map(|it| (it.offset, it.records)).collect();
    assert_eq!(causes, [(0, None), (blocks[1].start, None)]);
    // Without a block there is nothing to read.
    bytes[..].fill(0);
    assert!(matches!(refusal(&bytes), TapeError::ForeignMagic { .. }));
}

#[test]
fn a_foreign_file_in_a_directory_is_passed_over_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, &tape().0);
    let foreign = directory.path().join("b.ktape");
    fs::write(&foreign, b"not a tape at all, but a text file of more than forty bytes").unwrap();
    fs::write(directory.path().join("c.ktape"), b"").unwrap();
    let reel = Reel::open([directory.path()]).unwrap();
    assert_eq!(reel.entries().filter(Result::is_ok).count(), 8);
    let losses: Vec<_> = reel.passed_over().iter().filter(|it| it.is_loss()).collect();
    assert_eq!(reel.passed_over().len(), 2);
    assert!(losses.len() == 1 && losses[0].path() == foreign, "{losses:?}");
    assert!(losses[0].to_string().contains("not a tape"), "{}", losses[0]);
    assert!(matches!(Reel::open([foreign]), Err(OpenError::Tape { .. })));
}
