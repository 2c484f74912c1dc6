//! The task of one client's socket.
//!
//! It moves everything from the hub into the client's queue as it arrives, also while the socket
//! accepts nothing, so that the policy for slow clients is applied here and never costs the hub or
//! another client anything.

mod budget;
mod ending;
mod presence;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use kite_server::{Connection, End, HEARTBEAT, Message, Received, Socket, Utf8Bytes, session};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, Interval, Sleep, sleep_until};

use crate::changes::ClientId;
use crate::hub::ToHub;
use crate::queue::{Outgoing, Overrun, Queue, QueueConfig};
use crate::stats::{Fate, Figures, SocketFigures};
use budget::Budget;
use ending::Ended;
use presence::{Presence, Verdict};

pub(crate) use presence::PresenceConfig;

/// Kite sends one heartbeat a second. The timer also paces everything else that need not be exact.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// Messages of the hub that are taken before the socket gets its turn, so that a client that reads
/// is not taken for a slow one because many frames arrived together.
const MAX_TAKEN: usize = 32;

/// A message from the hub. Its order is that in which things happened.
#[derive(Debug)]
pub(crate) enum ToClient {
    /// A frame for the client and its number of packets.
    Frame(Bytes, u16),
    /// A frame that a command asked for, and its number of packets.
    Snapshot(Bytes, u16),
    /// A text.
    Text(Arc<str>),
    /// The client has unsubscribed these instruments.
    Forget(Vec<u32>),
    /// The client's command has been applied; the next one may be read.
    Applied,
    /// Whether the client gets heartbeats from now on.
    Heartbeats(bool),
    /// Nothing follows: the socket is to be closed.
    Close(Closing),
}

/// Why the hub closes a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Closing {
    /// The relay stops. What is queued is sent until the deadline.
    Stopping(Instant),
    /// The client may no longer connect. What is queued is sent until the deadline.
    NotListed(Instant),
}

impl Closing {
    fn deadline(self) -> Instant {
        match self {
            Self::Stopping(deadline) | Self::NotListed(deadline) => deadline,
        }
    }
}

/// What a client's task needs besides its socket.
#[derive(Debug)]
pub(crate) struct ClientContext {
    pub(crate) id: ClientId,
    pub(crate) name: String,
    pub(crate) from_hub: UnboundedReceiver<ToClient>,
    pub(crate) to_hub: UnboundedSender<ToHub>,
    pub(crate) queue: QueueConfig,
    /// How long the socket may take no byte.
    pub(crate) stall: Duration,
    pub(crate) presence: PresenceConfig,
    pub(crate) figures: Arc<SocketFigures>,
    pub(crate) all_figures: Arc<Figures>,
    /// Notified when the client has room again; only if the hub waits for that.
    pub(crate) room: Option<Arc<Notify>>,
}

/// A client's socket with its queue. Dropping it, at any time, adds its counts to the totals.
pub(crate) struct ClientTask<S: Connection> {
    socket: Socket<S>,
    context: ClientContext,
    queue: Queue,
    budget: Budget,
    timer: Interval,
    /// Whether the hub has not applied the last command yet.
    awaits_hub: bool,
    /// Whether the hub lets heartbeats through.
    has_heartbeats: bool,
    is_heartbeat_due: bool,
    presence: Presence,
    is_ping_due: bool,
    closing: Option<Closing>,
    cut_off: Option<Pin<Box<Sleep>>>,
    fate: Fate,
    has_left: bool,
}

impl<S: Connection> ClientTask<S> {
    pub(crate) fn new(socket: Socket<S>, context: ClientContext) -> Self {
        Self {
            socket,
            queue: Queue::new(context.queue.clone()),
            presence: Presence::new(context.presence, Instant::now()),
            is_ping_due: false,
            context,
            budget: Budget::new(Instant::now()),
            timer: session::timer(HEARTBEAT_EVERY),
            awaits_hub: false,
            has_heartbeats: true,
            is_heartbeat_due: false,
            closing: None,
            cut_off: None,
            fate: Fate::Other,
            has_left: false,
        }
    }

    /// Serves the client until its socket ends.
    pub(crate) async fn run(mut self) {
        let ended = poll_fn(|cx| self.poll(cx)).await;
        self.end(ended).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let polled = self.poll_all(cx);
        self.context.figures.publish(&self.queue.counts());
        match polled {
            Err(ended) => Poll::Ready(ended),
            Ok(()) => Poll::Pending,
        }
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let now = Instant::now();
        if let Some(cut_off) = &mut self.cut_off
            && cut_off.as_mut().poll(cx).is_ready()
        {
            return Err(self.closing.map_or(Ended::NoHub, Ended::CutOff));
        }
        let mut checks_presence = false;
        while self.timer.poll_tick(cx).is_ready() {
            self.is_heartbeat_due = self.has_heartbeats;
            self.check_stall(now)?;
            checks_presence = true;
        }
        let mut most = MAX_TAKEN;
        loop {
            let has_more = self.take_from_hub(cx, most)?;
            let is_written = match self.write(cx, now) {
                Poll::Ready(Err(end)) => return Err(Ended::ByClient(end)),
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
            };
            if let Some(closing) = self.closing.filter(|_| is_written) {
                return Err(Ended::Closing(closing));
            }
            // After writing, because a command is not read while a snapshot waits.
            let has_read = self.read(cx, now)?;
            let is_idle = !has_more && !has_read;
            if is_idle && !(std::mem::take(&mut checks_presence) && self.check_presence(now)?) {
                return Ok(());
            }
            // What a client that takes nothing is sent goes through its queue's policy.
            most = if is_written { MAX_TAKEN } else { usize::MAX };
        }
    }

