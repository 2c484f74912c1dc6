//! The messages that have been handed over to a socket and not been written yet, as WebSocket
//! frames.
//!
//! Headers and payloads stay apart, so that a payload shared by many clients is never copied: both
//! are passed to the operating system as slices.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// A message to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A binary message, which is a market frame or a heartbeat.
    Binary(Bytes),
    /// A text message.
    Text(Utf8Bytes),
    /// A ping without a payload. Clients answer it by a pong, which is received as
    /// [`Received::Other`](crate::Received::Other).
    Ping,
}

impl Message {
    /// Creates a text message.
    pub fn text(text: impl Into<Utf8Bytes>) -> Self {
        Self::Text(text.into())
    }

    /// Returns the length of the payload in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Binary(payload) => payload.len(),
            Self::Text(text) => text.len(),
            Self::Ping => 0,
        }
    }

    /// Returns whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The longest header of an unmasked frame: two bytes and a length of eight.
const MAX_HEADER: usize = 10;
/// RFC 6455, section 5.2: the last frame of a message.
const FINAL: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const PING: u8 = 9;

/// Frames in order, of which the first may be written in part.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    frames: VecDeque<OutgoingFrame>,
    /// Bytes of the first frame that have been written.
    written: usize,
    /// Bytes of all frames that have not been written.
    unwritten: usize,
}

#[derive(Debug)]
struct OutgoingFrame {
    header: [u8; MAX_HEADER],
    header_len: u8,
    payload: Bytes,
}

impl OutgoingFrame {
    fn new(message: Message) -> Self {
        let (opcode, payload) = match message {
            Message::Binary(payload) => (BINARY, payload),
            Message::Text(text) => (TEXT, text.into()),
            Message::Ping => (PING, Bytes::new()),
        };
        let mut header = [0; MAX_HEADER];
        header[0] = FINAL | opcode;
        let length = payload.len();
        let header_len = match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ ..=125), _) => {
                header[1] = short;
                2
            }
            (_, Ok(medium)) => {
                header[1] = 126;
                header[2..4].copy_from_slice(&medium.to_be_bytes());
                4
            }
            _ => {
                header[1] = 127;
                header[2..].copy_from_slice(&(length as u64).to_be_bytes());
                MAX_HEADER as u8
            }
        };
        Self { header, header_len, payload }
    }

    fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_len)]
    }

    fn len(&self) -> usize {
        usize::from(self.header_len) + self.payload.len()
    }
}

impl Outgoing {
    pub(crate) fn push(&mut self, message: Message) {
        let frame = OutgoingFrame::new(message);
        self.unwritten += frame.len();
        self.frames.push_back(frame);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns the number of frames that have not been written whole.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Returns the number of bytes that have not been written, with headers.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// Returns whether part of a frame has been written, so that nothing else may be.
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.written > 0
    }

    /// Fills `slices` with what is to be written next, of at most `frames` frames; returns how many
    /// slices are filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], frames: usize) -> usize {
        let mut skipped = self.written;
        let parts = self.frames.iter().take(frames).flat_map(|f| [f.header(), &f.payload[..]]);
        let parts = parts.filter_map(|part| {
            let start = skipped.min(part.len());
            skipped -= start;
            Some(&part[start..]).filter(|part| !part.is_empty())
        });
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        count
    }

    /// Notes that this many more bytes have been written, and drops what is written whole.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.written += bytes;
        self.unwritten -= bytes;
        while let Some(first) = self.frames.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.frames.pop_front();
        }
    }

    /// Drops the frames of which nothing has been written.
    pub(crate) fn drop_unstarted(&mut self) {
        self.frames.truncate(usize::from(self.is_mid_frame()));
        self.unwritten = self.frames.iter().map(OutgoingFrame::len).sum::<usize>() - self.written;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        let lengths = prop_oneof![0_usize..4, 124_usize..128, 65_534_usize..65_538];
        (lengths, 0..5).prop_map(|(length, kind)| match kind {
            0 => Message::Ping,
            1 | 2 => Message::text("t".repeat(length)),
            _ => Message::Binary(vec![7; length].into()),
        })
    }

    /// Takes at most `room` bytes of what is to be written next.
    fn take(outgoing: &mut Outgoing, slices: usize, frames: usize, room: usize) -> Vec<u8> {
        let mut filled = [IoSlice::new(&[]); 8];
        let count = outgoing.slices(&mut filled[..slices], frames);
        let mut taken: Vec<u8> = Vec::new();
        filled[..count].iter().for_each(|slice| taken.extend_from_slice(slice));
        taken.truncate(room);
        outgoing.advance(taken.len());
        taken
    }

    proptest! {
        #[test]
        fn frames_written_in_any_pieces_are_the_messages_in_order(
            messages in prop::collection::vec(message(), 1..6),
            pieces in prop::collection::vec((1_usize..8, 1_usize..4, 1_usize..70_000), 1..40),
        ) {
            let mut outgoing = Outgoing::default();
            messages.iter().cloned().for_each(|message| outgoing.push(message));
            let total = outgoing.unwritten();
            let mut written = Vec::new();
            for (slices, frames, room) in pieces {
                let before = written.len();
                written.extend(take(&mut outgoing, slices, frames, room));
                prop_assert!(outgoing.is_empty() || written.len() > before);
                prop_assert_eq!(outgoing.unwritten() + written.len(), total);
            }
            while !outgoing.is_empty() {
                written.extend(take(&mut outgoing, 8, usize::MAX, usize::MAX));
            }
            prop_assert!(!outgoing.is_mid_frame());
            let mut reader = FrameSocket::new(Cursor::new(written));
            for message in messages {
                let frame = reader.read(None).unwrap().unwrap();
                let payload = Bytes::copy_from_slice(frame.payload());
                let read = match u8::from(frame.header().opcode) {
                    TEXT => Message::Text(payload.try_into().unwrap()),
                    PING => Message::Ping,
                    _ => Message::Binary(payload),
                };
                prop_assert_eq!(read, message);
            }
            prop_assert!(reader.read(None).unwrap().is_none());
        }
    }

    #[test]
    fn a_started_frame_is_never_dropped() {
        let mut outgoing = Outgoing::default();
        for length in [3, 5] {
            outgoing.push(Message::Binary(vec![1; length].into()));
        }
        outgoing.advance(1);
        outgoing.drop_unstarted();
        assert_eq!((outgoing.len(), outgoing.unwritten()), (1, 4));
        outgoing.advance(4);
        assert!(outgoing.is_empty() && !outgoing.is_mid_frame());
        outgoing.push(Message::Binary(Bytes::new()));
        outgoing.drop_unstarted();
        assert_eq!((outgoing.len(), outgoing.unwritten()), (0, 0));
    }
}
