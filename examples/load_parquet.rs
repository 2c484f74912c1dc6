//! Loads exported ticks with the Arrow reader: bars and averages of the busiest instruments.
//!
//! `cargo run --release --example load_parquet -- day.parquet`
//!
//! Without a path it makes a small recording first and exports that.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use kite_export::{Export, Format};
use kite_tape::Reel;
use kite_wire::tape::{BlockBuffer, Received, RecordKind, Source, TapeHeader};
use kite_wire::{Fields, FrameEncoder, QuoteFields, Tick};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// What is known of one instrument after its ticks.
#[derive(Debug, Default)]
struct Instrument {
    ticks: u64,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    first_volume: i64,
    last_volume: i64,
    /// Traded value as far as the ticks show it: each rise of the day's volume at the last price.
    turnover: f64,
}

impl Instrument {
    fn add(&mut self, price: f64, volume: Option<i64>) {
        if self.ticks == 0 {
            (self.open, self.high, self.low) = (price, price, price);
        }
        self.ticks += 1;
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.close = price;
        let Some(volume) = volume else { return };
        if self.last_volume == 0 {
            self.first_volume = volume;
        } else if volume > self.last_volume {
            self.turnover += price * (volume - self.last_volume) as f64;
        }
        self.last_volume = volume;
    }

    fn average(&self) -> Option<f64> {
        let traded = self.last_volume - self.first_volume;
        (traded > 0).then(|| self.turnover / traded as f64)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args_os().nth(1) {
        Some(path) => report(Path::new(&path)),
        None => {
            let directory = tempfile::tempdir()?;
            let (tape, table) =
                (directory.path().join("day.ktape"), directory.path().join("day.parquet"));
            record(&tape)?;
            let summary = Export::new(&Reel::open([&tape])?).to_file(&table, Format::Parquet)?;
            println!("{} ticks recorded and exported; {} gaps", summary.rows, summary.gaps);
            report(&table)
        }
    }
}

fn report(path: &Path) -> Result<(), Box<dyn Error>> {
    let file = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    // Three columns of more than fifty: the others are not even read.
    let wanted = ["instrument_token", "last_price", "volume"];
    let columns = ProjectionMask::columns(file.parquet_schema(), wanted);
    let mut instruments = HashMap::<u32, Instrument>::new();
    for batch in file.with_projection(columns).build()? {
        add(&batch?, &mut instruments)?;
    }
    let mut busiest: Vec<_> = instruments.into_iter().collect();
    busiest.sort_by_key(|(token, instrument)| (std::cmp::Reverse(instrument.ticks), *token));
    println!("     token    ticks        open        high         low       close        VWAP");
    for (token, it) in busiest.iter().take(10) {
        let average = it.average().map_or("-".to_owned(), |average| format!("{average:.2}"));
        println!(
            "{token:>10} {:>8} {:>11.2} {:>11.2} {:>11.2} {:>11.2} {average:>11}",
            it.ticks, it.open, it.high, it.low, it.close
        );
    }
    Ok(())
}

fn add(
    batch: &RecordBatch,
    instruments: &mut HashMap<u32, Instrument>,
) -> Result<(), Box<dyn Error>> {
    let column = |name: &str| batch.column_by_name(name).ok_or(format!("no column {name}"));
    let tokens =
        column("instrument_token")?.as_primitive_opt::<UInt32Type>().ok_or("tokens are no u32")?;
    let volumes = column("volume")?.as_primitive_opt::<Int64Type>().ok_or("volumes are no i64")?;
    let prices = prices(column("last_price")?)?;
    for (row, price) in prices.into_iter().enumerate() {
        let volume = volumes.is_valid(row).then(|| volumes.value(row));
        instruments.entry(tokens.value(row)).or_default().add(price, volume);
    }
    Ok(())
}

/// Takes both kinds of prices that an export can have.
fn prices(column: &dyn Array) -> Result<Vec<f64>, Box<dyn Error>> {
    if let Some(decimals) = column.as_primitive_opt::<Decimal128Type>() {
        let unit = 10_f64.powi(decimals.scale().into());
        return Ok(decimals.values().iter().map(|&value| value as f64 / unit).collect());
    }
    let floats = column.as_primitive_opt::<Float64Type>();
    Ok(floats.ok_or("prices are neither decimals nor floats")?.values().to_vec())
}

/// Writes a minute of twelve instruments in quote mode.
fn record(path: &Path) -> Result<(), Box<dyn Error>> {
    let start_ns = 1_767_584_700_000_000_000;
    let header = TapeHeader { created_unix_ns: start_ns, tape_id: 1, metadata: b"{}" };
    let mut file = vec![0; header.encoded_len()];
    header.encode(&mut file)?;
    let mut buffer = vec![0; 1 << 20];
    let mut block = BlockBuffer::new(&mut buffer, header.tape_id, 0)?;
    let mut frame_room = [0; 1_024];
    for step in 0..120_u32 {
        let mut frame = FrameEncoder::new(&mut frame_room)?;
        for number in (1..=12_u32).filter(|number| step % number == 0) {
            let base = 100_000 * number as i32;
            let last_price = base + (step * 7_919 * number % 500) as i32;
            let quote = QuoteFields {
                last_quantity: 10,
                average_price: base,
                volume: 1_000 + step * 10 * number,
                open: base,
                high: base + 500,
                low: base,
                close: base,
                ..QuoteFields::default()
            };
            let instrument_token = number << 8 | 1;
            frame.push(&Tick { instrument_token, last_price, fields: Fields::Quote(quote) })?;
        }
        let source = Source { account: 0, connection: 0 };
        let recv_unix_ns = start_ns + u64::from(step) * 500_000_000;
        let received = Received { recv_unix_ns, source };
        block.push(received, RecordKind::Binary, frame.finish())?;
    }
    file.extend_from_slice(block.finish());
    Ok(std::fs::write(path, file)?)
}
