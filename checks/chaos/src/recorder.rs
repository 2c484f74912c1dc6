//! The sink of a connection under test: counts, records, and checks what it can immediately.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kite_conn::{Batch, Event, Sink, Stamp};
use kite_sim::Chain;
use kite_wire::Frame;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::event_order::EventOrder;
use crate::gaps::Gaps;

/// Number of events shown with a failure.
const HISTORY: usize = 50;

/// What was received on one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SocketLog {
    pub(crate) epoch: u32,
    /// Frames of at least two bytes, as the simulator counts them.
    pub(crate) frames: usize,
    pub(crate) chain: Chain,
    pub(crate) ticks: u64,
}

/// What was seen since a fault.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    events: Vec<(Stamp, Event)>,
    pub(crate) damaged: u64,
    pub(crate) skipped: u64,
    /// Frames with ticks, of all sockets.
    pub(crate) frames: u64,
    /// Whether this socket had already reached the instrument limit, which is reported once.
    pub(crate) was_limited: bool,
}

impl Seen {
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|(_, event)| event)
    }

    /// Returns when the first such event was reported.
    pub(crate) fn when(&self, is_it: impl Fn(&Event) -> bool) -> Option<Stamp> {
        self.events.iter().find(|(_, event)| is_it(event)).map(|(at, _)| *at)
    }

    #[cfg(test)]
    pub(crate) fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let events = events.into_iter().map(|event| (Stamp::now(), event)).collect();
        Self { events, ..Self::default() }
    }
}

/// Sums for all sockets of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) batches: u64,
    pub(crate) heartbeats: u64,
    pub(crate) ticks: u64,
    pub(crate) damaged: u64,
    pub(crate) skipped: u64,
    /// Damaged frames, and frames with unknown packets, according to events.
    pub(crate) damage_reported: u64,
    pub(crate) skips_reported: u64,
    /// Events by name.
    pub(crate) events: BTreeMap<&'static str, u64>,
}

impl Totals {
    pub(crate) fn events(&self, name: &str) -> u64 {
        self.events.get(name).copied().unwrap_or_default()
    }
}

/// Everything known about a connection from what it delivered.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) event_order: EventOrder,
    pub(crate) gaps: Gaps,
    pub(crate) totals: Totals,
    pub(crate) seen: Seen,
    pub(crate) log: SocketLog,
    /// Lost sockets whose logs have not been compared yet.
    pub(crate) lost: Vec<SocketLog>,
    /// Since when the feed has been down.
    down_since: Option<Stamp>,
    /// When the last recovery was done, and how long it had taken.
    pub(crate) recovered: Option<(Stamp, Duration)>,
    sequence: u64,
    history: VecDeque<String>,
    /// Errors, in the order noticed.
    wrong: Vec<String>,
    /// Whether the current socket has reached the instrument limit.
    is_limited: bool,
    pub(crate) is_dropped: bool,
}

impl State {
    /// Returns whether ticks have been received on the current socket.
    pub(crate) fn flows(&self) -> bool {
        self.event_order.live_epoch() == Some(self.log.epoch) && self.log.ticks > 0
    }

    /// Clears what was seen, so that only later events count.
    pub(crate) fn mark(&mut self) {
        self.seen = Seen { was_limited: self.is_limited, ..Seen::default() };
    }

    pub(crate) fn take_wrong(&mut self) -> Option<String> {
        (!self.wrong.is_empty()).then(|| std::mem::take(&mut self.wrong).join("; "))
    }

    pub(crate) fn history(&self) -> Vec<String> {
        self.history.iter().cloned().collect()
    }

