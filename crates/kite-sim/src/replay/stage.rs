//! Who is there for a replay, and what each of them is sent of a record.
//!
//! Everything that a record or a command changes is changed in one turn, under one lock. So a
//! subscription has its place between two records of the tape, and its snapshot stands there too:
//! what a socket gets depends on the order of its commands and records, not on who ran when.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use kite_wire::Frame;
use kite_wire::tape::{RecordKind, Source};
use kite_wire::text::TextMessage;
use tokio::sync::mpsc;
use tokio::sync::mpsc::OwnedPermit;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::cut::Cutter;
use super::once::Once;
use super::present::Present;
use super::progress::ReplayProgress;
use super::reader::{Record, Records, Wound};
use super::setting::Replay;
use crate::book::Book;
use crate::exchange::lock;
use crate::server::{Shared, Writing};

/// Frames that may wait for a socket's client to read. Sockets are at most this far apart.
const QUEUE: usize = 16;
/// What Kite sends right after connecting: of the connection that was recorded, not of this one.
const GREETINGS: [&str; 2] = ["instruments_meta", "app_code"];

/// What a socket is sent of a record.
pub(crate) enum Piece {
    /// A frame cut for the socket, or as it was recorded; heartbeats only there.
    Frame(Bytes),
    Text(Utf8Bytes),
}

/// A piece on its way; the guard makes `pause` wait for it.
pub(crate) struct Queued {
    pub(crate) piece: Piece,
    _writing: Writing,
}

/// What became of a record.
pub(crate) enum Dealt {
    /// Every socket has its piece.
    Out,
    /// These sockets have no room yet; nothing was sent to anyone.
    Full(Vec<(u64, mpsc::Sender<Queued>)>),
    /// The simulator is paused; nothing was sent to anyone.
    Paused,
}

/// A replay as the sockets and the pump share it.
pub(crate) struct Stage {
    pub(super) replay: Replay,
    present: Arc<Mutex<Present>>,
    is_requested: AtomicBool,
    floor: Mutex<Floor>,
}

/// What changes in turns.
pub(crate) struct Floor {
    seats: BTreeMap<u64, Seat>,
    cutter: Cutter,
    once: Once,
    progress: ReplayProgress,
    /// Commands obeyed on all sockets.
    commands: u64,
}

/// A socket's place.
struct Seat {
    api_key: String,
    /// Number among the account's open sockets, from 0.
    number: usize,
    book: Arc<Mutex<Book>>,
    sender: mpsc::Sender<Queued>,
    /// Room for the next piece, kept so that a record goes to all sockets or to none yet.
    room: Option<OwnedPermit<Queued>>,
}

impl Seat {
    fn send(&mut self, piece: Piece, shared: &Arc<Shared>) {
        if let Some(room) = self.room.take() {
            room.send(Queued { piece, _writing: shared.begin() });
        }
        self.room = self.sender.clone().try_reserve_owned().ok();
    }
}

impl Floor {
    /// Notes that a command was obeyed.
    pub(crate) fn note_command(&mut self) {
        self.commands += 1;
    }
}

impl Stage {
    /// Gives the stage, and what is to be played on it.
    pub(crate) fn new(replay: Replay, wound: Wound) -> (Self, Records) {
        let Wound { records, present, mut damages } = wound;
        let progress = ReplayProgress {
            span_unix_ns: replay.tape.span(),
            damages: damages.len() as u64,
            last_damage: damages.pop(),
            ..ReplayProgress::default()
        };
        let floor = Floor {
            seats: BTreeMap::new(),
            cutter: Cutter::default(),
            once: Once::default(),
            progress,
            commands: 0,
        };
        let (present, floor) = (Arc::new(Mutex::new(present)), Mutex::new(floor));
        (Self { replay, present, is_requested: AtomicBool::new(false), floor }, records)
    }

    /// Gives a socket its place, from the next record on.
    pub(crate) fn join(self: &Arc<Self>, id: u64, api_key: &str, book: &Arc<Mutex<Book>>) -> Feed {
        let (sender, queue) = mpsc::channel(QUEUE);
        let mut floor = lock(&self.floor);
        lock(book).follow(Arc::clone(&self.present));
        let taken = |number: &usize| {
            floor.seats.values().any(|seat| seat.api_key == api_key && seat.number == *number)
        };
        let number = (0..).find(|number| !taken(number)).unwrap_or_default();
        let room = sender.clone().try_reserve_owned().ok();
        let (api_key, book) = (api_key.to_owned(), Arc::clone(book));
        floor.seats.insert(id, Seat { api_key, number, book, sender, room });
        Feed { id, queue, stage: Arc::clone(self) }
    }

