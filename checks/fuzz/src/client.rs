//! Whatever a client sends: a server never panics, reads a request alike however it arrives, keeps
//! the limit of instruments, and answers in whole frames.
//!
//! The first byte selects the room of the connection, and by its lowest bit whether a good request
//! precedes the rest; the second is the size of the pieces that arrive.

use std::future::Future;
use std::io::Cursor;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use kite_server::handshake::{self, Request};
use kite_server::{End, HEARTBEAT, Message, Received, Socket, Subscriptions, Transport, texts};
use kite_wire::ParsedCommand;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

const GOOD_HEAD: &[u8] = b"GET /?api_key=a&access_token=t HTTP/1.1\r\nHost: localhost\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Instruments that the client may subscribe to.
const LIMIT: usize = 5;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&[room, piece], rest)) = bytes.split_first_chunk() else { return };
    let head = if room & 1 == 1 { GOOD_HEAD } else { &[] };
    let input = [head, rest].concat();
    let piece = usize::from(piece).max(1);
    let (Some(request), consumed) = check_request(&input, piece) else { return };
    if request.upgrade.is_ok() {
        let stream = &input[consumed..];
        let transcript = serve(request.rest, stream, usize::from(room) + 1, piece);
        check_frames(transcript);
    }
}

/// Reads the request in pieces and whole; returns it as read in pieces, and the bytes that took.
fn check_request(input: &[u8], piece: usize) -> (Option<Request>, usize) {
    let (mut pieces, mut whole) =
        (Pieces { input, piece, taken: 0 }, Pieces { input, piece: usize::MAX, taken: 0 });
    let in_pieces = now(handshake::read(&mut pieces)).ok();
    let at_once = now(handshake::read(&mut whole)).ok();
    match (&in_pieces, &at_once) {
        (Some(one), Some(other)) => {
            assert!(one.upgrade == other.upgrade, "the request depends on how it arrives");
            if one.upgrade.is_ok() {
                let after = |taken: usize, rest: &[u8]| [rest, &input[taken..]].concat();
                assert_eq!(after(pieces.taken, &one.rest), after(whole.taken, &other.rest));
            }
        }
        (None, None) => {}
        _ => panic!("the request is complete or not, however it arrives"),
    }
    (in_pieces, pieces.taken)
}

/// Serves a client that sends these bytes; returns what it received.
fn serve(rest: Vec<u8>, mut input: &[u8], room: usize, piece: usize) -> Vec<u8> {
    let (mut client, server) = duplex(room);
    let mut socket = now(Socket::new(Transport::from(server), rest));
    let mut subscriptions = Subscriptions::<()>::default();
    let mut transcript = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    let mut end = None;
    loop {
        send(&mut client, &mut input, piece);
        if end.is_none() {
            end = match socket.poll_message(&mut cx) {
                Poll::Ready(Ok(received)) => {
                    answer(&mut socket, &mut subscriptions, received);
                    None
                }
                Poll::Ready(Err(end)) => Some(end),
                Poll::Pending => None,
            };
        }
        let is_flushed = socket.poll_flush(&mut cx).is_ready();
        let is_drained = receive(&mut client, &mut transcript, piece) == 0;
        if let Some(end) = end
            && is_flushed
            && is_drained
        {
            let is_clients = matches!(end, End::ClientClosed | End::ClientGone | End::Violation(_));
            assert!(is_clients, "{end:?}");
            return transcript;
        }
    }
}

fn answer(
    socket: &mut Socket<Transport>,
    subscriptions: &mut Subscriptions<()>,
    received: Received,
) {
    let Received::Text(text) = received else { return };
    let Ok(command) = ParsedCommand::parse(&text) else { return };
    let before = subscriptions.modes();
    match subscriptions.obey(command, LIMIT, |token| token & 1 == 0, |_| ()) {
        Ok(_) => socket.start_send(Message::Binary(HEARTBEAT)),
        Err(_) => {
            assert_eq!(subscriptions.modes(), before, "a refused command changes nothing");
            socket.start_send(Message::text(texts::too_many_instruments(LIMIT)));
        }
    }
    let modes = subscriptions.modes();
    assert!(modes.len() <= LIMIT && modes.len() == subscriptions.len());
    assert!(modes.keys().all(|token| token & 1 == 0 && subscriptions.get(*token).is_some()));
}

/// Checks that a client received whole frames, none of them after a close frame.
fn check_frames(transcript: Vec<u8>) {
    let mut frames = FrameSocket::new(Cursor::new(transcript));
    let mut is_closed = false;
    while let Some(frame) = frames.read(None).expect("the server's frames are valid") {
        assert!(!is_closed, "a frame follows the close frame");
        is_closed = frame.header().opcode == OpCode::Control(Control::Close);
    }
    assert!(frames.into_inner().1.is_empty(), "the last frame is whole");
}

/// Sends a piece of what is left, and ends the stream after the last.
fn send(client: &mut DuplexStream, input: &mut &[u8], piece: usize) {
    let mut cx = Context::from_waker(Waker::noop());
    let client = Pin::new(client);
    if input.is_empty() {
        let _ = client.poll_shutdown(&mut cx);
    } else if let Poll::Ready(Ok(sent)) =
        client.poll_write(&mut cx, &input[..piece.min(input.len())])
    {
        *input = &input[sent..];
    }
}

/// Receives at most a piece; returns its length.
fn receive(client: &mut DuplexStream, transcript: &mut Vec<u8>, piece: usize) -> usize {
    let mut memory = vec![0; piece];
    let mut buffer = ReadBuf::new(&mut memory);
    let mut cx = Context::from_waker(Waker::noop());
    let _ = Pin::new(client).poll_read(&mut cx, &mut buffer);
    transcript.extend_from_slice(buffer.filled());
    buffer.filled().len()
}

/// Bytes that arrive in pieces.
struct Pieces<'a> {
    input: &'a [u8],
    piece: usize,
    taken: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let left = &self.input[self.taken..];
        let length = left.len().min(self.piece).min(buffer.remaining());
        buffer.put_slice(&left[..length]);
        self.taken += length;
        Poll::Ready(Ok(()))
    }
}

/// Returns the output of a future that does not wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let head = [0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        [&head[..], payload].concat()
    }

    #[test]
    fn a_client_receives_an_answer_to_each_command_and_ping() {
        let input = [
            masked(1, br#"{"a":"subscribe","v":[2,4]}"#),
            masked(9, b"?"),
            masked(1, br#"{"a":"mode","v":["full",[2,4,6,8,10,12]]}"#),
            masked(8, b""),
        ]
        .concat();
        for (room, piece) in [(1, 1), (9, 200), (200, 3)] {
            let transcript = serve(Vec::new(), &input, room, piece);
            let contains = |bytes: &[u8]| transcript.windows(bytes.len()).any(|it| it == bytes);
            assert!(contains(&[0x82, 1, 0]), "a heartbeat: {transcript:?}");
            assert!(contains(&[0x8a, 1, b'?']), "a pong: {transcript:?}");
            assert!(contains(b"more than 5 instruments"), "an error: {transcript:?}");
            assert!(transcript.ends_with(&[0x88, 0]), "a close frame: {transcript:?}");
            check_frames(transcript);
        }
    }
}
