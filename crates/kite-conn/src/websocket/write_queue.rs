//! Frames waiting to be written, in the order they are sent.
//!
//! One queue for all frames: those passed to [`WebSocket::send`](super::WebSocket::send), and the
//! replies to pings and close frames. A server cannot make it grow, because there is at most one
//! pong, and nothing is sent after a close frame. How much is sent is the caller's decision.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio_rustls::rustls::crypto::{SecureRandom, ring};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

pub(super) struct WriteQueue {
    /// Frames of which nothing has been written.
    waiting: VecDeque<Frame>,
    /// The frame being written, masked, and how much of it has been written.
    pub(super) bytes: Vec<u8>,
    written: usize,
    /// Whether the stream has accepted and flushed everything.
    flushed: bool,
    /// Whether a close frame has been queued, after which nothing else is.
    closed: bool,
    random: &'static dyn SecureRandom,
}

impl WriteQueue {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: Vec::new(),
            written: 0,
            flushed: true,
            closed: false,
            random: ring::default_provider().secure_random,
        }
    }

    /// Returns whether nothing waits.
    pub(super) fn is_flushed(&self) -> bool {
        self.flushed
    }

    /// Queues a frame after the others. A close frame replaces those of which nothing has been
    /// written.
    ///
    /// # Errors
    /// Returns [`ProtocolError::SendAfterClosing`] after a close frame.
    pub(super) fn push(&mut self, frame: Frame) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Protocol(ProtocolError::SendAfterClosing));
        }
        self.clear_for(&frame);
        self.waiting.push_back(frame);
        Ok(())
    }

    /// Queues a pong, or the reply to a close frame, before the others. A pong replaces an older
    /// one of which nothing has been written; the reply replaces everything. After a close frame
    /// nothing is answered.
    pub(super) fn answer(&mut self, frame: Frame) {
        if self.closed {
            return;
        }
        self.clear_for(&frame);
        if self.waiting.front().is_some_and(|next| is(next, Control::Pong)) {
            self.waiting.pop_front();
        }
        self.waiting.push_front(frame);
    }

    fn clear_for(&mut self, frame: &Frame) {
        self.flushed = false;
        if is(frame, Control::Close) {
            self.closed = true;
            self.waiting.clear();
        }
    }

    /// Writes the queue. Ready when everything is written and flushed.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the stream fails, or if the system has no random numbers for a
    /// mask.
    pub(super) fn poll_flush(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            while let rest @ [_, ..] = &self.bytes[self.written..] {
                match ready!(Pin::new(&mut *stream).poll_write(cx, rest))? {
                    0 => return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
                    bytes => self.written += bytes,
                }
            }
            self.bytes.clear();
            self.written = 0;
            match self.waiting.pop_front() {
                Some(frame) => self.begin(frame)?,
                None => break,
            }
        }
        ready!(Pin::new(stream).poll_flush(cx))?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    /// Masks and formats a frame. One at a time, so that only one frame is held twice.
    fn begin(&mut self, mut frame: Frame) -> Result<(), Error> {
        let mut mask = [0; 4];
        self.random.fill(&mut mask).map_err(|_| io::Error::other("no random numbers"))?;
        frame.header_mut().mask = Some(mask);
        frame.format(&mut self.bytes)
    }
}

fn is(frame: &Frame, control: Control) -> bool {
    frame.header().opcode == OpCode::Control(control)
}
