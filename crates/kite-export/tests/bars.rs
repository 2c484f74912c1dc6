//! Bars of a tape in every format, in the order and time range that were chosen.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod tape;

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use kite_export::kite_candles::{Bar, Config, ConfigError};
use kite_export::{Export, ExportError, Format, Prices, bar_columns};
use kite_tape::{Reel, Windows};
use kite_wire::tape::RecordKind;
use kite_wire::{Fields, FullFields, IndexFields, QuoteFields, Tick};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tape::{Maker, OPENING};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 86_400 * SECOND;
const INFY: u32 = 408_065;
const NIFTY: u32 = 256_265;

fn tick(price: i32, volume: u32) -> Tick {
    let quote = QuoteFields { volume, ..QuoteFields::default() };
    let full = FullFields { open_interest: 7, ..FullFields::default() };
    Tick { instrument_token: INFY, last_price: price, fields: Fields::Full { quote, full } }
}

fn index(value: i32) -> Tick {
    let fields = Fields::IndexQuote(IndexFields::default());
    Tick { instrument_token: NIFTY, last_price: value, fields }
}

/// Two days of 20 minutes, with ticks of a stock and an index every ten seconds.
fn maker() -> Maker {
    let mut maker = Maker::new(1);
    for day in 0..2 {
        maker.record(OPENING + day * DAY - MINUTE, RecordKind::Binary, &[0]);
        for step in 0..120 {
            let at = OPENING + day * DAY + step * 10 * SECOND;
            let price = 157_000 + (step as i32 * 37) % 500;
            maker.frame(at, &[index(2_600_000 + step as i32), tick(price, 10 * step as u32)]);
        }
    }
    maker
}

fn every(lengths: &[&str]) -> Vec<Config> {
    let config = |length: &&str| {
        let mut config = Config::default();
        config.every = length.parse().unwrap();
        config
    };
    lengths.iter().map(config).collect()
}

fn export(reel: &Reel) -> Export<'static> {
    Export::new(reel).symbols(|_, token| (token == INFY).then(|| "NSE:INFY".to_owned()))
}

fn csv(reel: &Reel, lengths: &[&str]) -> String {
    let mut out = Vec::new();
    export(reel).bars(every(lengths)).to_writer(&mut out, Format::Csv).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn csv_has_indian_times_exact_prices_and_flags() {
    let text = csv(&maker().reel(), &["5m"]);
    let lines: Vec<&str> = text.lines().collect();
    let columns: Vec<_> = bar_columns(false).into_iter().map(|it| it.name).collect();
    assert_eq!(lines[0], columns.join(","));
    // Four bars for each instrument and day. The first packet of the first day is a baseline.
    assert_eq!(lines.len(), 1 + 2 * 4 * 2);
    assert_eq!(
        lines[2],
        "2026-01-05T09:15:00+05:30,NSE:INFY,408065,1570.37,1574.99,1570.18,1570.73,290,7,29,\
         2026-01-05T09:15:10.000000+05:30,2026-01-05T09:19:50.000000+05:30,0,0,by_arrival"
    );
    assert!(lines[1].starts_with("2026-01-05T09:15:00+05:30,,256265,26000.01,"), "{}", lines[1]);
    assert!(lines[1].contains(",,,29,"), "an index has no volume: {}", lines[1]);
    let starts: Vec<&str> = lines[1..].iter().map(|line| &line[..19]).collect();
    assert!(starts.is_sorted(), "{starts:?}");
}

#[test]
fn several_lengths_have_a_column_that_tells_them_apart() {
    let text = csv(&maker().reel(), &["10m", "1d"]);
    let bars: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').take(4).collect()).collect();
    assert_eq!(bars[0], ["start", "every", "symbol", "instrument_token"]);
    assert_eq!(bars[1], ["2026-01-05T00:00:00+05:30", "1d", "", "256265"]);
    assert_eq!(bars[4], ["2026-01-05T09:15:00+05:30", "10m", "NSE:INFY", "408065"]);
    assert_eq!(bars.len(), 1 + 2 * 2 + 2 * 2 * 2);
}

#[test]
fn the_time_range_chooses_bars_and_does_not_change_them() {
    let reel = maker().reel();
    let all = csv(&reel, &["1m"]);
    let mut out = Vec::new();
    let windows = [0, DAY].map(|day| {
        let from = OPENING + day + 10 * MINUTE + 30 * SECOND;
        from..from + 2 * MINUTE
    });
    let export = export(&reel).windows(Windows::new(windows));
    let summary = export.bars(every(&["1m"])).to_writer(&mut out, Format::Csv).unwrap();
    let part = String::from_utf8(out).unwrap();
    let wanted = |line: &&str| ["T09:25", "T09:26", "T09:27"].contains(&&line[10..16]);
    assert_eq!(
        part.lines().skip(1).collect::<Vec<_>>(),
        all.lines().filter(wanted).collect::<Vec<_>>()
    );
    assert_eq!((summary.bars, summary.counts[0].1.late_gaps), (12, 0));
}

#[test]
fn parquet_has_the_rows_of_csv() {
    let maker = maker();
    let (reel, path) = (maker.reel(), maker.path("bars.parquet"));
    let made = export(&reel).bars(every(&["1m"])).to_file(&path, Format::Parquet).unwrap();
    assert_eq!(made.tapes.bytes_written, path.metadata().unwrap().len());
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let schema = reader.schema().clone();
    for (field, column) in schema.fields().iter().zip(bar_columns(false)) {
        assert_eq!((field.name().as_str(), field.is_nullable()), (&*column.name, column.nullable));
    }
    let zone = Some("Asia/Kolkata".into());
    assert_eq!(schema.field(0).data_type(), &DataType::Timestamp(TimeUnit::Microsecond, zone));
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let [batch] = &batches[..] else { panic!("{} batches", batches.len()) };

    let mut rows = Vec::new();
    export(&reel)
        .bars(every(&["1m"]))
        .for_each(|row| rows.push((*row.bar, row.symbol.map(str::to_owned))))
        .unwrap();
    assert_eq!((batch.num_rows() as u64, rows.len() as u64), (made.bars, made.bars));
    let numbers = |name| batch[name].as_primitive::<Int64Type>().clone();
    let opens = batch["open"].as_primitive::<Decimal128Type>();
    let starts = batch["start"].as_primitive::<TimestampMicrosecondType>();
    let text = |name, at: usize| {
        let column = batch[name].as_dictionary::<Int32Type>();
        let names = column.values().as_string::<i32>();
        column.key(at).map(|key| names.value(key).to_owned())
    };
    let volumes = numbers("volume");
    for (at, (bar, symbol)) in rows.iter().enumerate() {
        assert_eq!(starts.value(at), i64::from(bar.start.get()) * 1_000_000);
        assert_eq!(opens.value(at), bar.open.amount().units());
        assert_eq!(volumes.is_valid(at).then(|| volumes.value(at) as u64), bar.volume);
        assert_eq!(numbers("packets").value(at), i64::from(bar.packets));
        assert_eq!(
            (text("symbol", at), text("flags", at)),
            (symbol.clone(), Some(bar.flags.to_string()))
        );
    }
    let float = export(&reel).prices(Prices::Float).overwrite(true).bars(every(&["1m"]));
    float.to_file(&path, Format::Parquet).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.schema().field_with_name("open").unwrap().data_type(), &DataType::Float64);
}

