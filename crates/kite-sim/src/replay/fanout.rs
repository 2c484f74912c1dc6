//! Deals the records of a replay out to the sockets.
//!
//! A record or a command makes all its changes in one turn, under one lock. A subscription and its
//! snapshot therefore fall between two records of the tape, so what a socket receives depends on
//! the order of commands and records, not on task scheduling.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use kite_server::{Cut, Cutter, LatestPackets, Utf8Bytes};
use kite_wire::Frame;
use kite_wire::tape::{RecordKind, Source};
use kite_wire::text::TextMessage;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::mpsc;
use tokio::sync::mpsc::OwnedPermit;

use super::dedup::Dedup;
use super::options::{Replay, Speed};
use super::progress::ReplayProgress;
use super::reader::{Record, Records, TapeStart};
use crate::flow::{Flow, Writing};

/// Frames queued for a socket until its client reads. Sockets are at most this far apart.
const QUEUE: usize = 16;
/// Types of the text frames that Kite sends right after connecting. Recorded ones belong to the
/// recorded connection, so they are not replayed.
const GREETINGS: [&str; 2] = ["instruments_meta", "app_code"];

/// The interface of a socket's subscriptions to a replay.
pub(crate) trait Subscriber: Send {
    fn is_empty(&self) -> bool;
    /// Cuts a walked frame down to the subscriptions.
    fn cut(&self, cutter: &mut Cutter, bytes: &Bytes, frame: &Frame<'_>) -> Cut;
}

/// The message sent on a socket for a record.
pub(crate) enum Piece {
    /// A frame cut for the socket or, in a verbatim replay, as recorded, including heartbeats.
    Frame(Bytes),
    Text(Utf8Bytes),
}

/// A queued piece; the guard makes `pause` wait for it.
pub(crate) struct Queued {
    pub(crate) piece: Piece,
    _writing: Writing,
}

/// The result of dealing a record.
pub(crate) enum Dealt {
    /// Every socket has its piece.
    Out,
    /// The queues of these sockets are full; no socket has its piece.
    Full(Vec<(u64, mpsc::Sender<Queued>)>),
    /// The simulator is paused; no socket has its piece.
    Paused,
    /// The replay is to continue at another place of the tape; no socket has its piece.
    Moved,
}

/// The state of a replay, shared by the sockets and the pump.
pub(crate) struct Fanout {
    pub(super) replay: Replay,
    latest: Arc<Mutex<LatestPackets>>,
    is_requested: AtomicBool,
    state: Mutex<FanoutState>,
}

/// State that changes in turns.
pub(crate) struct FanoutState {
    outlets: BTreeMap<u64, Outlet>,
    cutter: Cutter,
    dedup: Dedup,
    progress: ReplayProgress,
    speed: Speed,
    /// Where the replay is to continue, in nanoseconds since the Unix epoch.
    seek_unix_ns: Option<u64>,
    /// Commands applied on all sockets.
    commands: u64,
}

/// The queue to one socket.
struct Outlet {
    api_key: String,
    /// Number among the account's open sockets, from 0.
    number: usize,
    subscriber: Arc<Mutex<dyn Subscriber>>,
    sender: mpsc::Sender<Queued>,
    /// Reserved room for the next piece, so that a record goes to all sockets or to none.
    room: Option<OwnedPermit<Queued>>,
}

impl Outlet {
    fn send(&mut self, piece: Piece, flow: &Arc<Flow>) {
        if let Some(room) = self.room.take() {
            room.send(Queued { piece, _writing: flow.begin() });
        }
        self.room = self.sender.clone().try_reserve_owned().ok();
    }
}

impl FanoutState {
    /// Returns the sockets without room for a piece, if there are any.
    fn full(&self) -> Option<Dealt> {
        let full = self.outlets.iter().filter(|(_, outlet)| outlet.room.is_none());
        let full: Vec<_> = full.map(|(&id, outlet)| (id, outlet.sender.clone())).collect();
        (!full.is_empty()).then_some(Dealt::Full(full))
    }

    /// Sends each socket the packets to which it has subscribed.
    fn deal_packets(&mut self, bytes: &Bytes, frame: &Frame<'_>, flow: &Arc<Flow>) {
        for outlet in self.outlets.values_mut() {
            let cut = outlet.subscriber.lock().cut(&mut self.cutter, bytes, frame);
            self.progress.leaner_packets += cut.leaner;
            if let Some(frame) = cut.frame {
                outlet.send(Piece::Frame(frame), flow);
            }
        }
    }

