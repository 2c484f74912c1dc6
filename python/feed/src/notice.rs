//! What happens on a socket between its frames, in order with them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kite_conn::{Accepted, Gap, LossCause, OpenError, ParkReason, Stamp};
use tokio::sync::Notify;

/// Limit for the bytes of texts that wait for a callback, in total.
const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// Something that happened between two frames.
#[derive(Debug)]
pub enum Notice {
    /// A handshake is done.
    Up {
        /// The socket's number on its connection.
        epoch: u32,
        /// When.
        at: Stamp,
        /// The server's answer.
        accepted: Option<Accepted>,
    },
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
    Text {
        /// The text as received.
        text: Bytes,
        /// Whether Kite sends it on every socket of the api_key.
        is_on_every_socket: bool,
        /// When it was read from the socket.
        received: Stamp,
    },
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
pub struct Notices {
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
}

impl Notices {
    /// Creates the notices of a connection. `heartbeats` is whether the program receives them; `wake`
    /// is notified of every notice.
    pub fn new(heartbeats: Arc<AtomicBool>, wake: Arc<Notify>) -> Self {
        Self { queue: Mutex::default(), len: AtomicUsize::new(0), heartbeats, wake }
    }

    /// Returns whether the program receives heartbeats.
    pub fn wants_heartbeats(&self) -> bool {
        self.heartbeats.load(Ordering::Relaxed)
    }

    /// Adds a notice that follows the frame of this number.
    pub fn push(&self, after: u64, notice: Notice) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(after, notice);
        self.len.store(queue.notices.len(), Ordering::Release);
        drop(queue);
        self.wake.notify_one();
    }

    /// Returns the number of the frame before the next notice.
    pub fn peek(&self) -> Option<u64> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.notices.front().map(|(after, _)| *after)
    }

    /// Removes the next notice.
    pub fn pop(&self) -> Option<Notice> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, notice) = queue.notices.pop_front()?;
        queue.text_bytes -= notice.text_bytes();
        self.len.store(queue.notices.len(), Ordering::Release);
        Some(notice)
    }
}

impl Queue {
    fn push(&mut self, after: u64, notice: Notice) {
        let bytes = notice.text_bytes();
        if self.text_bytes + bytes <= MAX_TEXT_BYTES || bytes == 0 {
            self.text_bytes += bytes;
            self.notices.push_back((after, notice));
        } else if let Some((_, Notice::TextsDropped(texts))) = self.notices.back_mut() {
            *texts += 1;
        } else {
            self.notices.push_back((after, Notice::TextsDropped(1)));
        }
    }
}

impl Notice {
    fn text_bytes(&self) -> usize {
        match self {
            Self::Text { text, .. } | Self::Heartbeat(text) => text.len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices() -> Notices {
        Notices::new(Arc::default(), Arc::default())
    }

    fn text(bytes: usize) -> Notice {
        let text = Bytes::from(vec![b'x'; bytes]);
        Notice::Text { text, is_on_every_socket: true, received: Stamp::now() }
    }

    #[test]
    fn notices_keep_their_order_and_the_frame_before_them() {
        let notices = notices();
        assert!(notices.peek().is_none() && notices.pop().is_none());
        notices.push(3, Notice::Warning("a".to_owned()));
        notices.push(3, text(1));
        notices.push(7, Notice::Closed(true));
        assert_eq!(notices.peek(), Some(3));
        assert!(matches!(notices.pop(), Some(Notice::Warning(text)) if text == "a"));
        assert!(matches!(notices.pop(), Some(Notice::Text { .. })));
        assert_eq!(notices.peek(), Some(7));
        assert!(matches!(notices.pop(), Some(Notice::Closed(true))));
        assert_eq!(notices.peek(), None);
    }

    #[test]
    fn texts_beyond_the_limit_are_counted_where_they_are_missing() {
        let notices = notices();
        notices.push(0, text(MAX_TEXT_BYTES - 1));
        notices.push(1, text(2));
        notices.push(2, text(2));
        // Something else is never dropped, and a text that fits is kept.
        notices.push(3, Notice::Retry(Duration::ZERO));
        notices.push(4, text(1));
        notices.push(5, Notice::Heartbeat(Bytes::from_static(b"h")));
        assert!(matches!(notices.pop(), Some(Notice::Text { .. })));
        assert!(matches!(notices.pop(), Some(Notice::TextsDropped(2))));
        assert!(matches!(notices.pop(), Some(Notice::Retry(_))));
        assert!(matches!(notices.pop(), Some(Notice::Text { .. })));
        assert!(matches!(notices.pop(), Some(Notice::TextsDropped(1))), "reported without another");
        assert!(notices.pop().is_none());
        // There is room again.
        notices.push(6, text(MAX_TEXT_BYTES));
        assert!(matches!(notices.pop(), Some(Notice::Text { .. })));
    }
}
