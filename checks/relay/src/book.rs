//! What one socket may be sent, and whether it was: instruments, modes, order, and what is missing.

mod jump;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kite_wire::{CommandKind, Frame, Mode};
use serde_json::Value;
use tokio::time::Instant;

use crate::market::Market;
use jump::Jump;

/// Gaps of one instrument that are kept, because a jump may be noticed after its gap.
const GAPS_KEPT: usize = 16;

/// The books of one socket and everything that was noticed about its packets.
#[derive(Debug)]
pub(crate) struct Book {
    market: Arc<Market>,
    /// What the socket asked for, as far as it is known to be applied.
    asked: BTreeMap<u32, Mode>,
    /// The command that may or may not be applied yet.
    pending: Option<Pending>,
    chains: BTreeMap<u32, Chain>,
    jumps: Vec<Jump>,
    gaps: BTreeMap<u32, Vec<Option<u32>>>,
    /// Packets received.
    pub(crate) packets: u64,
    /// Steps that are missing and that no gap explains, as counted at the end.
    pub(crate) unexplained: u64,
    /// Jumps that a gap explained.
    pub(crate) explained: u64,
    /// Frames from the first packet of a new subscription whose snapshot was due.
    pub(crate) snapshots: u64,
    /// Snapshots in full mode that were due and did not come.
    lacking: Vec<Lacking>,
    wrong: Vec<String>,
}

/// An instrument without a snapshot in full mode, which the relay may not have had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lacking {
    pub(crate) token: u32,
    /// When the command was sent.
    pub(crate) since: Instant,
}

/// A command and the one after it, which marks the point at which both are applied.
#[derive(Debug)]
struct Pending {
    sent: Instant,
    before: BTreeMap<u32, Mode>,
    /// The first packet of the marker in this mode ends the uncertainty.
    marker: (u32, Mode),
    /// Instruments whose values are known, so that a snapshot must come before the marker's.
    due: BTreeSet<u32>,
}

/// Where an instrument's packets have got to.
#[derive(Debug, Default)]
struct Chain {
    /// The steps that the last packet may be of if none is missing; several only if their bytes are
    /// the same.
    steps: Vec<u64>,
    /// The least step that the last packet may be of if any number is missing.
    least: u64,
    /// The next packet in this mode may be of any later step.
    restarts_in: Option<Mode>,
}