    /// Counts a command that was applied.
    pub(crate) fn note_command(&mut self) {
        self.commands += 1;
    }
}

impl Fanout {
    /// Returns a replay that has not started, and its records.
    pub(crate) fn new(replay: Replay, start: TapeStart) -> (Self, Records) {
        let TapeStart { records, latest, not_kept, mut damages } = start;
        let progress = ReplayProgress {
            span_unix_ns: replay.tape.span(),
            damages: damages.len() as u64,
            last_damage: damages.pop(),
            packets_not_kept: not_kept,
            ..ReplayProgress::default()
        };
        let state = FanoutState {
            outlets: BTreeMap::new(),
            cutter: Cutter::default(),
            dedup: Dedup::default(),
            progress,
            speed: replay.speed,
            seek_unix_ns: None,
            commands: 0,
        };
        let (latest, state) = (Arc::new(Mutex::new(latest)), Mutex::new(state));
        (Self { replay, latest, is_requested: AtomicBool::new(false), state }, records)
    }

    /// Adds a socket, which receives records starting with the next one.
    pub(crate) fn join(
        self: &Arc<Self>,
        id: u64,
        api_key: &str,
        subscriber: Arc<Mutex<dyn Subscriber>>,
    ) -> Feed {
        let (sender, queue) = mpsc::channel(QUEUE);
        let mut state = self.state.lock();
        let taken = |number: &usize| {
            state.outlets.values().any(|it| it.api_key == api_key && it.number == *number)
        };
        let number = (0..).find(|number| !taken(number)).unwrap_or_default();
        let room = sender.clone().try_reserve_owned().ok();
        let api_key = api_key.to_owned();
        state.outlets.insert(id, Outlet { api_key, number, subscriber, sender, room });
        Feed { id, queue, fanout: Arc::clone(self) }
    }

    /// Returns the last packet of each instrument, for snapshots.
    pub(crate) fn latest(&self) -> Arc<Mutex<LatestPackets>> {
        Arc::clone(&self.latest)
    }

    /// Prevents records from being dealt while a socket changes its subscriptions.
    pub(crate) fn turn(&self) -> MutexGuard<'_, FanoutState> {
        self.state.lock()
    }

    /// Starts the replay without waiting any longer.
    pub(crate) fn request(&self) {
        self.is_requested.store(true, Ordering::Relaxed);
    }

    /// Continues the replay at another place of the tape. No record from before this call is dealt
    /// after it.
    pub(crate) fn seek(&self, unix_ns: u64) {
        let mut state = self.state.lock();
        let Some((first, last)) = state.progress.span_unix_ns else { return };
        let to = unix_ns.clamp(first, last.max(first));
        state.seek_unix_ns = Some(to);
        state.progress.position_unix_ns = Some(to);
        state.progress.finished = false;
    }

    pub(crate) fn set_speed(&self, speed: Speed) {
        self.state.lock().speed = speed;
    }

    pub(super) fn speed(&self) -> Speed {
        self.state.lock().speed
    }

    pub(super) fn is_moved(&self) -> bool {
        self.state.lock().seek_unix_ns.is_some()
    }

    /// Returns where the replay is to continue.
    pub(super) fn place(&self) -> Option<u64> {
        self.state.lock().seek_unix_ns
    }

    /// Continues with the packets that were the last ones at this place, unless the replay is to
    /// continue elsewhere by now. Returns frames of them.
    pub(super) fn arrive(
        &self,
        at_unix_ns: u64,
        latest: LatestPackets,
        not_kept: u64,
    ) -> Vec<Bytes> {
        let mut state = self.state.lock();
        if state.seek_unix_ns != Some(at_unix_ns) {
            return Vec::new();
        }
        state.seek_unix_ns = None;
        state.dedup = Dedup::default();
        state.progress.seeks += 1;
        state.progress.packets_not_kept += not_kept;
        let frames = latest.frames();
        *self.latest.lock() = latest;
        frames
    }

    pub(super) fn is_requested(&self) -> bool {
        self.is_requested.load(Ordering::Relaxed)
    }

    /// Returns whether heartbeats come from the tape now.
    pub(crate) fn brings_heartbeats(&self) -> bool {
        let running = || {
            let progress = &self.state.lock().progress;
            progress.begun && !progress.finished
        };
        self.replay.is_verbatim() && running()
    }

    /// Counts the sockets that wait for records.
    pub(super) fn audience(&self) -> usize {
        let state = self.state.lock();
        let waits =
            |outlet: &&Outlet| self.replay.is_verbatim() || !outlet.subscriber.lock().is_empty();
        state.outlets.values().filter(waits).count()
    }

    pub(super) fn commands(&self) -> u64 {
        self.state.lock().commands
    }

    pub(crate) fn progress(&self) -> ReplayProgress {
        self.state.lock().progress.clone()
    }

    pub(super) fn note_begun(&self) {
        self.state.lock().progress.begun = true;
    }

    /// Notes that the tape has been sent to its end, unless it is to continue elsewhere.
    pub(super) fn note_finished(&self) {
        let mut state = self.state.lock();
        state.progress.finished = state.seek_unix_ns.is_none();
    }

    pub(super) fn note_damage(&self, damage: String) {
        tracing::warn!(damage, "tape damaged, replay continues after the damage");
        let progress = &mut self.state.lock().progress;
        progress.damages += 1;
        progress.last_damage = Some(damage);
    }

