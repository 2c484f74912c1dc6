//! A WebSocket after its handshake: reads messages from a stream and writes them to it.
//!
//! tungstenite parses and writes the frames' headers; this module manages the memory. tungstenite
//! zeroes its buffer before every read and needs a new one whenever a frame of the last is kept. At
//! full speed that is a third of the cost of a tick. Here bytes are read into [`Blocks`], and a
//! message shares the memory it was read into.

mod blocks;
#[cfg(any(test, fuzzing))]
pub(crate) mod differential;
#[cfg(test)]
mod tests;
mod wire;
mod write_queue;

use std::fmt;
use std::io::Cursor;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use self::blocks::Blocks;
pub(crate) use self::wire::Wire;
use self::write_queue::WriteQueue;

/// The largest payload of a control frame (RFC 6455, section 5.5).
const MAX_CONTROL_BYTES: usize = 125;

/// Bounds of a WebSocket's memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum size of one read, in bytes.
    pub(crate) read_bytes: usize,
    /// Maximum size of a message, in bytes.
    pub(crate) message_bytes: usize,
}

/// The client's end of a WebSocket.
pub(crate) struct WebSocket<W> {
    stream: W,
    limits: Limits,
    blocks: Blocks,
    /// Bytes read that are not a complete message yet.
    input: BytesMut,
    /// The header of a frame whose payload is not complete yet.
    header: Option<(FrameHeader, usize)>,
    /// The first fragments of an incomplete message.
    fragments: Option<(Data, BytesMut)>,
    queue: WriteQueue,
    /// Whether bytes waited for the stream, and how many it had accepted, at the last write.
    blocked: bool,
    bytes_written: u64,
    /// How many bytes the stream had received when this was last asked.
    bytes_read: u64,
}

impl<W> fmt::Debug for WebSocket<W> {
    /// Shows nothing that was sent or received.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<W: AsyncRead + AsyncWrite + Unpin> WebSocket<W> {
    /// Creates a WebSocket from a stream whose handshake is done, and the bytes read after it.
    pub(crate) fn new(stream: W, read: &[u8], limits: Limits) -> Self {
        let mut blocks = Blocks::new(limits.read_bytes);
        let mut input = BytesMut::new();
        blocks.make_room(&mut input, read.len());
        input.extend_from_slice(read);
        Self {
            stream,
            limits,
            blocks,
            input,
            header: None,
            fragments: None,
            queue: WriteQueue::new(),
            blocked: false,
            bytes_written: 0,
            bytes_read: 0,
        }
    }

    /// Returns the underlying stream.
    pub(crate) fn get_ref(&self) -> &W {
        &self.stream
    }

    /// Returns whether a part of a message was read, and not the rest.
    pub(crate) fn is_within_message(&self) -> bool {
        !self.input.is_empty() || self.header.is_some() || self.fragments.is_some()
    }

