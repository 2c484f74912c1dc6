//! The end of a client's socket, and of its counts.

use std::future::poll_fn;
use std::time::Duration;

use kite_server::{Connection, End};
use tokio::time::{Instant, timeout_at};

use super::{ClientContext, ClientTask, Closing, ToClient};
use crate::hub::ToHub;
use crate::queue::{Overrun, Queue, QueueConfig, QueueCounts};
use crate::stats::Fate;

/// Time for a client that was found too slow to read what the system holds for it, and the close
/// frame after that.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// Logged for a client that is reset when the relay stops.
const CUT_OFF: &str = "client reset: it has not read all before the deadline";

/// RFC 6455, section 7.4.1.
pub(super) const GOING_AWAY: u16 = 1_001;
const POLICY_VIOLATION: u16 = 1_008;

/// Why a client's socket ends.
#[derive(Debug)]
pub(super) enum Ended {
    /// The client closed, disconnected or broke the protocol.
    ByClient(End),
    /// It has taken no byte for too long.
    Stalled,
    /// It has answered no ping.
    Gone,
    /// Too much waits for it.
    TooSlow(Overrun),
    /// All that is to be sent has been.
    Closing(Closing),
    /// The deadline for that has passed.
    CutOff(Closing),
    /// The hub is gone.
    NoHub,
}

impl<S: Connection> ClientTask<S> {
    /// Closes or resets the socket, depending on why it ends.
    pub(super) async fn end(&mut self, ended: Ended) {
        self.fate = match ended {
            Ended::Stalled | Ended::Gone => Fate::Stalled,
            Ended::TooSlow(_) => Fate::TooSlow,
            Ended::CutOff(Closing::Stopping(_)) => Fate::CutOff,
            Ended::ByClient(End::Violation(_)) => Fate::Violation,
            _ => Fate::Other,
        };
        // Before the closing handshake, which may take a while.
        self.leave();
        let (id, name) = (self.context.id.0, self.context.name.clone());
        match ended {
            Ended::ByClient(end) => {
                tracing::info!(id, name, ?end, "client left");
                match end {
                    End::ClientClosed => self.socket.close().await,
                    End::Violation(violation) => self.socket.reject(violation).await,
                    _ => {}
                }
            }
            Ended::Stalled => {
                tracing::warn!(id, name, "client reset: it takes no byte");
                self.reset();
            }
            Ended::Gone => {
                tracing::warn!(id, name, "client reset: it answers no ping");
                self.reset();
            }
            Ended::TooSlow(overrun) => {
                tracing::warn!(id, name, %overrun, "client closed: it reads too slowly");
                let deadline = Instant::now() + CLOSE_DEADLINE;
                self.close(POLICY_VIOLATION, "the client reads too slowly", deadline).await;
            }
            Ended::Closing(Closing::Stopping(deadline)) => {
                // All is written, but the client may not have read what the system holds for it.
                if !self.close(GOING_AWAY, "the relay stops", deadline).await {
                    tracing::warn!(id, name, "{CUT_OFF}");
                    self.context.all_figures.note_cut_off();
                }
            }
            Ended::Closing(Closing::NotListed(deadline)) => {
                tracing::info!(id, name, "client closed: it may no longer connect");
                self.close(POLICY_VIOLATION, "the client may no longer connect", deadline).await;
            }
            Ended::CutOff(_) => {
                tracing::warn!(id, name, "{CUT_OFF}");
                self.reset();
            }
            Ended::NoHub => {
                self.close(GOING_AWAY, "the relay stops", Instant::now()).await;
            }
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

    /// Sends a close frame and waits for the client's; returns whether it came in time.
    async fn close(&mut self, code: u16, reason: &str, deadline: Instant) -> bool {
        self.socket.start_close(code, reason);
        let socket = &mut self.socket;
        let close = async {
            if poll_fn(|cx| socket.poll_flush(cx)).await.is_ok() {
                // Fails if the client has left by itself, which needs no wait either.
                let _ = socket.finish().await;
            }
        };
        let is_closed = timeout_at(deadline, close).await.is_ok();
        if !is_closed {
            self.reset();
        }
        is_closed
    }
}

impl<S: Connection> Drop for ClientTask<S> {
    fn drop(&mut self) {
        self.leave();
        // Fails if the hub has ended, which needs no message then.
        let _ = self.context.to_hub.send(ToHub::Ended);
    }
}