    /// Records that a socket has room again, or has ended.
    pub(super) fn note_room(&self, id: u64, room: Option<OwnedPermit<Queued>>) {
        let mut state = self.state.lock();
        if room.is_none() {
            state.outlets.remove(&id);
        } else if let Some(outlet) = state.outlets.get_mut(&id) {
            outlet.room = room;
        }
    }

    /// Deals a record out to all sockets, or to none.
    pub(super) fn deal(&self, record: &Record, flow: &Arc<Flow>) -> Dealt {
        let state = &mut *self.state.lock();
        if state.seek_unix_ns.is_some() {
            return Dealt::Moved;
        }
        if let Some(full) = state.full() {
            return full;
        }
        // Held until every socket has its piece, so that a pause waits for all of them.
        let Some(_writing) = flow.begin_updates() else { return Dealt::Paused };
        state.progress.position_unix_ns = Some(record.received.recv_unix_ns);
        state.progress.records += 1;
        match record.kind {
            RecordKind::Binary => self.deal_frame(state, record, flow),
            RecordKind::Text => self.deal_text(state, record, flow),
            RecordKind::Gap => state.progress.gaps += 1,
            // The recorder's events and the kinds of later versions are not sent to clients.
            _ => {}
        }
        Dealt::Out
    }

    fn deal_frame(&self, state: &mut FanoutState, record: &Record, flow: &Arc<Flow>) {
        let bytes = &record.payload;
        let frame = Frame::walk(bytes);
        let progress = &mut state.progress;
        if !frame.is_heartbeat() {
            progress.frames += 1;
            progress.ticks += frame.packets().len() as u64;
            progress.unknown_packets += u64::from(frame.skipped());
            progress.damaged_frames += u64::from(frame.fault().is_some());
        }
        if self.replay.is_verbatim() {
            let piece = || Piece::Frame(bytes.clone());
            return self.deal_verbatim(state, record.received.source, flow, piece);
        }
        state.progress.packets_not_kept += self.latest.lock().add(&frame);
        state.deal_packets(bytes, &frame, flow);
    }

    /// Deals a frame of the last packets at a place of the tape, also while the simulator is paused.
    pub(super) fn deal_snapshot(&self, bytes: &Bytes, flow: &Arc<Flow>) -> Dealt {
        let state = &mut *self.state.lock();
        if state.seek_unix_ns.is_some() {
            return Dealt::Moved;
        }
        if let Some(full) = state.full() {
            return full;
        }
        state.deal_packets(bytes, &Frame::walk(bytes), flow);
        Dealt::Out
    }

    fn deal_text(&self, state: &mut FanoutState, record: &Record, flow: &Arc<Flow>) {
        let progress = &mut state.progress;
        progress.texts += 1;
        let Ok(text) = Utf8Bytes::try_from(record.payload.clone()) else {
            progress.unreadable_texts += 1;
            return;
        };
        let source = record.received.source;
        let piece = || Piece::Text(text.clone());
        if self.replay.is_verbatim() {
            return self.deal_verbatim(state, source, flow, piece);
        }
        let is_greeting = TextMessage::parse(&text)
            .is_ok_and(|message| message.kind().is_some_and(|kind| GREETINGS.contains(&kind)));
        if is_greeting {
            progress.greetings += 1;
        } else if !state.dedup.is_new(record.received.recv_unix_ns, source, &record.payload) {
            progress.repeated_texts += 1;
        } else {
            state.outlets.values_mut().for_each(|outlet| outlet.send(piece(), flow));
        }
    }

    /// Sends a piece to the sockets that replay this recorded connection.
    fn deal_verbatim(
        &self,
        state: &mut FanoutState,
        source: Source,
        flow: &Arc<Flow>,
        piece: impl Fn() -> Piece,
    ) {
        let sources = &self.replay.verbatim;
        for outlet in state.outlets.values_mut() {
            if sources.get(outlet.number % sources.len()) == Some(&source) {
                outlet.send(piece(), flow);
            }
        }
    }
}

/// A socket's end of its queue. After it is dropped, the socket receives no more pieces.
pub(crate) struct Feed {
    id: u64,
    queue: mpsc::Receiver<Queued>,
    fanout: Arc<Fanout>,
}

impl Feed {
    /// Returns the next piece; pending forever once the queue has ended.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Queued> {
        match self.queue.poll_recv(cx) {
            Poll::Ready(Some(queued)) => Poll::Ready(queued),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Returns the pieces dealt to the socket so far. During a [`Fanout::turn`], no more are added.
    pub(crate) fn drain(&mut self) -> Vec<Queued> {
        std::iter::from_fn(|| self.queue.try_recv().ok()).collect()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let outlet = self.fanout.state.lock().outlets.remove(&self.id);
        drop(outlet);
    }
}
