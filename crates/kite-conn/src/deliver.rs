//! The way of a frame from the socket's task to the application: checked, counted, handed over.
//!
//! What becomes of a batch is the sink's business: rings and lanes live in the layers above.

mod outlet;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kite_wire::{DamagedFrame, Mode, PacketKind, TickBatch};

pub(crate) use self::outlet::{Outlet, SinkGone};
use crate::clock::Stamp;
use crate::counters::Counters;
use crate::event::Event;
use crate::events::EventSender;
use crate::gap::{Gap, GapTracker};

/// A frame that has been checked, with where and when it came.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// The ticks, in the memory that the socket was read into. A heartbeat is a batch without ticks.
    pub ticks: TickBatch,
    /// When the frame was read from the socket.
    pub received: Stamp,
    /// Number of the socket among the connection's, from 1.
    pub epoch: u32,
    /// Number of the frame on this connection, from 1, without gaps, over all its sockets.
    pub sequence: u64,
    /// The frame as received, where its tail was damaged and is not in `ticks`. Boxed, being seldom.
    damaged: Option<Box<Bytes>>,
}

impl Batch {
    /// Makes a batch, for instance to test a sink without a connection.
    #[must_use]
    pub fn new(ticks: TickBatch, received: Stamp, epoch: u32, sequence: u64) -> Self {
        Self { ticks, received, epoch, sequence, damaged: None }
    }

    /// Gives the frame as received, byte for byte, a damaged tail ([`Event::FrameDamaged`])
    /// included.
    #[must_use]
    pub fn frame(&self) -> &Bytes {
        self.damaged.as_deref().unwrap_or_else(|| self.ticks.as_bytes())
    }
}

/// Takes what a connection delivers. Called on the hot path: it must not block.
///
/// It is called on the connection's task, or with [`ConnectionConfig::parser_queue`] on a task of
/// its own behind that queue. A sink that panics ends its connection ([`Event::DeliveryFailed`]);
/// beside a stream in place it is called by whoever polls that, and panics there.
///
/// [`ConnectionConfig::parser_queue`]: crate::ConnectionConfig::parser_queue
pub trait Sink: Send + 'static {
    /// Says whether another batch can be taken. While it cannot, the socket is not read and TCP
    /// holds the server back; the watchdog knows that the silence is ours. The default always can.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Says whether frames wait for another task, as a rule. Then the connection's task gives way
    /// to it now and then, before so many wait that they no longer fit into the processor's caches.
    /// It may be asked at any time. The default is that they do not.
    fn keeps_frames(&self) -> bool {
        false
    }

    /// Takes a frame, heartbeats included.
    fn on_batch(&mut self, batch: Batch);

    /// Takes a frame that others are given too. The default takes a clone of it; a sink that does
    /// not keep what it is given can do without.
    fn on_shared(&mut self, batch: &Batch) {
        self.on_batch(batch.clone());
    }

    /// Takes an event, in order with the batches: after [`Event::Down`] nothing of that socket
    /// follows. Called also while [`Sink::poll_ready`] is pending, but behind a parser queue, where
    /// events wait their turn.
    fn on_event(&mut self, event: &Event);
}

/// At most one event a second tells of damage of a kind: a server gone mad must not flood.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Lets one occurrence through a second and counts the others.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    last: Option<Stamp>,
    untold: u64,
}

