//! Tables in memory, compared with what a file has.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod tape;

use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use kite_export::{Batches, Export, ExportError, Format, Prices, TimeUnit, TimeZone};
use kite_tape::Reel;
use kite_wire::tape::{Gap, GapReason};
use kite_wire::{Fields, Tick};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tape::{Maker, OPENING, symbol};

fn maker() -> Maker {
    let mut maker = Maker::new(21);
    maker.frames(40);
    let gap = Gap {
        reason: GapReason::Lagged,
        from_unix_ns: OPENING + 1,
        to_unix_ns: OPENING + 5,
        frames: Some(3),
    };
    maker.gap(OPENING + 7, &gap);
    maker
}

/// Returns rows as text. Dictionaries show their values, since they number them differently.
fn shown(batches: &[RecordBatch]) -> Vec<String> {
    let row = |batch: &RecordBatch, row: usize| {
        let cells = batch.columns().iter().map(|column| match column.data_type() {
            DataType::Dictionary(..) if column.is_null(row) => "null".to_owned(),
            DataType::Dictionary(..) => {
                let names = column.as_any_dictionary();
                let name = names.normalized_keys()[row];
                names.values().as_string::<i32>().value(name).to_owned()
            }
            _ => format!("{:?}", column.slice(row, 1)),
        });
        cells.collect::<Vec<_>>().join(" ")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|at| row(batch, at))).collect()
}

fn of_file(path: &std::path::Path) -> (Vec<RecordBatch>, arrow_schema::SchemaRef) {
    let file = std::fs::File::open(path).unwrap();
    let file = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = file.schema().clone();
    (file.build().unwrap().map(Result::unwrap).collect(), schema)
}

fn all(batches: &mut Batches) -> Vec<RecordBatch> {
    batches.map(Result::unwrap).collect()
}

#[test]
fn rows_and_schema_are_those_of_a_parquet_file() {
    let maker = maker();
    let reel = maker.reel();
    let plain = || Export::new(&reel).symbols(|_, token| symbol(token));
    let some = || {
        let names = ["volume", "recv_time", "symbol", "segment", "change", "ask_price_5", "mode"];
        let export = plain().prices(Prices::Float).time_unit(TimeUnit::Microseconds);
        export.time_zone(TimeZone::Ist).columns(names).unwrap()
    };
    for (name, to_file, to_memory) in
        [("all.parquet", plain(), plain()), ("some.parquet", some(), some())]
    {
        let path = maker.path(name);
        let written = to_file.to_file(&path, Format::Parquet).unwrap();
        let mut batches = to_memory.to_batches().unwrap();
        assert!(batches.summary().is_none());
        let found = all(&mut batches);
        let summary = batches.summary().unwrap();
        assert_eq!((summary.rows, summary.gaps), (written.rows, 1));
        let (expected, schema) = of_file(&path);
        assert_eq!(schema.fields(), batches.schema().fields());
        assert_eq!(shown(&found), shown(&expected));
    }
}

#[test]
fn events_are_those_of_a_parquet_file() {
    let maker = maker();
    let reel = maker.reel();
    let (path, events) = (maker.path("day.parquet"), maker.path("events.parquet"));
    Export::new(&reel).events(&events).to_file(path, Format::Parquet).unwrap();
    let mut batches = Export::new(&reel).to_event_batches().unwrap();
    let found = all(&mut batches);
    let (expected, schema) = of_file(&events);
    assert_eq!(schema.fields(), batches.schema().fields());
    assert_eq!(shown(&found), shown(&expected));
    assert_eq!(batches.summary().unwrap().event_rows, 1);
}

/// Returns tapes with more rows than are read ahead.
fn long() -> Maker {
    let mut maker = Maker::new(22);
    let tick = |number| Tick { instrument_token: 0x101, last_price: number, fields: Fields::Ltp };
    for frame in 0..400 {
        let ticks: Vec<_> = (0..500).map(|at| tick(frame * 500 + at)).collect();
        maker.frame(OPENING + frame as u64, &ticks);
    }
    maker
}

fn narrow(reel: &Reel) -> Export<'static> {
    Export::new(reel).threads(4).prices(Prices::Float).columns(["last_price"]).unwrap()
}

#[test]
fn many_batches_built_by_several_threads_have_the_order_of_the_tape() {
    let maker = long();
    let mut batches = narrow(&maker.reel()).to_batches().unwrap();
    let found = all(&mut batches);
    assert!(found.len() > 10);
    let prices = found.iter().flat_map(|batch| {
        let prices = batch.column(0).as_primitive::<arrow_array::types::Float64Type>();
        prices.values().to_vec()
    });
    assert!(prices.eq((0..200_000).map(|raw| f64::from(raw) / 100.0)));
}

#[test]
fn batches_that_are_dropped_early_end_their_threads() {
    let maker = long();
    let reel = maker.reel();
    let mut unread = narrow(&reel).to_batches().unwrap();
    assert!(unread.summary().is_none());
    let first = unread.next().unwrap().unwrap();
    assert!(first.num_rows() > 0);
    // Joins the threads, so that it hangs if they do not end.
    drop(unread);
    drop(narrow(&reel).to_batches().unwrap());
    // Reading without rows ends too.
    let mut none = narrow(&reel).tokens([7]).to_batches().unwrap();
    let _ = none.next_within(Duration::ZERO);
    drop(none);
}

#[test]
fn waiting_for_a_batch_is_limited_and_loses_none() {
    let maker = long();
    let mut batches = narrow(&maker.reel()).to_batches().unwrap();
    let mut rows = 0;
    while let Some(next) = batches.next_within(Duration::from_micros(1)) {
        rows += next.unwrap().map_or(0, |batch| batch.num_rows());
    }
    assert_eq!(rows, 200_000);
    assert!(batches.next().is_none() && batches.summary().is_some());
}

#[test]
fn damage_is_counted_and_an_empty_time_range_is_refused() {
    let mut maker = Maker::new(23);
    maker.frames(5);
    maker.next_block();
    maker.frames(5);
    let mut bytes = maker.bytes();
    let in_first_block = bytes.len() / 4;
    bytes[in_first_block] ^= 1;
    let reel: Reel = maker.reel_of(&bytes);
    let mut batches = Export::new(&reel).to_batches().unwrap();
    let rows: usize = all(&mut batches).iter().map(RecordBatch::num_rows).sum();
    let summary = batches.summary().unwrap();
    assert!(rows > 0 && rows < maker.rows.len());
    assert_eq!((summary.damage, summary.is_complete()), (1, false));
    let refused = Export::new(&reel).from(5).to(5).to_batches();
    assert!(matches!(refused, Err(ExportError::EmptyTimeRange { .. })));
}

#[test]
fn columns_are_chosen_for_parquet_and_refused_for_text() {
    let maker = maker();
    let reel = maker.reel();
    let export = || Export::new(&reel).columns(["mode", "oi"]).unwrap();
    let refused = export().to_writer(Vec::new(), Format::Csv).unwrap_err();
    assert_eq!(refused.to_string(), "csv has all columns; choose columns for Parquet");
    let path = maker.path("two.parquet");
    export().to_file(&path, Format::Parquet).unwrap();
    let (_, schema) = of_file(&path);
    assert_eq!(schema.fields().len(), 2);
}
