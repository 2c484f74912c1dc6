//! Exports a recording to Parquet and prints price ranges and averages of the busiest instruments.
//!
//! `cargo run --release --example load_parquet -- recordings`, after `record`; or a Parquet file.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::cmp::Reverse;
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use kite_export::{Export, Format};
use kite_manager::Amount;
use kite_tape::Reel;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Totals over the ticks of an instrument.
#[derive(Debug, Default)]
struct Instrument {
    ticks: u64,
    high: Amount,
    low: Amount,
    /// Volume of the day so far.
    volume: Option<i64>,
    traded: i64,
    /// Sum of each increase of the day's volume times the last price.
    turnover: Amount,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut path = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "recordings".into()));
    if path.extension().is_none_or(|extension| extension != "parquet") {
        let reel = Reel::open([&path])?;
        path.set_extension("parquet");
        let summary = Export::new(&reel).to_file(&path, Format::Parquet)?;
        println!("{} ticks exported to {}, {} gaps", summary.rows, path.display(), summary.gaps);
    }

    let file = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    // Reads only three of more than fifty columns.
    let names = ["instrument_token", "last_price", "volume"];
    let columns = ProjectionMask::columns(file.parquet_schema(), names);
    let mut instruments = HashMap::new();
    for batch in file.with_projection(columns).build()? {
        add(&batch?, &mut instruments).ok_or("a column is missing or has another type")?;
    }
    let mut busiest: Vec<_> = instruments.into_iter().collect();
    busiest.sort_by_key(|(token, it)| (Reverse(it.ticks), *token));
    println!("     token    ticks        high         low      traded        VWAP");
    for (token, Instrument { ticks, high, low, traded, turnover, .. }) in busiest.iter().take(10) {
        let vwap = turnover.checked_div(*traded).unwrap_or_default();
        println!("{token:>10} {ticks:>8} {high:>11.2} {low:>11.2} {traded:>11} {vwap:>11.2}");
    }
    Ok(())
}

/// Adds the rows of a batch. Returns `None` if a column is missing or has another type.
fn add(batch: &RecordBatch, instruments: &mut HashMap<u32, Instrument>) -> Option<()> {
    let tokens = batch.column_by_name("instrument_token")?.as_primitive_opt::<UInt32Type>()?;
    let prices = batch.column_by_name("last_price")?.as_primitive_opt::<Decimal128Type>()?;
    let volumes = batch.column_by_name("volume")?.as_primitive_opt::<Int64Type>()?;
    for row in 0..batch.num_rows() {
        // Both count in units of 10⁻⁷ rupees.
        let price = Amount::from_units(prices.value(row));
        let first = Instrument { high: price, low: price, ..Instrument::default() };
        let it = instruments.entry(tokens.value(row)).or_insert(first);
        (it.ticks, it.high, it.low) = (it.ticks + 1, it.high.max(price), it.low.min(price));
        // Null for an index, which has no volume.
        let Some(volume) = volumes.is_valid(row).then(|| volumes.value(row)) else { continue };
        // A decrease is the start of another day.
        let traded = it.volume.replace(volume).map_or(0, |before| (volume - before).max(0));
        it.traded += traded;
        it.turnover += price * traded;
    }
    Some(())
}
