//! Metadata of a file, besides its columns.

use parquet::file::metadata::KeyValue;

use crate::summary::Summary;

/// Returns the file's totals, including whether anything is missing.
pub(super) fn account(summary: &Summary) -> impl Iterator<Item = KeyValue> {
    let time = |unix_ns: Option<u64>| unix_ns.map(|it| it.to_string());
    let count = |count: u64| Some(count.to_string());
    [
        ("rows", count(summary.rows)),
        ("first_recv_unix_ns", time(summary.first_recv_unix_ns)),
        ("last_recv_unix_ns", time(summary.last_recv_unix_ns)),
        ("gaps", count(summary.gaps)),
        ("frames_missing", count(summary.frames_missing)),
        ("gaps_of_unknown_size", count(summary.gaps_of_unknown_size)),
        ("damaged_frames", count(summary.damaged_frames)),
        ("unknown_packets", count(summary.unknown_packets)),
        ("tape_damage", count(summary.damage)),
        ("tape_records_lost", count(summary.records_lost)),
        ("is_complete", Some(summary.is_complete().to_string())),
    ]
    .into_iter()
    .map(|(key, value)| KeyValue::new(format!("kite-export.{key}"), value))
}
