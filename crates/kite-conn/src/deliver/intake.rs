//! Checks frames, counts them, and passes them to the sink.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use kite_wire::{Command, CommandKind, DamagedFrame, FrameFault, Mode, PacketKind, TickBatch};

use super::batch::Batch;
use super::rate_limit::RateLimit;
use super::sink::Sink;
use super::unread::Unread;
use crate::clock::Stamp;
use crate::observe::{Counters, Event, EventSender, GapTracker, Handover};

/// Checks and counts frames, and passes them to the sink.
pub(crate) struct Intake<S> {
    sink: S,
    counters: Arc<Counters>,
    events: EventSender,
    gaps: GapTracker,
    sequence: u64,
    damaged: RateLimit,
    skipped: RateLimit,
    /// Whether frames wait for the sink.
    waits: bool,
    /// Whether frames are discarded, because the sink was not ready when they no longer waited.
    discards: bool,
    discarded: Unread,
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
            waits: true,
            discards: false,
            discarded: Unread::default(),
        }
    }

    pub(crate) fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Checks a frame and passes it to the sink. Call it once after each [`Intake::poll_ready`]
    /// that was ready.
    pub(crate) fn on_frame(&mut self, bytes: Bytes, received: Stamp, epoch: u32) {
        let is_heartbeat = bytes.len() == 1;
        if self.discards {
            return self.discard(bytes);
        }
        let (ticks, damaged) = self.check(bytes, received);
        self.sequence += 1;
        let counts = &self.counters.delivery;
        counts.heartbeats.add(u64::from(is_heartbeat));
        counts.ticks.add(ticks.len() as u64);
        let batch = Batch { ticks, received, epoch, sequence: self.sequence, damaged };
        self.call(|sink| sink.on_batch(&batch));
        self.count_delivery(received, is_heartbeat);
        // Done after delivery so that it adds no latency.
        self.gaps.on_frame(&batch.ticks, received);
        let counts = &self.counters.delivery;
        if let Some(lag_s) = self.gaps.exchange_lag_s() {
            counts.exchange_lags_s.record(lag_s);
        }
        // Counted last, so that a reader that sees this frame counted also sees its ticks counted.
        counts.frames.add(1);
        self.report_gaps();
        if let Some(token) = self.gaps.poll_unsubscribed() {
            self.report(&Event::NotSubscribed { token });
        }
    }

    #[cold]
    fn discard(&mut self, bytes: Bytes) {
        let ticks = TickBatch::new(bytes).unwrap_or_else(|damaged| damaged.batch);
        if !ticks.frame().is_heartbeat() {
            self.discarded.discard(ticks.len());
        }
    }

    /// Returns the readable part of a frame, and the whole frame if its tail is damaged.
    fn check(&mut self, bytes: Bytes, received: Stamp) -> (TickBatch, Option<Box<Bytes>>) {
        let (ticks, damaged) = match TickBatch::new(bytes) {
            Ok(ticks) => (ticks, None),
            Err(DamagedFrame { batch, fault, bytes_left, frame }) => {
                self.on_damage(fault, bytes_left, received);
                (batch, Some(Box::new(frame)))
            }
        };
        if ticks.skipped() > 0 {
            self.on_skipped(&ticks, received);
        }
        (ticks, damaged)
    }

    #[cold]
    fn on_damage(&mut self, fault: FrameFault, bytes_left: usize, received: Stamp) {
        self.counters.delivery.damaged_frames.add(1);
        if let Some(suppressed) = self.damaged.admit(received) {
            self.report(&Event::FrameDamaged { fault, bytes_left, suppressed });
        }
    }

    #[cold]
    fn on_skipped(&mut self, ticks: &TickBatch, received: Stamp) {
        let packets = ticks.skipped();
        self.counters.delivery.skipped_packets.add(u64::from(packets));
        if let Some(suppressed) = self.skipped.admit(received) {
            let unknown = |body: &&[u8]| PacketKind::of_len(body.len()).is_none();
            let length = ticks.frame().bodies().find(unknown).map_or(0, <[u8]>::len);
            self.report(&Event::PacketsSkipped { length, packets, suppressed });
        }
    }

    fn count_delivery(&self, received: Stamp, is_heartbeat: bool) {
        let counts = &self.counters.delivery;
        let done = Stamp::at(Instant::now());
        let latency_ns = u64::try_from(done.since(received).as_nanos()).unwrap_or(u64::MAX);
        counts.latency_ns.add(latency_ns);
        if !is_heartbeat {
            counts.latencies_ns.record(latency_ns);
        }
        counts.last_frame.set(done.as_nanos());
    }

    /// Passes an event to the sink, in order with the frames. May be called at any time.
    pub(crate) fn on_notice(&mut self, notice: Notice) {
        // A gap that this event closes is reported before it.
        match &notice.event {
            Event::Up { epoch, .. } => {
                self.on_event(&notice.event);
                self.gaps.on_up(*epoch, notice.at, &notice.instruments);
                return self.report_gaps();
            }
            Event::Down { epoch, last_heard, .. } => {
                self.gaps.on_lost(*epoch, *last_heard, notice.at, notice.instruments);
            }
            Event::Closed { .. } => self.gaps.settle(),
            _ => {}
        }
        self.report_gaps();
        self.on_event(&notice.event);
    }

    /// Passes a command that is sent to the server to the sink, in order with the frames.
    pub(crate) fn on_command(&mut self, command: Command<'_>) {
        if command.kind() != CommandKind::Unsubscribe {
            self.gaps.on_subscribed(command.tokens());
        }
        self.call(|sink| sink.on_command(command));
    }

    /// Passes on that the server no longer sends instruments, in order with the frames.
    pub(crate) fn on_departed(&mut self, tokens: &[u32]) {
        self.call(|sink| sink.on_departed(tokens));
    }

    /// Records that instruments are no longer subscribed.
    pub(crate) fn on_unsubscribed(&mut self, tokens: &[u32]) {
        self.gaps.on_unsubscribed(tokens);
        self.report_gaps();
    }

    /// Receives what is known about instruments that another connection handed over. `epoch` is the
    /// number of the socket if one is open.
    pub(crate) fn on_taken_over(
        &mut self,
        handover: Handover,
        at: Stamp,
        epoch: Option<u32>,
        desired: &BTreeMap<u32, Mode>,
    ) {
        self.gaps.on_taken_over(handover, at, epoch, desired);
        self.report_gaps();
    }

    /// Returns whether the sink accepts another frame.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_ready = self.call(|sink| sink.poll_ready(cx));
        if self.waits {
            return is_ready;
        }
        // What was discarded must be the end of what was received.
        self.discards |= is_ready.is_pending();
        Poll::Ready(())
    }

    /// Returns whether the consumers have taken everything.
    pub(crate) fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.call(|sink| sink.poll_drained(cx))
    }

    /// Discards, from now on, what the sink does not accept immediately.
    pub(crate) fn stop_waiting(&mut self) {
        self.waits = false;
        self.call(Sink::stop_waiting);
    }

    /// Returns what the consumers have not taken.
    pub(crate) fn unread(&mut self) -> Unread {
        self.discarded + self.call(|sink| sink.unread())
    }

    /// Reports settled gaps, after the frame that settled them.
    #[inline]
    fn report_gaps(&mut self) {
        if self.gaps.has_settled() {
            self.report_settled();
        }
    }

    #[cold]
    fn report_settled(&mut self) {
        while let Some(gap) = self.gaps.poll_settled() {
            self.report(&Event::Gap(Arc::new(gap)));
        }
    }

    /// Sends an event to the lane and the sink.
    fn report(&mut self, event: &Event) {
        self.events.send(event.clone());
        self.on_event(event);
    }

    fn on_event(&mut self, event: &Event) {
        self.call(|sink| sink.on_event(event));
    }

    /// Calls the sink, and records if it does not return. `std::thread::panicking` does not work
    /// here, because the connection may be dropped by a panic that is not its sink's.
    fn call<R>(&mut self, call: impl FnOnce(&mut S) -> R) -> R {
        let unreturned = Unreturned(&self.counters);
        let result = call(&mut self.sink);
        std::mem::forget(unreturned);
        result
    }
}

/// Dropped only if the sink panics.
struct Unreturned<'a>(&'a Counters);

impl Drop for Unreturned<'_> {
    fn drop(&mut self) {
        self.0.sink_panicked.store(true, Ordering::Release);
    }
}

/// An event on its way to the sink.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) event: Event,
    pub(crate) at: Stamp,
    /// The instruments subscribed on the lost socket ([`Event::Down`]), or desired on the new one
    /// ([`Event::Up`]).
    pub(crate) instruments: BTreeMap<u32, Mode>,
}
