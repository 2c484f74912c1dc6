//! CSV and JSON lines, read back by other parsers and compared with kite-wire's own decoding.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod tape;

use std::collections::BTreeSet;

use kite_export::{ColumnKind, Export, Format, TickLines, Times, event_columns, tick_columns};
use kite_wire::tape::RecordKind;
use proptest::prelude::*;
use serde_json::Value;
use tape::{Cell, Maker, OPENING, Row, decimal, kind_of, symbol, unix_ns};

fn time(text: &str, times: Times) -> Cell {
    Cell::Number(match times {
        Times::Rfc3339 => unix_ns(text),
        Times::Epoch => text.parse().unwrap(),
    })
}

fn csv_rows(bytes: &[u8], times: Times) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let names: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let row = |record: csv::StringRecord| {
        let cells = names.iter().zip(record.iter()).filter(|(_, text)| !text.is_empty());
        let cells = cells.map(|(name, text)| {
            let cell = match kind_of(name) {
                ColumnKind::Nanoseconds | ColumnKind::Seconds => time(text, times),
                ColumnKind::Price => decimal(text),
                ColumnKind::Category => Cell::Text(text.to_owned()),
                _ => Cell::Number(text.parse().unwrap()),
            };
            (name.clone(), cell)
        });
        cells.collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// Reads a row of JSON with prices as strings; nulls are left out.
fn json_row(line: &str, times: Times) -> Row {
    let Value::Object(object) = serde_json::from_str(line).unwrap() else { panic!("{line}") };
    let cells = object.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
        let cell = match (kind_of(&name), value) {
            (ColumnKind::Nanoseconds | ColumnKind::Seconds, Value::String(text)) => {
                time(&text, times)
            }
            (ColumnKind::Price, Value::String(text)) => decimal(&text),
            (ColumnKind::Category, Value::String(text)) => Cell::Text(text),
            (kind, Value::Number(number)) if kind != ColumnKind::Price => {
                Cell::Number(number.as_u64().unwrap().into())
            }
            (kind, value) => panic!("{name}: {value} for {kind:?}"),
        };
        (name, cell)
    });
    cells.collect()
}

