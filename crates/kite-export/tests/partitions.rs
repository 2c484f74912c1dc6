//! Partitioned tables: every row is in the file of its partition, in order, whole or not at all.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod tape;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt32Type};
use kite_export::{Export, ExportError, Format, Partition};
use kite_wire::tape::RecordKind;
use kite_wire::{Fields, Tick};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tape::{Maker, OPENING};

const DAY: u64 = 86_400 * 1_000_000_000;

fn ltp(instrument_token: u32) -> Tick {
    Tick { instrument_token, last_price: 1, fields: Fields::Ltp }
}

/// Two days of 270 instruments, so that two readings are needed, with every third in both.
fn wide() -> Maker {
    let mut maker = Maker::new(1);
    for round in 0..5 {
        for token in 1..=270 {
            let day = if token % 3 == 0 { round % 2 } else { 0 };
            let at = OPENING + day * DAY + round * 1_000 + u64::from(token);
            maker.frame(at, &[ltp(token << 8 | 1)]);
        }
        maker.record(OPENING + round, RecordKind::Binary, &[0]);
        maker.next_block();
    }
    maker
}

/// Returns the receive time and token of each row.
fn rows(path: &Path) -> Vec<(u64, u32)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches = reader.build().unwrap().map(Result::unwrap);
    let rows = batches.flat_map(|batch| {
        let times = batch.column_by_name("recv_time").unwrap();
        let times = times.as_primitive::<TimestampNanosecondType>().values().to_vec();
        let tokens = batch.column_by_name("instrument_token").unwrap();
        let tokens = tokens.as_primitive::<UInt32Type>().values().to_vec();
        times.into_iter().map(i64::cast_unsigned).zip(tokens).collect::<Vec<_>>()
    });
    rows.collect()
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Returns the number of this process's open files within a directory.
#[cfg(target_os = "linux")]
fn open_files(root: &Path) -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let paths = descriptors.filter_map(|it| fs::read_link(it.ok()?.path()).ok());
    paths.filter(|path| path.starts_with(root)).count()
}

#[test]
fn more_partitions_than_open_files_are_each_written_in_order() {
    let maker = wide();
    let reel = maker.reel();
    let mut expected = BTreeMap::<String, Vec<(u64, u32)>>::new();
    for entry in reel.entries() {
        let entry = entry.unwrap();
        let frame = entry.frame().unwrap();
        for packet in frame.packets() {
            let token = packet.instrument_token();
            let symbol = match token % 7 {
                0 => format!("TOKEN%3A{token}"),
                _ => format!("NSE%3AA%26B%20{token}"),
            };
            let day = if entry.recv_unix_ns() < OPENING + DAY / 2 { "05" } else { "06" };
            let directory = format!("date=2026-01-{day}/symbol={symbol}/ticks.parquet");
            expected.entry(directory).or_default().push((entry.recv_unix_ns(), token));
        }
    }
    assert!(expected.len() > 256, "{}", expected.len());
    let root = maker.path("ticks");
    let (mut most_open, mut readings) = (0, 1);
    let mut total = 0;
    let summary = Export::new(&reel)
        .symbols(|_, token| (token % 7 != 0).then(|| format!("NSE:A&B {token}")))
        .row_group_rows(2)
        .depth(false)
        .on_progress(|progress| {
            #[cfg(target_os = "linux")]
            {
                most_open = most_open.max(open_files(&root));
            }
            assert!(progress.bytes_done <= progress.bytes_total);
            readings += usize::from(total != 0 && progress.bytes_total > total);
            total = progress.bytes_total;
        })
        .to_partitions(&root, [Partition::Date, Partition::Symbol], Format::Parquet)
        .unwrap();
    assert_eq!((summary.rows, summary.heartbeats), (1_350, 5), "counted once");
    assert_eq!(summary.files as usize, expected.len());
    assert_eq!(readings, expected.len().div_ceil(256));
    if cfg!(target_os = "linux") {
        assert!(most_open <= 256, "{most_open}");
    }
    let found: Vec<_> = files(&root);
    let bytes: u64 = found.iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(summary.bytes_written, bytes);
    let names = found.iter().map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap());
    assert!(names.eq(expected.keys()));
    for (path, expected) in found.iter().zip(expected.values()) {
        assert_eq!(&rows(path), expected, "{}", path.display());
    }
}

