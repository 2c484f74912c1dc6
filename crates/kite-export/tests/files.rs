//! Files appear whole or not at all, and never replace others without permission.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod tape;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use kite_export::{Export, ExportError, Format, Target};
use tape::Maker;

fn maker() -> Maker {
    let mut maker = Maker::new(1);
    maker.frames(1_200);
    maker
}

#[test]
fn a_cancelled_export_leaves_nothing() {
    let maker = maker();
    let reel = maker.reel();
    for format in Format::ALL {
        let cancel = AtomicBool::new(false);
        let result = Export::new(&reel)
            .cancel_on(&cancel)
            .row_group_rows(1_000)
            .events(maker.path("events"))
            .on_progress(|progress| cancel.store(progress.rows > 9_000, Ordering::Relaxed))
            .to_file(maker.path("day"), format);
        let rows = match result {
            Err(ExportError::Cancelled { rows }) => rows,
            other => panic!("{other:?}"),
        };
        assert!(rows > 9_000 && rows < maker.rows.len() as u64);
        assert!(maker.files().is_empty(), "{:?}", maker.files());
    }
}

#[test]
fn progress_grows_to_the_end_and_is_not_reported_for_every_row() {
    let maker = maker();
    let reel = maker.reel();
    for format in Format::ALL {
        let mut reports = Vec::new();
        let export = Export::new(&reel).on_progress(|progress| reports.push(progress));
        let summary = export.to_writer(io::sink(), format).unwrap();
        assert!(reports.is_sorted_by_key(|progress| (progress.bytes_done, progress.rows)));
        assert!(
            reports.len() > 3 && reports.len() < 3 + maker.rows.len() / 8_000,
            "{}",
            reports.len()
        );
        let last = reports.last().unwrap();
        assert_eq!((last.bytes_done, last.rows), (last.bytes_total, summary.rows));
        assert_eq!(last.bytes_total, reel.len_bytes());
    }
}

#[test]
fn existing_files_are_replaced_only_if_allowed() {
    let maker = maker();
    let reel = maker.reel();
    let (path, events) = (maker.path("day.csv"), maker.path("events.csv"));
    std::fs::write(&path, "mine").unwrap();
    let refused = Export::new(&reel).to_file(&path, Format::Csv);
    assert!(matches!(&refused, Err(ExportError::Exists { path: it }) if *it == path));
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("day.csv") && message.contains("overwrite"), "{message}");
    std::fs::write(&events, "mine too").unwrap();
    let refused = Export::new(&reel).events(&events).to_file(maker.path("new.csv"), Format::Csv);
    assert!(matches!(&refused, Err(ExportError::Exists { path: it }) if *it == events));
    assert_eq!(maker.files(), ["day.csv", "events.csv"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    Export::new(&reel).events(&events).overwrite(true).to_file(&path, Format::Csv).unwrap();
    assert_eq!(maker.files(), ["day.csv", "events.csv"]);
    assert!(std::fs::read(&path).unwrap().starts_with(b"recv_time,"));
    assert!(std::fs::read(&events).unwrap().starts_with(b"recv_time,"));
}

#[test]
fn one_file_cannot_hold_both_tables() {
    let maker = maker();
    let path = maker.path("day.csv");
    let export = Export::new(&maker.reel()).events(&path);
    let result = export.to_file(&path, Format::Csv);
    assert!(matches!(result, Err(ExportError::OneFileForTwo { .. })));
    assert!(maker.files().is_empty());
}

#[test]
fn a_missing_directory_is_reported_with_advice() {
    let maker = maker();
    let result = Export::new(&maker.reel()).to_file(maker.path("no/day.csv"), Format::Csv);
    let Err(error @ ExportError::Create { .. }) = result else { panic!("{result:?}") };
    let message = error.to_string();
    assert!(message.contains("create the directory"), "{message}");
}

#[test]
fn a_failing_writer_is_reported_in_every_format() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let maker = maker();
    let reel = maker.reel();
    for format in Format::ALL {
        let export = Export::new(&reel).row_group_rows(5_000).events(maker.path("events"));
        match export.to_writer(Full(100_000), format) {
            Err(error @ ExportError::Write { target: Target::Writer, .. }) => {
                assert!(error.to_string().contains("free some space"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        assert!(maker.files().is_empty());
    }
}

#[test]
fn settings_out_of_range_are_rejected_before_a_file_is_created() {
    let maker = maker();
    let reel = maker.reel();
    let refused = |export: Export<'_>| {
        let result = export.to_file(maker.path("day"), Format::Parquet);
        assert!(maker.files().is_empty());
        result.unwrap_err()
    };
    let is_setting = |error| matches!(error, ExportError::Setting { .. });
    assert!(is_setting(refused(Export::new(&reel).row_group_rows(0))));
    assert!(is_setting(refused(Export::new(&reel).row_group_rows(usize::MAX))));
    assert!(is_setting(refused(Export::new(&reel).zstd_level(23))));
    let error = refused(Export::new(&reel).from(5).to(5));
    assert!(matches!(error, ExportError::EmptyTimeRange { from_unix_ns: 5, to_unix_ns: 5 }));
}
