//! Every state that the simulated market has had, to recognise packets by their bytes.
//!
//! The states are computed from the seed alone, so that nothing here depends on what was sent.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use kite_sim::{Instrument, Sim};
use kite_wire::{FrameEncoder, Mode};
use parking_lot::Mutex;

use crate::plan::Plan;

/// Start of the exchange's clock: 4 August 2025, 09:15 IST.
pub(crate) const OPENS_UNIX_S: u32 = 1_754_279_100;

/// Number of the latest states of an instrument that are kept: of half a minute, which is longer than
/// any packet takes.
const KEPT: usize = 1_024;

/// Bytes of a frame before its first packet: the number of packets and the packet's length.
const HEAD: usize = 4;

/// The states of all instruments.
#[derive(Debug)]
pub(crate) struct Market {
    sim: Arc<Sim>,
    past: Mutex<BTreeMap<u32, Past>>,
}

/// The latest states of one instrument.
#[derive(Debug)]
struct Past {
    newest: Instrument,
    /// The last one is that of `newest`.
    states: VecDeque<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    step: u64,
    volume: Option<u32>,
    /// A hash of the packet in each mode.
    packets: [u64; Mode::ALL.len()],
}

impl Market {
    pub(crate) fn new(plan: &Plan, sim: Arc<Sim>) -> Self {
        let past = plan.all().into_iter().map(|token| (token, Past::new(plan.seed, token)));
        Self { sim, past: Mutex::new(past.collect()) }
    }

    /// Returns the steps from `least` to `most` at which the instrument's packet in this mode had
    /// these bytes.
    pub(crate) fn steps(
        &self,
        token: u32,
        mode: Mode,
        packet: &[u8],
        least: u64,
        most: u64,
    ) -> Vec<u64> {
        let hash = hash(packet);
        let mut past = self.past.lock();
        let Some(past) = past.get_mut(&token) else { return Vec::new() };
        if past.newest.step() < most {
            let newest = self.sim.instrument(token).step();
            past.advance_to(newest.min(most));
        }
        let first = past.states.front().map_or(0, |state| state.step);
        let skipped = least.saturating_sub(first) as usize;
        let states = past.states.iter().skip(skipped).take_while(|state| state.step <= most);
        let same = states.filter(|state| state.packets[mode as usize] == hash);
        same.map(|state| state.step).collect()
    }

    /// Returns whether an instrument's quotes have a volume, which no two of them have in common.
    pub(crate) fn has_volume(&self, token: u32) -> bool {
        self.past.lock().get(&token).is_some_and(|past| past.newest.volume().is_some())
    }

    /// Returns the volume traded between two steps; `None` if it is not known.
    pub(crate) fn volume_between(&self, token: u32, from: u64, to: u64) -> Option<u32> {
        let past = self.past.lock();
        let states = &past.get(&token)?.states;
        let first = states.front()?.step;
        let volume = |step: u64| states.get(step.checked_sub(first)? as usize)?.volume;
        volume(to)?.checked_sub(volume(from)?)
    }
}

impl Past {
    fn new(seed: u64, token: u32) -> Self {
        let newest = Instrument::new(seed, token, OPENS_UNIX_S);
        // All memory from the start, so that a growth is the relay's.
        let mut states = VecDeque::from(vec![State::of(&newest); KEPT]);
        states.truncate(1);
        Self { newest, states }
    }

    fn advance_to(&mut self, step: u64) {
        while self.newest.step() < step {
            self.newest.advance();
            if self.states.len() == KEPT {
                self.states.pop_front();
            }
            self.states.push_back(State::of(&self.newest));
        }
    }
}

impl State {
    fn of(instrument: &Instrument) -> Self {
        let packets = Mode::ALL.map(|mode| hash(&packet(instrument, mode)));
        Self { step: instrument.step(), volume: instrument.volume(), packets }
    }
}

/// Returns the packet of an instrument's state.
pub(crate) fn packet(instrument: &Instrument, mode: Mode) -> Vec<u8> {
    let mut buffer = [0; 256];
    let frame = FrameEncoder::new(&mut buffer).and_then(|mut frame| {
        frame.push(&instrument.tick(mode))?;
        Ok(frame.finish())
    });
    // The buffer has room for the longest packet.
    frame.map(|frame| frame[HEAD..].to_vec()).unwrap_or_default()
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
