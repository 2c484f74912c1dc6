//! Delivers the ticks of all connections to merged streams, which are created and dropped during a
//! run.
//!
//! One port for each connection. The per-frame path takes no lock. A connection's task loads a
//! version number per frame, and takes the lock only if the version has changed.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use kite_conn::{Batch, ConfigError, Event, LaneConfig, Sink, Unread, lane};
use kite_wire::{Command, Packet, TokenMap};
use parking_lot::{Mutex, MutexGuard};

use crate::seat::{Seat, Seats};
use crate::stream::filter::{Chosen, StreamFilter};
use crate::stream::first::{FirstPackets, Firsts, FirstsInPlace};
use crate::stream::merged::{StreamConfig, TaggedLane, TickStream};
use crate::stream::select::select;
use crate::stream::subscriber::Subscriber;

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
    /// Instruments whose packets are left out, because they belong to another connection.
    ignored: BTreeSet<u32>,
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
        let port = |slot| Port { seat: seats.seat(slot), version: AtomicU64::default() };
        let ports: Box<[Port]> = (0..seats.len()).map(port).collect();
        let states = ports.iter().map(|_| PortState::default()).collect();
        let state = Mutex::new(State { run: 0, is_running: false, ports: states });
        Self { ports: Arc::new(Ports { all: ports, state }) }
    }

    /// Begins a run, after ending the last one if necessary. Clears the ignored instruments,
    /// because new sockets subscribe only their own.
    pub(crate) fn begin(&self) {
        self.end();
        let mut state = self.ports.lock();
        state.run += 1;
        state.is_running = true;
        for (port, of_port) in self.ports.all.iter().zip(&mut state.ports) {
            of_port.ignored.clear();
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
        let (subscribers, ignored) = (Vec::new(), TokenMap::new());
        let (version, in_place) = (0, None);
        let mut sink = HubSink { ports, slot, run, version, subscribers, ignored, in_place };
        sink.catch_up();
        sink
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

    /// Leaves out packets of these instruments on this slot, starting with the next frame, because
    /// they now belong to another connection, and this one may not have unsubscribed yet.
    pub(crate) fn ignore(&self, slot: usize, tokens: &[u32]) {
        self.change(slot, |ignored| ignored.extend(tokens));
    }

    /// Reverts [`Hub::ignore`].
    pub(crate) fn stop_ignoring(&self, slot: usize, tokens: &[u32]) {
        self.change(slot, |ignored| {
            for token in tokens {
                ignored.remove(token);
            }
        });
    }

    fn change(&self, slot: usize, change: impl FnOnce(&mut BTreeSet<u32>)) {
        let mut state = self.ports.lock();
        if let (Some(of_port), Some(port)) = (state.ports.get_mut(slot), self.ports.all.get(slot)) {
            let before = of_port.ignored.len();
            change(&mut of_port.ignored);
            if of_port.ignored.len() != before {
                port.bump();
            }
        }
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

/// The sink of one connection in one run; created by [`Hub::sink`]. Dropping it ends the streams'
/// lanes on this connection.
#[derive(Debug)]
pub(crate) struct HubSink {
    ports: Arc<Ports>,
    slot: usize,
    run: u64,
    /// The last version of the port seen.
    version: u64,
    subscribers: Vec<Subscriber>,
    ignored: TokenMap<()>,
    /// If the stream in place marks first packets.
    in_place: Option<FirstsInPlace>,
}

impl HubSink {
    /// Begins to look for first packets, for a stream in place.
    pub(crate) fn mark_first(&mut self) {
        self.in_place.get_or_insert_default();
    }

    /// Returns the first packets of the last batch, of which `ours` is the part that belongs to
    /// this connection.
    pub(crate) fn first_packets(&mut self, ours: &Batch) -> Option<FirstPackets> {
        self.in_place.as_mut()?.mark(&ours.ticks)
    }

    /// Returns the packets of a batch that belong to this connection; `None` if there are none.
    pub(crate) fn ours<'a>(&self, batch: &'a Batch) -> Option<Cow<'a, Batch>> {
        if self.ignored.is_empty() {
            return Some(Cow::Borrowed(batch));
        }
        select(batch, |packet: Packet<'_>| !self.ignored.contains(packet.instrument_token()))
    }

    /// Catches up with changes, and returns whether a stream may receive this batch.
    fn is_wanted(&mut self, batch: &Batch) -> bool {
        self.look_for_changes();
        !self.subscribers.is_empty() && !batch.ticks.is_empty()
    }

    #[inline]
    fn look_for_changes(&mut self) {
        if self.ports.all[self.slot].version.load(Relaxed) != self.version {
            self.catch_up();
        }
    }

    #[cold]
    fn remove_closed(&mut self) {
        self.subscribers.retain(|subscriber| !subscriber.sink.is_closed());
    }

    /// Picks up new subscribers, their chosen instruments and the ignored ones.
    #[cold]
    fn catch_up(&mut self) {
        let mut state = self.ports.lock();
        self.version = self.ports.all[self.slot].version.load(Relaxed);
        let of_port = &mut state.ports[self.slot];
        let newcomers = of_port.take_waiting(self.run);
        self.subscribers.extend(newcomers.into_iter().map(|it| it.subscriber));
        self.ignored = of_port.ignored.iter().copied().collect();
        drop(state);
        for subscriber in &mut self.subscribers {
            subscriber.catch_up();
        }
    }
}

impl Sink for HubSink {
    /// New subscribers are not picked up here, because their lanes have room.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ready = Poll::Ready(());
        for subscriber in &mut self.subscribers {
            // All are polled, so that each registers its waker.
            if subscriber.sink.poll_ready(cx).is_pending() {
                ready = Poll::Pending;
            }
        }
        ready
    }

    fn on_batch(&mut self, batch: &Batch) {
        if let Some(in_place) = &mut self.in_place {
            in_place.on_frame();
        }
        if !self.is_wanted(batch) {
            return;
        }
        if self.subscribers.iter().any(|subscriber| subscriber.sink.is_closed()) {
            self.remove_closed();
        }
        let Some(batch) = self.ours(batch) else { return };
        for subscriber in &mut self.subscribers {
            subscriber.deliver(&batch);
        }
    }

    fn on_event(&mut self, event: &Event) {
        self.look_for_changes();
        if let (Some(in_place), Event::Up { .. }) = (&mut self.in_place, event) {
            in_place.on_up();
        }
        for subscriber in &mut self.subscribers {
            subscriber.sink.on_event(event);
        }
    }

    fn on_command(&mut self, command: Command<'_>) {
        self.look_for_changes();
        if let Some(in_place) = &mut self.in_place {
            in_place.on_command(command);
        }
        for subscriber in &mut self.subscribers {
            subscriber.deliver_command(command);
        }
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let drained = self.subscribers.iter_mut().map(|it| it.sink.poll_drained(cx));
        if drained.filter(Poll::is_pending).count() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    fn stop_waiting(&mut self) {
        // No stream is created for this run any more, so none is picked up later.
        self.catch_up();
        self.subscribers.iter_mut().for_each(|it| it.sink.stop_waiting());
    }

    fn unread(&self) -> Unread {
        self.subscribers.iter().map(|it| it.sink.unread()).sum()
    }
}

impl Drop for HubSink {
    fn drop(&mut self) {
        let late = self.ports.lock().ports[self.slot].take_waiting(self.run);
        drop(late);
    }
}
