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

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use fastrand::Rng;
use kite_tape::{
    Compression, ReadConfig, Received, RecordKind, Recorder, RecorderConfig, Reel, Source,
};

const INSTRUMENTS: usize = 9_000;
const CONNECTIONS: usize = 3;
const UPDATES_PER_SECOND: u64 = 2;
const PACKETS_PER_FRAME: usize = 50;
const PACKET_LEN: usize = 184;
/// From 09:15 to 15:30.
const DAY_S: f64 = 6.25 * 3_600.0;
/// 5 January 2026, 09:15 in India.
const MORNING_S: u64 = 1_767_584_700;

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

struct Market {
    rng: Rng,
    connections: Vec<Vec<Instrument>>,
    round: u64,
}

struct Instrument {
    token: u32,
    /// In paise; a tick is five.
    last: u32,
    last_quantity: u32,
    lot: u32,
    volume: u64,
    turnover: u64,
    /// Total quantities to buy and to sell.
    totals: [u32; 2],
    open: u32,
    high: u32,
    low: u32,
    close: u32,
    last_trade_s: u32,
    open_interest: u32,
    /// Quantity and orders: five levels of bids, then five of offers.
    depth: [(u32, u16); 10],
}

impl Market {
    fn new() -> Self {
        let mut rng = Rng::with_seed(9_000);
        let per_connection = INSTRUMENTS / CONNECTIONS;
        let connections = (0..CONNECTIONS)
            .map(|_| (0..per_connection).map(|_| Instrument::new(&mut rng)).collect())
            .collect();
        Self { rng, connections, round: 0 }
    }

    /// Updates every instrument once and passes the frames to `send`.
    fn round(&mut self, mut send: impl FnMut(Received, Bytes, usize)) {
        let begun_ns = self.round * 1_000_000_000 / UPDATES_PER_SECOND;
        let now_s = (MORNING_S + begun_ns / 1_000_000_000) as u32;
        for (connection, instruments) in self.connections.iter_mut().enumerate() {
            self.rng.shuffle(instruments);
            let source = Source::of(0, connection);
            for (number, packets) in instruments.chunks_mut(PACKETS_PER_FRAME).enumerate() {
                let mut frame = BytesMut::with_capacity(2 + packets.len() * (2 + PACKET_LEN));
                frame.put_u16(packets.len() as u16);
                for instrument in packets.iter_mut() {
                    instrument.update(&mut self.rng, now_s);
                    frame.put_u16(PACKET_LEN as u16);
                    instrument.put(&mut frame, now_s);
                }
                let within_ns = number as u64 * 8_000_000 + self.rng.u64(..100_000);
                let recv_unix_ns = MORNING_S * 1_000_000_000 + begun_ns + within_ns;
                send(Received { recv_unix_ns, source }, frame.freeze(), packets.len());
            }
        }
        self.round += 1;
    }
}

impl Instrument {
    fn new(rng: &mut Rng) -> Self {
        let last = 5 * rng.u32(200..200_000);
        let lot = [1, 1, 1, 25, 50, 75, 500][rng.usize(..7)];
        let mut depth = [(0, 0); 10];
        for level in &mut depth {
            *level = (lot * rng.u32(1..400), rng.u16(1..40));
        }
        let open = last + 5 * rng.u32(..40);
        Self {
            token: rng.u32(256..20_000_000) & !0xff | 1,
            last,
            last_quantity: lot,
            lot,
            volume: u64::from(lot) * rng.u64(..100_000),
            turnover: 0,
            totals: [lot * rng.u32(1_000..20_000), lot * rng.u32(1_000..20_000)],
            open,
            high: open.max(last),
            low: open.min(last),
            close: last,
            last_trade_s: MORNING_S as u32,
            open_interest: lot * rng.u32(..50_000),
            depth,
        }
        .with_turnover()
    }

    fn with_turnover(mut self) -> Self {
        self.turnover = self.volume * u64::from(self.last);
        self
    }

    fn update(&mut self, rng: &mut Rng, now_s: u32) {
        if rng.u32(..100) < 40 {
            self.trade(rng, now_s);
        }
        for _ in 0..rng.u32(1..=4) {
            let at = rng.usize(..10);
            let (quantity, orders) = &mut self.depth[at];
            let before = *quantity;
            *quantity = self.lot * rng.u32(1..400);
            *orders = rng.u16(1..40).min((*quantity / self.lot) as u16).max(1);
            let total = &mut self.totals[at / 5];
            *total = total.saturating_add(*quantity).saturating_sub(before).max(self.lot);
        }
    }

    fn trade(&mut self, rng: &mut Rng, now_s: u32) {
        if rng.bool() {
            let up = rng.bool();
            let ticks = rng.usize(1..=2);
            let step = 5 * ticks as u32;
            self.last = if up { self.last + step } else { self.last.saturating_sub(step).max(200) };
            // The book shifts by as many levels: bids up and offers up, or both down.
            let (bids, offers) = self.depth.split_at_mut(5);
            let (near, far) = if up { (bids, offers) } else { (offers, bids) };
            near.rotate_right(ticks);
            far.rotate_left(ticks);
            for level in near[..ticks].iter_mut().chain(&mut far[5 - ticks..]) {
                *level = (self.lot * rng.u32(1..400), rng.u16(1..40));
            }
            self.high = self.high.max(self.last);
            self.low = self.low.min(self.last);
        }
        // Most trades are small.
        self.last_quantity = self.lot * (1 + rng.u32(..60) * rng.u32(..60) / 400);
        self.volume += u64::from(self.last_quantity * rng.u32(1..4));
        self.turnover += u64::from(self.last_quantity) * u64::from(self.last);
        self.last_trade_s = now_s;
        if rng.u32(..4) == 0 {
            self.open_interest = (self.open_interest + self.lot * rng.u32(..10))
                .saturating_sub(self.lot * rng.u32(..9));
        }
    }

    fn put(&self, frame: &mut BytesMut, now_s: u32) {
        let average = self.turnover.checked_div(self.volume).unwrap_or(0) as u32;
        for value in [
            self.token,
            self.last,
            self.last_quantity,
            average,
            self.volume as u32,
            self.totals[0],
            self.totals[1],
            self.open,
            self.high,
            self.low,
            self.close,
            self.last_trade_s,
            self.open_interest,
            self.open_interest,
            self.open_interest,
            now_s,
        ] {
            frame.put_u32(value);
        }
        for (at, (quantity, orders)) in self.depth.iter().enumerate() {
            let away = 5 * (at as u32 % 5 + 1);
            let price = if at < 5 {
                self.last.saturating_sub(away)
            } else {
                self.last.saturating_add(away)
            };
            frame.put_u32(*quantity);
            frame.put_u32(price);
            frame.put_u16(*orders);
            frame.put_u16(0);
        }
    }
}
