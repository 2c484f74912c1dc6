//! Tapes read back as they were written, from the start and from any time.

#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use kite_tape::{Damage, Entry, PassedOver, ReadConfig, Reel, TapeFile};
use kite_wire::tape::{BlockEncoder, CODEC_ZSTD, Received, RecordKind, Source, TapeHeader};

/// Writes a tape whose blocks have one binary record for each of the given times.
fn write_tape(path: &Path, blocks: &[&[u64]], zstd: bool) {
    static NEXT: AtomicU64 = AtomicU64::new(77);
    write_tape_with_id(path, NEXT.fetch_add(1, Ordering::Relaxed), blocks, zstd);
}

fn write_tape_with_id(path: &Path, tape_id: u64, blocks: &[&[u64]], zstd: bool) {
    let header = TapeHeader { created_unix_ns: 1, tape_id, metadata: b"{}" };
    let mut bytes = header.head().unwrap().to_vec();
    bytes.extend_from_slice(header.metadata);
    for (sequence, times) in blocks.iter().enumerate() {
        let mut block = BlockEncoder::new(tape_id, u32::try_from(sequence).unwrap());
        let mut body = Vec::new();
        for &recv_unix_ns in *times {
            let payload = recv_unix_ns.to_be_bytes().repeat(4);
            let source = Source { account: 0, connection: 1 };
            let received = Received { recv_unix_ns, source };
            body.extend(block.record(received, RecordKind::Binary, &payload).unwrap());
            body.extend(payload);
        }
        if zstd {
            body = zstd::bulk::compress(&body, 1).unwrap();
            bytes.extend(block.seal_compressed(CODEC_ZSTD, &body).unwrap());
        } else {
            bytes.extend(block.seal());
        }
        bytes.extend(body);
    }
    fs::write(path, bytes).unwrap();
}

fn times(items: impl Iterator<Item = Result<Entry, Damage>>) -> Vec<u64> {
    items.map(|item| item.unwrap().recv_unix_ns()).collect()
}

fn file(dir: &tempfile::TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}

#[test]
fn stored_and_compressed_blocks_read_back() {
    let dir = tempfile::tempdir().unwrap();
    for zstd in [false, true] {
        let path = file(&dir, "a.ktape");
        write_tape(&path, &[&[1, 2, 3], &[], &[4, 2, 9]], zstd);
        let reel = Reel::open([&path]).unwrap();
        let mut entries = reel.entries();
        let mut seen = Vec::new();
        for entry in &mut entries {
            let entry = entry.unwrap();
            assert_eq!(entry.payload[..], entry.recv_unix_ns().to_be_bytes().repeat(4)[..]);
            assert_eq!(entry.received.source, Source { account: 0, connection: 1 });
            seen.push(entry.recv_unix_ns());
        }
        assert_eq!(seen, [1, 2, 3, 4, 2, 9]);
        assert_eq!(entries.tally().entries, 6);
        assert_eq!(entries.tally().damages, 0);
        assert_eq!(entries.position_bytes(), reel.len_bytes());
        assert_eq!(reel.span(), Some((1, 9)));
    }
}

#[test]
fn files_are_one_stream_ordered_by_time() {
    let dir = tempfile::tempdir().unwrap();
    write_tape(&file(&dir, "a.ktape"), &[&[10, 20], &[30]], true);
    write_tape(&file(&dir, "b.ktape"), &[&[5, 20, 25], &[40]], false);
    write_tape(&file(&dir, "c.ktape"), &[&[41, 42]], true);
    fs::write(file(&dir, "notes.txt"), "no tape").unwrap();
    let reel = Reel::open([dir.path()]).unwrap();
    assert_eq!(times(reel.entries()), [5, 10, 20, 20, 25, 30, 40, 41, 42]);
    assert_eq!(times(reel.seek(21)), [25, 30, 40, 41, 42]);
    assert!(times(reel.seek(100)).is_empty());
}

#[test]
fn records_with_the_same_time_keep_the_order_of_the_paths() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (file(&dir, "a.ktape"), file(&dir, "b.ktape"));
    write_tape(&a, &[&[1, 2, 2, 3]], false);
    write_tape(&b, &[&[2], &[2, 3]], false);
    for (paths, of_a) in [([&a, &b], "aaabbab"), ([&b, &a], "abbaaba")] {
        let reel = Reel::open(paths).unwrap();
        let map = reel.files().iter().find(|file| file.path() == a).unwrap().tape().as_bytes();
        // Stored payloads are slices of their mapped file.
        let is_of_a = |entry: &Entry| map.as_ptr_range().contains(&entry.payload.as_ptr());
        let names: String =
            reel.entries().map(|entry| if is_of_a(&entry.unwrap()) { 'a' } else { 'b' }).collect();
        assert_eq!(names, of_a);
    }
}

#[test]
fn threads_do_not_change_the_records() {
    let dir = tempfile::tempdir().unwrap();
    // The clock steps back in the third block, and one block is damaged.
    let path = file(&dir, "a.ktape");
    write_tape(&path, &[&[1, 2], &[30, 31], &[5], &[40], &[41], &[42], &[43]], true);
    write_tape(&file(&dir, "b.ktape"), &[&[3], &[29], &[33, 50]], false);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() * 5 / 7;
    bytes[middle] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let reel = Reel::open([dir.path()]).unwrap();
    for from_unix_ns in 0..52 {
        let read = |threads| -> Vec<_> {
            reel.entries_with(ReadConfig { from_unix_ns, threads }).collect()
        };
        let alone = read(0);
        assert_eq!(read(1), alone);
        assert_eq!(read(3), alone);
    }
}

#[test]
fn records_keep_their_memory_after_the_reel_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.ktape");
    write_tape(&path, &[&[7]], false);
    let reel = Reel::open([&path]).unwrap();
    let entry = reel.entries().next().unwrap().unwrap();
    drop(reel);
    assert_eq!(entry.payload[..], 7_u64.to_be_bytes().repeat(4)[..]);
}

#[test]
fn a_tape_file_exposes_its_path_metadata_and_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.ktape");
    write_tape(&path, &[&[7]], false);
    let tape = TapeFile::open(&path).unwrap();
    assert_eq!(tape.path(), path);
    assert_eq!(tape.tape().metadata().unwrap(), b"{}");
    assert_eq!(tape.len_bytes(), fs::metadata(&path).unwrap().len());
}

#[test]
fn a_tape_reached_in_several_ways_is_read_once_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let original = file(&dir, "a.ktape");
    write_tape_with_id(&original, 5, &[&[1, 2], &[3]], true);
    let copies = file(&dir, "copies");
    fs::create_dir(&copies).unwrap();
    // Copied while the tape was recorded, so a block is missing.
    let early = copies.join("early.ktape");
    write_tape_with_id(&early, 5, &[&[1, 2]], true);
    write_tape(&copies.join("other.ktape"), &[&[2]], true);
    for paths in [[&copies, dir.path(), &original], [dir.path(), &original, &copies]] {
        let reel = Reel::open(paths).unwrap();
        assert_eq!(times(reel.entries()), [1, 2, 2, 3]);
        let copies: Vec<_> = reel
            .passed_over()
            .iter()
            .map(|it| match it {
                PassedOver::Copy { path, other } => (path.clone(), other.clone()),
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(copies.len(), 2);
        assert!(copies.contains(&(original.clone(), original.clone())));
        assert!(copies.contains(&(early.clone(), original.clone())));
        assert!(!reel.passed_over().iter().any(PassedOver::is_loss));
    }
}
