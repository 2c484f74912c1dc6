//! The newest bars of one instrument, which packets can still change.

use alloc::boxed::Box;
use alloc::vec::Vec;

use kite_wire::{Price, UnixSeconds};

use crate::bar::{Bar, Item};
use crate::flags::Flags;
use crate::gaps::Gaps;
use crate::grid::{Grid, Slot};

const NS_PER_MS: u64 = 1_000_000;

/// What is the same for all instruments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) grid: Grid,
    pub(crate) grace_ns: u64,
    /// Whether bars without trades are made.
    pub(crate) fill: bool,
    /// Whether bars are passed on when they end, and corrected later; else once, when they can no
    /// longer change.
    pub(crate) live: bool,
    /// Number of bars kept for each instrument.
    pub(crate) kept: usize,
}

impl Rules {
    /// Returns when a bar has ended and packets for it are late, in Unix nanoseconds.
    #[inline]
    pub(crate) fn due_ns(&self, end: UnixSeconds) -> u64 {
        end.unix_ns().saturating_add(self.grace_ns)
    }
}

/// A bar that can still change.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) bar: Bar,
    /// The part of the bar in which the instrument trades.
    watched: Slot,
    /// Time without a feed in stretches that have ended.
    missed_ns: u64,
    /// The state that was passed on last.
    passed_on: Option<Box<Bar>>,
    /// Whether the bar may differ from that state.
    pub(crate) touched: bool,
}

impl Kept {
    /// Returns the bar with what it misses.
    fn so_far(&self, gaps: &Gaps) -> Bar {
        let missed_ns = self.missed_ns.saturating_add(gaps.open_within(self.watched));
        let mut bar = self.bar;
        bar.missed_ms = missed_ns / NS_PER_MS;
        bar.flags.set_if(Flags::GAP, missed_ns > 0);
        bar
    }

    /// Returns whether the bar was passed on.
    pub(crate) fn is_passed_on(&self) -> bool {
        self.passed_on.is_some()
    }

    /// Returns whether the bar has a second.
    #[inline]
    pub(crate) fn has(&self, unix_s: u64) -> bool {
        (u64::from(self.bar.start.get())..u64::from(self.bar.end.get())).contains(&unix_s)
    }

    /// Passes on the bar if it differs from what was passed on last.
    fn pass_on(&mut self, gaps: &Gaps, out: &mut impl FnMut(Item)) {
        self.touched = false;
        let bar = self.so_far(gaps);
        match &mut self.passed_on {
            None => {
                self.passed_on = Some(Box::new(bar));
                out(Item::Bar(bar));
            }
            Some(before) if **before != bar => {
                **before = bar;
                out(Item::Correction(bar));
            }
            Some(_) => {}
        }
    }
}

/// The newest bars of an instrument, by start.
#[derive(Debug, Default)]
pub(crate) struct KeptBars {
    bars: Vec<Kept>,
}

impl KeptBars {
    #[inline]
    pub(crate) fn newest(&self) -> Option<&Kept> {
        self.bars.last()
    }

    /// Returns the bars, each with what it misses.
    pub(crate) fn so_far(&self, gaps: &Gaps) -> impl Iterator<Item = Bar> {
        self.bars.iter().map(|kept| kept.so_far(gaps))
    }

    #[inline]
    pub(crate) fn newest_mut(&mut self) -> Option<&mut Kept> {
        self.bars.last_mut()
    }

    /// Returns the bar that starts with `new`, which is added if it is not there; `None` if it is
    /// older than all that are kept. To make room the oldest is passed on and dropped.
    pub(crate) fn at(
        &mut self,
        watched: Slot,
        new: Bar,
        rules: &Rules,
        gaps: &Gaps,
        out: &mut impl FnMut(Item),
    ) -> Option<&mut Kept> {
        let mut at = self.bars.partition_point(|kept| kept.bar.start < new.start);
        let exists = self.bars.get(at).is_some_and(|kept| kept.bar.start == new.start);
        if !exists {
            if self.bars.len() >= rules.kept {
                at = at.checked_sub(1)?;
                self.bars.remove(0).pass_on(gaps, out);
            }
            // The memory of an instrument is bounded by this.
            self.bars.reserve_exact(rules.kept - self.bars.len());
            let missed_ns = gaps.closed_within(watched);
            let new = Kept { bar: new, watched, missed_ns, passed_on: None, touched: true };
            self.bars.insert(at, new);
        }
        self.bars.get_mut(at)
    }

    /// Passes on the bars that have ended, and those that differ from what was passed on.
    pub(crate) fn settle(
        &mut self,
        now_unix_ns: u64,
        rules: &Rules,
        gaps: &Gaps,
        out: &mut impl FnMut(Item),
    ) {
        if !rules.live {
            return;
        }
        for kept in &mut self.bars {
            let is_due = match kept.passed_on {
                Some(_) => kept.touched,
                None => rules.due_ns(kept.bar.end) <= now_unix_ns,
            };
            if is_due {
                kept.pass_on(gaps, out);
            }
        }
    }

    /// Passes on what has not been passed on, whether it has ended or not.
    pub(crate) fn finish(&mut self, gaps: &Gaps, out: &mut impl FnMut(Item)) {
        self.bars.drain(..).for_each(|mut kept| kept.pass_on(gaps, out));
    }

    /// Returns whether bars since this time may have been dropped.
    pub(crate) fn may_lack(&self, from_unix_ns: u64, rules: &Rules) -> bool {
        let oldest = self.bars.first().filter(|_| self.bars.len() >= rules.kept);
        oldest.is_some_and(|oldest| from_unix_ns < oldest.bar.start.unix_ns())
    }

    /// Changes the gaps, and what the bars miss by them.
    pub(crate) fn change_gaps(&mut self, gaps: &mut Gaps, change: impl FnOnce(&mut Gaps)) {
        // What is dropped here stays counted in the bars.
        gaps.make_room();
        for kept in &mut self.bars {
            kept.missed_ns = kept.missed_ns.saturating_sub(gaps.closed_within(kept.watched));
        }
        change(gaps);
        for kept in &mut self.bars {
            kept.missed_ns = kept.missed_ns.saturating_add(gaps.closed_within(kept.watched));
            kept.touched = true;
        }
    }

    /// Returns when the next bar ends, in Unix nanoseconds with the grace.
    pub(crate) fn next_due_ns(&self, rules: &Rules) -> Option<u64> {
        let open = self.bars.iter().filter(|kept| kept.passed_on.is_none());
        open.map(|kept| rules.due_ns(kept.bar.end)).min()
    }
}

impl Bar {
    /// A bar without trades at this price.
    pub(crate) fn empty(instrument_token: u32, slot: Slot, price: Price, flags: Flags) -> Self {
        Self {
            instrument_token,
            start: slot.start,
            end: slot.end,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: None,
            open_interest: None,
            packets: 0,
            first_recv_unix_ns: 0,
            last_recv_unix_ns: 0,
            missed_ms: 0,
            missed_volume: 0,
            flags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::Instrument;

    #[test]
    fn sizes_are_those_that_the_documentation_states() {
        assert!(size_of::<Kept>() < 300, "{}", size_of::<Kept>());
        assert!(size_of::<Instrument>() < 400, "{}", size_of::<Instrument>());
    }
}
