//! One socket's own walk through the states of an instrument.
//!
//! A state is a function of the step, so each socket walks independently and misses no step.

use std::sync::Arc;

use kite_wire::{Mode, Tick};
use parking_lot::Mutex;

use super::exchange::{Exchange, Traded};
use super::instrument::Instrument;

/// An instrument in the state last sent on one socket.
#[derive(Debug)]
pub(crate) struct Walk {
    traded: Arc<Mutex<Traded>>,
    instrument: Instrument,
    /// Number of jumps included in this state.
    jumps: u64,
}

impl Walk {
    /// Starts at the newest state that any socket has reached.
    pub(crate) fn new(exchange: &Exchange, token: u32) -> Self {
        let traded = exchange.traded(token);
        let (instrument, jumps) = {
            let newest = traded.lock();
            (newest.instrument.clone(), newest.jumps)
        };
        Self { traded, instrument, jumps }
    }

    /// Returns the current state, including the latest jump; `now_unix_s` is the time of a clock
    /// that runs.
    pub(crate) fn present(&mut self, mode: Mode, now_unix_s: Option<u32>) -> Tick {
        Self::catch_up(&self.traded.lock(), &mut self.instrument, &mut self.jumps);
        if let Some(now_unix_s) = now_unix_s {
            self.instrument.stamp(now_unix_s, false);
        }
        self.instrument.tick(mode)
    }

    /// Advances one step and returns the new state; `now_unix_s` is the time of a clock that runs.
    pub(crate) fn next(&mut self, mode: Mode, now_unix_s: Option<u32>) -> Tick {
        let mut traded = self.traded.lock();
        Self::catch_up(&traded, &mut self.instrument, &mut self.jumps);
        self.instrument.advance();
        if let Some(now_unix_s) = now_unix_s {
            self.instrument.stamp(now_unix_s, true);
        }
        if traded.instrument.step() < self.instrument.step() {
            traded.instrument.clone_from(&self.instrument);
        }
        drop(traded);
        self.instrument.tick(mode)
    }

    /// Counts a packet as sent.
    pub(crate) fn confirm(&self, packet: &[u8]) {
        self.traded.lock().sent.add(packet);
    }

    fn catch_up(traded: &Traded, instrument: &mut Instrument, jumps: &mut u64) {
        if *jumps != traded.jumps
            && let Some(landed) = &traded.landed
        {
            *jumps = traded.jumps;
            instrument.clone_from(landed);
        }
    }
}
