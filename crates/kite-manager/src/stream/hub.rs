//! Delivers the ticks of all connections to merged streams, which are created and dropped during a
//! run.
//!
//! One port for each connection. The per-frame path takes no lock. A connection's task loads a
//! version number per frame, and takes the lock only if the version has changed.

mod sink;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use kite_conn::{ConfigError, LaneConfig, lane};
use parking_lot::{Mutex, MutexGuard};

use crate::seat::{Seat, Seats};
use crate::stream::filter::{Chosen, StreamFilter};
use crate::stream::first::Firsts;
use crate::stream::former::Former;
use crate::stream::merged::{StreamConfig, TaggedLane, TickStream};
use crate::stream::subscriber::Subscriber;
pub(crate) use sink::HubSink;

/// Connects the connections of a manager with its streams. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    ports: Arc<Ports>,
}

/// State shared by connections and streams.
#[derive(Debug)]
struct Ports {
    all: Box<[Port]>,
    /// Not held while a lane ends, because that wakes its consumer.
    state: Mutex<State>,
}

/// One connection, in any run.
#[derive(Debug)]
struct Port {
    seat: Seat,
    /// Counts the changes to its [`PortState`]; written under the lock. The state itself is read
    /// under the lock too, so a relaxed load is enough.
    version: AtomicU64,
    /// Ticks of the current run that were left out; written by the port's sink.
    departed_ticks: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Number of the current run, or of the last one while stopped.
    run: u64,
    is_running: bool,
    ports: Box<[PortState]>,
}

#[derive(Debug, Default)]
struct PortState {
    /// Subscribers that the port's sink has not picked up yet.
    waiting: Vec<Waiting>,
    /// Instruments whose packets are left out, because they have left the connection.
    former: Former,
}

/// A subscriber and its run.
#[derive(Debug)]
struct Waiting {
    run: u64,
    subscriber: Subscriber,
}

impl Hub {
    /// Creates a hub with a port for each slot.
    pub(crate) fn new(seats: &Seats) -> Self {
        let port = |slot| Port {
            seat: seats.seat(slot),
            version: AtomicU64::default(),
            departed_ticks: AtomicU64::default(),
        };
        let ports: Box<[Port]> = (0..seats.len()).map(port).collect();
        let states = ports.iter().map(|_| PortState::default()).collect();
        let state = Mutex::new(State { run: 0, is_running: false, ports: states });
        Self { ports: Arc::new(Ports { all: ports, state }) }
    }

    /// Begins a run, after ending the last one if necessary. Forgets the former instruments,
    /// because new sockets subscribe only their own.
    pub(crate) fn begin(&self) {
        self.end();
        let mut state = self.ports.lock();
        state.run += 1;
        state.is_running = true;
        for (port, of_port) in self.ports.all.iter().zip(&mut state.ports) {
            of_port.former.clear();
            port.departed_ticks.store(0, Relaxed);
            port.bump();
        }
    }

    /// Ends the run, so that its streams end once its sinks are dropped and all items were read.
    /// Streams created after this belong to the next run. Does nothing without a run.
    pub(crate) fn end(&self) {
        let mut state = self.ports.lock();
        if !state.is_running {
            return;
        }
        state.is_running = false;
        let run = state.run;
        let late: Vec<Waiting> =
            state.ports.iter_mut().flat_map(|port| port.take_waiting(run)).collect();
        drop(state);
        drop(late);
    }

    /// Creates the sink of a slot in the current run; at most one per slot and run.
    ///
    /// # Panics
    /// Panics if there is no such slot.
    pub(crate) fn sink(&self, slot: usize) -> HubSink {
        assert!(slot < self.ports.all.len(), "slot {slot} of {}", self.ports.all.len());
        let (ports, run) = (Arc::clone(&self.ports), self.ports.lock().run);
        HubSink::new(ports, slot, run)
    }

    /// Creates a stream for the current run or, while stopped, for the next one.
    pub(crate) fn subscribe(&self, config: &StreamConfig) -> Result<TickStream, ConfigError> {
        let chosen = Chosen::new(config.tokens.as_ref());
        let of_lane = LaneConfig { commands: config.mark_first, ..config.lane.clone() };
        let (mut lanes, mut sinks) = (Vec::new(), Vec::new());
        config.validate()?;
        for Port { seat, .. } in &self.ports.all {
            let (sink, lane) = lane(of_lane.clone())?;
            let (account, connection) = (seat.account.clone(), seat.connection);
            let firsts = config.mark_first.then(Firsts::default);
            lanes.push(TaggedLane { account, connection, lane, firsts });
            sinks.push(sink);
        }
        let mut gone = Vec::new();
        let mut state = self.ports.lock();
        let run = state.run + u64::from(!state.is_running);
        for ((port, of_port), sink) in self.ports.all.iter().zip(&mut state.ports).zip(sinks) {
            // Without frames no sink removes dropped streams, so they are removed here.
            gone.extend(of_port.waiting.extract_if(.., |it| it.subscriber.sink.is_closed()));
            let subscriber = Subscriber::new(sink, chosen.clone());
            of_port.waiting.push(Waiting { run, subscriber });
            port.bump();
        }
        drop(state);
        let filter = StreamFilter::new(chosen, WeakHub(Arc::downgrade(&self.ports)));
        Ok(TickStream::new(lanes, filter))
    }

    /// Leaves out packets of these instruments on this slot, starting with the next frame, until its
    /// server no longer sends them. Call it before the connection learns that they leave it.
    pub(crate) fn leave(&self, slot: usize, tokens: &[u32]) {
        self.ports.change_former(slot, None, |former| former.leave(tokens));
    }

    /// Handles instruments that join this slot, so that they are delivered from their next
    /// subscription on.
    pub(crate) fn join(&self, slot: usize, tokens: &[u32]) {
        self.ports.change_former(slot, None, |former| former.join(tokens));
    }

    /// Returns the number of ticks that this slot left out in this run, or in the last one.
    pub(crate) fn departed_ticks(&self, slot: usize) -> u64 {
        self.ports.all.get(slot).map_or(0, |port| port.departed_ticks.load(Relaxed))
    }
}

/// A reference to a hub that does not keep it alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakHub(Weak<Ports>);

impl WeakHub {
    /// Makes every connection look for changes at its next frame.
    pub(crate) fn announce_change(&self) {
        let Some(ports) = self.0.upgrade() else { return };
        let state = ports.lock();
        ports.all.iter().for_each(Port::bump);
        drop(state);
    }
}

impl Ports {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Changes the former instruments of a slot, in a run or, without one, in the current run.
    fn change_former(&self, slot: usize, run: Option<u64>, change: impl FnOnce(&mut Former)) {
        let mut state = self.lock();
        if run.is_some_and(|run| run != state.run) {
            return;
        }
        if let (Some(of_port), Some(port)) = (state.ports.get_mut(slot), self.all.get(slot)) {
            let before = of_port.former.len();
            change(&mut of_port.former);
            if of_port.former.len() != before {
                port.bump();
            }
        }
    }
}

impl Port {
    /// Marks a change for the sink; must be called under the lock.
    fn bump(&self) {
        self.version.store(self.version.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

impl PortState {
    /// Removes and returns the subscribers waiting for this run or an earlier one.
    fn take_waiting(&mut self, run: u64) -> Vec<Waiting> {
        self.waiting.extract_if(.., |it| it.run <= run).collect()
    }
}
