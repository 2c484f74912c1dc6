//! The simulators that connections are broken on, a few connections to each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kite_sim::{Sim, SimError};
use parking_lot::Mutex;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::pace::{HEARTBEAT_EVERY, PATIENCE, UPDATES_PER_SECOND};
use crate::recorder::Recorder;

/// Connections to a simulator. A fault that may strike all of them waits until none is in the
/// middle of another: with many to one, they would wait for each other most of the time.
pub(crate) const CONNECTIONS: usize = 3;

/// Tokens that name no instrument: commands that are long and change nothing.
const FILLERS: u32 = 2_900;
/// An NSE token that is none of the connections'.
const FIRST_FILLER: u32 = (9_000_000 << 8) | 1;

/// A simulator and who may break what on it.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) sim: Sim,
    turn: RwLock<()>,
    /// How often all its sockets were dropped.
    restarts: AtomicU64,
    recorders: Mutex<Vec<Arc<Recorder>>>,
}

/// The right to break something: beside others, or alone.
#[derive(Debug)]
pub(crate) enum Turn<'a> {
    Shared(#[expect(dead_code, reason = "held for its drop")] RwLockReadGuard<'a, ()>),
    Alone(#[expect(dead_code, reason = "held for its drop")] RwLockWriteGuard<'a, ()>),
}

impl Ground {
    /// Starts a simulator for these accounts, each with its access token.
    pub(crate) async fn start(
        seed: u64,
        is_tls: bool,
        accounts: &[(String, String)],
    ) -> Result<Arc<Self>, SimError> {
        let mut builder = Sim::builder()
            .seed(seed)
            .updates_per_second(UPDATES_PER_SECOND)
            .heartbeat_every(HEARTBEAT_EVERY);
        for (api_key, access_token) in accounts {
            builder = builder.account(api_key, access_token);
        }
        for token in fillers() {
            builder = builder.unknown_token(token);
        }
        let builder = if is_tls { builder.tls() } else { builder };
        let sim = builder.start().await?;
        Ok(Arc::new(Self {
            sim,
            turn: RwLock::default(),
            restarts: AtomicU64::new(0),
            recorders: Mutex::default(),
        }))
    }

    /// Waits for the turn to break something.
    pub(crate) async fn turn(&self, is_alone: bool) -> Turn<'_> {
        match is_alone {
            true => Turn::Alone(self.turn.write().await),
            false => Turn::Shared(self.turn.read().await),
        }
    }

    /// Notes a connection to the simulator.
    pub(crate) fn join(&self, recorder: Arc<Recorder>) {
        self.recorders.lock().push(recorder);
    }

    /// Waits until ticks flow on all connections: none is at the door to take what is another's.
    /// Says whether they do in time.
    pub(crate) async fn is_flowing(&self) -> bool {
        let recorders = self.recorders.lock().clone();
        for recorder in recorders {
            let flows = recorder.until(PATIENCE, |state| state.flows().then_some(()));
            if flows.await.is_none() {
                return false;
            }
        }
        true
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::SeqCst)
    }

    pub(crate) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
    }
}

/// Gives the tokens that name no instrument.
pub(crate) fn fillers() -> impl Iterator<Item = u32> {
    (0..FILLERS).map(|index| FIRST_FILLER + (index << 8))
}
