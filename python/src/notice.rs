//! What happens on a socket between its frames, in order with them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kite_conn::{Gap, LossCause, OpenError, ParkReason};
use tokio::sync::Notify;

/// Limit for the bytes of texts that wait for a callback, in total.
const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// Something that happened between two frames.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A handshake is done; the socket's number on its connection.
    Up(u32),
    /// A socket was lost.
    Down(LossCause),
    /// A socket could not be opened.
    OpenFailed(OpenError),
    /// The next attempt is made after this time.
    Retry(Duration),
    /// There is no next attempt.
    Parked(ParkReason),
    /// What a reconnect missed.
    Gap(Arc<Gap>),
    /// A text frame.
    Text(Bytes),
    /// Text frames were dropped, because too many waited.
    TextsDropped(u64),
    /// A heartbeat.
    Heartbeat(Bytes),
    /// Something for the log.
    Warning(String),
    /// The connection has ended; whether a server that was still there answered the close.
    Closed(bool),
}

/// The notices of one connection, each with the number of the frame before it.
///
/// The lock is taken for a notice, never for a frame.
#[derive(Debug)]
pub(crate) struct Notices {
    queue: Mutex<Queue>,
    /// Number of notices in the queue.
    len: AtomicUsize,
    /// Whether the program receives heartbeats.
    heartbeats: Arc<AtomicBool>,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Queue {
    notices: VecDeque<(u64, Notice)>,
    text_bytes: usize,
    dropped_texts: u64,
}

impl Notices {
    pub(crate) fn new(heartbeats: Arc<AtomicBool>, wake: Arc<Notify>) -> Self {
        Self { queue: Mutex::default(), len: AtomicUsize::new(0), heartbeats, wake }
    }

    pub(crate) fn wants_heartbeats(&self) -> bool {
        self.heartbeats.load(Ordering::Relaxed)
    }

    /// Adds a notice that follows the frame of this number.
    pub(crate) fn push(&self, after: u64, notice: Notice) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(after, notice);
        self.len.store(queue.notices.len(), Ordering::Release);
        drop(queue);
        self.wake.notify_one();
    }

    /// Returns the number of the frame before the next notice.
    pub(crate) fn peek(&self) -> Option<u64> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.notices.front().map(|(after, _)| *after)
    }

    pub(crate) fn pop(&self) -> Option<Notice> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, notice) = queue.notices.pop_front()?;
        if let Notice::Text(text) | Notice::Heartbeat(text) = &notice {
            queue.text_bytes -= text.len();
        }
        self.len.store(queue.notices.len(), Ordering::Release);
        Some(notice)
    }
}

impl Queue {
    fn push(&mut self, after: u64, notice: Notice) {
        if let Notice::Text(text) | Notice::Heartbeat(text) = &notice {
            if self.text_bytes + text.len() > MAX_TEXT_BYTES {
                self.dropped_texts += 1;
                return;
            }
            self.text_bytes += text.len();
            if self.dropped_texts > 0 {
                let dropped = std::mem::take(&mut self.dropped_texts);
                self.notices.push_back((after, Notice::TextsDropped(dropped)));
            }
        }
        self.notices.push_back((after, notice));
    }
}
