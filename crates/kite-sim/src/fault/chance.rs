//! Random faults from a seed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::random::Random;
use super::{Fault, FaultKind};
use crate::time::FOREVER;

/// Random faults on every socket, drawn from a seed.
///
/// Each socket has its own generator, seeded from the seed, the account and the socket's number
/// within the account. The intervals between faults are independent; a fault waits until ticks have
/// been sent on the socket since the previous one. A handshake fault resets the socket and is
/// queued for the account's next handshake. A lasting fault is healed after
/// [`FaultChance::heal_after`], if the socket is still open.
///
/// ```
/// use std::time::Duration;
///
/// use kite_sim::{FaultChance, FaultKind, Sim};
///
/// let chance = FaultChance::new(7, Duration::from_millis(20))
///     .kinds([FaultKind::Reset, FaultKind::HalfOpen])
///     .heal_after(Duration::from_secs(1));
/// let builder = Sim::builder().chance(chance);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FaultChance {
    seed: u64,
    mean_interval: Duration,
    kinds: Vec<FaultKind>,
    longest_delay: Duration,
    heal_after: Duration,
}

impl FaultChance {
    /// Draws faults of all kinds but [`FaultKind::AuthRefusal`] and [`FaultKind::Order`], on average
    /// one per `mean_interval` on each socket. After a refusal of its credentials a client stays
    /// away, and nothing more would happen to it; an order update is no failure.
    #[must_use]
    pub fn new(seed: u64, mean_interval: Duration) -> Self {
        let mean_interval = mean_interval.min(FOREVER);
        let kinds = Fault::KINDS
            .iter()
            .filter(|kind| !matches!(kind, FaultKind::AuthRefusal | FaultKind::Order));
        Self {
            seed,
            mean_interval,
            kinds: kinds.copied().collect(),
            longest_delay: mean_interval,
            heal_after: mean_interval,
        }
    }

    /// Restricts faults to these kinds; a kind listed twice is drawn twice as often.
    #[must_use]
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = FaultKind>) -> Self {
        self.kinds = kinds.into_iter().collect();
        self
    }

    /// Sets the longest delay within a fault (slow handshakes, late bodies, restarts, late slots).
    /// Default: the mean interval.
    #[must_use]
    pub fn longest_delay(mut self, longest_delay: Duration) -> Self {
        self.longest_delay = longest_delay;
        self
    }

    /// Sets the time until a lasting fault is healed. Default: the mean interval.
    #[must_use]
    pub fn heal_after(mut self, heal_after: Duration) -> Self {
        self.heal_after = heal_after.min(FOREVER);
        self
    }
}

/// The random faults of one socket.
#[derive(Debug)]
pub(crate) struct ChanceFaults {
    chance: Arc<FaultChance>,
    random: Random,
    due: Instant,
    heal_due: Option<Instant>,
    /// Ticks sent on the socket up to the last fault.
    ticks_then: u64,
}

impl ChanceFaults {
    pub(crate) fn new(chance: Arc<FaultChance>, api_key: &str, number: u64) -> Self {
        let mut random = Random::of_socket(chance.seed, api_key, number);
        let due = Instant::now() + random.interval(chance.mean_interval);
        Self { chance, random, due, heal_due: None, ticks_then: 0 }
    }

    /// Returns when the next fault or heal is due, given the ticks sent on the socket so far;
    /// `None` if it waits for more ticks.
    pub(crate) fn due(&self, ticks: u64) -> Option<Instant> {
        self.heal_due.or_else(|| (ticks > self.ticks_then).then_some(self.due))
    }

    /// Returns whether a heal is due, and clears it.
    pub(crate) fn heals(&mut self) -> bool {
        self.heal_due.take().is_some()
    }

    /// Delays the next fault by the mean interval, without drawing one.
    pub(crate) fn postpone(&mut self) {
        self.due = Instant::now() + self.chance.mean_interval.max(Duration::from_millis(1));
    }

    /// Draws the fault that is due and the time of the next, given the ticks sent on the socket so
    /// far.
    pub(crate) fn next(&mut self, ticks: u64) -> Option<Fault> {
        self.ticks_then = ticks;
        let now = Instant::now();
        self.due = now + self.random.interval(self.chance.mean_interval);
        let kind = self.random.one_of(&self.chance.kinds)?;
        self.heal_due = kind.is_lasting().then(|| now + self.chance.heal_after);
        Some(kind.draw_by(&mut self.random, self.chance.longest_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_fault_is_of_its_kind_and_repeats() {
        let longest = Duration::from_millis(50);
        for &kind in Fault::KINDS {
            for seed in 0..50 {
                let fault = kind.draw(seed, longest);
                assert_eq!(fault.kind(), kind, "{fault:?}");
                assert_eq!(fault, kind.draw(seed, longest));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_waits_for_ticks_and_a_lasting_one_is_healed_first() {
        let chance = FaultChance::new(3, Duration::from_secs(1)).kinds([FaultKind::HalfOpen]);
        let mut chance_faults = ChanceFaults::new(Arc::new(chance), "key", 1);
        assert_eq!(chance_faults.due(0), None);
        assert!(chance_faults.due(1).is_some());
        assert_eq!(chance_faults.next(1), Some(Fault::HalfOpen));
        assert_eq!(chance_faults.due(1), Some(Instant::now() + Duration::from_secs(1)));
        assert!(chance_faults.heals() && !chance_faults.heals());
        assert_eq!(chance_faults.due(1), None);
        assert!(chance_faults.due(2).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_times_do_not_overflow() {
        let chance = FaultChance::new(3, Duration::MAX)
            .kinds([FaultKind::HalfOpen, FaultKind::Restart])
            .longest_delay(Duration::MAX)
            .heal_after(Duration::MAX);
        let mut chance_faults = ChanceFaults::new(Arc::new(chance), "key", 1);
        for ticks in 1..50 {
            assert!(chance_faults.due(ticks).is_some() && chance_faults.next(ticks).is_some());
            chance_faults.heals();
            chance_faults.postpone();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_not_refused_and_no_order_is_updated_by_chance() {
        let mut drawn = ChanceFaults::new(Arc::new(FaultChance::new(1, Duration::ZERO)), "key", 1);
        let kinds: std::collections::HashSet<_> =
            (0..2_000).filter_map(|ticks| drawn.next(ticks)).map(|fault| fault.kind()).collect();
        assert_eq!(kinds.len(), Fault::KINDS.len() - 2);
        assert!(!kinds.contains(&FaultKind::AuthRefusal) && !kinds.contains(&FaultKind::Order));
    }

    #[tokio::test(start_paused = true)]
    async fn without_kinds_nothing_is_drawn() {
        let chance = FaultChance::new(3, Duration::ZERO).kinds([]);
        assert_eq!(ChanceFaults::new(Arc::new(chance), "key", 1).next(1), None);
    }
}