    fn on_batch(&mut self, batch: &Batch) {
        let (frame, ticks) = (batch.frame(), &batch.ticks);
        if self.event_order.live_epoch() != Some(batch.epoch) {
            self.wrong.push(format!(
                "a frame of epoch {} while {:?} is live",
                batch.epoch,
                self.event_order.live_epoch()
            ));
        }
        if batch.sequence != self.sequence + 1 {
            self.wrong.push(format!("frame {} after {}", batch.sequence, self.sequence));
        }
        self.sequence = batch.sequence;
        self.totals.batches += 1;
        self.totals.heartbeats += u64::from(frame.len() == 1);
        // Its length would not show it: a frame that only lacks packets it declares has no bytes to
        // cut off.
        if Frame::walk(frame).fault().is_some() {
            self.totals.damaged += 1;
            self.seen.damaged += 1;
        }
        self.totals.skipped += u64::from(ticks.skipped());
        self.seen.skipped += u64::from(ticks.skipped());
        if frame.len() >= 2 {
            self.log.frames += 1;
            self.log.chain.add(frame);
        }
        if ticks.is_empty() {
            return;
        }
        self.log.ticks += ticks.len() as u64;
        self.totals.ticks += ticks.len() as u64;
        self.seen.frames += 1;
        self.gaps.on_ticks(ticks, batch.received);
        if let Some(since) = self.down_since.take() {
            self.recovered = Some((batch.received, batch.received.since(since)));
        }
    }

    fn on_event(&mut self, event: &Event) {
        let now = Stamp::now();
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(line(now, event));
        *self.totals.events.entry(event.name()).or_insert(0) += 1;
        self.wrong.extend(self.event_order.check(event));
        match event {
            Event::Up { epoch, .. } => {
                self.log = SocketLog { epoch: *epoch, ..SocketLog::default() };
                self.gaps.on_up(*epoch);
                self.is_limited = false;
            }
            Event::Down { epoch, last_heard, .. } => {
                self.lost.push(std::mem::take(&mut self.log));
                self.down_since.get_or_insert(now);
                self.wrong.extend(self.gaps.on_down(*epoch, *last_heard));
            }
            Event::Gap(gap) => self.wrong.extend(self.gaps.on_gap(gap)),
            Event::LimitRefused { .. } => self.is_limited = true,
            Event::FrameDamaged { suppressed, .. } => self.totals.damage_reported += 1 + suppressed,
            Event::PacketsSkipped { suppressed, .. } => {
                self.totals.skips_reported += 1 + suppressed
            }
            _ => {}
        }
        self.seen.events.push((now, event.clone()));
    }
}

/// The state that the sink shares with the test of its connection.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    state: Mutex<State>,
    changed: Notify,
}

impl Recorder {
    pub(crate) fn sink(self: &Arc<Self>) -> RecorderSink {
        RecorderSink(Arc::clone(self))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Waits until `probe` returns something; `None` if it does not in time.
    pub(crate) async fn until<T>(
        &self,
        limit: Duration,
        mut probe: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let waiting = async {
            loop {
                // Created before the probe, so that no change in between is missed.
                let changed = self.changed.notified();
                if let Some(found) = probe(&mut self.state()) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, waiting).await.ok()
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }
}

/// The sink of the connection.
#[derive(Debug)]
pub(crate) struct RecorderSink(Arc<Recorder>);

impl Sink for RecorderSink {
    fn on_batch(&mut self, batch: &Batch) {
        self.0.update(|state| state.on_batch(batch));
    }

    fn on_event(&mut self, event: &Event) {
        self.0.update(|state| state.on_event(event));
    }
}

impl Drop for RecorderSink {
    fn drop(&mut self) {
        self.0.update(|state| state.is_dropped = true);
    }
}

fn line(at: Stamp, event: &Event) -> String {
    let at = at.as_nanos() / 1_000_000;
    match event {
        // Dozens of instruments would only be noise.
        Event::Gap(gap) => format!(
            "{at} ms Gap {{ {} -> {}, {} instruments, volume {}, resumed {} }}",
            gap.lost_epoch,
            gap.epoch,
            gap.instruments.len(),
            gap.known_volume(),
            gap.resumed.is_some()
        ),
        Event::Text { text, .. } => format!("{at} ms Text {}", String::from_utf8_lossy(text)),
        other => format!("{at} ms {other:?}"),
    }
}
