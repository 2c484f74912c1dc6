//! Parquet, read back by the Arrow reader and compared with kite-wire's own decoding.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod tape;

use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use kite_export::{
    Export, Format, Prices, TimeUnit as Unit, TimeZone, event_columns, tick_columns,
};
use kite_wire::tape::{Gap, GapReason, RecordKind};
use kite_wire::{Fields, Tick};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use tape::{Cell, Maker, OPENING, Row, symbol};

type Builder = ParquetRecordBatchReaderBuilder<File>;

fn open(path: &Path) -> Builder {
    Builder::try_new(File::open(path).unwrap()).unwrap()
}

fn read(path: &Path) -> Vec<Row> {
    let batches = open(path).build().unwrap();
    batches.flat_map(|batch| rows(&batch.unwrap())).collect()
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    let schema = batch.schema();
    let cells = |index: usize| {
        let named = schema.fields().iter().zip(batch.columns());
        let cells = named.filter(|(_, array)| array.is_valid(index));
        cells.map(move |(field, array)| (field.name().clone(), cell(array, index))).collect()
    };
    (0..batch.num_rows()).map(cells).collect()
}

fn cell(array: &dyn Array, row: usize) -> Cell {
    match array.data_type() {
        DataType::UInt8 => Cell::Number(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt32 => Cell::Number(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Cell::Number(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Int32 => Cell::Number(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Number(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::Decimal128(18, 7) => {
            Cell::Number(array.as_primitive::<Decimal128Type>().value(row))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) if &**zone == "UTC" => {
            Cell::Number(array.as_primitive::<TimestampNanosecondType>().value(row).into())
        }
        DataType::Timestamp(TimeUnit::Millisecond, Some(zone)) if &**zone == "UTC" => {
            let value = array.as_primitive::<TimestampMillisecondType>().value(row);
            Cell::Number(i128::from(value) * 1_000_000)
        }
        DataType::Dictionary(..) => {
            let array = array.as_dictionary::<Int32Type>();
            let key = array.keys().value(row) as usize;
            Cell::Text(array.values().as_string::<i32>().value(key).to_owned())
        }
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        other => panic!("{other}"),
    }
}

#[test]
fn every_segment_and_mode_reads_back_as_decoded_by_kite_wire() {
    let mut maker = Maker::new(1);
    maker.frames(150);
    let path = maker.path("day.parquet");
    let summary = Export::new(&maker.reel())
        .symbols(|_, token| symbol(token))
        .row_group_rows(701)
        .to_file(&path, Format::Parquet)
        .unwrap();
    let rows = read(&path);
    assert_eq!(summary.rows as usize, maker.rows.len());
    assert_eq!(summary.bytes_written, path.metadata().unwrap().len());
    assert_eq!(rows.len(), maker.rows.len());
    for (found, expected) in rows.iter().zip(&maker.rows) {
        assert_eq!(found, expected);
    }
}

#[test]
fn threads_change_neither_rows_nor_bytes() {
    let mut maker = Maker::new(11);
    maker.frames(100);
    let reel = maker.reel();
    let bytes = |threads: usize| {
        let mut out = Vec::new();
        let export = Export::new(&reel).threads(threads).row_group_rows(333);
        export.to_writer(&mut out, Format::Parquet).unwrap();
        out
    };
    assert_eq!(bytes(1), bytes(4));
}

#[test]
fn floats_are_the_nearest_to_the_exact_prices() {
    let mut maker = Maker::new(2);
    maker.frames(40);
    let path = maker.path("day.parquet");
    let reel = maker.reel();
    let summary = Export::new(&reel).prices(Prices::Float).to_file(&path, Format::Parquet).unwrap();
    let prices: Vec<f64> = open(&path)
        .build()
        .unwrap()
        .flat_map(|batch| {
            let batch = batch.unwrap();
            let column = batch.column_by_name("last_price").unwrap();
            column.as_primitive::<Float64Type>().values().to_vec()
        })
        .collect();
    let expected = reel.entries().flat_map(|entry| {
        let entry = entry.unwrap();
        let frame = entry.frame().unwrap();
        frame.packets().map(|packet| packet.last_price().to_f64()).collect::<Vec<_>>()
    });
    assert_eq!(prices.len() as u64, summary.rows);
    assert!(prices.into_iter().eq(expected));
}

#[test]
fn times_have_the_chosen_unit_and_zone_in_both_tables() {
    let mut maker = Maker::new(13);
    let tick = Tick { instrument_token: 0x101, last_price: 1, fields: Fields::Ltp };
    maker.frame(OPENING + 123_456_789, &[tick]);
    let gap = Gap {
        reason: GapReason::Lagged,
        from_unix_ns: OPENING + 1_999,
        to_unix_ns: OPENING + 5_000,
        frames: None,
    };
    maker.gap(OPENING + 5_001, &gap);
    let (path, events) = (maker.path("day.parquet"), maker.path("events.parquet"));
    let export = Export::new(&maker.reel()).time_unit(Unit::Microseconds);
    let export = export.time_zone(TimeZone::Ist).events(&events);
    export.to_file(&path, Format::Parquet).unwrap();
    let values = |path: &Path, name: &str| {
        let batch = open(path).build().unwrap().next().unwrap().unwrap();
        let column = batch.column_by_name(name).unwrap();
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("Asia/Kolkata".into()));
        assert_eq!(column.data_type(), &micros, "{name}");
        column.as_primitive::<TimestampMicrosecondType>().value(0).cast_unsigned()
    };
    assert_eq!(values(&path, "recv_time"), OPENING / 1_000 + 123_456);
    assert_eq!(values(&events, "recv_time"), OPENING / 1_000 + 5);
    assert_eq!(values(&events, "from_time"), OPENING / 1_000 + 1);
    assert_eq!(values(&events, "to_time"), OPENING / 1_000 + 5);
    let schema = open(&path).schema().clone();
    let seconds = DataType::Timestamp(TimeUnit::Millisecond, Some("Asia/Kolkata".into()));
    assert_eq!(schema.field_with_name("exchange_time").unwrap().data_type(), &seconds);
    let file = open(&path);
    let pairs = file.metadata().file_metadata().key_value_metadata().unwrap();
    let zone = pairs.iter().find(|pair| pair.key == "kite-export.time_zone").unwrap();
    assert_eq!(zone.value.as_deref(), Some("Asia/Kolkata"));
}

#[test]
fn depth_and_symbols_are_written_only_on_request() {
    let mut maker = Maker::new(3);
    maker.frames(20);
    let path = maker.path("day.parquet");
    Export::new(&maker.reel()).depth(false).to_file(&path, Format::Parquet).unwrap();
    let expected: Vec<Row> = maker
        .rows
        .iter()
        .cloned()
        .map(|mut row| {
            row.retain(|name, _| {
                name != "symbol" && !name.starts_with("bid_") && !name.starts_with("ask_")
            });
            row
        })
        .collect();
    assert_eq!(read(&path), expected);
    assert_eq!(open(&path).schema().fields().len(), tick_columns(false, false).len());
}

#[test]
fn the_file_describes_itself() {
    let mut maker = Maker::new(4);
    maker.frames(100);
    maker.gap(
        OPENING,
        &Gap { reason: GapReason::Lagged, from_unix_ns: 0, to_unix_ns: 0, frames: Some(7) },
    );
    let path = maker.path("day.parquet");
    let export =
        Export::new(&maker.reel()).symbols(|_, token| symbol(token)).from(1).row_group_rows(500);
    let summary = export.to_file(&path, Format::Parquet).unwrap();
    let file = open(&path);
    for (field, column) in file.schema().fields().iter().zip(tick_columns(true, true)) {
        assert_eq!(field.name(), &column.name);
        assert_eq!(field.metadata()["description"], column.description);
        assert_eq!(field.is_nullable(), column.nullable);
    }
    let groups = file.metadata().row_groups();
    assert!(groups.len() > 2);
    for group in groups {
        assert!(group.num_rows() <= 500);
        for column in group.columns() {
            assert!(matches!(column.compression(), Compression::ZSTD(_)));
            assert!(column.statistics().is_some(), "{}", column.column_path());
        }
    }
    let pairs = file.metadata().file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| {
        let pair = pairs.iter().find(|pair| pair.key == format!("kite-export.{key}"));
        pair.unwrap_or_else(|| panic!("{key}")).value.clone().unwrap()
    };
    assert_eq!(value("tapes"), "0000000000000abc");
    assert_eq!(value("prices"), "decimal(18, 7)");
    assert_eq!(value("from_unix_ns"), "1");
    assert_eq!(value("rows"), summary.rows.to_string());
    assert_eq!((value("gaps"), value("frames_missing")), ("1".to_owned(), "7".to_owned()));
    assert_eq!(value("is_complete"), "false");
    assert_eq!(value("first_recv_unix_ns"), OPENING.to_string());
    assert_eq!(value("last_recv_unix_ns"), summary.last_recv_unix_ns.unwrap().to_string());
}

#[test]
fn a_tape_without_ticks_becomes_a_table_without_rows() {
    let mut maker = Maker::new(5);
    maker.record(OPENING, RecordKind::Binary, &[0]);
    let path = maker.path("day.parquet");
    let summary = Export::new(&maker.reel()).to_file(&path, Format::Parquet).unwrap();
    assert_eq!((summary.rows, summary.heartbeats), (0, 1));
    assert!(read(&path).is_empty());
    assert_eq!(open(&path).schema().fields().len(), tick_columns(false, true).len());
}

#[test]
fn events_are_a_separate_table() {
    let mut maker = Maker::new(6);
    maker.frames(3);
    let gap = Gap {
        reason: GapReason::Disconnected,
        from_unix_ns: OPENING + 1,
        to_unix_ns: OPENING + 5,
        frames: Some(12),
    };
    maker.gap(OPENING + 5, &gap);
    maker.record(OPENING + 6, RecordKind::Binary, &[0]);
    maker.record(OPENING + 7, RecordKind::Text, br#"{"type":"error","data":"x"}"#);
    maker.record(OPENING + 8, RecordKind::Event, b"up");
    let (path, events) = (maker.path("day.parquet"), maker.path("events.parquet"));
    let export = Export::new(&maker.reel()).events(&events);
    let summary = export.to_file(&path, Format::Parquet).unwrap();
    assert_eq!(summary.event_rows, 4);
    let rows = read(&events);
    let number = |value: u64| Cell::Number(value.into());
    let text = |text: &str| Cell::Text(text.to_owned());
    let expect = |at: u64, cells: &[(&str, Cell)]| {
        let source = [("recv_time", number(at)), ("account", number(1)), ("connection", number(2))];
        let cells = source.iter().chain(cells);
        cells.map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect::<Row>()
    };
    let expected = [
        expect(
            OPENING + 5,
            &[
                ("kind", text("gap")),
                ("reason", text("disconnected")),
                ("from_time", number(OPENING + 1)),
                ("to_time", number(OPENING + 5)),
                ("frames", number(12)),
            ],
        ),
        expect(OPENING + 6, &[("kind", text("heartbeat"))]),
        expect(
            OPENING + 7,
            &[("kind", text("text")), ("text", text(r#"{"type":"error","data":"x"}"#))],
        ),
        expect(OPENING + 8, &[("kind", text("note")), ("text", text("up"))]),
    ];
    assert_eq!(rows, expected);
    for (field, column) in open(&events).schema().fields().iter().zip(event_columns()) {
        assert_eq!((field.name().as_str(), field.is_nullable()), (&*column.name, column.nullable));
    }
}