#[test]
fn every_format_is_partitioned_without_the_column_of_the_key() {
    let mut maker = Maker::new(2);
    maker.frames(200);
    let reel = maker.reel();
    for format in Format::ALL {
        let root = maker.path(format.extension());
        let export = Export::new(&reel).symbols(|_, token| tape::symbol(token));
        let summary = export.to_partitions(&root, [Partition::Symbol], format).unwrap();
        assert_eq!(summary.rows as usize, maker.rows.len());
        let found = files(&root);
        assert_eq!(summary.files as usize, found.len());
        let mut rows = 0;
        for path in found {
            rows += match format {
                Format::Parquet => {
                    let file = File::open(&path).unwrap();
                    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
                    assert!(reader.schema().field_with_name("symbol").is_err());
                    let metadata = reader.metadata().file_metadata();
                    let pairs = metadata.key_value_metadata().unwrap();
                    let rows = pairs.iter().find(|pair| pair.key == "kite-export.rows").unwrap();
                    assert_eq!(rows.value, Some(metadata.num_rows().to_string()));
                    metadata.num_rows() as usize
                }
                Format::Csv => {
                    let mut reader = csv::Reader::from_path(&path).unwrap();
                    assert!(!reader.headers().unwrap().iter().any(|name| name == "symbol"));
                    reader.records().map(Result::unwrap).count()
                }
                _ => {
                    let text = fs::read_to_string(&path).unwrap();
                    assert!(!text.contains("\"symbol\":"));
                    text.lines().count()
                }
            };
        }
        assert_eq!(rows, maker.rows.len(), "{format:?}");
    }
}

#[test]
fn a_cancelled_export_leaves_nothing_in_whichever_reading() {
    let maker = wide();
    let reel = maker.reel();
    for readings in [0, 1] {
        let cancel = AtomicBool::new(false);
        let (root, events) = (maker.path("ticks"), maker.path("events.csv"));
        let result = Export::new(&reel)
            .symbols(|_, token| Some(token.to_string()))
            .cancel_on(&cancel)
            .events(&events)
            .on_progress(|progress| {
                let is_later = progress.bytes_done >= readings * reel.len_bytes();
                cancel.store(is_later, Ordering::Relaxed);
            })
            .to_partitions(&root, [Partition::Symbol], Format::Csv);
        assert!(matches!(result, Err(ExportError::Cancelled { .. })), "{result:?}");
        assert!(maker.files().is_empty(), "{:?}", maker.files());
    }
}

#[test]
fn an_existing_partition_is_kept_and_its_siblings_are_not_written() {
    let maker = wide();
    let reel = maker.reel();
    let root = maker.path("ticks");
    let mine = root.join("date=2026-01-06/ticks.csv");
    fs::create_dir_all(mine.parent().unwrap()).unwrap();
    fs::write(&mine, "mine").unwrap();
    let export = || Export::new(&reel).overwrite(false);
    let refused = export().to_partitions(&root, [Partition::Date], Format::Csv);
    assert!(matches!(refused, Err(ExportError::Exists { path }) if path == mine));
    assert_eq!(files(&root), std::slice::from_ref(&mine));
    let export = export().overwrite(true);
    export.to_partitions(&root, [Partition::Date], Format::Csv).unwrap();
    assert_eq!(files(&root).len(), 2);
    assert!(fs::read_to_string(&mine).unwrap().starts_with("recv_time,"));
}

#[test]
fn a_key_given_twice_is_rejected_before_a_directory_is_created() {
    let maker = wide();
    let reel = maker.reel();
    let root = maker.path("ticks");
    let twice = [Partition::Date, Partition::Date];
    let refused = Export::new(&reel).to_partitions(&root, twice, Format::Csv);
    assert!(matches!(refused, Err(ExportError::RepeatedPartition { key: Partition::Date })));
    assert!(maker.files().is_empty());
}
