//! Reads the same bytes with tungstenite's reader and with this crate's, for the fuzzer, the replay
//! of its corpus and the property test.
//!
//! They differ in three points only. tungstenite checks the UTF-8 of a text fragment by fragment,
//! this crate checks the complete text. It checks a frame when its payload is complete, this crate
//! when its header is. And it reports a close code that must not be sent as 1002, this crate
//! reports it as received.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, FrameSocket};
use tokio_tungstenite::tungstenite::protocol::{self, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Limits, WebSocket};

/// A server's output, and how it is delivered.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) limits: Limits,
    /// Number of messages held before the first is checked and dropped.
    pub(super) held: usize,
    /// Number of bytes that arrive with the response to the handshake.
    pub(super) ahead: usize,
    /// The portions in which the rest is read, and the client's bytes are written: see [`Wire`].
    pub(super) read_cuts: Vec<u8>,
    pub(super) write_cuts: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

/// Decodes a script from arbitrary bytes, and checks that both readers agree on it.
pub(crate) fn run(bytes: &[u8]) {
    agree(&Script::read(bytes));
}

impl Script {
    fn read(mut input: &[u8]) -> Self {
        let mut next = || {
            let (&first, rest) = input.split_first().unwrap_or((&0, &[]));
            input = rest;
            usize::from(first)
        };
        let [read, message, held, ahead] = [next(), next(), next(), next()];
        let limits = Limits {
            read_bytes: [1, 2, 3, 5, 16, 64, 256, 1_024][read % 8],
            message_bytes: [0, 10, 125, 126, 300, 1_000, 4_000, 70_000][message % 8],
        };
        let mut cuts = |most| (0..next() % most).map(|_| next() as u8).collect();
        let (read_cuts, write_cuts) = (cuts(64), cuts(8));
        let bytes = assemble(input);
        let ahead = ahead.min(bytes.len());
        Self { limits, held: held % 16, ahead, read_cuts, write_cuts, bytes }
    }

    fn wire(&self, more: usize) -> Wire {
        let mut bytes = self.bytes[self.ahead..].to_vec();
        bytes.resize(bytes.len() + more, 0);
        Wire::new(bytes, &self.read_cuts, &self.write_cuts)
    }
}

/// Creates frames from few bytes, including large frames, and bytes that are not frames.
fn assemble(mut input: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((&[kind, first, length], rest)) = input.split_first_chunk() {
        let (short, rest) = rest.split_at(rest.len().min(usize::from(length)));
        input = match kind % 8 {
            // Complete, as far as there are bytes for it.
            0..=4 => {
                put_header(&mut bytes, first, length.into(), None);
                bytes.extend_from_slice(short);
                rest
            }
            // Long.
            5 => {
                let length = usize::from(length) * 64;
                put_header(&mut bytes, first, length as u64, None);
                bytes.resize(bytes.len() + length, b'a' + kind / 8 % 8);
                &input[3..]
            }
            // A false length, or one written with more bytes than needed.
            6 => {
                put_header(&mut bytes, first, u64::MAX >> (length % 64), Some(8));
                &input[3..]
            }
            _ => {
                bytes.extend_from_slice(short);
                rest
            }
        };
    }
    bytes
}

/// Writes an unmasked frame's header, with its length in `extra` bytes after the second, or in as
/// many as needed.
pub(super) fn put_header(bytes: &mut Vec<u8>, first: u8, length: u64, extra: Option<usize>) {
    let needed = match length {
        0..=125 => 0,
        126..=0xffff => 2,
        _ => 8,
    };
    let extra = extra.map_or(needed, |extra| extra.max(needed));
    bytes.push(first);
    bytes.push(match extra {
        0 => length as u8,
        2 => 126,
        _ => 127,
    });
    bytes.extend_from_slice(&length.to_be_bytes()[8 - extra..]);
}

/// An in-memory stream that is read and written in portions.
///
/// A cut is the size of a portion; 0 is "not now", and from 200 on they are multiples of 64 bytes.
/// After the last cut, everything is read in one portion.
#[derive(Debug)]
pub(super) struct Wire {
    input: VecDeque<u8>,
    read_cuts: VecDeque<u8>,
    portion: usize,
    pub(super) output: Vec<u8>,
    write_cuts: VecDeque<u8>,
    /// Number of times it returned "not now".
    pub(super) refusals: usize,
}