fn export(maker: &Maker, format: Format, set: impl Fn(Export<'_>) -> Export<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let export = set(Export::new(&maker.reel()).symbols(|_, token| symbol(token)));
    let summary = export.to_writer(&mut out, format).unwrap();
    assert_eq!(summary.rows as usize, maker.rows.len());
    assert_eq!(summary.bytes_written as usize, out.len());
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn csv_reads_back_as_decoded_by_kite_wire(seed: u64, frames in 0_u64..20, epoch: bool, crlf: bool) {
        let mut maker = Maker::new(seed);
        maker.frames(frames);
        let times = if epoch { Times::Epoch } else { Times::Rfc3339 };
        let out = export(&maker, Format::Csv, |it| it.times(times).crlf(crlf));
        prop_assert_eq!(csv_rows(&out, times), maker.rows);
    }

    #[test]
    fn json_reads_back_as_decoded_by_kite_wire(seed: u64, frames in 0_u64..20, epoch: bool) {
        let mut maker = Maker::new(seed);
        maker.frames(frames);
        let times = if epoch { Times::Epoch } else { Times::Rfc3339 };
        let out = export(&maker, Format::JsonLines, |it| it.times(times).json_prices_as_text(true));
        let text = std::str::from_utf8(&out).unwrap();
        let rows: Vec<_> = text.lines().map(|line| json_row(line, times)).collect();
        prop_assert_eq!(rows, maker.rows);
    }

    #[test]
    fn json_prices_are_numbers_with_their_exact_digits(seed: u64) {
        let mut maker = Maker::new(seed);
        maker.frames(4);
        let texts = export(&maker, Format::JsonLines, |it| it.json_prices_as_text(true));
        let numbers = export(&maker, Format::JsonLines, |it| it);
        let texts = std::str::from_utf8(&texts).unwrap();
        for (texts, line) in texts.lines().zip(std::str::from_utf8(&numbers).unwrap().lines()) {
            let (texts, numbers): (Value, Value) =
                (serde_json::from_str(texts).unwrap(), serde_json::from_str(line).unwrap());
            let prices = texts.as_object().unwrap().iter();
            for (name, text) in prices.filter(|(name, _)| kind_of(name) == ColumnKind::Price) {
                let Some(text) = text.as_str() else {
                    prop_assert!(text.is_null() && numbers[name].is_null());
                    continue;
                };
                let digits = format!("\"{name}\":{text}");
                prop_assert!(line.contains(&digits), "{} in {}", digits, line);
                prop_assert_eq!(numbers[name].as_f64(), text.parse().ok());
            }
        }
    }
}

#[test]
fn rows_of_many_chunks_keep_their_order() {
    let mut maker = Maker::new(7);
    maker.frames(700);
    assert!(maker.rows.len() > 12_000);
    let out = export(&maker, Format::Csv, |it| it.threads(5));
    assert_eq!(csv_rows(&out, Times::Rfc3339), maker.rows);
}

#[test]
fn every_row_of_json_has_every_column_as_a_key() {
    let mut maker = Maker::new(12);
    maker.frames(40);
    maker.record(OPENING, RecordKind::Binary, &[0]);
    for depth in [true, false] {
        let events = maker.path("events.jsonl");
        let mut out = Vec::new();
        let export = Export::new(&maker.reel()).symbols(|_, token| symbol(token)).depth(depth);
        export.events(&events).overwrite(true).to_writer(&mut out, Format::JsonLines).unwrap();
        let events = std::fs::read(&events).unwrap();
        for (text, columns) in [(out, tick_columns(true, depth)), (events, event_columns())] {
            let names: BTreeSet<_> = columns.iter().map(|column| &*column.name).collect();
            let text = String::from_utf8(text).unwrap();
            assert!(!text.is_empty());
            for line in text.lines() {
                let Value::Object(row) = serde_json::from_str(line).unwrap() else { panic!() };
                assert_eq!(row.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
            }
        }
    }
}

#[test]
fn tick_lines_without_a_tape_equal_those_of_an_export() {
    let mut maker = Maker::new(11);
    maker.frames(40);
    let exported = export(&maker, Format::JsonLines, |it| it);
    let mut lines = TickLines::new(symbol);
    for entry in maker.reel().entries() {
        let entry = entry.unwrap();
        for packet in entry.frame().unwrap().packets() {
            lines.push(entry.received, packet);
        }
    }
    assert!(!exported.is_empty());
    assert_eq!(lines.take(), exported);
    assert!(lines.take().is_empty());
}

#[test]
fn csv_has_a_header_even_without_rows_and_the_configured_line_ends() {
    let maker = Maker::new(8);
    let names: Vec<_> = tick_columns(true, true).into_iter().map(|it| it.name).collect();
    let lf = export(&maker, Format::Csv, |it| it);
    assert_eq!(lf, format!("{}\n", names.join(",")).into_bytes());
    let crlf = export(&maker, Format::Csv, |it| it.crlf(true));
    assert_eq!(crlf, format!("{}\r\n", names.join(",")).into_bytes());
    assert!(export(&maker, Format::JsonLines, |it| it).is_empty());
}

#[test]
fn events_are_written_in_the_same_format() {
    let mut maker = Maker::new(9);
    let order = "{\"type\":\"order\",\"data\":{\"tag\":\"a, \\\"b\\\"\"}}";
    maker.record(OPENING, RecordKind::Text, order.as_bytes());
    maker.record(OPENING + 1, RecordKind::Text, b"\xff");
    for format in [Format::Csv, Format::JsonLines] {
        let events = maker.path("events");
        let export = Export::new(&maker.reel()).events(&events).overwrite(true);
        let summary = export.to_writer(Vec::new(), format).unwrap();
        assert_eq!((summary.event_rows, summary.unreadable_texts), (2, 1));
        let text = std::fs::read_to_string(&events).unwrap();
        let texts: Vec<String> = match format {
            Format::Csv => {
                let mut reader = csv::Reader::from_reader(text.as_bytes());
                reader.records().map(|record| record.unwrap()[8].to_owned()).collect()
            }
            _ => text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .map(|row| row["text"].as_str().unwrap().to_owned())
                .collect(),
        };
        assert_eq!(texts, [order, "\u{fffd}"]);
    }
}
