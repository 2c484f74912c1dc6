//! Whether anything was lost, and how much.

use std::collections::{BTreeMap, HashMap};

use kite_sim::Sent;
use kiteticker_async_manager::kite_conn::Stats;
use kiteticker_async_manager::kite_manager::Snapshot;

use crate::latency::Latency;
use crate::numbers::{NONE, count, duration, plural};
use crate::view::{Style, fit};

/// The whole run.
#[derive(Debug)]
pub(crate) struct Summary {
    /// What the simulator says it sent, and how that compares; `None` against Kite, who does not
    /// say.
    pub(crate) comparison: Option<Comparison>,
    pub(crate) asked: usize,
    pub(crate) seen: usize,
    pub(crate) ticks: u64,
    pub(crate) frames: u64,
    pub(crate) latency: Latency,
    pub(crate) faults: Faults,
    /// The last error that a connection told.
    pub(crate) error: Option<String>,
}

/// What the client itself knows to have gone wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Messages lost because a consumer was too slow.
    pub(crate) lagged: u64,
    /// Live sockets lost: what the server sent until the next one is gone.
    pub(crate) sockets: u64,
    /// Frames with an unreadable tail.
    pub(crate) frames: u64,
    /// Packets of unknown length.
    pub(crate) packets: u64,
}

/// What was sent against what was received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) instruments: usize,
    pub(crate) sent: u64,
    /// Ticks that were sent and not received.
    pub(crate) missing: u64,
    /// Ticks received more often than sent.
    pub(crate) surplus: u64,
    /// Instruments with the right number of ticks and other bytes.
    pub(crate) altered: u64,
}

impl Comparison {
    /// Compares instrument by instrument, so that a loss is not hidden by a duplicate.
    pub(crate) fn new(sent: &BTreeMap<u32, Sent>, received: &HashMap<u32, Sent>) -> Self {
        let mut comparison = Self { instruments: sent.len(), ..Self::default() };
        for (token, sent) in sent {
            let received = received.get(token).copied().unwrap_or_default();
            comparison.sent += sent.ticks;
            comparison.missing += sent.ticks.saturating_sub(received.ticks);
            comparison.surplus += received.ticks.saturating_sub(sent.ticks);
            comparison.altered +=
                u64::from(received.ticks == sent.ticks && received.checksum != sent.checksum);
        }
        let unsent = received.iter().filter(|(token, _)| !sent.contains_key(token));
        comparison.surplus += unsent.map(|(_, received)| received.ticks).sum::<u64>();
        comparison
    }

    fn losses(&self, asked: usize, seen: usize) -> Vec<(u64, &'static str)> {
        vec![
            (self.missing, "missing tick"),
            (self.surplus, "surplus tick"),
            (self.altered, "altered instrument"),
            (asked.saturating_sub(seen) as u64, "unseen instrument"),
        ]
    }
}

impl Faults {
    /// Sums up over the connections; lag is what the consumers were told.
    pub(crate) fn new(snapshot: &Snapshot, lagged: u64) -> Self {
        let sum = |count: fn(&Stats) -> u64| {
            snapshot.connections.iter().map(|one| count(&one.stats)).sum()
        };
        Self {
            lagged,
            sockets: sum(|stats| stats.losses),
            frames: sum(|stats| stats.damaged_frames),
            packets: sum(|stats| stats.skipped_packets),
        }
    }

    fn losses(&self) -> Vec<(u64, &'static str)> {
        vec![
            (self.lagged, "lagged message"),
            (self.sockets, "lost socket"),
            (self.frames, "damaged frame"),
            (self.packets, "unknown packet"),
        ]
    }
}

impl Summary {
    /// Says whether anything was lost, as far as can be known.
    pub(crate) fn is_lossy(&self) -> bool {
        !self.losses().is_empty()
    }

    /// Gives what was lost, with its number.
    fn losses(&self) -> Vec<String> {
        let compared = self.comparison.map(|all| all.losses(self.asked, self.seen));
        let all = compared.unwrap_or_default().into_iter().chain(self.faults.losses());
        all.filter(|(number, _)| *number > 0).map(|(number, what)| plural(number, what)).collect()
    }

