//! One instrument: which bar a packet changes, and how.

use core::cmp::Ordering;

use kite_wire::ist::Day;
use kite_wire::{FullPacket, Price, Segment};

use crate::bar::{Bar, Item};
use crate::counts::Counts;
use crate::flags::Flags;
use crate::gaps::Gaps;
use crate::grid::Slot;
use crate::kept::{KeptBars, Rules};
use crate::moment::Moment;
use crate::run::Run;
use crate::session::{Session, Sessions};
use crate::snapshot::{Arrival, Seen, Snapshot};
use crate::trade::Trade;

const NS_PER_S: u64 = 1_000_000_000;

/// What an instrument needs to know to handle a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feed<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) sessions: &'a Sessions,
    /// Since when there was input on this day, in Unix nanoseconds.
    pub(crate) since_unix_ns: u64,
    /// When the packet arrived.
    pub(crate) at: &'a Moment,
}

/// The state of an instrument.
#[derive(Debug)]
pub(crate) struct Instrument {
    /// What packets have changed since the other fields were.
    run: Run,
    token: u32,
    /// Where the last packet came from, and when it was received.
    source: u32,
    recv_unix_ns: u64,
    seen: Option<Seen>,
    /// Day of the last packet, and its session.
    hours: Option<(Day, Option<Session>)>,
    /// Whether the next packet is one that later ones are only compared with.
    needs_baseline: bool,
    /// When the last such packet was received.
    since_unix_ns: u64,
    /// Whether the next packet is the first one after a gap.
    after_gap: bool,
    gaps: Gaps,
    kept: KeptBars,
    /// Day and session of the newest bar.
    newest: Option<(Day, Session)>,
    /// The end of the newest bar that was passed on with its day.
    finished_unix_ns: u64,
}

impl Instrument {
    pub(crate) fn new(token: u32) -> Self {
        Self {
            run: Run::default(),
            token,
            source: 0,
            recv_unix_ns: 0,
            seen: None,
            hours: None,
            needs_baseline: true,
            since_unix_ns: 0,
            after_gap: false,
            gaps: Gaps::default(),
            kept: KeptBars::default(),
            newest: None,
            finished_unix_ns: 0,
        }
    }

    /// Returns the bars that can still change, by start, as they are so far.
    pub(crate) fn newest_bars(&self) -> impl Iterator<Item = Bar> {
        let newest = self.kept.newest().map(|kept| kept.bar.start);
        self.kept.so_far(&self.gaps).map(move |mut bar| {
            if let Some(seen) = self.seen.as_ref().filter(|_| newest == Some(bar.start)) {
                self.run.add_to_bar(&mut bar, seen);
            }
            bar
        })
    }

    /// Handles a packet if it continues the run; returns `false` if not.
    #[inline]
    pub(crate) fn on_usual_packet(
        &mut self,
        packet: &FullPacket,
        source: u32,
        at: &Moment,
        counts: &mut Counts,
    ) -> bool {
        self.run.add(packet, source, at, counts)
    }