impl Book {
    pub(crate) fn new(market: Arc<Market>) -> Self {
        let (asked, chains, gaps) = Default::default();
        Self {
            market,
            asked,
            pending: None,
            chains,
            jumps: Vec::new(),
            gaps,
            packets: 0,
            unexplained: 0,
            explained: 0,
            snapshots: 0,
            lacking: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Returns the mode in which an instrument is asked for.
    pub(crate) fn mode(&self, token: u32) -> Option<Mode> {
        self.asked.get(&token).copied()
    }

    /// Returns the number of instruments.
    pub(crate) fn len(&self) -> usize {
        self.asked.len()
    }

    /// Returns whether every instrument has arrived in its mode.
    pub(crate) fn has_all(&self) -> bool {
        let has = |token| self.chains.get(token).is_some_and(|it| it.restarts_in.is_none());
        self.asked.keys().all(has)
    }

    pub(crate) fn tokens(&self) -> Vec<u32> {
        self.asked.keys().copied().collect()
    }

    /// Records a command that is about to be sent, and the `mode` command of the marker that follows
    /// it. `is_known` says of which instruments a snapshot must be sent.
    pub(crate) fn send(
        &mut self,
        command: (CommandKind, &[u32]),
        marker: (u32, Mode),
        is_known: impl Fn(u32) -> bool,
    ) {
        let before = self.asked.clone();
        let mut due = BTreeSet::new();
        let marker_command: (_, &[u32]) = (CommandKind::Mode(marker.1), &[marker.0]);
        for (kind, tokens) in [command, marker_command] {
            for &token in tokens {
                let (from, to) = (self.mode(token), mode_after(kind));
                match to {
                    Some(mode) => self.asked.insert(token, mode),
                    None => self.asked.remove(&token),
                };
                let chain = self.chains.entry(token).or_default();
                chain.restarts_in = to.filter(|_| from != to).or(chain.restarts_in);
                let has_snapshot = kind == CommandKind::Subscribe || from != to;
                if to.is_none() || !has_snapshot {
                    due.remove(&token);
                } else if is_known(token) {
                    due.insert(token);
                }
            }
        }
        self.pending = Some(Pending { sent: Instant::now(), before, marker, due });
    }

    /// Returns whether the last command is not known to be applied.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Records that the last command was refused, apart from the marker's.
    pub(crate) fn refused(&mut self) {
        if let Some(pending) = &mut self.pending {
            self.asked.clone_from(&pending.before);
            let (marker, mode) = pending.marker;
            self.asked.insert(marker, mode);
            pending.due.retain(|token| *token == marker);
        }
    }

    /// Checks the packets of a frame.
    pub(crate) fn on_frame(&mut self, bytes: &[u8]) {
        let frame = Frame::walk(bytes);
        if let Some(fault) = frame.fault() {
            self.wrong(format!("a damaged frame: {fault:?}"));
        }
        if frame.skipped() > 0 {
            self.wrong("a packet of unknown length".into());
        }
        let mut is_marked = false;
        for packet in frame.packets() {
            self.packets += 1;
            let (token, mode) = (packet.instrument_token(), packet.mode());
            let before = self.pending.as_ref().and_then(|it| it.before.get(&token)).copied();
            let asked = self.mode(token);
            if asked != Some(mode) && (self.pending.is_none() || before != Some(mode)) {
                self.wrong(format!("{token} in {mode}, but {asked:?} was asked for"));
                continue;
            }
            if let Some(pending) = &mut self.pending {
                is_marked |= pending.marker == (token, mode);
                if asked == Some(mode) && pending.due.remove(&token) {
                    self.snapshots += 1;
                }
            }
            self.follow(token, mode, packet.as_bytes());
        }
        if is_marked {
            self.settle();
        }
    }

    /// Records the data of a gap's message, and explains jumps by it.
    pub(crate) fn on_gap(&mut self, gap: &Value) {
        let missed = gap["instruments"].as_object();
        let (mut sum, mut of_other) = (Some(0), None);
        for (token, volume) in missed.into_iter().flatten() {
            let volume = volume.as_u64().and_then(|volume| u32::try_from(volume).ok());
            sum = sum.zip(volume).map(|(sum, volume)| sum + u64::from(volume));
            let token: u32 = token.parse().unwrap_or_default();
            let before = self.pending.as_ref().and_then(|it| it.before.get(&token));
            if self.mode(token).or(before.copied()).is_none() {
                of_other = Some(token);
            }
            let gaps = self.gaps.entry(token).or_default();
            gaps.push(volume);
            gaps.drain(..gaps.len().saturating_sub(GAPS_KEPT));
        }
        if gap["volume"] != serde_json::json!(sum) || missed.is_none_or(|missed| missed.is_empty())
        {
            self.wrong(format!("a gap whose volumes do not add up: {gap}"));
        }
        if let Some(token) = of_other {
            self.unasked_in_gap(token);
        }
        self.explain();
    }

    /// Records that so many frames were damaged, which may have had a packet of every instrument.
    pub(crate) fn on_damaged(&mut self, frames: u64) {
        let market = &self.market;
        let has_steps = |jump: &Jump| jump.mode != Mode::Ltp && market.has_volume(jump.token);
        let before = self.jumps.len();
        self.jumps.retain(|jump| has_steps(jump) && jump.missing() > frames);
        self.explained += (before - self.jumps.len()) as u64;
    }

    /// Returns the snapshots in full mode that have not come since the last call.
    pub(crate) fn take_lacking(&mut self) -> Vec<Lacking> {
        std::mem::take(&mut self.lacking)
    }

    /// Returns what was wrong since the last call.
    pub(crate) fn take_wrong(&mut self) -> Vec<String> {
        std::mem::take(&mut self.wrong)
    }

    /// Counts the jumps that no gap has explained for this long, and returns a text for each of the
    /// first ones.
    pub(crate) fn count_unexplained(&mut self, long: Duration) -> Vec<String> {
        self.explain();
        let mut jumps = std::mem::take(&mut self.jumps);
        jumps.retain(|jump| jump.at.elapsed() >= long);
        self.unexplained += jumps.iter().map(Jump::missing).sum::<u64>();
        let text = |jump: &Jump| {
            let gaps = self.gaps.get(&jump.token);
            format!("{} from {:?} to {:?}, gaps {gaps:?}", jump.token, jump.from, jump.to)
        };
        jumps.iter().take(5).map(text).collect()
    }

    fn unasked_in_gap(&mut self, token: u32) {
        // Texts are sent before the frames that wait, and so before a marker that waits.
        if self.pending.is_none() {
            self.wrong(format!("a gap of {token}, which was not asked for"));
        }
    }

    /// Ends the uncertainty about a command.
    fn settle(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        for token in pending.due {
            if self.mode(token) == Some(Mode::Full) {
                self.lacking.push(Lacking { token, since: pending.sent });
            } else {
                self.wrong(no_snapshot(token));
            }
        }
        let asked = &self.asked;
        self.chains.retain(|token, _| asked.contains_key(token));
        self.jumps.retain(|jump| asked.contains_key(&jump.token));
        self.gaps.retain(|token, _| asked.contains_key(token));
    }

    /// Finds the step of a packet.
    fn follow(&mut self, token: u32, mode: Mode, packet: &[u8]) {
        let chain = self.chains.entry(token).or_default();
        let steps = |least, most| self.market.steps(token, mode, packet, least, most);
        let restarts = chain.restarts_in.take_if(|awaited| *awaited == mode).is_some();
        let before = std::mem::take(&mut chain.steps);
        let is_first = before.is_empty();
        if let (false, Some(&oldest), Some(&newest)) = (restarts, before.first(), before.last()) {
            let is_same_or_next = |step: &u64| {
                before.contains(step) || step.checked_sub(1).is_some_and(|it| before.contains(&it))
            };
            chain.steps = steps(oldest, newest + 1).into_iter().filter(is_same_or_next).collect();
        }
        let later =
            steps(chain.least, if chain.steps.is_empty() { u64::MAX } else { chain.steps[0] });
        let Some(&least) = later.first() else {
            let is_older = !steps(0, chain.least).is_empty();
            chain.steps = before;
            let what = if is_older { "older than the one before" } else { "never sent" };
            return self.wrong(format!("a packet of {token} in {mode} that was {what}"));
        };
        chain.least = least;
        if chain.steps.is_empty() {
            chain.steps.clone_from(&later);
            if !restarts && !is_first {
                self.jumps.push(Jump { token, mode, at: Instant::now(), from: before, to: later });
            }
        }
    }

    fn explain(&mut self) {
        let (market, gaps) = (&self.market, &mut self.gaps);
        let before = self.jumps.len();
        self.jumps.retain(|jump| {
            let Some(gaps) = gaps.get_mut(&jump.token) else { return true };
            if jump.mode == Mode::Ltp || !market.has_volume(jump.token) {
                // A price does not tell steps apart, so that several jumps may look like one, and a
                // jump like none.
                return gaps.is_empty();
            }
            let volume = jump.volume(market);
            let fits = |gap: &Option<u32>| gap.is_none() || volume.is_none() || *gap == volume;
            // A gap with the volume first, so that one without is left for another jump.
            let exact = gaps.iter().position(|gap| gap.is_some() && fits(gap));
            match exact.or_else(|| gaps.iter().position(fits)) {
                Some(at) => drop(gaps.remove(at)),
                None => return true,
            }
            false
        });
        self.explained += (before - self.jumps.len()) as u64;
    }

    fn wrong(&mut self, what: String) {
        // The first ones show the cause.
        if self.wrong.len() < 10 {
            self.wrong.push(what);
        }
    }
}

/// Returns what is wrong if a snapshot that was due has not come.
pub(crate) fn no_snapshot(token: u32) -> String {
    format!("no snapshot of {token} before a later command's")
}

fn mode_after(kind: CommandKind) -> Option<Mode> {
    match kind {
        CommandKind::Subscribe => Some(Mode::Quote),
        CommandKind::Mode(mode) => Some(mode),
        CommandKind::Unsubscribe => None,
    }
}
