//! The application, which does the same work with each frame, no matter which client delivered it.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Duration;

use benches::by_hand;
use clap::ValueEnum;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::load::STAMP_AT;
use crate::machine::clock_ns;

/// What the application does with the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Adds up token and last price of every packet, through views if the client has them.
    Views,
    /// Reads every packet as a struct.
    Ticks,
    /// Counts the packets and does not read them.
    Count,
    /// Reads one frame, then nothing for two seconds.
    Stop,
}

/// Time for which a consumer stops reading, long enough to fill every bounded queue.
const STOPPED: Duration = Duration::from_secs(2);

/// What one consumer has received.
#[derive(Debug)]
pub struct Application {
    work: Work,
    /// Whether latencies are measured; at full speed they would only reflect queue depths.
    timed: bool,
    pub ticks: u64,
    /// What the client reported as lost: ticks, or frames if the client counts frames.
    pub lost: u64,
    sum: u64,
    latency_ns: Histogram<u64>,
}

impl Application {
    /// Creates an application that has received nothing.
    pub fn new(work: Work, timed: bool) -> Result<Self, Failure> {
        let latency_ns = Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?;
        Ok(Self { work, timed, ticks: 0, lost: 0, sum: 0, latency_ns })
    }

    /// Processes the bytes of a frame, as a program without a client would.
    #[inline]
    pub fn on_bytes(&mut self, frame: &[u8]) -> ControlFlow<()> {
        if frame.len() < 4 {
            return ControlFlow::Continue(());
        }
        self.record_latency(frame);
        let mut packets = u64::from(u16::from_be_bytes([frame[0], frame[1]]));
        match self.work {
            Work::Views => by_hand::bodies(frame, |body| {
                let word = |at: usize| {
                    u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]])
                };
                self.sum = self.sum.wrapping_add(u64::from(word(0)) ^ u64::from(word(4)));
            }),
            Work::Ticks => {
                packets = 0;
                by_hand::each_full_tick(frame, |tick| {
                    black_box(&tick);
                    packets += 1;
                });
            }
            Work::Count | Work::Stop => {}
        }
        self.count(packets)
    }

    /// Processes a batch through the public iterators.
    #[inline]
    pub fn on_batch(&mut self, batch: &kite_wire::TickBatch) -> ControlFlow<()> {
        if batch.is_empty() {
            return ControlFlow::Continue(());
        }
        self.record_latency(batch.as_bytes());
        match self.work {
            Work::Views => self.views(batch),
            Work::Ticks => batch.iter().for_each(|tick| {
                black_box(&tick);
            }),
            Work::Count | Work::Stop => {}
        }
        self.count(batch.len() as u64)
    }

    /// Processes a batch of the facade.
    #[inline]
    pub fn on_facade(&mut self, ticks: &kiteticker_async_manager::TickBatch) -> ControlFlow<()> {
        self.record_latency(ticks.as_wire().as_bytes());
        match self.work {
            Work::Views => self.views(ticks.as_wire()),
            Work::Ticks => {
                for tick in ticks {
                    black_box(&tick);
                }
            }
            Work::Count | Work::Stop => {}
        }
        self.count(ticks.len() as u64)
    }

    /// Processes the ticks of the published client.
    pub fn on_kiteconnect(&mut self, ticks: &[kiteconnect::Tick]) -> ControlFlow<()> {
        if self.timed
            && let Some(first) = ticks.first()
        {
            let word = |word: Option<u64>| word.unwrap_or_default() & 0xffff_ffff;
            self.record(word(first.volume) << 32 | word(first.buy_quantity));
        }
        match self.work {
            Work::Views => {
                for tick in ticks {
                    let price = (tick.last_price.unwrap_or_default() * 100.0) as u64;
                    self.sum = self.sum.wrapping_add(u64::from(tick.instrument_token) ^ price);
                }
            }
            Work::Ticks => {
                for tick in ticks {
                    black_box(tick);
                }
            }
            Work::Count | Work::Stop => {}
        }
        self.count(ticks.len() as u64)
    }

    #[inline]
    fn views(&mut self, batch: &kite_wire::TickBatch) {
        for packet in batch.packets() {
            let price = packet.last_price().raw().cast_unsigned();
            let token = packet.instrument_token();
            self.sum = self.sum.wrapping_add(u64::from(token) ^ u64::from(price));
        }
    }

    #[inline]
    fn record_latency(&mut self, frame: &[u8]) {
        if self.timed
            && let Some(stamp) = frame.get(STAMP_AT..).and_then(|rest| rest.first_chunk())
        {
            self.record(u64::from_be_bytes(*stamp));
        }
    }

    fn record(&mut self, sent_ns: u64) {
        self.latency_ns.saturating_record(clock_ns().saturating_sub(sent_ns));
    }

    /// Counts a frame's packets. Only the last frame of a connection has a single packet.
    #[inline]
    fn count(&mut self, packets: u64) -> ControlFlow<()> {
        self.ticks += packets;
        if self.work == Work::Stop {
            // `block_in_place` moves the other tasks of this thread to another one.
            tokio::task::block_in_place(|| std::thread::sleep(STOPPED));
            return ControlFlow::Break(());
        }
        if packets == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Adds what another consumer has received.
    pub fn merge(mut self, other: &Self) -> Result<Self, Failure> {
        self.ticks += other.ticks;
        self.lost += other.lost;
        self.sum = self.sum.wrapping_add(other.sum);
        self.latency_ns.add(&other.latency_ns)?;
        Ok(self)
    }

    /// Returns the sum over the views, so that the compiler cannot remove the reads.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Returns p50, p99, p99.9 and the longest latency in microseconds.
    pub fn latency_us(&self) -> [f64; 4] {
        let quantile = |share| self.latency_ns.value_at_quantile(share) as f64 / 1e3;
        [quantile(0.5), quantile(0.99), quantile(0.999), self.latency_ns.max() as f64 / 1e3]
    }
}