    /// Handles a packet. Returns whether it may have made a bar, which ends some time.
    pub(crate) fn on_packet(
        &mut self,
        mut now: Snapshot,
        source: u32,
        feed: Feed<'_>,
        counts: &mut Counts,
        out: &mut impl FnMut(Item),
    ) -> bool {
        let Moment { unix_ns: recv_unix_ns, unix_s: recv_s, day, latest_s, .. } = *feed.at;
        self.end_run();
        self.advance(recv_unix_ns, feed.rules, out);
        let session = self.start_day(day, feed);
        let is_past = |at: &u32| u64::from(*at) <= latest_s;
        (now.traded_s, now.exchange_s) =
            (now.traded_s.filter(is_past), now.exchange_s.filter(is_past));
        if self.is_behind(&now, (source, recv_unix_ns), day, feed.rules) {
            counts.out_of_order += 1;
            return false;
        }
        if self.gaps.is_open() {
            self.kept.change_gaps(&mut self.gaps, |gaps| gaps.close(recv_unix_ns));
        }
        if self.is_older(&now) {
            counts.out_of_order += 1;
            return false;
        }
        (self.source, self.recv_unix_ns) = (source, recv_unix_ns);
        let first_s = session.map(|session| feed.rules.grid.pre_open_s(day, session));
        let has_started =
            first_s.is_some_and(|first_s| i64::try_from(recv_s).is_ok_and(|at| at >= first_s));
        let traded_day = now.traded_s.map(|at| feed.at.day_of(at));
        let arrival = Arrival { day, traded_day, has_started };
        let exchange_s = now.exchange_s.filter(|at| feed.at.is_today(*at));
        let at_unix_ns =
            exchange_s.map_or(recv_unix_ns, |at| (u64::from(at) * NS_PER_S).min(recv_unix_ns));
        let Some(seen) = self.seen.as_mut().filter(|_| !self.needs_baseline) else {
            self.seen = Some(Seen::first(&now, arrival, at_unix_ns));
            (self.since_unix_ns, self.after_gap) = (recv_unix_ns, false);
            self.needs_baseline = false;
            counts.baselines += 1;
            self.on_open_interest(&now, recv_unix_ns);
            return false;
        };
        let before_unix_ns = seen.at_unix_ns;
        let change = seen.update(&now, arrival, at_unix_ns);
        let traded_s = now.traded_s.filter(|_| traded_day == Some(day));
        let trade = Trade {
            change,
            price: now.last_price,
            open_interest: now.open_interest,
            recv_unix_ns,
            before_unix_ns,
            by_arrival: traded_s.is_none(),
            is_snapshot: core::mem::take(&mut self.after_gap),
        };
        let mut has_new_bar = false;
        if change.is_trade() {
            let traded_s = traded_s.map_or(recv_s, u64::from);
            has_new_bar = self.on_trade(trade, traded_s, (day, session), feed.rules, counts, out);
        }
        self.on_open_interest(&now, recv_unix_ns);
        self.kept.settle(recv_unix_ns, feed.rules, &self.gaps, out);
        self.start_run(&now, feed);
        has_new_bar
    }

    /// Starts a run after a packet. Bars that are filled need each packet's time.
    fn start_run(&mut self, now: &Snapshot, feed: Feed<'_>) {
        if let (Some(seen), Some(kept)) = (&self.seen, self.kept.newest())
            && !feed.rules.fill
        {
            let takes_trades = !kept.is_passed_on();
            self.run = Run::after(now, self.source, seen, &kept.bar, takes_trades, feed.at);
        }
    }

    /// Ends the run, if there is one, so that the state is that of its last packet.
    fn end_run(&mut self) {
        let run = core::mem::take(&mut self.run);
        if let Some(recv_unix_ns) = run.recv_unix_ns()
            && let (Some(seen), Some(kept)) = (&mut self.seen, self.kept.newest_mut())
        {
            run.add_to_bar(&mut kept.bar, seen);
            run.add_to_seen(seen);
            self.recv_unix_ns = recv_unix_ns;
        }
    }

    /// Fills and passes on the bars that have ended.
    pub(crate) fn advance(&mut self, now_unix_ns: u64, rules: &Rules, out: &mut impl FnMut(Item)) {
        self.end_run();
        while let Some(slot) = self.next_fill(rules) {
            if rules.due_ns(slot.end) > now_unix_ns {
                break;
            }
            self.fill(slot, rules, out);
        }
        self.kept.settle(now_unix_ns, rules, &self.gaps, out);
    }

    /// Passes on all that was not passed on.
    pub(crate) fn finish(&mut self, now_unix_ns: u64, rules: &Rules, out: &mut impl FnMut(Item)) {
        self.advance(now_unix_ns, rules, out);
        if let Some(newest) = self.kept.newest() {
            self.finished_unix_ns = newest.bar.end.unix_ns();
        }
        self.kept.finish(&self.gaps, out);
    }

    /// Returns whether the last packet came from this source.
    pub(crate) fn is_of(&self, source: u32) -> bool {
        self.source == source
    }

    /// Starts a stretch without a feed, which the next packet ends.
    pub(crate) fn on_lost(
        &mut self,
        from_unix_ns: u64,
        rules: &Rules,
        counts: &mut Counts,
        out: &mut impl FnMut(Item),
    ) {
        self.end_run();
        self.after_gap = true;
        self.before_gap(from_unix_ns, rules, counts, out);
        self.kept.change_gaps(&mut self.gaps, |gaps| gaps.open(from_unix_ns));
        self.kept.settle(0, rules, &self.gaps, out);
    }