    /// Moves at most so many messages of the hub into the queue; returns whether there may be more.
    fn take_from_hub(&mut self, cx: &mut Context<'_>, most: usize) -> Result<bool, Ended> {
        for _ in 0..most {
            if self.closing.is_some() {
                return Ok(false);
            }
            let Poll::Ready(message) = self.context.from_hub.poll_recv(cx) else {
                return Ok(false);
            };
            self.take(message.ok_or(Ended::NoHub)?).map_err(Ended::TooSlow)?;
        }
        Ok(true)
    }

    fn take(&mut self, message: ToClient) -> Result<(), Overrun> {
        match message {
            ToClient::Frame(frame, packets) => self.queue.push(frame, packets)?,
            ToClient::Snapshot(frame, packets) => self.queue.push_snapshot(frame, packets),
            ToClient::Text(text) => self.queue.push_text(text)?,
            ToClient::Forget(tokens) => self.queue.forget(tokens),
            ToClient::Applied => self.awaits_hub = false,
            ToClient::Heartbeats(has_heartbeats) => self.has_heartbeats = has_heartbeats,
            ToClient::Close(closing) => {
                self.closing = Some(closing);
                self.cut_off = Some(Box::pin(sleep_until(closing.deadline())));
            }
        }
        Ok(())
    }

    fn check_stall(&mut self, now: Instant) -> Result<(), Ended> {
        match self.socket.stalled_since() {
            Some(since) if now.saturating_duration_since(since) >= self.context.stall => {
                Err(Ended::Stalled)
            }
            _ => Ok(()),
        }
    }

    /// Asks a client from which nothing has been received for long whether it is there, once all that
    /// it has sent is read; returns whether a ping is to be written.
    fn check_presence(&mut self, now: Instant) -> Result<bool, Ended> {
        if !self.is_reading(now) {
            return Ok(false);
        }
        let taken = self.bytes_taken();
        match self.presence.check(now, taken) {
            Verdict::Present => Ok(false),
            Verdict::Ping => {
                self.is_ping_due = true;
                Ok(true)
            }
            Verdict::Gone => Err(Ended::Gone),
        }
    }

    /// Returns the bytes that the socket has taken.
    fn bytes_taken(&mut self) -> u64 {
        self.socket.stream_mut().transport().bytes_written()
    }

    /// Returns whether the client's messages are read now.
    fn is_reading(&mut self, now: Instant) -> bool {
        !self.awaits_hub
            && self.closing.is_none()
            && !self.queue.has_snapshot()
            && self.budget.has_any(now)
    }

    /// Reads messages, and returns whether there were any, until a command is on its way to the hub
    /// or the client has used up its budget, which the next tick of the timer renews. While the
    /// snapshot of the last command waits, no other is read, so that a client that does not read
    /// has one waiting.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, Ended> {
        let mut has_read = false;
        while self.is_reading(now)
            && let Poll::Ready(received) = self.socket.poll_message(cx)
        {
            let received = received.map_err(Ended::ByClient)?;
            has_read = true;
            let taken = self.bytes_taken();
            self.presence.on_received(now, taken);
            self.budget.spend(&received);
            if let Received::Text(text) = received {
                self.awaits_hub = true;
                self.send_to_hub(text)?;
            }
        }
        Ok(has_read)
    }

    fn send_to_hub(&self, text: Utf8Bytes) -> Result<(), Ended> {
        let command = ToHub::Command { id: self.context.id, text };
        self.context.to_hub.send(command).map_err(|_| Ended::NoHub)
    }

    /// Hands over what is queued, several frames before each flush; ready once all is written.
    ///
    /// Nothing is handed over while the socket accepts nothing: in the queue newer packets can
    /// replace it, and it keeps no more memory alive than its own.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), End>> {
        loop {
            ready!(self.socket.poll_flush(cx))?;
            let mut is_any = false;
            while self.socket.poll_ready(cx)?.is_ready()
                && let Some(message) = self.next_message(now)
            {
                self.socket.start_send(message);
                is_any = true;
            }
            if !is_any {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn next_message(&mut self, now: Instant) -> Option<Message> {
        if std::mem::take(&mut self.is_heartbeat_due) {
            return Some(Message::Binary(HEARTBEAT));
        }
        if std::mem::take(&mut self.is_ping_due) {
            return Some(Message::Ping);
        }
        Some(match self.queue.pop(now.into_std())? {
            Outgoing::Text(text) => Message::text(&*text),
            Outgoing::Frame { bytes, .. } => {
                if let Some(room) = &self.context.room {
                    self.context.figures.backlog.fetch_sub(bytes.len() as u64, Ordering::AcqRel);
                    room.notify_one();
                }
                Message::Binary(bytes)
            }
        })
    }
}
