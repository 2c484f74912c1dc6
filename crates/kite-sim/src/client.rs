//! One client of the simulator. Sends its socket updates from the market or a replay, and applies
//! faults.
//!
//! A client that does not read blocks its own task, as TCP would block Kite's server; updates due
//! meanwhile are never sent.

pub(crate) mod book;
mod commands;
pub(crate) mod connection;
mod ending;
mod faults;
pub(crate) mod ledger;
mod mute;
pub(crate) mod pace;
mod peer;
mod replayed;
pub(crate) mod state;
mod timer;
mod unread;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use kite_server::session::{self, Event, Session};
use kite_server::{Connection, End, HEARTBEAT, Message, Socket, texts};
use kite_wire::MAX_INSTRUMENTS;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval};

use crate::fault::Fault;
use crate::fault::chance::ChanceFaults;
use crate::flow::Writing;
use crate::replay::{Feed, Queued};
use book::Book;
use ledger::{Entry, SocketEnd};
use mute::MuteStream;
use pace::Speed;
use state::{Control, Joined, Membership, SimState};
use timer::Timer;

/// Interval at which a socket that is not read is checked for its client's disconnect.
const LOOK: Duration = Duration::from_millis(100);

/// The close code of a server that goes down (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1_001;

/// A connection after its handshake.
pub(crate) struct Opened {
    pub(crate) connection: Box<dyn Connection>,
    /// Bytes received after the request.
    pub(crate) rest: Vec<u8>,
    /// The fault that strikes first.
    pub(crate) strike: Option<Fault>,
}

pub(crate) struct Client {
    socket: Socket<MuteStream<Box<dyn Connection>>>,
    state: Arc<SimState>,
    book: Arc<Mutex<Book>>,
    entry: Entry,
    peer: Option<SocketAddr>,
    api_key: String,
    manner: Manner,
    speed: Speed,
    controls: mpsc::UnboundedReceiver<Control>,
    feed: Option<Feed>,
    updates: Option<Interval>,
    updated_at: Instant,
    looks: Interval,
    chance_faults: Option<ChanceFaults>,
    chance_timer: Timer,
}

/// How a socket is served; a fault may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Manner {
    says: Says,
    reads: bool,
    /// The speed of the link to the client, if it is limited.
    bytes_per_second: Option<NonZeroU32>,
}

impl Manner {
    const WHOLE: Self = Self { says: Says::Everything, reads: true, bytes_per_second: None };
}

/// The messages sent on a socket; each variant sends fewer than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Everything,
    /// No ticks or text frames.
    Heartbeats,
    /// Only pongs and close frames.
    Pongs,
    Nothing,
}

/// The lowest-priority event on a socket.
pub(crate) enum Update {
    /// Time that has passed for the market.
    Elapsed(Duration),
    Replayed(Queued),
    Chance,
}

/// Serves a client until it disconnects or is closed.
pub(crate) async fn run(opened: Opened, membership: Membership, state: Arc<SimState>) {
    let Membership { slot, owned, .. } = membership;
    let Joined { number, book, controls, speed, feed, entry, api_key } = owned;
    let Opened { mut connection, rest, strike } = opened;
    let id = slot.id();
    tracing::debug!(id, "socket open");
    let peer = connection.transport().peer();
    let socket = Socket::new(MuteStream::new(connection, speed.clone()), rest).await;
    let chance = state.config.chance.clone();
    let chance_faults = chance.map(|chance| ChanceFaults::new(chance, &api_key, number));
    let rate = state.config.updates_per_second;
    let heartbeat_every = state.config.heartbeat_every;
    let mut client = Client {
        socket,
        state,
        book,
        entry,
        peer,
        api_key,
        manner: Manner::WHOLE,
        speed,
        controls,
        feed,
        updates: None,
        updated_at: Instant::now(),
        looks: session::timer(LOOK),
        chance_faults,
        chance_timer: Timer::default(),
    };
    let end = match client.begin(strike).await {
        Ok(()) => {
            client.updates = (rate > 0.0).then(|| session::timer(book::period(rate)));
            client.looks = session::timer(LOOK);
            client.updated_at = Instant::now();
            session::serve(&mut client, heartbeat_every).await
        }
        Err(end) => end,
    };
    // The slot stays taken meanwhile, because the end of the server waits for it.
    let end = match end {
        End::Finishing => client.finish().await,
        end => end,
    };
    if end == End::ClientStuck {
        client.entry.note_unread(client.state.address);
        tracing::info!(client = %peer::Peer(client.peer), "client disconnected: it does not read");
    }
    client.entry.end(SocketEnd::from(end));
    // Free as soon as the socket begins to end.
    drop(slot);
    client.end(end).await;
    tracing::debug!(id, "socket closed");
}

impl Session for Client {
    type Stream = MuteStream<Box<dyn Connection>>;
    type Control = Control;
    type Update = Update;

    fn socket(&mut self) -> &mut Socket<Self::Stream> {
        &mut self.socket
    }

