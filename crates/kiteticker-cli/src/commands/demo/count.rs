//! Compares the ticks sent by the simulator with those received, instrument by instrument.

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
/// A tick that has not arrived after this long without any is counted as lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// The ticks received.
#[derive(Debug, Default)]
struct Tally {
    ticks: u64,
    dropped: u64,
    instruments: HashMap<u32, Sent>,
}

/// The ticks sent compared with those received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Comparison {
    sent: u64,
    /// Ticks sent and not received.
    missing: u64,
    /// Ticks received more often than sent.
    surplus: u64,
    /// Instruments with the right number of ticks but different bytes.
    altered: u64,
    /// Instruments subscribed and never received.
    unseen: u64,
}

impl Comparison {
    /// Compares instrument by instrument, so that a loss is not hidden by a duplicate.
    fn new(subscribed: usize, sent: &BTreeMap<u32, Sent>, received: &HashMap<u32, Sent>) -> Self {
        let mut all =
            Self { unseen: subscribed.saturating_sub(received.len()) as u64, ..Self::default() };
        for (token, sent) in sent {
            let got = received.get(token).copied().unwrap_or_default();
            all.sent += sent.ticks;
            all.missing += sent.ticks.saturating_sub(got.ticks);
            all.surplus += got.ticks.saturating_sub(sent.ticks);
            all.altered += u64::from(got.ticks == sent.ticks && got.checksum != sent.checksum);
        }
        let unsent = received.iter().filter(|(token, _)| !sent.contains_key(token));
        all.surplus += unsent.map(|(_, got)| got.ticks).sum::<u64>();
        all
    }

    /// Returns the differences found, in words.
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
    let sim = sim.ok_or_else(|| CliError::unable("the simulator is not running"))?;
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
    // Nothing may be dropped here, so the sockets wait for this reader.
    let config = StreamConfig { lane: LaneConfig::default(), ..StreamConfig::default() };
    let mut stream =
        manager.stream(config).map_err(|error| CliError::unable("cannot stream").because(error))?;
    let mut received = Tally::default();
    let is_whole = stream_for(&manager, &mut stream, &mut received, length, output, stop).await?;
    settle(&sim, &mut stream, &mut received, simulated.len()).await;
    let total = manager.snapshot().total;
    manager.stop().await;

    let subscribed = if is_whole { simulated.len() } else { 0 };
    let comparison = Comparison::new(subscribed, &sim.sent(), &received.instruments);
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
        let text = "Nothing was lost: every instrument's ticks and checksum match what was sent.";
        output.line(output.paint(output::GREEN, text))?;
        Ok(Status::Done)
    } else {
        let text = format!("LOST      {}", findings.join(", "));
        output.line(output.paint(output::RED, text))?;
        Ok(Status::Findings)
    }
}

/// Counts until the time is over or the user stops it; returns whether all sockets came up.
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
            () = stop.requested() => return Ok(is_started),
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

/// Pauses the market and waits until every tick sent has arrived, or no more arrive.
async fn settle(sim: &Sim, stream: &mut TickStream, received: &mut Tally, instruments: usize) {
    // The simulator waits for a socket that is not read, so reading continues meanwhile.
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
        for packet in item.packets() {
            self.ticks += 1;
            let of_token = self.instruments.entry(packet.instrument_token()).or_default();
            of_token.add(packet.as_bytes());
        }
        if let StreamItem::Dropped { ticks, .. } = item {
            self.dropped += ticks;
        }
    }
}

/// Returns the faults counted by the connections themselves, in words.
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
        for (received, findings) in [
            (ALL, &[][..]),
            (&[(2, &b"c"[..]), (1, b"b"), (1, b"a")], &[]),
            (&[(1, b"a"), (2, b"c")], &["1 missing tick"]),
            (&[(1, b"a"), (1, b"a"), (2, b"c")], &["1 altered instrument"]),
            (&[(1, b"a"), (1, b"b"), (2, b"c"), (3, b"d")], &["1 surplus tick"]),
            // The totals agree; the instruments do not.
            (&[(1, b"a"), (2, b"c"), (2, b"c")], &["1 missing tick", "1 surplus tick"]),
            (&[(1, b"a"), (1, b"b")], &["1 missing tick", "1 unseen instrument"]),
        ] {
            let comparison = Comparison::new(2, &of(ALL), &of(received).into_iter().collect());
            assert_eq!(comparison.sent, 3);
            assert_eq!(comparison.findings(), findings);
        }
    }
}