    /// Handles the start of a subscription.
    pub(crate) fn on_subscribed(
        &mut self,
        at_unix_ns: u64,
        rules: &Rules,
        counts: &mut Counts,
        out: &mut impl FnMut(Item),
    ) {
        self.end_run();
        let is_soon = at_unix_ns <= self.recv_unix_ns.saturating_add(rules.grace_ns);
        if !self.after_gap && !is_soon {
            self.on_gap((self.recv_unix_ns, at_unix_ns), rules, counts, out);
        }
    }

    /// Adds a stretch without a feed that has ended.
    pub(crate) fn on_gap(
        &mut self,
        (from_unix_ns, to_unix_ns): (u64, u64),
        rules: &Rules,
        counts: &mut Counts,
        out: &mut impl FnMut(Item),
    ) {
        self.end_run();
        if self.gaps.cover(from_unix_ns, to_unix_ns) {
            return;
        }
        // Else the first packet after the gap has been compared already.
        self.after_gap |= self.recv_unix_ns < to_unix_ns;
        self.before_gap(from_unix_ns, rules, counts, out);
        self.kept.change_gaps(&mut self.gaps, |gaps| gaps.add(from_unix_ns, to_unix_ns));
        self.kept.settle(0, rules, &self.gaps, out);
    }

    /// Makes the bars without trades up to a gap, while all gaps within them are known, and counts a
    /// gap that is reported too late.
    fn before_gap(
        &mut self,
        from_unix_ns: u64,
        rules: &Rules,
        counts: &mut Counts,
        out: &mut impl FnMut(Item),
    ) {
        self.advance(from_unix_ns, rules, out);
        let is_late = self.kept.may_lack(from_unix_ns, rules)
            || (from_unix_ns < self.finished_unix_ns && !self.gaps.is_open());
        counts.late_gaps += u64::from(is_late);
    }

    /// Returns when there is something to do next, in Unix nanoseconds.
    pub(crate) fn next_due_ns(&self, rules: &Rules) -> Option<u64> {
        let ends = self.kept.next_due_ns(rules).filter(|_| rules.live);
        let fills = self.next_fill(rules).map(|slot| rules.due_ns(slot.end));
        ends.into_iter().chain(fills).min()
    }

    /// Returns the session of a day. The first packet of a day is compared with what was seen before
    /// only if there was input since trading could start.
    #[inline]
    fn start_day(&mut self, day: Day, feed: Feed<'_>) -> Option<Session> {
        if let Some((known, session)) = self.hours
            && known == day
        {
            return session;
        }
        let session = feed.sessions.of(self.token, day);
        let since_s = i64::try_from(feed.since_unix_ns / NS_PER_S).unwrap_or(i64::MAX);
        let is_too_late =
            session.is_some_and(|session| since_s > feed.rules.grid.first_s(day, session));
        self.needs_baseline |= is_too_late;
        self.hours = Some((day, session));
        session
    }

    /// Returns whether the state of a packet is older than one that was seen.
    #[inline]
    fn is_older(&self, now: &Snapshot) -> bool {
        let before = self.seen.and_then(|seen| seen.exchange_s);
        now.exchange_s.is_some_and(|now| before.is_some_and(|before| now < before))
    }

    /// Returns whether a packet of another source than the last one shows an older state. Without
    /// an exchange timestamp only the volume and the times of arrival show it.
    #[inline]
    fn is_behind(
        &self,
        now: &Snapshot,
        (source, recv_unix_ns): (u32, u64),
        day: Day,
        rules: &Rules,
    ) -> bool {
        let Some(seen) = self.seen.filter(|_| source != self.source) else { return false };
        if now.exchange_s.is_some() && now.exchange_s > seen.exchange_s {
            return false;
        }
        let is_early = recv_unix_ns < self.recv_unix_ns;
        let is_near = recv_unix_ns.abs_diff(self.recv_unix_ns) <= rules.grace_ns;
        match now.volume.zip(seen.volume).map(|(now, before)| now.cmp(&before)) {
            Some(Ordering::Greater) => false,
            Some(Ordering::Equal) => is_early,
            Some(Ordering::Less) => {
                seen.volume_day == Some(day) && (is_early || (is_near && !self.after_gap))
            }
            // Not if the clock was set back in between, which would ignore it for too long.
            None => is_early && is_near,
        }
    }