    /// Returns the next message. The reply to a ping or close frame is queued for
    /// [`WebSocket::poll_flush`]. After an error nothing more can be read.
    ///
    /// # Errors
    /// Returns [`Error::Protocol`] with [`ProtocolError::ResetWithoutClosingHandshake`] for a
    /// stream that ends, [`Error::Io`] for one that fails, [`Error::Capacity`] for a message that
    /// is too large, and others for invalid data.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        loop {
            if let Some(message) = self.take_message()? {
                return Poll::Ready(Ok(message));
            }
            let whole = self.header.as_ref().map_or(0, |(_, length)| *length);
            let missing = whole.saturating_sub(self.input.len());
            self.blocks.make_room(&mut self.input, missing);
            let mut room = (&mut self.input).limit(self.limits.read_bytes);
            if ready!(pin!(self.stream.read_buf(&mut room)).poll(cx))? == 0 {
                return Poll::Ready(Err(Error::Protocol(
                    ProtocolError::ResetWithoutClosingHandshake,
                )));
            }
        }
    }

    /// Removes the next message from the bytes read, if it is complete.
    fn take_message(&mut self) -> Result<Option<Message>, Error> {
        while let Some((header, payload)) = self.take_frame()? {
            let message = match header.opcode {
                OpCode::Control(control) => Some(self.on_control(control, payload)?),
                OpCode::Data(data) => self.on_data(data, header.is_final, payload)?,
            };
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// Removes the next frame from the bytes read, if it is complete.
    fn take_frame(&mut self) -> Result<Option<(FrameHeader, Bytes)>, Error> {
        if self.header.is_none() {
            let mut cursor = Cursor::new(&self.input[..]);
            let Some((header, length)) = FrameHeader::parse(&mut cursor)? else { return Ok(None) };
            let header_bytes = cursor.position();
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            self.check(&header, length)?;
            // A header has at most fourteen bytes.
            self.input.advance(header_bytes as usize);
            self.header = Some((header, length));
        }
        let is_whole = |(_, length): &mut (FrameHeader, usize)| *length <= self.input.len();
        let Some((header, length)) = self.header.take_if(is_whole) else { return Ok(None) };
        Ok(Some((header, self.input.split_to(length).freeze())))
    }

    /// Rejects a frame by its header, before waiting for its payload or allocating memory for it.
    fn check(&self, header: &FrameHeader, length: usize) -> Result<(), Error> {
        self.check_size(length)?;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Error::Protocol(ProtocolError::NonZeroReservedBits));
        }
        if header.mask.is_some() {
            return Err(Error::Protocol(ProtocolError::MaskedFrameFromServer));
        }
        match (header.opcode, &self.fragments) {
            (OpCode::Control(_), _) if !header.is_final => {
                Err(Error::Protocol(ProtocolError::FragmentedControlFrame))
            }
            (OpCode::Control(_), _) if length > MAX_CONTROL_BYTES => {
                Err(Error::Protocol(ProtocolError::ControlFrameTooBig))
            }
            (OpCode::Data(Data::Continue), Some((_, whole))) => {
                self.check_size(whole.len().saturating_add(length))
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self, size: usize) -> Result<(), Error> {
        let max_size = self.limits.message_bytes;
        if size > max_size {
            return Err(Error::Capacity(CapacityError::MessageTooLong { size, max_size }));
        }
        Ok(())
    }

    fn on_control(&mut self, control: Control, payload: Bytes) -> Result<Message, Error> {
        match control {
            Control::Close => {
                let close = close_frame(payload)?;
                // The code is echoed, unless it must not be sent.
                let reply = close.as_ref().map(|close| CloseFrame {
                    code: if close.code.is_allowed() { close.code } else { CloseCode::Protocol },
                    reason: Utf8Bytes::default(),
                });
                self.queue.answer(Frame::close(reply));
                Ok(Message::Close(close))
            }
            Control::Ping => {
                self.queue.answer(Frame::pong(payload.clone()));
                Ok(Message::Ping(payload))
            }
            Control::Pong => Ok(Message::Pong(payload)),
            Control::Reserved(code) => {
                Err(Error::Protocol(ProtocolError::UnknownControlFrameType(code)))
            }
        }
    }

    /// Handles a data frame; returns the message that it completes.
    fn on_data(
        &mut self,
        data: Data,
        is_final: bool,
        payload: Bytes,
    ) -> Result<Option<Message>, Error> {
        let (kind, payload) = match (data, self.fragments.take()) {
            (Data::Continue, None) => {
                return Err(Error::Protocol(ProtocolError::UnexpectedContinueFrame));
            }
            (Data::Continue, Some((kind, mut whole))) => {
                whole.extend_from_slice(&payload);
                if !is_final {
                    self.fragments = Some((kind, whole));
                    return Ok(None);
                }
                (kind, whole.freeze())
            }
            (data, Some(_)) => return Err(Error::Protocol(ProtocolError::ExpectedFragment(data))),
            (Data::Reserved(code), None) => {
                return Err(Error::Protocol(ProtocolError::UnknownDataFrameType(code)));
            }
            (kind, None) if !is_final => {
                self.fragments = Some((kind, BytesMut::from(&payload[..])));
                return Ok(None);
            }
            (kind, None) => (kind, payload),
        };
        Ok(Some(match kind {
            Data::Text => Message::Text(Utf8Bytes::try_from(payload)?),
            _ => Message::Binary(payload),
        }))
    }

    /// Queues a message for [`WebSocket::poll_flush`]. A close frame replaces queued frames of
    /// which nothing has been written.
    ///
    /// # Errors
    /// Returns [`ProtocolError::SendAfterClosing`] after a close frame was queued.
    pub(crate) fn send(&mut self, message: Message) -> Result<(), Error> {
        let data = |kind, payload: Bytes| Frame::message(payload, OpCode::Data(kind), true);
        self.queue.push(match message {
            Message::Text(text) => data(Data::Text, text.into()),
            Message::Binary(bytes) => data(Data::Binary, bytes),
            Message::Ping(payload) => Frame::ping(payload),
            Message::Pong(payload) => Frame::pong(payload),
            Message::Close(close) => Frame::close(close),
            Message::Frame(frame) => frame,
        })
    }

    /// Writes the queue, including replies. Ready when everything is written.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the stream fails, or if the system has no random numbers for a
    /// mask.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.queue.poll_flush(&mut self.stream, cx)
    }
}

/// The result of a write.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writing {
    /// Whether bytes wait for the stream, if that has changed.
    pub(crate) blocked: Option<bool>,
    /// Whether the stream has accepted some bytes.
    pub(crate) progressed: bool,
}

impl<W: Wire> WebSocket<W> {
    /// Returns whether bytes were received since the last call.
    pub(crate) fn has_read(&mut self) -> bool {
        let bytes_read = self.stream.bytes_read();
        std::mem::replace(&mut self.bytes_read, bytes_read) != bytes_read
    }

    /// Returns whether nothing waits to be written.
    #[inline]
    pub(crate) fn is_flushed(&self) -> bool {
        self.queue.is_flushed()
    }

    /// Writes as much of the queue as the stream accepts, like [`WebSocket::poll_flush`].
    ///
    /// # Errors
    /// Same as [`WebSocket::poll_flush`].
    pub(crate) fn write(&mut self, cx: &mut Context<'_>) -> Result<Writing, Error> {
        let blocked = self.poll_flush(cx)?.is_pending();
        let bytes_written = self.stream.bytes_written();
        let writing = Writing {
            blocked: (blocked != self.blocked).then_some(blocked),
            progressed: bytes_written != self.bytes_written,
        };
        (self.blocked, self.bytes_written) = (blocked, bytes_written);
        Ok(writing)
    }
}

fn close_frame(payload: Bytes) -> Result<Option<CloseFrame>, Error> {
    match *payload {
        [] => Ok(None),
        [_] => Err(Error::Protocol(ProtocolError::InvalidCloseSequence)),
        [high, low, ..] => {
            let reason = Utf8Bytes::try_from(payload.slice(2..))?;
            Ok(Some(CloseFrame { code: u16::from_be_bytes([high, low]).into(), reason }))
        }
    }
}
