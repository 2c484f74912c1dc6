//! Measures how fast a full market is recorded and read back, and how much disk a tick takes.
//!
//! ```text
//! cargo run --release -p kite-tape --example rate -- [GB of frames] [zstd levels] [block in MiB] [market] [directory]
//! ```
//!
//! The defaults are 5, `1`, 1 and `busy`; levels are separated by commas, and one may be `stored`.
//! With a directory, the recordings are kept there, before and after they are packed.
//!
//! Each recording is then packed on one thread, and read again, from its start and from 200 times
//! within it. The module `market` describes the two markets, `busy` and `calm`.

#![expect(clippy::print_stdout, reason = "a measuring program")]

mod market;

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kite_tape::{Compression, PackConfig, ReadConfig, RecordKind, Recorder, RecorderConfig, Reel};
use market::{INSTRUMENTS, Market, UPDATES_PER_SECOND};

/// From 09:15 to 15:30.
const DAY_S: f64 = 6.25 * 3_600.0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let gigabytes: f64 = arguments.next().map_or(Ok(5.0), |it| it.parse())?;
    let levels = arguments.next().unwrap_or_else(|| "1".into());
    let block_bytes = arguments.next().map_or(Ok(1), |it| it.parse::<usize>())? << 20;
    let is_calm = arguments.next().is_some_and(|it| it == "calm");
    let market = if is_calm { "calm" } else { "busy" };
    let keep = arguments.next().map(PathBuf::from);
    println!(
        "{gigabytes} GB of frames for each level, {INSTRUMENTS} instruments in full mode, {market}"
    );
    for level in levels.split(',') {
        let compression = match level {
            "stored" => Compression::Stored,
            level => Compression::Zstd { level: level.parse()? },
        };
        let directory = tempfile::tempdir()?;
        println!("\n{compression:?}");
        let config = RecorderConfig { compression, block_bytes, ..RecorderConfig::default() };
        let real_s = record(directory.path(), config, (gigabytes * 1e9) as u64, is_calm)?;
        for threads in [0, 2] {
            read(directory.path(), threads)?;
        }
        seek(directory.path())?;
        if let Some(keep) = &keep {
            copy(directory.path(), &keep.join(format!("{market}-{level}")))?;
        }
        pack(directory.path(), real_s)?;
        if let Some(keep) = &keep {
            copy(directory.path(), &keep.join(format!("{market}-{level}-packed")))?;
        }
        for threads in [0, 2] {
            read(directory.path(), threads)?;
        }
        seek(directory.path())?;
    }
    Ok(())
}

/// Records frames of this many bytes and returns how many seconds of the market they are.
fn record(
    directory: &Path,
    config: RecorderConfig,
    bytes: u64,
    is_calm: bool,
) -> Result<f64, Box<dyn Error>> {
    let most_queued = config.queue_bytes / 4;
    let recorder = Recorder::start(directory, config)?;
    let mut market = Market::new(is_calm);
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
    Ok(real_s)
}

/// Copies the tapes of a directory.
fn copy(directory: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for file in Reel::open([directory])?.files() {
        fs::copy(file.path(), to.join(file.path().file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Packs the recording in place.
fn pack(directory: &Path, real_s: f64) -> Result<(), Box<dyn Error>> {
    let (start, cpu) = (Instant::now(), process_cpu_s());
    let (mut before, mut after, mut ticks) = (0, 0, 0_usize);
    for file in Reel::open([directory])?.files() {
        let config = PackConfig::default();
        let path = file.path();
        let summary = kite_tape::pack(path, path, &config, &mut |_| ControlFlow::Continue(()))?;
        before += summary.bytes_before;
        after += summary.bytes_after;
    }
    let (wall_s, cpu_s) = (start.elapsed().as_secs_f64(), process_cpu_s().zip(cpu));
    let mut raw = 0_usize;
    for entry in Reel::open([directory])?.entries() {
        let entry = entry?;
        raw += 24 + entry.payload.len();
        ticks += entry.frame().map_or(0, |frame| frame.packets().len());
    }
    let (before, after) = (before as f64, after as f64);
    println!(
        "  packed {:.2} GB to {:.3} GB: {:.1} bytes per tick, {:.2} times smaller than the records, \
         {:.2} than before",
        before / 1e9,
        after / 1e9,
        after / ticks as f64,
        raw as f64 / after,
        before / after
    );
    println!(
        "  wall {wall_s:.1} s, {:.0} MB/s of records, {:.0} times real time; a day: {:.1} GB",
        raw as f64 / 1e6 / wall_s,
        real_s / wall_s,
        after / 1e9 * DAY_S / real_s
    );
    if let Some((now, then)) = cpu_s {
        println!("  CPU {:.1} s, {:.0} times real time", now - then, real_s / (now - then));
    }
    Ok(())
}

/// Reads the first record after 200 times.
fn seek(directory: &Path) -> Result<(), Box<dyn Error>> {
    const SEEKS: u64 = 200;
    let reel = Reel::open([directory])?;
    let (from, to) = reel.span().ok_or("no records")?;
    let mut times = Vec::new();
    let cpu = process_cpu_s();
    for n in 0..SEEKS {
        let start = Instant::now();
        let found = reel.seek(from + (to - from) / SEEKS * n).next().ok_or("no record")??;
        times.push((start.elapsed().as_secs_f64() * 1e3, found.recv_unix_ns()));
    }
    let cpu_s = process_cpu_s().zip(cpu).map(|(now, then)| now - then);
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    print!(
        "  first record after a seek: {:.1} ms in the median, {:.1} ms at most",
        times[times.len() / 2].0,
        times[times.len() - 1].0
    );
    match cpu_s {
        Some(cpu_s) => println!(", CPU {:.1} ms each", cpu_s * 1e3 / SEEKS as f64),
        None => println!(),
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
        Some((now, then)) => println!(
            ", CPU {:.2} s, {:.0} MB/s on one core",
            now - then,
            bytes as f64 / 1e6 / (now - then)
        ),
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