    fn reads(&self) -> bool {
        self.manner.reads
    }

    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<Control> {
        match self.controls.poll_recv(cx) {
            Poll::Ready(Some(control)) => Poll::Ready(control),
            // The slot was freed, and with it the sender.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Result<Update, End>> {
        if let Some(timer) = &mut self.updates
            && timer.poll_tick(cx).is_ready()
        {
            let now = Instant::now();
            let elapsed = now.saturating_duration_since(self.updated_at);
            self.updated_at = now;
            return Poll::Ready(Ok(Update::Elapsed(elapsed)));
        }
        if let Some(feed) = &mut self.feed
            && let Poll::Ready(queued) = feed.poll_next(cx)
        {
            return Poll::Ready(Ok(Update::Replayed(queued)));
        }
        let chance_due = self.chance_due();
        if self.chance_timer.poll_at(chance_due, cx).is_ready() {
            return Poll::Ready(Ok(Update::Chance));
        }
        // While nothing is read, only this shows that the client has disconnected.
        while !self.manner.reads && self.looks.poll_tick(cx).is_ready() {
            if self.socket.stream_mut().transport().is_over() {
                return Poll::Ready(Err(End::ClientGone));
            }
        }
        Poll::Pending
    }

    async fn on_event(&mut self, event: Event<'_, Control, Update>) -> Result<(), End> {
        match event {
            Event::Control(control) => self.on_control(control).await?,
            Event::Command(command) => self.on_command(command).await?,
            Event::BadCommand(reason) => self.note_ignored(&reason),
            Event::Ping => self.state.counters.pings.add(1),
            Event::HeartbeatDue => self.send_heartbeat().await?,
            Event::Update(Update::Elapsed(elapsed)) => self.send_updates(elapsed).await?,
            Event::Update(Update::Replayed(queued)) => self.send_queued(queued).await?,
            Event::Update(Update::Chance) => self.on_chance().await?,
        }
        self.state.changes.notify();
        Ok(())
    }
}

impl Client {
    /// Sends the greeting, then applies the first fault.
    async fn begin(&mut self, strike: Option<Fault>) -> Result<(), End> {
        if self.state.config.is_greeting {
            for text in texts::greetings(self.state.now_unix_s()) {
                self.write_text(&text).await?;
            }
        }
        if let Some(fault) = strike {
            let writing = self.state.flow.begin();
            self.on_fault(fault, &writing).await?;
            self.state.changes.notify();
        }
        Ok(())
    }

    async fn on_control(&mut self, control: Control) -> Result<(), End> {
        match control {
            Control::Text(text) => self.send_text(&text).await,
            Control::Binary(bytes) => {
                if self.manner.says == Says::Everything {
                    self.socket.write(Message::Binary(bytes.clone())).await?;
                    self.entry.add(&bytes, 0);
                    self.state.counters.frames.add(1);
                }
                Ok(())
            }
            Control::Tick(tokens, writing) => {
                for tokens in tokens.chunks(MAX_INSTRUMENTS) {
                    let frame = self.book.lock().next_of(tokens);
                    self.send_frame(frame, &writing).await?;
                }
                Ok(())
            }
            Control::Fault(fault, writing) => self.on_fault(fault, &writing).await,
            Control::Mute => {
                self.behave(Manner { says: Says::Nothing, ..self.manner });
                Ok(())
            }
            Control::Heal => {
                self.behave(Manner::WHOLE);
                Ok(())
            }
            Control::Close(code) => {
                self.socket.send_close(code, "").await?;
                Err(End::Closing)
            }
            Control::Finish(reason) => {
                let before = self.feed.as_mut().map(Feed::drain).unwrap_or_default();
                for queued in before {
                    self.send_queued(queued).await?;
                }
                self.socket.send_close(GOING_AWAY, &reason).await?;
                Err(End::Finishing)
            }
            Control::Drop => Err(End::Dropped),
        }
    }

    async fn send_updates(&mut self, elapsed: Duration) -> Result<(), End> {
        if self.manner.says != Says::Everything {
            return Ok(());
        }
        let Some(writing) = self.state.flow.begin_updates() else { return Ok(()) };
        self.book.lock().elapse(elapsed, self.state.config.updates_per_second);
        loop {
            let frame = self.book.lock().next_due();
            if frame.is_none() {
                return Ok(());
            }
            self.send_frame(frame, &writing).await?;
        }
    }

    /// Sends a market frame and counts it once the operating system has it.
    async fn send_frame(&mut self, frame: Option<Bytes>, writing: &Writing) -> Result<(), End> {
        let is_talking = self.manner.says == Says::Everything;
        let Some(frame) = frame.filter(|_| is_talking) else { return Ok(()) };
        self.socket.write(Message::Binary(frame.clone())).await?;
        self.count_frame(&frame, writing);
        Ok(())
    }

    /// Counts a market frame that was sent whole.
    fn count_frame(&mut self, frame: &[u8], _: &Writing) {
        let packets = self.book.lock().confirm(frame);
        self.count(frame, packets);
    }

    fn count(&mut self, frame: &[u8], packets: u64) {
        self.entry.add(frame, packets);
        self.state.counters.frames.add(1);
        self.state.counters.ticks.add(packets);
    }

    async fn send_heartbeat(&mut self) -> Result<(), End> {
        if self.manner.says <= Says::Heartbeats && !self.state.heartbeats_are_replayed() {
            self.socket.write(Message::Binary(HEARTBEAT)).await?;
            self.state.counters.heartbeats.add(1);
        }
        Ok(())
    }

    async fn send_text(&mut self, text: &str) -> Result<(), End> {
        if self.manner.says == Says::Everything {
            self.write_text(text).await?;
            self.entry.add_text();
        }
        Ok(())
    }

    async fn write_text(&mut self, text: &str) -> Result<(), End> {
        self.socket.write(Message::text(text)).await?;
        self.state.counters.texts.add(1);
        Ok(())
    }
}
