//! Counts what the simulator sent and what came of it, instrument by instrument.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::time::Duration;

use kite_conn::LaneConfig;
use kite_manager::{Figures, Manager, StreamConfig, StreamItem, TickStream};
use kite_sim::{Sent, Sim};
use kite_wire::Mode;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::market::Simulated;
use crate::console::output::{self, Output};
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::{self, Feed, OpenFeed, SimFeed};
use crate::format::numbers;
use crate::format::numbers::{duration, grouped};

const SECOND: Duration = Duration::from_secs(1);
/// What has not come after this long without anything coming is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// What came.
#[derive(Debug, Default)]
struct Tally {
    ticks: u64,
    dropped: u64,
    instruments: HashMap<u32, Sent>,
}

/// What was sent against what came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Comparison {
    sent: u64,
    /// Ticks that were sent and did not come.
    missing: u64,
    /// Ticks that came more often than they were sent.
    surplus: u64,
    /// Instruments with the right number of ticks and other bytes.
    altered: u64,
    /// Instruments that were subscribed and never came.
    unseen: u64,
}

impl Comparison {
    /// Compares instrument by instrument, so that a loss is not hidden by a duplicate.
    fn new(asked: usize, sent: &BTreeMap<u32, Sent>, received: &HashMap<u32, Sent>) -> Self {
        let mut all =
            Self { unseen: asked.saturating_sub(received.len()) as u64, ..Self::default() };
        for (token, sent) in sent {
            let came = received.get(token).copied().unwrap_or_default();
            all.sent += sent.ticks;
            all.missing += sent.ticks.saturating_sub(came.ticks);
            all.surplus += came.ticks.saturating_sub(sent.ticks);
            all.altered += u64::from(came.ticks == sent.ticks && came.checksum != sent.checksum);
        }
        let unsent = received.iter().filter(|(token, _)| !sent.contains_key(token));
        all.surplus += unsent.map(|(_, came)| came.ticks).sum::<u64>();
        all
    }

    /// Gives what is wrong, in words.
    fn findings(&self) -> Vec<String> {
        let all = [
            (self.missing, "missing tick"),
            (self.surplus, "surplus tick"),
            (self.altered, "altered instrument"),
            (self.unseen, "unseen instrument"),
        ];
        let wrong = all.into_iter().filter(|(number, _)| *number > 0);
        wrong.map(|(number, noun)| numbers::counted(number, noun)).collect()
    }
}

/// Streams for a while, prints a line each second, and compares at the end.
pub(super) async fn run(
    sim_feed: SimFeed,
    length: Duration,
    output: Output,
    stop: &Stop,
) -> Result<Status, CliError> {
    let simulated = Simulated::default();
    let connections = feed::connections_for(simulated.len());
    let OpenFeed { builder, sim, title } = Feed::Sim(sim_feed).open(connections).await?;
    let manager = feed::manager(builder)?;
    let sim = sim.ok_or_else(|| CliError::unable("the simulator is not there"))?;
    let shown = simulated.shown().iter().map(|named| named.token).collect();
    for (mode, tokens) in [(Mode::Full, shown)].into_iter().chain(simulated.background()) {
        manager
            .subscribe(&tokens, mode)
            .map_err(|error| CliError::unable("cannot subscribe").because(error))?;
    }
    output.line(format_args!(
        "{title}: {} on {}, for {} s",
        numbers::counted(simulated.len() as u64, "instrument"),
        numbers::counted(connections as u64, "socket"),
        length.as_secs(),
    ))?;
    // Nothing may be dropped here: the sockets wait for the count.
    let config = StreamConfig { lane: LaneConfig::default(), ..StreamConfig::default() };
    let mut stream =
        manager.stream(config).map_err(|error| CliError::unable("cannot stream").because(error))?;
    let mut received = Tally::default();
    let is_whole = stream_for(&manager, &mut stream, &mut received, length, output, stop).await?;
    settle(&sim, &mut stream, &mut received, simulated.len()).await;
    let total = manager.snapshot().total;
    manager.stop().await;

    let asked = if is_whole { simulated.len() } else { 0 };
    let comparison = Comparison::new(asked, &sim.sent(), &received.instruments);
    let latency = total.latency_ns;
    let time = |time_ns| match latency.count {
        0 => "unknown".to_owned(),
        _ => duration(Duration::from_nanos(time_ns)),
    };
    output.line(format_args!("sent      {} ticks", grouped(comparison.sent)))?;
    output.line(format_args!(
        "received  {} ticks of {}",
        grouped(received.ticks),
        numbers::counted(received.instruments.len() as u64, "instrument"),
    ))?;
    output.line(format_args!(
        "latency   p50 {}, p99 {}, from the socket's read to delivery",
        time(latency.p50),
        time(latency.p99)
    ))?;
    let mut findings = comparison.findings();
    findings.extend(faults(&total, received.dropped));
    if findings.is_empty() {
        let text = "Nothing was lost: ticks and checksums of every instrument are those sent.";
        output.line(output.paint(output::GREEN, text))?;
        Ok(Status::Done)
    } else {
        let text = format!("LOST      {}", findings.join(", "));
        output.line(output.paint(output::RED, text))?;
        Ok(Status::Findings)
    }
}

