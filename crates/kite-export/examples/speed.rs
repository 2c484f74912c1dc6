//! Measures exports of a generated market in full mode, in rows per second and bytes per row, and
//! Arrow batches in memory, in nanoseconds per tick. The tables are discarded, so the disk is not
//! measured.
//!
//! `cargo run --release -p kite-export --example speed -- [TICKS]`

#[path = "market/mod.rs"]
mod market;

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use kite_export::{Export, Format, Prices, TickBatches, TickSchema};
use kite_tape::Reel;
use kite_wire::tape::{BlockBuffer, Received, RecordKind, Source, TapeHeader};
use kite_wire::{Frame, FrameEncoder};
use market::{Market, OPENING};

/// Changes the settings of an export.
type Setting = fn(Export<'_>) -> Export<'_>;

const FRAME_TICKS: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let ticks: u64 = std::env::args().nth(1).map_or(Ok(2_000_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let tape = directory.path().join("day.ktape");
    record(&tape, ticks)?;
    let reel = Reel::open([&tape])?;
    eprintln!("{ticks} full ticks, {} bytes per tick on the tape", reel.len_bytes() / ticks);
    // The first run reads the tape from the disk.
    let runs: [(&str, Format, Setting); 7] = [
        ("csv, from the disk", Format::Csv, |export| export),
        ("parquet, decimal", Format::Parquet, |export| export),
        ("parquet, decimal, 1 thread", Format::Parquet, |export| export.threads(1)),
        ("parquet, float", Format::Parquet, |export| export.prices(Prices::Float)),
        ("parquet, without depth", Format::Parquet, |export| export.depth(false)),
        ("csv", Format::Csv, |export| export),
        ("json lines", Format::JsonLines, |export| export),
    ];
    for (name, format, set) in runs {
        let started = Instant::now();
        let summary = set(Export::new(&reel)).to_writer(std::io::sink(), format)?;
        let seconds = started.elapsed().as_secs_f64();
        let (rate, bytes) = (summary.rows as f64 / seconds, summary.bytes_written / summary.rows);
        eprintln!("{name:28} {rate:>10.0} rows/s  {bytes:>4} bytes per row  {seconds:.2} s");
    }
    in_memory(&reel)
}

/// Measures record batches: of frames as a live connection receives them, and of the tape. The
/// fastest of alternating rounds counts.
fn in_memory(reel: &Reel) -> Result<(), Box<dyn Error>> {
    let three = || TickSchema::new().columns(["instrument_token", "last_price", "volume"]);
    let choices = [
        ("three columns, float", three()?.prices(Prices::Float)),
        ("three columns, decimal", three()?),
        ("all columns, float", TickSchema::new().prices(Prices::Float)),
        ("all columns, decimal", TickSchema::new()),
    ];
    let frames: Vec<_> = reel.entries().filter_map(Result::ok).take(50).collect();
    let mut builders: Vec<_> =
        choices.iter().map(|(name, schema)| (name, TickBatches::new(schema), f64::MAX)).collect();
    for _ in 0..200 {
        for (_, batches, fastest) in &mut builders {
            let (started, mut rows) = (Instant::now(), 0);
            for frame in &frames {
                let packets = Frame::walk(&frame.payload).packets();
                rows += batches.build(packets.map(|packet| (frame.received, packet)))?.num_rows();
            }
            *fastest = fastest.min(started.elapsed().as_nanos() as f64 / rows as f64);
        }
    }
    for (name, _, fastest) in builders {
        eprintln!("batch of a frame, {name:24} {fastest:>6.1} ns per tick");
    }
    let mut taken = [f64::MAX; 2];
    for _ in 0..3 {
        let some = Export::new(reel).prices(Prices::Float);
        let some = some.columns(["instrument_token", "last_price", "volume"])?;
        for (export, fastest) in [some, Export::new(reel)].into_iter().zip(&mut taken) {
            let (started, mut rows) = (Instant::now(), 0);
            for batch in export.to_batches()? {
                rows += batch?.num_rows();
            }
            *fastest = fastest.min(started.elapsed().as_nanos() as f64 / rows as f64);
        }
    }
    for (name, fastest) in ["three columns, float", "all columns, decimal"].iter().zip(taken) {
        eprintln!("batches of the tape, {name:21} {fastest:>6.1} ns per tick");
    }
    Ok(())
}

fn record(path: &Path, ticks: u64) -> Result<(), Box<dyn Error>> {
    let start_ns = u64::from(OPENING) * 1_000_000_000;
    let mut file = BufWriter::new(File::create(path)?);
    let header = TapeHeader { created_unix_ns: start_ns, tape_id: 1, metadata: b"" };
    file.write_all(&header.head()?)?;
    let mut market = Market::new(9_000, true);
    let (mut buffer, mut frame_room) = (vec![0; 1 << 20], vec![0; 2 + 200 * 186]);
    let (mut made, mut frames, mut blocks) = (0, 0, 0);
    while made < ticks {
        let mut block = BlockBuffer::new(&mut buffer, 1, blocks)?;
        while made < ticks && block.len_bytes() < (1 << 20) - frame_room.len() - 24 {
            // 18,000 ticks per second.
            let recv_unix_ns = start_ns + frames * FRAME_TICKS * 1_000_000_000 / 18_000;
            let mut frame = FrameEncoder::new(&mut frame_room)?;
            for _ in 0..FRAME_TICKS.min(ticks - made) {
                frame.push(&market.tick((recv_unix_ns / 1_000_000_000) as u32))?;
                made += 1;
            }
            let source = Source { account: 0, connection: (frames % 3) as u8 };
            let received = Received { recv_unix_ns, source };
            block.push(received, RecordKind::Binary, frame.finish())?;
            frames += 1;
        }
        file.write_all(block.finish())?;
        blocks += 1;
    }
    file.flush()?;
    Ok(())
}
