//! The sink of the merged streams on one connection.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use kite_conn::{Batch, Event, Sink, Unread};
use kite_wire::{Command, CommandKind, Packet, TokenMap};

use super::Ports;
use crate::stream::first::{FirstPackets, FirstsInPlace};
use crate::stream::former::Former;
use crate::stream::select::select;
use crate::stream::subscriber::Subscriber;

/// The sink of one connection in one run; created by [`Hub::sink`](super::Hub::sink). Dropping it ends the streams'
/// lanes on this connection.
#[derive(Debug)]
pub(crate) struct HubSink {
    ports: Arc<Ports>,
    slot: usize,
    run: u64,
    /// The last version of the port seen.
    version: u64,
    pub(super) subscribers: Vec<Subscriber>,
    former: TokenMap<()>,
    /// If the stream in place marks first packets.
    in_place: Option<FirstsInPlace>,
}

impl HubSink {
    pub(super) fn new(ports: Arc<Ports>, slot: usize, run: u64) -> Self {
        let (subscribers, former) = (Vec::new(), TokenMap::new());
        let (version, in_place) = (0, None);
        let mut sink = Self { ports, slot, run, version, subscribers, former, in_place };
        sink.catch_up();
        sink
    }

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
        if self.former.is_empty() {
            return Some(Cow::Borrowed(batch));
        }
        select(batch, |packet: Packet<'_>| !self.former.contains(packet.instrument_token()))
    }

    /// Returns the instruments whose packets are left out, as of the last batch.
    pub(crate) fn former(&self) -> &TokenMap<()> {
        &self.former
    }

    /// Passes on that frames were lost on their way to this sink.
    #[cold]
    pub(crate) fn on_lost(&mut self, frames: u64, ticks: u64) {
        self.look_for_changes();
        for subscriber in &mut self.subscribers {
            subscriber.sink.on_lost(frames, ticks);
        }
    }

    #[cold]
    fn count_departed(&self, batch: &Batch) {
        let tokens = batch.ticks.packets().map(Packet::instrument_token);
        let departed = tokens.filter(|token| self.former.contains(*token)).count() as u64;
        let count = &self.ports.all[self.slot].departed_ticks;
        count.store(count.load(Relaxed).wrapping_add(departed), Relaxed);
    }

    /// Changes the former instruments of this connection, from the next batch on.
    fn change_former(&mut self, change: impl FnOnce(&mut Former)) {
        self.ports.change_former(self.slot, Some(self.run), change);
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

    /// Picks up new subscribers, their chosen instruments and the former ones.
    #[cold]
    fn catch_up(&mut self) {
        let mut state = self.ports.lock();
        self.version = self.ports.all[self.slot].version.load(Relaxed);
        let of_port = &mut state.ports[self.slot];
        let newcomers = of_port.take_waiting(self.run);
        self.subscribers.extend(newcomers.into_iter().map(|it| it.subscriber));
        self.former = of_port.former.tokens().map(|token| (token, ())).collect();
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
        self.look_for_changes();
        if batch.ticks.is_empty() {
            return;
        }
        if !self.former.is_empty() {
            self.count_departed(batch);
        }
        if self.subscribers.is_empty() {
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
        if let Event::Up { .. } = event {
            self.change_former(Former::clear);
            if let Some(in_place) = &mut self.in_place {
                in_place.on_up();
            }
        }
        self.look_for_changes();
        for subscriber in &mut self.subscribers {
            subscriber.sink.on_event(event);
        }
    }

    fn on_command(&mut self, command: Command<'_>) {
        if command.kind() == CommandKind::Unsubscribe {
            self.change_former(|former| former.on_unsubscribe(command.tokens()));
        }
        self.look_for_changes();
        if let Some(in_place) = &mut self.in_place {
            in_place.on_command(command);
        }
        for subscriber in &mut self.subscribers {
            subscriber.deliver_command(command);
        }
    }

    fn on_departed(&mut self, tokens: &[u32]) {
        self.change_former(|former| former.on_departed(tokens));
        self.look_for_changes();
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
