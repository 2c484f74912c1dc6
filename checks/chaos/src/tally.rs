//! Counts and measurements of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use kite_sim::{FaultFamily, FaultKind};

use crate::fault_deck::Deal;

/// Times in microseconds, to three digits.
#[derive(Debug, Clone)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, 120_000_000, 3).unwrap_or_else(|_| unreachable!()))
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    fn merge(&mut self, other: &Self) {
        // Cannot fail, because the bounds are the same.
        let _ = self.0.add(&other.0);
    }

    /// Returns the number of times.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the quantile `part`, 0 to 1.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(part))
    }

    /// Returns the shortest time.
    #[must_use]
    pub fn least(&self) -> Duration {
        Duration::from_micros(self.0.min())
    }
}

/// Counts and measurements across all connections.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Faults injected, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Faults that lost a socket after which ticks flowed again, by kind.
    pub recovered: BTreeMap<FaultKind, u64>,
    /// Resets, ends and close frames that only forced a new handshake, by kind.
    pub provocations: BTreeMap<FaultKind, u64>,
    /// Sockets lost to another connection's restart.
    pub collateral: u64,
    /// From the fault to its event, by kind: the loss, or stale ticks.
    pub detection: BTreeMap<FaultKind, Times>,
    /// From the fault to the event that only pongs arrive.
    pub feed_silent: Times,
    /// Time for which a socket had accepted no bytes when it was dropped.
    pub blocked: Times,
    /// From a loss to the first tick after it, by kind.
    pub recovery: BTreeMap<FaultKind, Times>,
}

impl Tally {
    pub(crate) fn count_fault(&mut self, deal: &Deal) {
        *self.faults.entry(deal.kind()).or_insert(0) += 1;
        if let Some(provocation) = &deal.provocation {
            *self.provocations.entry(provocation.kind()).or_insert(0) += 1;
        }
    }

    pub(crate) fn recovered(&mut self, kind: FaultKind) {
        *self.recovered.entry(kind).or_insert(0) += 1;
    }

    pub(crate) fn detected_after(&mut self, kind: FaultKind, time: Duration) {
        self.detection.entry(kind).or_default().add(time);
    }

    pub(crate) fn feed_silent_after(&mut self, time: Duration) {
        self.feed_silent.add(time);
    }

    pub(crate) fn was_blocked(&mut self, time: Duration) {
        self.blocked.add(time);
    }

    pub(crate) fn recovered_after(&mut self, kind: FaultKind, time: Duration) {
        self.recovery.entry(kind).or_default().add(time);
    }

    /// Returns the number of faults injected.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Returns the recovery times, by family of faults.
    #[must_use]
    pub fn recovery_by_family(&self) -> BTreeMap<&'static str, Times> {
        let mut families = BTreeMap::<_, Times>::new();
        for (kind, times) in &self.recovery {
            families.entry(family(*kind)).or_default().merge(times);
        }
        families
    }
}

/// Groups the kinds of losses by what decides the recovery time.
fn family(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::AuthRefusal => "credentials refused",
        FaultKind::SlowHandshake | FaultKind::HangingHandshake | FaultKind::HangingTls => {
            "handshake late or hanging"
        }
        FaultKind::LateSlot => "slot freed late",
        FaultKind::Restart => "server away",
        kind if kind.is_lasting() => "socket silent or stuck",
        kind if matches!(kind.family(), FaultFamily::Handshake | FaultFamily::Tls) => {
            "handshake refused or broken"
        }
        _ => "socket broken or closed",
    }
}