fn portion(cut: u8) -> usize {
    match cut {
        0..200 => cut.into(),
        200.. => usize::from(cut - 199) * 64,
    }
}

impl Wire {
    pub(super) fn new(bytes: Vec<u8>, read_cuts: &[u8], write_cuts: &[u8]) -> Self {
        Self {
            input: bytes.into(),
            read_cuts: read_cuts.to_vec().into(),
            portion: 0,
            output: Vec::new(),
            write_cuts: write_cuts.to_vec().into(),
            refusals: 0,
        }
    }

    fn refuse<T>(&mut self) -> io::Result<T> {
        self.refusals += 1;
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.portion == 0 {
            self.portion = match self.read_cuts.pop_front() {
                Some(0) => return self.refuse(),
                Some(cut) => portion(cut),
                None => usize::MAX,
            };
        }
        let bytes = self.portion.min(buffer.len());
        let bytes = self.input.read(&mut buffer[..bytes])?;
        self.portion -= bytes;
        Ok(bytes)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = match self.write_cuts.pop_front() {
            Some(0) => return self.refuse(),
            Some(cut) => portion(cut),
            None => usize::MAX,
        };
        let bytes = &bytes[..room.min(bytes.len())];
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn poll<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll(self.read(buffer.initialize_unfilled()).map(|bytes| buffer.advance(bytes)))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll(self.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls until ready. A pending poll must have been refused by the stream just now, because nothing
/// else would wake it.
pub(super) fn settle<T>(
    socket: &mut WebSocket<Wire>,
    mut poll: impl FnMut(&mut WebSocket<Wire>, &mut Context<'_>) -> Poll<T>,
) -> T {
    let cx = &mut Context::from_waker(Waker::noop());
    loop {
        let refusals = socket.stream.refusals;
        match poll(socket, cx) {
            Poll::Ready(ready) => return ready,
            Poll::Pending => {
                assert!(socket.stream.refusals > refusals, "pending without a wake-up")
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Ending {
    Closed,
    Eof,
    TooLong { size: usize },
    Utf8,
    Protocol(ProtocolError),
}

impl Ending {
    fn of(error: Error) -> Self {
        match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Eof,
            Error::Protocol(error) => Self::Protocol(error),
            Error::Capacity(CapacityError::MessageTooLong { size, .. }) => Self::TooLong { size },
            Error::Utf8(_) => Self::Utf8,
            error => panic!("unexpected error of a reader: {error}"),
        }
    }
}

/// The result of tungstenite's reader.
struct Theirs {
    messages: Vec<Message>,
    answers: Vec<Sent>,
    ending: Ending,
}

/// The result of this crate's reader.
struct Ours {
    /// Whether each message is text or binary. Not the messages themselves, which would keep their
    /// memory from being reused.
    is_data: Vec<bool>,
    answers: Vec<Sent>,
    ending: Ending,
    /// Whether a fragmented message is incomplete.
    is_amid_message: bool,
}

fn read_theirs(script: &Script, more: usize) -> Theirs {
    let config = WebSocketConfig::default()
        .read_buffer_size(script.limits.read_bytes)
        .write_buffer_size(0)
        .max_message_size(Some(script.limits.message_bytes))
        .max_frame_size(Some(script.limits.message_bytes));
    let (wire, ahead) = (script.wire(more), script.bytes[..script.ahead].to_vec());
    let mut socket =
        protocol::WebSocket::from_partially_read(wire, ahead, Role::Client, Some(config));
    let mut messages = Vec::new();
    let ending = loop {
        match socket.read() {
            Ok(message) => messages.push(message),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => break Ending::of(error),
        }
        if let Some(Message::Close(_)) = messages.last() {
            break Ending::Closed;
        }
    };
    while socket.flush().is_err() {}
    Theirs { messages, answers: sent(&socket.get_ref().output), ending }
}

/// Reads with this crate's reader, and compares each message immediately, so that messages are
/// dropped and their memory is reused.
fn read_ours(script: &Script, expected: &[Message]) -> Ours {
    let ahead = &script.bytes[..script.ahead];
    let mut socket = WebSocket::new(script.wire(0), ahead, script.limits);
    let mut held = VecDeque::new();
    let mut is_data = Vec::new();
    let mut look = |message: Message| {
        if let Some(expected) = expected.get(is_data.len()) {
            assert_eq!(&message, expected, "message {}", is_data.len());
        }
        is_data.push(message.is_text() || message.is_binary());
    };
    let ending = loop {
        let next = settle(&mut socket, |socket, cx| socket.poll_next(cx));
        check_memory(&socket);
        let message = match next {
            Ok(message) => message,
            Err(error) => break Ending::of(error),
        };
        if let Err(error) = settle(&mut socket, |socket, cx| socket.poll_flush(cx)) {
            panic!("the stream accepts everything: {error}");
        }
        let is_close = matches!(message, Message::Close(_));
        held.push_back(as_reported_by_tungstenite(message));
        if is_close {
            break Ending::Closed;
        }
        if held.len() > script.held
            && let Some(message) = held.pop_front()
        {
            look(message);
        }
    };
    held.into_iter().for_each(&mut look);
    let is_amid_message = socket.fragments.is_some()
        || matches!(ending, Ending::Protocol(ProtocolError::ExpectedFragment(_)));
    Ours { is_data, answers: sent(&socket.stream.output), ending, is_amid_message }
}

/// Checks that memory is bounded by the limits, regardless of what the server sends.
fn check_memory(socket: &WebSocket<Wire>) {
    let Limits { read_bytes, message_bytes } = socket.limits;
    // A message, or the bytes received with the handshake, and one read after it.
    let block = message_bytes.max(255) + read_bytes;
    assert!(socket.input.capacity() <= block.next_multiple_of(2 * read_bytes));
    if let Some((_, whole)) = &socket.fragments {
        assert!(whole.len() <= message_bytes && whole.capacity() <= (2 * message_bytes).max(8));
    }
    assert!(socket.queue.bytes.capacity() <= 512, "an answer is small");
}

fn as_reported_by_tungstenite(message: Message) -> Message {
    match message {
        Message::Close(Some(close)) if !close.code.is_allowed() => {
            let reason = "Protocol violation".into();
            Message::Close(Some(CloseFrame { code: CloseCode::Protocol, reason }))
        }
        message => message,
    }
}

/// A frame that a client sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sent {
    pub(super) opcode: OpCode,
    /// Unmasked, and without the reason if it is a close frame.
    pub(super) payload: Vec<u8>,
}

/// Parses a client's output: whole frames, all masked, none after a close frame.
pub(super) fn sent(output: &[u8]) -> Vec<Sent> {
    let mut socket = FrameSocket::new(output);
    let mut all: Vec<Sent> = Vec::new();
    loop {
        let frame = match socket.read(None) {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(error) => panic!("a client wrote an invalid frame: {error}"),
        };
        let (header, mut payload) = (frame.header().clone(), frame.payload().to_vec());
        assert!(header.is_final && !header.rsv1 && !header.rsv2 && !header.rsv3);
        let Some(mask) = header.mask else { panic!("a client masks") };
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        if header.opcode == OpCode::Control(Control::Close) {
            payload.truncate(2);
        }
        assert!(all.iter().all(|sent| sent.opcode != OpCode::Control(Control::Close)));
        all.push(Sent { opcode: header.opcode, payload });
    }
    assert!(socket.into_inner().1.is_empty(), "frames are whole");
    all
}

/// Checks that both readers agree on a script.
pub(super) fn agree(script: &Script) {
    let theirs = read_theirs(script, 0);
    let ours = read_ours(script, &theirs.messages);
    if theirs.ending == Ending::Utf8 {
        // The invalid text was not complete yet; until it is, only control frames can follow.
        assert!(ours.ending == Ending::Utf8 || ours.is_amid_message, "{:?}", ours.ending);
        let more = ours.is_data.get(theirs.messages.len()..);
        assert!(more.is_some_and(|more| !more.contains(&true)), "{more:?}");
        assert_eq!(ours.answers.get(..theirs.answers.len()), Some(&theirs.answers[..]));
        return;
    }
    let endings = (&ours.ending, &theirs.ending);
    assert_eq!(ours.is_data.len(), theirs.messages.len(), "{endings:?}");
    assert_eq!(ours.answers, theirs.answers);
    if theirs.ending == Ending::Eof && ours.ending != Ending::Eof {
        // The stream ended within a frame with an invalid header, which tungstenite reports only
        // once the frame is complete.
        let theirs = read_theirs(script, script.limits.message_bytes);
        assert_eq!(ours.ending, theirs.ending);
        return;
    }
    assert_eq!(ours.ending, theirs.ending);
}
