//! The simulators under the connections, a few connections to each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kite_sim::{Sim, SimError};
use parking_lot::Mutex;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::recorder::Recorder;
use crate::timing::{HEARTBEAT_EVERY, TIMEOUT, UPDATES_PER_SECOND};

/// Connections to a simulator. A fault that may hit all of them waits until no other fault is in
/// progress; with many connections they would wait for each other most of the time.
pub(crate) const CONNECTIONS: usize = 3;

/// Tokens of no instrument, for commands that are long and change nothing.
const FILLERS: u32 = 2_900;
/// An NSE token that no connection subscribes.
const FIRST_FILLER: u32 = (9_000_000 << 8) | 1;

/// A simulator, and the permits to inject faults into it.
#[derive(Debug)]
pub(crate) struct Simulator {
    pub(crate) sim: Sim,
    permit: RwLock<()>,
    /// Number of times that all its sockets were dropped.
    restarts: AtomicU64,
    recorders: Mutex<Vec<Arc<Recorder>>>,
}

/// Permission to inject a fault: concurrently with others, or exclusively.
#[derive(Debug)]
pub(crate) enum Permit<'a> {
    Shared(#[expect(dead_code, reason = "held for its drop")] RwLockReadGuard<'a, ()>),
    Exclusive(#[expect(dead_code, reason = "held for its drop")] RwLockWriteGuard<'a, ()>),
}

impl Simulator {
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
            permit: RwLock::default(),
            restarts: AtomicU64::new(0),
            recorders: Mutex::default(),
        }))
    }

    /// Waits for permission to inject a fault.
    pub(crate) async fn permit(&self, is_exclusive: bool) -> Permit<'_> {
        match is_exclusive {
            true => Permit::Exclusive(self.permit.write().await),
            false => Permit::Shared(self.permit.read().await),
        }
    }

    /// Registers a connection to the simulator.
    pub(crate) fn join(&self, recorder: Arc<Recorder>) {
        self.recorders.lock().push(recorder);
    }

    /// Waits until ticks flow on all connections, so that none is in a handshake and takes a fault
    /// meant for another. Returns whether they do in time.
    pub(crate) async fn is_flowing(&self) -> bool {
        let recorders = self.recorders.lock().clone();
        for recorder in recorders {
            let flows = recorder.until(TIMEOUT, |state| state.flows().then_some(()));
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

/// Returns tokens of no instrument.
pub(crate) fn fillers() -> impl Iterator<Item = u32> {
    (0..FILLERS).map(|index| FIRST_FILLER + (index << 8))
}
