//! Measures how long a full list takes to load, compared with the `csv` crate on the same bytes.
//!
//! ```text
//! cargo run --release -p kite-instruments --example load
//! ```

#![expect(clippy::print_stdout, reason = "prints its results")]

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use kite_instruments::{Filter, Instruments};

#[path = "../tests/dump/mod.rs"]
mod dump;

const ROWS: usize = 90_000;
const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let csv = dump::dump(ROWS);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(csv.as_bytes())?;
    let packed = encoder.finish()?;

    let loaded = Instruments::from_csv(&csv)?;
    assert_eq!((loaded.instruments.len(), loaded.problem_count), (ROWS, 0));
    println!("{ROWS} rows, {} bytes of CSV, {} compressed", csv.len(), packed.len());

    // Interleaved, so that a busy machine slows all of them down equally.
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        times[0].push(time(|| Instruments::from_csv(&csv))?);
        times[1].push(time(|| Instruments::from_csv(&packed))?);
        times[2].push(time(|| records(&csv))?);
    }
    let [plain, gzip, bare] = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 2]
    });
    println!("loaded and indexed, plain   {:>8.2} ms", milliseconds(plain));
    println!("loaded and indexed, gzip    {:>8.2} ms", milliseconds(gzip));
    println!("csv crate, StringRecords    {:>8.2} ms", milliseconds(bare));
    println!("plain / csv crate           {:>8.2}", plain.as_secs_f64() / bare.as_secs_f64());

    let instruments = loaded.instruments;
    let tokens: Vec<u32> = instruments.iter().map(|row| row.instrument_token).collect();
    let symbols: Vec<String> = instruments.iter().map(|row| row.to_string()).collect();
    let all = time(|| {
        tokens.iter().try_for_each(|&token| instruments.by_token(token).map(drop)).ok_or("lost")
    })?;
    println!("by_token, each              {:>8.0} ns", all.as_secs_f64() * 1e9 / ROWS as f64);
    let all = time(|| {
        symbols.iter().try_for_each(|symbol| instruments.by_symbol(symbol).map(drop)).ok_or("lost")
    })?;
    println!("by_symbol, each             {:>8.0} ns", all.as_secs_f64() * 1e9 / ROWS as f64);
    for words in ["nifty 24500 ce", "infy", "e"] {
        let took = time(|| Ok::<_, &str>(instruments.search(words, 20)))?;
        println!("search {words:<20} {:>8.2} ms", milliseconds(took));
    }
    let chain = Filter::new().name("NIFTY").segment("NFO-OPT");
    let took = time(|| Ok::<_, &str>(instruments.filter(&chain).count()))?;
    println!("filter one underlying       {:>8.2} ms", milliseconds(took));
    let took = time(|| Ok::<_, &str>(instruments.resolve(["NFO:NIFTI26DEC2224500CE"])))?;
    println!("suggestions for one symbol  {:>8.2} ms", milliseconds(took));
    Ok(())
}

/// Reads all records with the `csv` crate and keeps none.
fn records(csv: &str) -> Result<usize, csv::Error> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let mut record = csv::StringRecord::new();
    let mut fields = 0;
    while reader.read_record(&mut record)? {
        fields += record.len();
    }
    Ok(fields)
}

fn time<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let began = Instant::now();
    black_box(work()?);
    Ok(began.elapsed())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
