//! Reads a tick file and prints a summary of each instrument.
//!
//! ```sh
//! cargo run --release -p kite-wire --example offline -- FILE
//! ```
//!
//! Without a file it writes a small one first. The file is mapped, not read: records and packets
//! are views into the page cache, so it may be larger than memory.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use kite_wire::tape::{BlockBuffer, Received, RecordKind, Source, Tape, TapeHeader};
use kite_wire::{Fields, FrameEncoder, Packet, Price, QuoteFields, Tick};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).map_or_else(sample, |path| Ok(PathBuf::from(path)))?;
    let (file, _) = vmap::Map::with_options().open(&path)?;
    let tape = Tape::open(&file)?;

    let mut instruments: BTreeMap<u32, Summary> = BTreeMap::new();
    let mut records = tape.records();
    for record in records.by_ref() {
        let frame = match record {
            Ok(record) => record.frame(),
            Err(skipped) => {
                println!("damaged: {skipped}");
                None
            }
        };
        // Text frames, gaps and events are records too, but hold no packets.
        for packet in frame.into_iter().flatten() {
            let summary = instruments.entry(packet.instrument_token());
            summary.or_insert_with(|| Summary::new(packet)).add(packet);
        }
    }

    println!("instrument     ticks         last         high          low       volume");
    for (token, Summary { ticks, last, high, low, volume }) in &instruments {
        let volume = volume.map_or_else(|| "-".to_owned(), |volume| volume.to_string());
        println!("{token:>10} {ticks:>9} {last:>12} {high:>12} {low:>12} {volume:>12}");
    }
    println!("{} records of {}", records.tally().records, path.display());
    if let Some(ending) = records.ending() {
        println!("{ending}");
    }
    Ok(())
}

/// Summary of one instrument.
struct Summary {
    ticks: u64,
    last: Price,
    high: Price,
    low: Price,
    /// From the last packet that has one; LTP packets do not.
    volume: Option<u32>,
}

impl Summary {
    fn new(packet: Packet<'_>) -> Self {
        let price = packet.last_price();
        Self { ticks: 0, last: price, high: price, low: price, volume: None }
    }

    fn add(&mut self, packet: Packet<'_>) {
        self.ticks += 1;
        self.last = packet.last_price();
        self.high = self.high.max(self.last);
        self.low = self.low.min(self.last);
        self.volume = packet.volume().or(self.volume);
    }
}

/// Writes a tape of two instruments, a thousand ticks each.
fn sample() -> Result<PathBuf, Box<dyn Error>> {
    const CREATED_UNIX_NS: u64 = 1_700_000_000_000_000_000;
    let header = TapeHeader { created_unix_ns: CREATED_UNIX_NS, tape_id: 1, metadata: b"sample" };
    let mut file = vec![0; 256 * 1024];
    let header_len = header.encode(&mut file)?;
    let mut block = BlockBuffer::new(&mut file[header_len..], header.tape_id, 0)?;
    for step in 0..1_000 {
        let mut frame = [0; 128];
        let mut encoder = FrameEncoder::new(&mut frame)?;
        for (instrument_token, start) in [(408_065, 157_370), (738_561, 240_000)] {
            let quote = QuoteFields { volume: 1_000 + step, ..QuoteFields::default() };
            let last_price = start + (step as i32 % 37 - 18) * 5;
            encoder.push(&Tick { instrument_token, last_price, fields: Fields::Quote(quote) })?;
        }
        let received = Received {
            recv_unix_ns: CREATED_UNIX_NS + u64::from(step) * 500_000_000,
            source: Source { account: 0, connection: 0 },
        };
        block.push(received, RecordKind::Binary, encoder.finish())?;
    }
    let len = header_len + block.finish().len();
    let path = std::env::temp_dir().join("kite-wire-offline.tape");
    std::fs::write(&path, &file[..len])?;
    Ok(path)
}