impl RateLimit {
    /// Gives the number of occurrences held back since the last one let through, if this one may.
    pub(crate) fn admit(&mut self, now: Stamp) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < TELL_EVERY) {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// Checks frames, counts, and hands them to the sink.
pub(crate) struct Intake<S> {
    sink: S,
    counters: Arc<Counters>,
    events: EventSender,
    gaps: GapTracker,
    sequence: u64,
    damaged: RateLimit,
    skipped: RateLimit,
}

impl<S: Sink> Intake<S> {
    pub(crate) fn new(
        sink: S,
        counters: Arc<Counters>,
        events: EventSender,
        gaps: GapTracker,
    ) -> Self {
        Self {
            sink,
            counters,
            events,
            gaps,
            sequence: 0,
            damaged: RateLimit::default(),
            skipped: RateLimit::default(),
        }
    }

    fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    fn keeps_frames(&self) -> bool {
        self.sink.keeps_frames()
    }

    fn on_frame(&mut self, bytes: Bytes, received: Stamp, epoch: u32) {
        let counts = &self.counters.parser;
        let heartbeat = bytes.len() == 1;
        let (ticks, damaged) = match TickBatch::new(bytes) {
            Ok(ticks) => (ticks, None),
            Err(DamagedFrame { batch, fault, bytes_left, frame }) => {
                counts.damaged_frames.add(1);
                if let Some(untold) = self.damaged.admit(received) {
                    let event = Event::FrameDamaged { fault, bytes_left, untold };
                    self.events.send(event.clone());
                    call(&mut self.sink, &self.counters, |sink| sink.on_event(&event));
                }
                (batch, Some(Box::new(frame)))
            }
        };
        if ticks.skipped() > 0 {
            counts.skipped_packets.add(u64::from(ticks.skipped()));
            if let Some(untold) = self.skipped.admit(received) {
                let unknown = |body: &&[u8]| PacketKind::of_len(body.len()).is_none();
                let length = ticks.frame().bodies().find(unknown).map_or(0, <[u8]>::len);
                let event = Event::PacketsSkipped { length, packets: ticks.skipped(), untold };
                self.events.send(event.clone());
                call(&mut self.sink, &self.counters, |sink| sink.on_event(&event));
            }
        }
        self.sequence += 1;
        let frame_bytes = damaged.as_deref().unwrap_or_else(|| ticks.as_bytes()).len();
        counts.heartbeats.add(u64::from(heartbeat));
        counts.ticks.add(ticks.len() as u64);
        let ours = ticks.clone();
        let batch = Batch { ticks, received, epoch, sequence: self.sequence, damaged };
        call(&mut self.sink, &self.counters, |sink| sink.on_batch(batch));
        let done = Stamp::at(Instant::now());
        let latency_ns = u64::try_from(done.since(received).as_nanos()).unwrap_or(u64::MAX);
        counts.latency_ns.add(latency_ns);
        if !heartbeat {
            counts.latencies_ns.record(latency_ns);
        }
        counts.last_frame.set(done.as_nanos());
        // Behind the delivery: nobody waits for it.
        let gap = self.gaps.on_frame(&ours, received);
        if let Some(lag_s) = self.gaps.exchange_lag_s() {
            counts.exchange_lags_s.record(lag_s);
        }
        counts.bytes.add(frame_bytes as u64);
        // Last: who sees this frame counted sees its ticks counted too.
        counts.frames.add(1);
        self.tell_gap(gap);
    }

    /// Tells of a gap that has settled, behind the frame that settled it.
    fn tell_gap(&mut self, gap: Option<Gap>) {
        let Some(gap) = gap else { return };
        let event = Event::Gap(Arc::new(gap));
        self.events.send(event.clone());
        self.on_event(&event);
    }

    fn on_notice(&mut self, notice: Notice) {
        // A gap that is told because of what happened now is told before it.
        let gap = match &notice.event {
            Event::Up { epoch, .. } => {
                let gap = self.gaps.on_up(*epoch, notice.at, &notice.instruments);
                self.on_event(&notice.event);
                return self.tell_gap(gap);
            }
            Event::Down { epoch, last_heard, .. } => {
                self.gaps.on_lost(*epoch, *last_heard, notice.at, notice.instruments)
            }
            Event::Closed => self.gaps.settle(),
            _ => None,
        };
        self.tell_gap(gap);
        self.on_event(&notice.event);
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        call(&mut self.sink, &self.counters, |sink| sink.poll_ready(cx))
    }

    fn on_event(&mut self, event: &Event) {
        call(&mut self.sink, &self.counters, |sink| sink.on_event(event));
    }
}

/// Calls the sink, and notes where it does not return. That a thread panics says too little: the
/// connection may be dropped by a panic that is not its sink's.
fn call<S, R>(sink: &mut S, counters: &Counters, call: impl FnOnce(&mut S) -> R) -> R {
    struct Unreturned<'a>(&'a Counters);

    impl Drop for Unreturned<'_> {
        fn drop(&mut self) {
            self.0.sink_panicked.store(true, Ordering::Release);
        }
    }

    let unreturned = Unreturned(counters);
    let result = call(sink);
    std::mem::forget(unreturned);
    result
}

/// An event on its way to the sink.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) event: Event,
    pub(crate) at: Stamp,
    /// With [`Event::Down`] what the lost socket was subscribed to, with [`Event::Up`] what is
    /// wanted of the new one.
    pub(crate) instruments: BTreeMap<u32, Mode>,
}

#[cfg(test)]
mod tests;