    /// Adds a trade to its bar. Returns whether it may have made one.
    fn on_trade(
        &mut self,
        mut trade: Trade,
        traded_s: u64,
        (day, session): (Day, Option<Session>),
        rules: &Rules,
        counts: &mut Counts,
        out: &mut impl FnMut(Item),
    ) -> bool {
        let volume = trade.volume();
        let price = self.price(trade.price);
        counts.trades += 1;
        counts.volume = counts.volume.saturating_add(volume);
        // Nearly every trade is one of the newest bar, which spares computing its bar.
        if let Some(kept) = self.kept.newest_mut()
            && kept.has(traded_s)
        {
            trade.add_to(kept, price, rules);
            return false;
        }
        let Some((session, slot)) =
            session.and_then(|session| Some((session, rules.grid.slot(day, session, traded_s)?)))
        else {
            counts.add_outside(volume);
            return false;
        };
        if self.put(&trade, slot, (day, session), rules, out).is_none() {
            // Its bar is older than all that are kept: its time of arrival decides.
            trade.by_arrival = true;
            let recv_s = trade.recv_unix_ns / NS_PER_S;
            let arrival = rules.grid.slot(day, session, recv_s);
            let placed =
                arrival.and_then(|slot| self.put(&trade, slot, (day, session), rules, out));
            if placed.is_none() {
                match self.kept.newest_mut() {
                    Some(kept) => trade.add_to(kept, price, rules),
                    // The clock was set back to a day whose bars were passed on.
                    None => counts.add_outside(volume),
                }
            }
        }
        true
    }

    /// Adds a trade to the bar of a slot; `None` if the bar is too old.
    fn put(
        &mut self,
        trade: &Trade,
        slot: Slot,
        (day, session): (Day, Session),
        rules: &Rules,
        out: &mut impl FnMut(Item),
    ) -> Option<()> {
        if slot.start.unix_ns() < self.finished_unix_ns {
            return None;
        }
        while let Some(fill) = self.next_fill(rules).filter(|fill| fill.start < slot.start) {
            self.fill(fill, rules, out);
        }
        let price = self.price(trade.price);
        let is_newest = self.kept.newest().is_none_or(|newest| newest.bar.start < slot.start);
        let new = Bar::empty(self.token, slot, price, self.start_flags(slot, day, session, rules));
        let watched = rules.grid.watched(slot, day, session);
        let kept = self.kept.at(watched, new, rules, &self.gaps, out)?;
        trade.add_to(kept, price, rules);
        if is_newest {
            self.newest = Some((day, session));
        }
        Some(())
    }

    /// Returns the flags of a new bar.
    fn start_flags(&self, slot: Slot, day: Day, session: Session, rules: &Rules) -> Flags {
        let first_s = u64::try_from(rules.grid.first_s(day, session)).unwrap_or(0);
        let trades_from = slot.start.unix_ns().max(first_s.saturating_mul(NS_PER_S));
        let mut flags = Flags::default();
        flags.set_if(Flags::PARTIAL_START, self.since_unix_ns > trades_from);
        flags
    }

    /// Returns the slot after the newest bar, if bars without trades are made.
    fn next_fill(&self, rules: &Rules) -> Option<Slot> {
        let (day, session) = self.newest.filter(|_| rules.fill)?;
        rules.grid.slot(day, session, self.kept.newest()?.bar.end.get().into())
    }

    /// Makes a bar without trades after the newest one.
    fn fill(&mut self, slot: Slot, rules: &Rules, out: &mut impl FnMut(Item)) {
        let Some(before) = self.kept.newest().map(|kept| kept.bar) else { return };
        let mut bar = Bar::empty(self.token, slot, before.close, Flags::CACHED_OPEN);
        bar.volume = before.volume.map(|_| 0);
        bar.open_interest = before.open_interest;
        // The bars of a day are never filled, so that all of this one may have trades.
        self.kept.at(slot, bar, rules, &self.gaps, out);
    }

    /// Sets the open interest of the bar in which a packet arrived.
    #[inline]
    fn on_open_interest(&mut self, now: &Snapshot, recv_unix_ns: u64) {
        let Some(kept) = self.kept.newest_mut() else { return };
        let within = kept.bar.start.unix_ns()..kept.bar.end.unix_ns();
        if now.open_interest.is_some() && within.contains(&recv_unix_ns) {
            kept.bar.open_interest = now.open_interest;
            kept.touched = true;
        }
    }

    #[inline]
    fn price(&self, raw: i32) -> Price {
        Price::new(raw, Segment::of_token(self.token))
    }
}
