//! The comparison at the end of a world.

use std::collections::BTreeSet;
use std::time::Duration;

use kite_relay::{ClientStats, SlowClients};
use tokio::time::Instant;

use super::World;
use crate::clients::slow;
use crate::clients::steady::Steady;
use crate::upstream::Outage;

/// The least time in which everything happens.
const LONG: Duration = Duration::from_secs(60);

/// A loss upstream for this long must be reported, and a shorter one than the other must not be. The
/// relay reports after a second.
const REPORTED: Duration = Duration::from_millis(2_500);
const UNREPORTED: Duration = Duration::from_millis(700);

/// The reasons that an outage may have here, each of which is an error: the connection is lost, or
/// Kite refuses a further socket.
const REASONS: usize = 2;

/// Heartbeats are withheld after five seconds; the relay looks each second.
const WITHHELD: Duration = Duration::from_millis(7_000);

/// The time after a loss in which its error may still arrive.
const LATE: Duration = Duration::from_secs(2);

impl World {
    /// Returns what was wrong.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong = self.notes.wrong.clone();
        wrong.extend(self.wrong_totals());
        wrong.extend(self.wrong_refusals());
        self.stopped.stats.clients.iter().for_each(|it| wrong.extend(self.wrong_client(it)));
        for steady in &self.steady {
            wrong.extend(self.wrong_steady(steady));
        }
        wrong.extend(self.wrong_slow());
        wrong.extend(self.not_reached());
        wrong
    }

    fn wrong_totals(&self) -> Vec<String> {
        let stats = &self.stopped.stats;
        let sum = |of: fn(&ClientStats) -> u64| stats.clients.iter().map(of).sum::<u64>();
        let left_out = stats.replaced + stats.dropped + stats.unsubscribed;
        let done = stats.ticks_out + stats.unsent + left_out;
        let upstream = stats.ticks_in + stats.ticks_missed + self.departed_ticks;
        let checks = [
            (self.stopped.is_complete, "not complete"),
            (stats.ticks_queued == done, "ticks queued are not ticks done"),
            (
                stats.ticks_queued == sum(|it| it.queued),
                "ticks queued are not those of the clients",
            ),
            (stats.ticks_out == sum(|it| it.out), "ticks out are not those of the clients"),
            (upstream == self.manager_ticks, "ticks in are not the manager's"),
            (stats.gaps == self.manager_gaps, "gaps are not the manager's"),
        ];
        let broken = checks.into_iter().filter(|(holds, _)| !holds);
        let of = |what| {
            format!("{what}: {stats:?}, {} ticks, {} gaps", self.manager_ticks, self.manager_gaps)
        };
        broken.map(|(_, what)| of(what)).collect()
    }

    fn wrong_refusals(&self) -> Vec<String> {
        let counted = &self.stopped.stats.refused;
        let missing =
            self.notes.refused.iter().filter(|(status, count)| {
                counted.get(status).is_none_or(|counted| counted < count)
            });
        missing
            .map(|(status, count)| format!("{count} refusals with {status}, counted {counted:?}"))
            .collect()
    }

    /// Returns what is wrong with the counts of a client.
    fn wrong_client(&self, stats: &ClientStats) -> Vec<String> {
        let mut wrong = Vec::new();
        if stats.waiting() != 0 || stats.sockets != 0 {
            wrong.push(format!("something is left of it: {stats:?}"));
        }
        let accepted = self.notes.accepted.get(&stats.name).copied().unwrap_or_default();
        if stats.accepted != accepted {
            wrong.push(format!("{accepted} sockets accepted: {stats:?}"));
        }
        // Only what the policy left out may be missing without a gap.
        let left_out = match self.plan.policy {
            SlowClients::Conflate => stats.replaced,
            SlowClients::DropOldest => stats.dropped,
            _ => 0,
        };
        // A move from a connection that is up has no gap. What that one still sends is counted.
        let departed = self.plan.failover.map_or(0, |_| self.departed_ticks);
        let may_miss = left_out + self.stopped.stats.ticks_missed + departed;
        if let Some((missing, first)) = self.notes.unexplained.get(&stats.name)
            && *missing > may_miss
        {
            wrong.push(format!("{missing} ticks missing, {may_miss} accounted for: {first:?}"));
        }
        wrong.iter().map(|what| format!("{}: {what}", stats.name)).collect()
    }

    fn wrong_steady(&self, steady: &Steady) -> Vec<String> {
        let Some(stats) = self.stats_of(steady.name) else { return vec!["no counts".into()] };
        let received = &steady.received;
        let mut wrong = Vec::new();
        if received.packets != stats.out {
            wrong.push(format!("{} packets received: {stats:?}", received.packets));
        }
        if received.messages > self.messages {
            wrong.push(format!("{} of {} messages", received.messages, self.messages));
        }
        let tokens = &received.tokens;
        let is_its_own = |outage: &&Outage| {
            self.placement[outage.slot].iter().any(|token| tokens.contains(token))
                && outage.to.is_none_or(|to| to >= steady.since)
        };
        let outages: Vec<Outage> = self.outages.iter().filter(is_its_own).copied().collect();
        // With failover it is not known which outages concern it.
        if self.plan.failover.is_none() {
            wrong.extend(wrong_errors(steady, &outages));
            wrong.extend(self.wrong_heartbeats(steady, &outages, tokens));
        }
        wrong.iter().map(|what| format!("{}: {what}", steady.name)).collect()
    }

    fn wrong_heartbeats(
        &self,
        steady: &Steady,
        outages: &[Outage],
        tokens: &BTreeSet<u32>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let slots = (0..self.placement.len())
            .filter(|&slot| self.placement[slot].iter().any(|token| tokens.contains(token)));
        let slots: Vec<usize> = slots.collect();
        let mut withheld = Duration::ZERO;
        for outage in outages.iter().filter(|outage| outage.slot == slots[0]) {
            // The part of it in which all its connections were down for long.
            let end = |outage: &Outage| outage.to.unwrap_or(steady.until);
            let (mut from, mut to) = (outage.from, end(outage));
            for &slot in &slots[1..] {
                let down =
                    |other: &&Outage| other.slot == slot && other.from < to && end(other) > from;
                match outages.iter().filter(down).max_by_key(|other| end(other) - other.from) {
                    Some(other) => (from, to) = (from.max(other.from), to.min(end(other))),
                    None => to = from,
                }
            }
            if to.saturating_duration_since(from) < WITHHELD {
                continue;
            }
            withheld += to - from;
            let is_within = |at: &&Instant| **at > from + WITHHELD && **at < to;
            let sent = steady.received.heartbeats.iter().filter(is_within).count();
            if sent > 0 {
                wrong.push(format!(
                    "{sent} heartbeats while nothing was received for {:?}",
                    to - from
                ));
            }
        }
        let fed = (steady.until - steady.since).saturating_sub(withheld);
        // One a second; half of them on a machine that is too busy.
        let least = fed.as_secs() / 2;
        if (steady.received.heartbeats.len() as u64) < least {
            wrong.push(format!("{} heartbeats in {fed:?}", steady.received.heartbeats.len()));
        }
        wrong
    }

    fn wrong_slow(&self) -> Vec<String> {
        let Some(stats) = self.stats_of(slow::TO_THE_END) else { return vec!["no counts".into()] };
        let Some(slow) = &self.slow else {
            let was_ended = stats.too_slow + stats.stalled > 0;
            let wrong = (!was_ended).then(|| format!("did not read to the end: {stats:?}"));
            return wrong.into_iter().collect();
        };
        let received = &slow.received;
        let mut wrong = Vec::new();
        // It always reads before it would count as stalled, and nothing else may end its socket.
        if stats.accepted > 1 + stats.too_slow {
            wrong.push(format!("ended although it reads: {stats:?}"));
        }
        if slow.sockets == 1 && received.packets != stats.out {
            wrong.push(format!("{} packets received: {stats:?}", received.packets));
        }
        if slow.sockets == 1 && received.dropped != stats.dropped {
            wrong.push(format!("{} ticks reported as dropped: {stats:?}", received.dropped));
        }
        wrong.iter().map(|what| format!("{}: {what}", slow::TO_THE_END)).collect()
    }

    /// Returns what did not happen although the run is for it.
    fn not_reached(&self) -> Vec<String> {
        let stats = &self.stopped.stats;
        let sum = |of: fn(&ClientStats) -> u64| stats.clients.iter().map(of).sum::<u64>();
        let by_policy = match self.plan.policy {
            SlowClients::Conflate => ("ticks replaced", stats.replaced),
            SlowClients::DropOldest => ("ticks dropped", stats.dropped),
            _ => ("clients closed as too slow", sum(|client| client.too_slow)),
        };
        let ended = sum(|client| client.stalled) + sum(|client| client.too_slow);
        // A short run has too little data besides a dark time for clients to be slow.
        let is_too_short = self.plan.has_dark_times && self.plan.time < LONG;
        let slow = [by_policy, ("clients reset", ended)];
        let slow = slow.into_iter().filter(|_| !is_too_short);
        let all = [
            ("commands refused", sum(|client| client.refused_commands)),
            ("gaps", stats.gaps),
            ("snapshots", self.notes.snapshots),
            ("jumps explained", self.notes.explained),
            ("moves", if self.plan.failover.is_some() { self.moves } else { 1 }),
            (
                "errors about losses",
                self.steady.iter().map(|it| it.received.errors.len() as u64).sum(),
            ),
        ];
        slow.chain(all).filter(|(_, n)| *n == 0).map(|(what, _)| format!("no {what}")).collect()
    }

    fn stats_of(&self, name: &str) -> Option<&ClientStats> {
        self.stopped.stats.clients.iter().find(|client| client.name == name)
    }
}

/// Compares the errors about losses upstream with the losses.
fn wrong_errors(steady: &Steady, outages: &[Outage]) -> Vec<String> {
    let errors = &steady.received.errors;
    let length = |outage: &Outage| outage.to.unwrap_or(steady.until) - outage.from;
    let mut wrong = Vec::new();
    let long = outages.iter().filter(|it| length(it) > REPORTED && it.from > steady.since);
    for outage in long {
        let end = outage.to.unwrap_or(steady.until);
        if !errors.iter().any(|at| *at > outage.from && *at < end + LATE) {
            wrong.push(format!("no error about a loss of {:?}", length(outage)));
        }
    }
    let may_report = outages.iter().filter(|it| length(it) > UNREPORTED).count();
    if errors.len() > may_report * REASONS {
        wrong.push(format!("{} errors about {may_report} losses of a second", errors.len()));
    }
    wrong
}
