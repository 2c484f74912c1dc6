//! The task of one client's socket.
//!
//! It moves everything from the hub into the client's queue as it arrives, also while the socket
//! accepts nothing, so that the policy for slow clients is applied here and never costs the hub or
//! another client anything.

mod budget;
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
use tokio::time::{Instant, Interval, Sleep, sleep_until, timeout_at};

use crate::changes::ClientId;
use crate::hub::ToHub;
use crate::queue::{Outgoing, Overrun, Queue, QueueConfig, QueueCounts};
use crate::stats::{Fate, Figures, SocketFigures};
use budget::Budget;

/// Kite sends one heartbeat a second. The timer also paces everything else that need not be exact.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// Time for a client to take the close frame after it was found too slow.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// RFC 6455, section 7.4.1.
const GOING_AWAY: u16 = 1_001;
const POLICY_VIOLATION: u16 = 1_008;

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
    /// The client may no longer connect.
    NotListed,
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
    pub(crate) figures: Arc<SocketFigures>,
    pub(crate) all_figures: Arc<Figures>,
    /// Notified when the client has room again; only if the hub waits for that.
    pub(crate) room: Option<Arc<Notify>>,
}

/// Why a client's socket ends.
#[derive(Debug)]
enum Ended {
    /// The client closed, disconnected or broke the protocol.
    ByClient(End),
    /// It has taken no byte for too long.
    Stalled,
    TooSlow(Overrun),
    /// All that is to be sent has been.
    Closing(Closing),
    /// The deadline of [`Closing::Stopping`] has passed.
    CutOff,
    /// The hub is gone.
    NoHub,
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
        self.fate = match ended {
            Ended::Stalled => Fate::Stalled,
            Ended::TooSlow(_) => Fate::TooSlow,
            Ended::CutOff => Fate::CutOff,
            Ended::ByClient(_) | Ended::Closing(_) | Ended::NoHub => Fate::Other,
        };
        // Before the closing handshake, which may take a while.
        self.leave();
        let (id, name) = (self.context.id.0, &self.context.name);
        match ended {
            Ended::ByClient(end) => {
                tracing::info!(id, name, ?end, "client left");
                if end == End::ClientClosed {
                    self.socket.close().await;
                }
            }
            Ended::Stalled => {
                tracing::warn!(id, name, "client reset: it takes no byte");
                self.reset();
            }
            Ended::TooSlow(overrun) => {
                tracing::warn!(id, name, %overrun, "client closed: it reads too slowly");
                let deadline = Instant::now() + CLOSE_DEADLINE;
                self.close(POLICY_VIOLATION, "the client reads too slowly", deadline).await;
            }
            Ended::Closing(Closing::Stopping(deadline)) => {
                self.close(GOING_AWAY, "the relay stops", deadline).await;
            }
            Ended::Closing(Closing::NotListed) => {
                tracing::info!(id, name, "client closed: it may no longer connect");
                let deadline = Instant::now() + CLOSE_DEADLINE;
                self.close(POLICY_VIOLATION, "the client may no longer connect", deadline).await;
            }
            Ended::CutOff => {
                tracing::warn!(id, name, "client reset: it has not read all before the deadline");
                self.reset();
            }
            Ended::NoHub => self.close(GOING_AWAY, "the relay stops", Instant::now()).await,
        }
    }

    /// Adds the client's counts to the totals and ends what the hub sends it.
    fn leave(&mut self) {
        if std::mem::replace(&mut self.has_left, true) {
            return;
        }
        let queue = std::mem::replace(&mut self.queue, Queue::new(QueueConfig::default()));
        let mut counts = queue.close();
        let ClientContext { id, name, all_figures, from_hub, to_hub, .. } = &mut self.context;
        // What is sent after this fails.
        from_hub.close();
        while let Ok(message) = from_hub.try_recv() {
            if let ToClient::Frame(_, packets) | ToClient::Snapshot(_, packets) = message {
                counts.pushed += u64::from(packets);
                counts.unsent += u64::from(packets);
            }
        }
        let QueueCounts { sent, replaced, dropped, .. } = counts;
        tracing::info!(id = id.0, name, sent, replaced, dropped, "client's ticks");
        all_figures.leave(name, id.0, counts, self.fate);
        let _ = to_hub.send(ToHub::Left { id: *id });
    }

    fn reset(&mut self) {
        self.socket.stream_mut().transport().reset_on_drop();
    }

    /// Sends a close frame and waits for the client's.
    async fn close(&mut self, code: u16, reason: &str, deadline: Instant) {
        self.socket.start_close(code, reason);
        let closed = timeout_at(deadline, self.socket.close()).await;
        if closed.is_err() || self.socket.stalled_since().is_some() {
            self.reset();
        }
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
        self.take_from_hub(cx)?;
        if let Some(cut_off) = &mut self.cut_off
            && cut_off.as_mut().poll(cx).is_ready()
        {
            return Err(Ended::CutOff);
        }
        while self.timer.poll_tick(cx).is_ready() {
            self.is_heartbeat_due = self.has_heartbeats;
            self.check_stall(now)?;
        }
        self.read(cx, now)?;
        match self.write(cx, now) {
            Poll::Ready(Err(end)) => Err(Ended::ByClient(end)),
            Poll::Ready(Ok(())) => {
                self.closing.map_or(Ok(()), |closing| Err(Ended::Closing(closing)))
            }
            Poll::Pending => Ok(()),
        }
    }

    /// Moves what the hub has sent into the queue.
    fn take_from_hub(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        while self.closing.is_none()
            && let Poll::Ready(message) = self.context.from_hub.poll_recv(cx)
        {
            match message.ok_or(Ended::NoHub)? {
                ToClient::Frame(frame, packets) => self.queue.push(frame, packets),
                ToClient::Snapshot(frame, packets) => {
                    self.queue.push_snapshot(frame, packets);
                    Ok(())
                }
                ToClient::Text(text) => self.queue.push_text(text),
                ToClient::Forget(tokens) => {
                    self.queue.forget(tokens);
                    Ok(())
                }
                ToClient::Applied => {
                    self.awaits_hub = false;
                    Ok(())
                }
                ToClient::Heartbeats(has_heartbeats) => {
                    self.has_heartbeats = has_heartbeats;
                    Ok(())
                }
                ToClient::Close(closing) => {
                    self.closing = Some(closing);
                    if let Closing::Stopping(deadline) = closing {
                        self.cut_off = Some(Box::pin(sleep_until(deadline)));
                    }
                    Ok(())
                }
            }
            .map_err(Ended::TooSlow)?;
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

    /// Reads messages until a command is on its way to the hub, or the client has used up its
    /// budget, which the next tick of the timer renews. While the snapshot of the last command
    /// waits, no other is read, so that a client that does not read has one waiting.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Ended> {
        while !self.awaits_hub
            && self.closing.is_none()
            && !self.queue.has_snapshot()
            && self.budget.has_any(now)
            && let Poll::Ready(received) = self.socket.poll_message(cx)
        {
            let received = received.map_err(Ended::ByClient)?;
            self.budget.spend(&received);
            if let Received::Text(text) = received {
                self.awaits_hub = true;
                self.send_to_hub(text)?;
            }
        }
        Ok(())
    }

    fn send_to_hub(&self, text: Utf8Bytes) -> Result<(), Ended> {
        let command = ToHub::Command { id: self.context.id, text };
        self.context.to_hub.send(command).map_err(|_| Ended::NoHub)
    }

    /// Hands over what is queued while the socket accepts it, several frames before each flush;
    /// ready once all is written.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), End>> {
        loop {
            let mut is_any = false;
            while self.socket.poll_ready(cx)?.is_ready()
                && let Some(message) = self.next_message(now)
            {
                self.socket.start_send(message);
                is_any = true;
            }
            ready!(self.socket.poll_flush(cx))?;
            if !is_any {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn next_message(&mut self, now: Instant) -> Option<Message> {
        if std::mem::take(&mut self.is_heartbeat_due) {
            return Some(Message::Binary(HEARTBEAT));
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

impl<S: Connection> Drop for ClientTask<S> {
    fn drop(&mut self) {
        self.leave();
        // Fails if the hub has ended, which needs no message then.
        let _ = self.context.to_hub.send(ToHub::Ended);
    }
}