/// Counts until the time is over or the user ends it; says whether all sockets were up before.
async fn stream_for(
    manager: &Manager,
    stream: &mut TickStream,
    received: &mut Tally,
    length: Duration,
    output: Output,
    stop: &Stop,
) -> Result<bool, CliError> {
    let mut start = pin!(manager.start());
    let mut is_started = false;
    let began = Instant::now();
    let mut seconds = interval_at(began + SECOND, SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.asked() => return Ok(is_started),
            () = sleep_until(began + length), if is_started => return Ok(true),
            started = &mut start, if !is_started => {
                started.map_err(|error| CliError::unable("cannot connect").because(error))?;
                is_started = true;
            }
            now = seconds.tick() => {
                let snapshot = manager.snapshot();
                output.line(format_args!(
                    "{:>4} s  {} of {} sockets up, {:>6} ticks/s, {:>9} ticks of {} instruments",
                    (now - began).as_secs(),
                    snapshot.live,
                    snapshot.connections.len(),
                    grouped(snapshot.total.ticks_per_second.round() as u64),
                    grouped(received.ticks),
                    grouped(received.instruments.len() as u64),
                ))?;
            }
            item = stream.recv() => match item {
                Some(item) => received.take(&item),
                None => return Ok(false),
            },
        }
    }
}

/// Stops the market and waits until all that was sent has come, or nothing comes any more.
async fn settle(sim: &Sim, stream: &mut TickStream, received: &mut Tally, instruments: usize) {
    // A socket that is not read keeps the simulator waiting: it is read meanwhile.
    let mut pause = pin!(timeout(PATIENCE, sim.pause()));
    let mut is_paused = false;
    loop {
        let has_all =
            received.ticks >= sim.stats().ticks_sent && received.instruments.len() >= instruments;
        if is_paused && has_all {
            return;
        }
        tokio::select! {
            _ = &mut pause, if !is_paused => is_paused = true,
            item = timeout(PATIENCE, stream.recv()) => match item {
                Ok(Some(item)) => received.take(&item),
                Ok(None) | Err(_) => return,
            },
        }
    }
}

impl Tally {
    fn take(&mut self, item: &StreamItem) {
        match item {
            StreamItem::Ticks(ticks) | StreamItem::Conflated { ticks, .. } => {
                for packet in ticks.batch.ticks.packets() {
                    self.ticks += 1;
                    let of_token = self.instruments.entry(packet.instrument_token()).or_default();
                    of_token.add(packet.as_bytes());
                }
            }
            StreamItem::Dropped { ticks, .. } => self.dropped += ticks,
            _ => {}
        }
    }
}

/// Gives what the sockets themselves know to have gone wrong, in words.
fn faults(total: &Figures, dropped: u64) -> Vec<String> {
    let all = [
        (dropped, "dropped tick"),
        (total.sockets_lost(), "lost socket"),
        (total.damaged_frames, "damaged frame"),
        (total.skipped_packets, "unknown packet"),
    ];
    let wrong = all.into_iter().filter(|(number, _)| *number > 0);
    wrong.map(|(number, noun)| numbers::counted(number, noun)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(packets: &[(u32, &[u8])]) -> BTreeMap<u32, Sent> {
        let mut sent = BTreeMap::<u32, Sent>::new();
        packets.iter().for_each(|(token, bytes)| sent.entry(*token).or_default().add(bytes));
        sent
    }

    const ALL: &[(u32, &[u8])] = &[(1, b"a"), (1, b"b"), (2, b"c")];

    #[test]
    fn every_kind_of_difference_is_found_and_named() {
        for (came, findings) in [
            (ALL, &[][..]),
            (&[(2, &b"c"[..]), (1, b"b"), (1, b"a")], &[]),
            (&[(1, b"a"), (2, b"c")], &["1 missing tick"]),
            (&[(1, b"a"), (1, b"a"), (2, b"c")], &["1 altered instrument"]),
            (&[(1, b"a"), (1, b"b"), (2, b"c"), (3, b"d")], &["1 surplus tick"]),
            // The totals agree, and yet.
            (&[(1, b"a"), (2, b"c"), (2, b"c")], &["1 missing tick", "1 surplus tick"]),
            (&[(1, b"a"), (1, b"b")], &["1 missing tick", "1 unseen instrument"]),
        ] {
            let comparison = Comparison::new(2, &of(ALL), &of(came).into_iter().collect());
            assert_eq!(comparison.sent, 3);
            assert_eq!(comparison.findings(), findings);
        }
    }
}
