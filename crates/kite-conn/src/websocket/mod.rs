//! A WebSocket behind its handshake: messages out of a stream's bytes, and into them.
//!
//! tungstenite parses and writes the frames' headers; what is ours is the memory. It zeroes its
//! buffer before every read and needs a new one as soon as a frame of the last is kept: at full
//! speed that is a third of the cost of a tick. Here bytes are read into [`Blocks`], where a
//! message's bytes stay, shared with whoever gets it.

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
    /// What is read from the stream at once, in bytes.
    pub(crate) read_bytes: usize,
    /// The largest message taken, in bytes.
    pub(crate) message_bytes: usize,
}

/// The client's end of a WebSocket.
pub(crate) struct WebSocket<W> {
    stream: W,
    limits: Limits,
    blocks: Blocks,
    /// What has been read and is not a message yet.
    input: BytesMut,
    /// The header of a frame whose payload is not whole yet.
    header: Option<(FrameHeader, usize)>,
    /// The first frames of a message that comes in several.
    fragments: Option<(Data, BytesMut)>,
    queue: WriteQueue,
    /// Whether bytes wait for the stream, and how many it had taken, when they were last written.
    blocked: bool,
    bytes_written: u64,
}

impl<W> fmt::Debug for WebSocket<W> {
    /// Nothing of what was sent or received.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<W: AsyncRead + AsyncWrite + Unpin> WebSocket<W> {
    /// Takes a stream whose handshake is done, and what was read behind it.
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
        }
    }

    /// Gives the stream beneath.
    pub(crate) fn get_ref(&self) -> &W {
        &self.stream
    }

    /// Gives the next message; an answer that one asks for is queued, to be written by
    /// [`WebSocket::poll_flush`]. After an error there is nothing more to be had.
    ///
    /// # Errors
    /// [`Error::Protocol`] with [`ProtocolError::ResetWithoutClosingHandshake`] for a stream that
    /// ends, [`Error::Io`] for one that fails, [`Error::Capacity`] for a message that is too large,
    /// and others for what is no WebSocket.
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

    /// Takes the next message of what has been read, if it is whole.
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

    /// Takes the next frame of what has been read, if it is whole.
    fn take_frame(&mut self) -> Result<Option<(FrameHeader, Bytes)>, Error> {
        if self.header.is_none() {
            let mut cursor = Cursor::new(&self.input[..]);
            let Some((header, length)) = FrameHeader::parse(&mut cursor)? else { return Ok(None) };
            let behind = cursor.position();
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            self.check(&header, length)?;
            // A header has fourteen bytes at most.
            self.input.advance(behind as usize);
            self.header = Some((header, length));
        }
        let is_whole = |(_, length): &mut (FrameHeader, usize)| *length <= self.input.len();
        let Some((header, length)) = self.header.take_if(is_whole) else { return Ok(None) };
        Ok(Some((header, self.input.split_to(length).freeze())))
    }

    /// Refuses a frame by its header, before its payload is waited for or given memory.
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
                // The code comes back as it is, unless none may send it.
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

    /// Takes a data frame; gives the message that it completes.
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

    /// Queues a message, to be written by [`WebSocket::poll_flush`]. A close frame replaces what
    /// has not begun to go out.
    ///
    /// # Errors
    /// [`ProtocolError::SendAfterClosing`] after a close frame of ours.
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

    /// Writes what waits, answers included. Ready when all of it is written.
    ///
    /// # Errors
    /// [`Error::Io`] for a stream that fails, or where the system has no random numbers for a mask.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.queue.poll_flush(&mut self.stream, cx)
    }
}

/// What changed by writing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writing {
    /// Whether bytes of ours wait for the stream, if that has changed.
    pub(crate) blocked: Option<bool>,
    /// Whether the stream has taken some bytes.
    pub(crate) progressed: bool,
}

impl<W: Wire> WebSocket<W> {
    /// Writes as much of what waits as the stream takes, as [`WebSocket::poll_flush`] does.
    ///
    /// # Errors
    /// As [`WebSocket::poll_flush`].
    #[inline]
    pub(crate) fn write(&mut self, cx: &mut Context<'_>) -> Result<Writing, Error> {
        if self.queue.is_flushed() {
            return Ok(Writing::default());
        }
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
