//! The results of a run, and their text.

use std::fmt;
use std::time::Duration;

use kite_sim::FaultKind;

use crate::failure::Failure;
use crate::options::Options;
use crate::resources::Samples;
use crate::tally::{Tally, Times};
use crate::timing::{HEARTBEAT_EVERY, SILENCE_THRESHOLD, STALE_AFTER, UPDATES_PER_SECOND};

/// The results of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The options.
    pub options: Options,
    /// Duration of the run.
    pub took: Duration,
    /// Counts and measurements.
    pub tally: Tally,
    /// Sums for all sockets and connections.
    pub volume: Volume,
    /// Resources of the process.
    pub samples: Samples,
    /// Promises broken on a connection.
    pub failures: Vec<Failure>,
    /// What was wrong with the run as a whole.
    pub faults_of_run: Vec<String>,
}

/// Sums for all sockets.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Volume {
    /// Sockets that were open.
    pub sockets: u64,
    /// Binary frames sent, without heartbeats.
    pub frames_sent: u64,
    /// Ticks sent.
    pub ticks_sent: u64,
    /// Ticks delivered.
    pub ticks_delivered: u64,
    /// Gaps reported.
    pub gaps: u64,
    /// Volumes that gaps reported as known.
    pub volumes_known: u64,
    /// Sum of these volumes.
    pub volume_known: u64,
}

impl Report {
    /// Returns whether every promise was kept.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.faults_of_run.is_empty()
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { seed, faults, connections, .. } = &self.options;
        let total = self.tally.total();
        writeln!(
            f,
            "kite-chaos: seed {seed}, {total} of {faults} faults on {connections} connections in {:.1} s",
            self.took.as_secs_f64()
        )?;
        writeln!(
            f,
            "silence threshold {} ms, stale after {} ms, heartbeats every {} ms, {UPDATES_PER_SECOND} updates per second of each instrument\n",
            millis(SILENCE_THRESHOLD),
            millis(STALE_AFTER),
            millis(HEARTBEAT_EVERY),
        )?;
        self.write_faults(f)?;
        self.write_times(f)?;
        self.write_sums(f)?;
        self.write_verdict(f)
    }
}

impl Report {
    fn write_faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.tally.total().max(1) as f64;
        writeln!(f, "{:<18} {:>7} {:>7} {:>9}", "fault", "count", "share", "recovered")?;
        for (kind, count) in &self.tally.faults {
            let recovered = self.tally.recovered.get(kind).copied().unwrap_or_default();
            let share = 100.0 * *count as f64 / total;
            writeln!(f, "{kind:<18} {count:>7} {share:>6.2}% {recovered:>9}")?;
        }
        let provoked: u64 = self.tally.provocations.values().sum();
        writeln!(
            f,
            "in addition: {provoked} losses to force a new handshake, \
             {} by another connection's restart\n",
            self.tally.collateral
        )
    }

    fn write_times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "times in ms{:31} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "count", "least", "p50", "p90", "p99", "most"
        )?;
        let detected = [
            (FaultKind::HalfOpen, "half-open, to its loss", SILENCE_THRESHOLD),
            (FaultKind::Stalls, "stalled both ways, to its loss", SILENCE_THRESHOLD),
            (FaultKind::PongsOnly, "pongs only, to its loss (limit grows)", SILENCE_THRESHOLD),
            (FaultKind::HeartbeatsOnly, "heartbeats only, to stale ticks", STALE_AFTER),
            (FaultKind::SlowLink, "slow link, to stale ticks", STALE_AFTER),
            (FaultKind::StopsReading, "stopped reading, to its loss", SILENCE_THRESHOLD),
        ];
        for (kind, name, threshold) in detected {
            if let Some(times) = self.tally.detection.get(&kind) {
                write_multiples(f, name, times, threshold)?;
            }
        }
        let blocked = "  of that, no bytes accepted";
        write_multiples(f, blocked, &self.tally.blocked, SILENCE_THRESHOLD)?;
        let silent = "pongs only, to FeedSilent";
        write_multiples(f, silent, &self.tally.feed_silent, SILENCE_THRESHOLD)?;
        writeln!(f, "from a loss to the first tick after it")?;
        for (family, times) in self.tally.recovery_by_family() {
            write_line(f, &format!("  {family}"), &times)?;
        }
        writeln!(f)
    }

    fn write_sums(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sums = &self.volume;
        writeln!(f, "{} sockets, {} frames with ticks sent", sums.sockets, sums.frames_sent)?;
        writeln!(
            f,
            "{} ticks sent, {} delivered, {} lost with their sockets, all in gaps",
            sums.ticks_sent,
            sums.ticks_delivered,
            sums.ticks_sent.saturating_sub(sums.ticks_delivered)
        )?;
        writeln!(
            f,
            "{} gaps reported, {} volumes in them known, {} traded unseen",
            sums.gaps, sums.volumes_known, sums.volume_known
        )?;
        let [first, second, last] = self.samples.thirds();
        for (what, [first, second, last]) in [
            ("memory (KiB), median", [first, second, last].map(|it| it.memory / 1_024)),
            ("most tasks", [first, second, last].map(|it| it.tasks)),
            ("most open files", [first, second, last].map(|it| it.files)),
        ] {
            writeln!(f, "{what}: {first} in the first third, then {second}, then {last}")?;
        }
        writeln!(f)
    }

    fn write_verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_good() {
            return writeln!(f, "every promise was kept");
        }
        for fault in &self.faults_of_run {
            writeln!(f, "BROKEN: {fault}")?;
        }
        for failure in &self.failures {
            let Options { seed, faults, connections, tls_share, .. } = &self.options;
            writeln!(f, "BROKEN: {failure}")?;
            writeln!(
                f,
                "    replay: kite-chaos --seed {seed} --faults {faults} --connections {connections} \
                 --tls-share {tls_share} --only-connection {}",
                failure.connection
            )?;
        }
        let broken = self.failures.len() + self.faults_of_run.len();
        writeln!(f, "{broken} promises were broken")
    }
}

fn write_line(f: &mut fmt::Formatter<'_>, name: &str, times: &Times) -> fmt::Result {
    writeln!(
        f,
        "{name:<42} {:>6} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
        times.count(),
        millis(times.least()),
        millis(times.quantile(0.5)),
        millis(times.quantile(0.9)),
        millis(times.quantile(0.99)),
        millis(times.quantile(1.0))
    )
}

fn write_multiples(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    times: &Times,
    threshold: Duration,
) -> fmt::Result {
    write_line(f, name, times)?;
    let part = |part| times.quantile(part).as_secs_f64() / threshold.as_secs_f64();
    writeln!(
        f,
        "{:>42} {:>6} {:>7.2}x {:>7.2}x {:>7.2}x {:>7.2}x {:>7.2}x",
        format!("in thresholds of {} ms", threshold.as_millis()),
        "",
        times.least().as_secs_f64() / threshold.as_secs_f64(),
        part(0.5),
        part(0.9),
        part(0.99),
        part(1.0)
    )
}