    /// Keeps records from being dealt while a socket changes its subscriptions.
    pub(crate) fn turn(&self) -> MutexGuard<'_, Floor> {
        lock(&self.floor)
    }

    /// Begins the replay whatever it waits for.
    pub(crate) fn request(&self) {
        self.is_requested.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_requested(&self) -> bool {
        self.is_requested.load(Ordering::Relaxed)
    }

    /// Says whether heartbeats come from the tape now.
    pub(crate) fn brings_heartbeats(&self) -> bool {
        let running = || {
            let progress = &lock(&self.floor).progress;
            progress.begun && !progress.finished
        };
        self.replay.is_verbatim() && running()
    }

    /// Counts the sockets that wait for records.
    pub(super) fn audience(&self) -> usize {
        let floor = lock(&self.floor);
        let waits = |seat: &&Seat| self.replay.is_verbatim() || !lock(&seat.book).is_empty();
        floor.seats.values().filter(waits).count()
    }

    pub(super) fn commands(&self) -> u64 {
        lock(&self.floor).commands
    }

    pub(crate) fn progress(&self) -> ReplayProgress {
        lock(&self.floor).progress.clone()
    }

    pub(super) fn note_begun(&self) {
        lock(&self.floor).progress.begun = true;
    }

    pub(super) fn note_finished(&self) {
        lock(&self.floor).progress.finished = true;
    }

    pub(super) fn note_damage(&self, damage: String) {
        tracing::warn!(damage, "tape damaged, replay goes on behind it");
        let progress = &mut lock(&self.floor).progress;
        progress.damages += 1;
        progress.last_damage = Some(damage);
    }

    /// Notes that a socket has room again, or ended.
    pub(super) fn note_room(&self, id: u64, room: Option<OwnedPermit<Queued>>) {
        let mut floor = lock(&self.floor);
        if room.is_none() {
            floor.seats.remove(&id);
        } else if let Some(seat) = floor.seats.get_mut(&id) {
            seat.room = room;
        }
    }

    /// Deals a record out to all sockets, or to none.
    pub(super) fn deal(&self, record: &Record, shared: &Arc<Shared>) -> Dealt {
        let floor = &mut *lock(&self.floor);
        let full = floor.seats.iter().filter(|(_, seat)| seat.room.is_none());
        let full: Vec<_> = full.map(|(&id, seat)| (id, seat.sender.clone())).collect();
        if !full.is_empty() {
            return Dealt::Full(full);
        }
        // Until all have their pieces, nobody can find the market quiet.
        let Some(_writing) = shared.begin_updates() else { return Dealt::Paused };
        floor.progress.position_unix_ns = Some(record.received.recv_unix_ns);
        floor.progress.records += 1;
        match record.kind {
            RecordKind::Binary => self.deal_frame(floor, record, shared),
            RecordKind::Text => self.deal_text(floor, record, shared),
            RecordKind::Gap => floor.progress.gaps += 1,
            // Notes of the recorder's, and what later versions may bring, are not for clients.
            _ => {}
        }
        Dealt::Out
    }

    fn deal_frame(&self, floor: &mut Floor, record: &Record, shared: &Arc<Shared>) {
        let bytes = &record.payload;
        let frame = Frame::walk(bytes);
        let progress = &mut floor.progress;
        if !frame.is_heartbeat() {
            progress.frames += 1;
            progress.ticks += frame.packets().len() as u64;
            progress.unknown_packets += u64::from(frame.skipped());
            progress.damaged_frames += u64::from(frame.fault().is_some());
        }
        if self.replay.is_verbatim() {
            let piece = || Piece::Frame(bytes.clone());
            return self.deal_verbatim(floor, record.received.source, shared, piece);
        }
        lock(&self.present).add(&frame);
        for seat in floor.seats.values_mut() {
            let cut = {
                let book = lock(&seat.book);
                floor.cutter.cut(bytes, &frame, |token| book.mode(token))
            };
            progress.leaner_packets += cut.leaner;
            if let Some(frame) = cut.frame {
                seat.send(Piece::Frame(frame), shared);
            }
        }
    }

    fn deal_text(&self, floor: &mut Floor, record: &Record, shared: &Arc<Shared>) {
        let progress = &mut floor.progress;
        progress.texts += 1;
        let Ok(text) = Utf8Bytes::try_from(record.payload.clone()) else {
            progress.unreadable_texts += 1;
            return;
        };
        let source = record.received.source;
        let piece = || Piece::Text(text.clone());
        if self.replay.is_verbatim() {
            return self.deal_verbatim(floor, source, shared, piece);
        }
        let is_greeting = TextMessage::parse(&text)
            .is_ok_and(|message| message.kind().is_some_and(|kind| GREETINGS.contains(&kind)));
        if is_greeting {
            progress.greetings += 1;
        } else if !floor.once.is_news(record.received.recv_unix_ns, source, &record.payload) {
            progress.repeated_texts += 1;
        } else {
            floor.seats.values_mut().for_each(|seat| seat.send(piece(), shared));
        }
    }

    /// Sends to the sockets that stand for this recorded connection.
    fn deal_verbatim(
        &self,
        floor: &mut Floor,
        source: Source,
        shared: &Arc<Shared>,
        piece: impl Fn() -> Piece,
    ) {
        let sources = &self.replay.verbatim;
        for seat in floor.seats.values_mut() {
            if sources.get(seat.number % sources.len()) == Some(&source) {
                seat.send(piece(), shared);
            }
        }
    }
}

/// A socket's hold on its place; dropped, the place is gone.
pub(crate) struct Feed {
    id: u64,
    queue: mpsc::Receiver<Queued>,
    stage: Arc<Stage>,
}

impl Feed {
    /// Gives the next piece of a replay; waits for ever where there is none.
    ///
    /// # Cancel safety
    /// Cancel safe: a piece is taken or left.
    pub(crate) async fn next(feed: &mut Option<Self>) -> Queued {
        if let Some(feed) = feed
            && let Some(queued) = feed.queue.recv().await
        {
            return queued;
        }
        std::future::pending().await
    }

    /// Gives what was dealt to the socket so far. Within a [`Stage::turn`], it is all there is.
    pub(crate) fn drain(&mut self) -> Vec<Queued> {
        std::iter::from_fn(|| self.queue.try_recv().ok()).collect()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let seat = lock(&self.stage.floor).seats.remove(&self.id);
        drop(seat);
    }
}