#[test]
fn json_lines_have_every_key_and_filled_bars_no_times() {
    let mut maker = Maker::new(1);
    for (minute, volume) in [(0, 1), (1, 2), (4, 3)] {
        maker.frame(OPENING + minute * MINUTE, &[tick(100, volume)]);
    }
    let mut config = every(&["1m"]);
    config[0].build_with_no_updates = true;
    let mut out = Vec::new();
    export(&maker.reel()).bars(config).to_writer(&mut out, Format::JsonLines).unwrap();
    let lines: Vec<serde_json::Value> =
        out.split(|byte| *byte == b'\n').filter_map(|it| serde_json::from_slice(it).ok()).collect();
    assert_eq!(lines.len(), 4);
    for column in bar_columns(false) {
        assert!(lines.iter().all(|line| line.get(&*column.name).is_some()), "{}", column.name);
    }
    let filled = &lines[1];
    assert_eq!((&filled["packets"], &filled["volume"]), (&0.into(), &0.into()));
    assert!(filled["first_time"].is_null() && filled["flags"] == "cached_open", "{filled}");
}

#[test]
fn a_setting_out_of_range_is_an_error_before_a_file_is_made() {
    let maker = maker();
    let mut configs = every(&["1m"]);
    configs[0].grace = std::time::Duration::from_secs(61);
    let made = export(&maker.reel()).bars(configs).to_file(maker.path("bars.csv"), Format::Csv);
    assert!(matches!(made, Err(ExportError::Bars(ConfigError::Grace { .. }))), "{made:?}");
    assert_eq!(maker.files(), Vec::<String>::new());
}

#[test]
fn damage_of_the_tape_flags_the_bars_around_it() {
    let mut maker = Maker::new(1);
    for step in 0..3 {
        maker.next_block();
        for minute in 0..5 {
            let at = OPENING + (step * 5 + minute) * MINUTE;
            maker.frame(at, &[tick(100, (step * 5 + minute) as u32)]);
        }
    }
    let mut bytes = maker.bytes();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    let mut bars: Vec<Bar> = Vec::new();
    let made =
        export(&maker.reel_of(&bytes)).bars(every(&["1m"])).for_each(|row| bars.push(*row.bar));
    let made = made.unwrap();
    assert_eq!(made.tapes.damage, 1);
    assert!(made.incomplete > 0 && bars.iter().any(|bar| bar.missed_volume > 0), "{bars:?}");
    let sum: u64 = bars.iter().map(|bar| bar.volume.unwrap_or(0) + bar.missed_volume).sum();
    assert_eq!(sum, 14);
}

#[test]
fn bars_in_memory_are_those_of_a_parquet_file() {
    let maker = maker();
    let (reel, path) = (maker.reel(), maker.path("bars.parquet"));
    for lengths in [&["1m"][..], &["15s", "1d"]] {
        let bars = || export(&reel).bars(every(lengths));
        let made = export(&reel).overwrite(true).bars(every(lengths));
        let made = made.to_file(&path, Format::Parquet).unwrap();
        let mut batches = bars().to_batches().unwrap();
        let found: Vec<RecordBatch> = batches.by_ref().map(Result::unwrap).collect();
        let summary = batches.summary().unwrap();
        assert_eq!((summary.bars, &summary.counts), (made.bars, &made.counts));
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        assert_eq!(reader.schema().fields(), batches.schema().fields());
        let expected: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        assert!(found.len() == 1 && found[0].columns() == expected[0].columns());
        let mut unread = bars().to_batches().unwrap();
        let _ = unread.next_within(std::time::Duration::ZERO);
        drop(unread);
    }
    let mut config = Config::default();
    config.grace = 2 * Config::LONGEST_GRACE;
    assert!(export(&reel).bars([config]).to_batches().is_err());
}
