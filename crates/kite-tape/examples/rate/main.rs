//! Measures how fast a full market is recorded and read back, and how much disk a tick takes.
//!
//! ```text
//! cargo run --release -p kite-tape --example rate -- [GB of frames] [zstd levels] [block in MiB]
//! ```
//!
//! The defaults are 5, `1` and 1; levels are separated by commas, and one may be `stored`.
//!
//! The market has 9,000 instruments in full mode on three connections, each updated twice per
//! second, in frames of up to 50 packets. Compression depends on how much changes in an update, so
//! a seeded generator moves the market like a busy one:
//!
//! - In 40 % of the updates there was a trade since the last one. The last price moves by up to two
//!   ticks in half of those, volume grows by a few lots, the average price follows, and the time of
//!   the last trade is now. The book moves with the price.
//! - In every update one to four of the ten depth levels have a new quantity and number of orders,
//!   and the total quantities change accordingly.
//! - Open interest changes in one trade of four.
//! - The instruments of a connection are in a different order each time.
//!
//! A block of 1 MiB contains each instrument at most once, so zstd finds repetitions within a
//! packet and between instruments, not between two updates of one. The market serves only this
//! measurement and is not meant to be realistic otherwise.

#![expect(clippy::print_stdout, reason = "a measuring program")]

mod market;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use kite_tape::{Compression, ReadConfig, RecordKind, Recorder, RecorderConfig, Reel};
use market::{INSTRUMENTS, Market, UPDATES_PER_SECOND};

/// From 09:15 to 15:30.
const DAY_S: f64 = 6.25 * 3_600.0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let gigabytes: f64 = arguments.next().map_or(Ok(5.0), |it| it.parse())?;
    let levels = arguments.next().unwrap_or_else(|| "1".into());
    let block_bytes = arguments.next().map_or(Ok(1), |it| it.parse::<usize>())? << 20;
    println!("{gigabytes} GB of frames for each level, {INSTRUMENTS} instruments in full mode");
    for level in levels.split(',') {
        let compression = match level {
            "stored" => Compression::Stored,
            level => Compression::Zstd { level: level.parse()? },
        };
        let directory = tempfile::tempdir()?;
        println!("\n{compression:?}");
        let config = RecorderConfig { compression, block_bytes, ..RecorderConfig::default() };
        record(directory.path(), config, (gigabytes * 1e9) as u64)?;
        for threads in [0, 2] {
            read(directory.path(), threads)?;
        }
    }
    Ok(())
}

fn record(directory: &Path, config: RecorderConfig, bytes: u64) -> Result<(), Box<dyn Error>> {
    let most_queued = config.queue_bytes / 4;
    let recorder = Recorder::start(directory, config)?;
    let mut market = Market::new();
    let (mut sent_bytes, mut ticks, mut rounds) = (0, 0, 0);
    let start = Instant::now();
    while sent_bytes < bytes {
        rounds += 1;
        market.round(|received, frame, packets| {
            sent_bytes += frame.len() as u64;
            ticks += packets as u64;
            recorder.record(received, RecordKind::Binary, frame);
        });
        // The generator is faster than the writer, and no frame may be dropped.
        while recorder.stats().queued_bytes > most_queued {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    while recorder.stats().queued > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let writer_s = thread_cpu_s("tape-recorder");
    let stats = recorder.finish()?.stats;
    let wall_s = start.elapsed().as_secs_f64();
    assert_eq!((stats.dropped, stats.lost), (0, 0));
    let real_s = f64::from(rounds) / UPDATES_PER_SECOND as f64;
    let (raw, disk) = (stats.bytes_raw as f64, stats.bytes_on_disk as f64);
    let per_day = DAY_S / real_s;
    println!(
        "  recorded {real_s:.0} s of market: {ticks} ticks in {} frames, {:.2} GB of records, \
         {:.2} MB/s at real time",
        stats.frames,
        raw / 1e9,
        raw / 1e6 / real_s
    );
    println!(
        "  on disk {:.2} GB in {} blocks: {:.1} bytes per tick, {:.2} times smaller",
        disk / 1e9,
        stats.blocks,
        disk / ticks as f64,
        raw / disk
    );
    println!(
        "  wall {wall_s:.1} s including frame generation: {:.0} times real time",
        real_s / wall_s
    );
    if let Some(writer_s) = writer_s {
        println!(
            "  writer's thread {writer_s:.1} s of CPU: {:.0} times real time on one core",
            real_s / writer_s
        );
        println!(
            "  a day of 6.25 h: {:.1} GB raw, {:.1} GB on disk, {:.0} s of CPU of 22,500 s",
            raw / 1e9 * per_day,
            disk / 1e9 * per_day,
            writer_s * per_day
        );
    }
    Ok(())
}

fn read(directory: &Path, threads: usize) -> Result<(), Box<dyn Error>> {
    let (start, cpu) = (Instant::now(), process_cpu_s());
    let reel = Reel::open([directory])?;
    let mut entries = reel.entries_with(ReadConfig { threads, ..ReadConfig::default() });
    let mut bytes = 0_u64;
    for entry in &mut entries {
        bytes += entry?.payload.len() as u64;
    }
    let wall_s = start.elapsed().as_secs_f64();
    print!(
        "  read with {threads} threads ahead: {} records, {:.0} MB/s of frames, wall {wall_s:.1} s",
        entries.tally().entries,
        bytes as f64 / 1e6 / wall_s
    );
    match process_cpu_s().zip(cpu) {
        Some((now, then)) => println!(", CPU {:.1} s", now - then),
        None => println!(),
    }
    Ok(())
}

/// Returns the CPU time of one of this process's threads by name, if `/proc` provides it.
fn thread_cpu_s(name: &str) -> Option<f64> {
    let tasks = fs::read_dir("/proc/self/task").ok()?.flatten();
    let mut task = tasks.filter(|task| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    });
    cpu_s(&task.next()?.path().join("stat"))
}

fn process_cpu_s() -> Option<f64> {
    cpu_s(Path::new("/proc/self/stat"))
}

/// Reads user and system time, the 14th and 15th field, in hundredths of a second. The second field
/// is a name in parentheses.
fn cpu_s(stat: &Path) -> Option<f64> {
    let stat = fs::read_to_string(stat).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