    /// Gives the closing lines.
    pub(crate) fn lines(&self, style: Style) -> Vec<String> {
        let mut lines = vec![String::new()];
        if let Some(all) = &self.comparison {
            lines.push(format!(
                "sent      {} of {}",
                plural(all.sent, "tick"),
                plural(all.instruments as u64, "instrument"),
            ));
        }
        lines.push(format!(
            "received  {} of {} in {}",
            plural(self.ticks, "tick"),
            plural(self.seen as u64, "instrument"),
            plural(self.frames, "frame"),
        ));
        let time = |time: Option<_>| time.map_or_else(|| NONE.to_owned(), duration);
        lines.push(format!(
            "latency   p50 {}, p99 {}, longest {}, from socket to application",
            time(self.latency.quantile(0.5)),
            time(self.latency.quantile(0.99)),
            time(self.latency.longest()),
        ));
        let Faults { lagged, sockets, frames, packets } = self.faults;
        lines.push(format!(
            "faults    lag {} messages, lost sockets {}, damaged frames {}, unknown packets {}",
            count(lagged),
            count(sockets),
            count(frames),
            count(packets),
        ));
        if let Some(error) = &self.error {
            lines.push(format!("error     {}", fit(error, usize::MAX)));
        }
        let losses = self.losses();
        lines.push(match (losses.is_empty(), self.comparison.is_some()) {
            (false, _) => style.bad(&format!("LOST      {}", losses.join(", "))),
            (true, true) => style
                .good("Nothing was lost: ticks and checksums of every instrument are those sent."),
            (true, false) => style.good("Nothing was lost, as far as a client can know."),
        });
        if self.comparison.is_none() && self.seen < self.asked {
            lines.push(format!(
                "{} of {} never seen: unknown to Kite, or silent",
                count(self.asked - self.seen),
                plural(self.asked as u64, "instrument"),
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(packets: &[(u32, &[u8])]) -> BTreeMap<u32, Sent> {
        let mut sent = BTreeMap::<u32, Sent>::new();
        packets.iter().for_each(|(token, bytes)| sent.entry(*token).or_default().add(bytes));
        sent
    }

    fn compare(sent: &[(u32, &[u8])], received: &[(u32, &[u8])]) -> Comparison {
        Comparison::new(&of(sent), &of(received).into_iter().collect())
    }

    fn summary(comparison: Option<Comparison>, faults: Faults) -> Summary {
        let mut latency = Latency::new();
        latency.record(Duration::from_micros(40));
        Summary { comparison, asked: 2, seen: 2, ticks: 3, frames: 1, latency, faults, error: None }
    }

    const ALL: &[(u32, &[u8])] = &[(1, b"a"), (1, b"b"), (2, b"c")];

    #[test]
    fn order_does_not_matter_and_equal_sets_have_no_loss() {
        let comparison = compare(ALL, &[(2, b"c"), (1, b"b"), (1, b"a")]);
        assert_eq!(comparison, Comparison { instruments: 2, sent: 3, ..Comparison::default() });
        assert!(!summary(Some(comparison), Faults::default()).is_lossy());
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let equal = compare(ALL, ALL);
        for (received, expected) in [
            (&[(1, &b"a"[..]), (2, b"c")][..], Comparison { missing: 1, ..equal }),
            (&[(1, b"a"), (1, b"a"), (2, b"c")], Comparison { altered: 1, ..equal }),
            (&[(1, b"a"), (1, b"b"), (2, b"c"), (2, b"c")], Comparison { surplus: 1, ..equal }),
            (&[(1, b"a"), (1, b"b"), (2, b"c"), (3, b"d")], Comparison { surplus: 1, ..equal }),
            // The totals agree, and yet.
            (&[(1, b"a"), (2, b"c"), (2, b"c")], Comparison { missing: 1, surplus: 1, ..equal }),
        ] {
            let comparison = compare(ALL, received);
            assert_eq!(comparison, expected);
            assert!(summary(Some(comparison), Faults::default()).is_lossy());
        }
    }

    #[test]
    fn an_instrument_that_never_came_is_a_loss_where_the_sender_has_it() {
        let seen = |comparison| Summary { seen: 1, ..summary(comparison, Faults::default()) };
        assert!(seen(Some(compare(ALL, ALL))).is_lossy());
        // Kite ignores tokens that it does not know.
        let live = seen(None);
        assert!(!live.is_lossy());
        let last = live.lines(Style::Plain).pop().unwrap();
        assert_eq!(last, "1 of 2 instruments never seen: unknown to Kite, or silent");
    }

    #[test]
    fn every_fault_is_a_loss_that_is_named() {
        let none = Faults::default();
        for (faults, text) in [
            (Faults { lagged: 1_000, ..none }, "LOST      1,000 lagged messages"),
            (Faults { sockets: 1, ..none }, "LOST      1 lost socket"),
            (Faults { frames: 2, ..none }, "LOST      2 damaged frames"),
            (Faults { packets: 2, ..none }, "LOST      2 unknown packets"),
        ] {
            let summary = summary(None, faults);
            assert!(summary.is_lossy());
            assert_eq!(summary.lines(Style::Plain).pop().unwrap(), text);
        }
    }

    #[test]
    fn the_last_error_is_told_whole_and_in_one_line() {
        let error = Some(format!("connection 2: lost\x1b: {}", "because ".repeat(20)));
        let lines = Summary { error, ..summary(None, Faults::default()) }.lines(Style::Plain);
        let line = lines.iter().find(|line| line.starts_with("error     connection 2: lost : "));
        assert!(line.is_some_and(|line| line.matches("because").count() == 20), "{lines:?}");
    }

    #[test]
    fn a_run_without_loss_says_so_in_lines_that_fit() {
        let lines = summary(Some(compare(ALL, ALL)), Faults::default()).lines(Style::Plain);
        let expected = [
            "",
            "sent      3 ticks of 2 instruments",
            "received  3 ticks of 2 instruments in 1 frame",
            "latency   p50 40.0 µs, p99 40.0 µs, longest 40.0 µs, from socket to application",
            "faults    lag 0 messages, lost sockets 0, damaged frames 0, unknown packets 0",
            "Nothing was lost: ticks and checksums of every instrument are those sent.",
        ];
        assert_eq!(lines, expected);
        assert!(lines.iter().all(|line| line.chars().count() < 80));
    }
}
