//! Writing of messages, and whether a server reads them.

use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, duplex};
use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;
use tokio_tungstenite::tungstenite::protocol::{self, Role};

use super::super::differential::{Wire, put_header, sent, settle};
use super::super::*;

const LIMITS: Limits = Limits { read_bytes: 64, message_bytes: 1_000 };

fn control(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_header(&mut bytes, first, payload.len() as u64, None);
    bytes.extend_from_slice(payload);
    bytes
}

fn client(input: &[u8], write_cuts: &[u8]) -> WebSocket<Wire> {
    WebSocket::new(Wire::new(input.to_vec(), &[], write_cuts), &[], LIMITS)
}

fn next(socket: &mut WebSocket<Wire>) -> Result<Message, Error> {
    settle(socket, |socket, cx| socket.poll_next(cx))
}

fn flush(socket: &mut WebSocket<Wire>) -> Result<(), Error> {
    settle(socket, |socket, cx| socket.poll_flush(cx))
}

fn flush_once(socket: &mut WebSocket<Wire>) -> Poll<Result<(), Error>> {
    socket.poll_flush(&mut Context::from_waker(Waker::noop()))
}

fn closing() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}

/// Returns the opcodes and payloads sent.
fn written(socket: &WebSocket<Wire>) -> Vec<(OpCode, Vec<u8>)> {
    let sent = sent(&socket.get_ref().output);
    sent.into_iter().map(|sent| (sent.opcode, sent.payload)).collect()
}

fn pong(payload: &[u8]) -> (OpCode, Vec<u8>) {
    (OpCode::Control(Control::Pong), payload.to_vec())
}

fn close_of(code: u16) -> (OpCode, Vec<u8>) {
    (OpCode::Control(Control::Close), code.to_be_bytes().to_vec())
}

/// Reads a client's output as tungstenite's server does.
fn read_as_server(output: &[u8]) -> Vec<Message> {
    let wire = Wire::new(output.to_vec(), &[], &[]);
    let mut server = protocol::WebSocket::from_raw_socket(wire, Role::Server, None);
    std::iter::from_fn(|| server.read().ok()).collect()
}

proptest! {
    #[test]
    fn a_server_reads_what_a_client_sends(
        messages in vec(
            prop_oneof![
                "\\PC{0,200}".prop_map(Message::text),
                vec(any::<u8>(), 0..300).prop_map(Message::binary),
                vec(any::<u8>(), 0..=125).prop_map(|bytes| Message::Ping(bytes.into())),
                vec(any::<u8>(), 0..=125).prop_map(|bytes| Message::Pong(bytes.into())),
                Just(Message::binary(vec![1; 70_000])),
            ],
            0..20,
        ),
        write_cuts in vec(any::<u8>(), 0..100),
    ) {
        let mut socket = client(b"", &write_cuts);
        for message in messages.iter().cloned().chain([closing()]) {
            socket.send(message).unwrap();
            flush(&mut socket).unwrap();
        }
        let received = read_as_server(&socket.get_ref().output);
        let (last, received) = received.split_last().unwrap();
        prop_assert_eq!(received, messages);
        prop_assert_eq!(last, &closing());
    }
}

#[test]
fn no_two_frames_have_the_same_mask() {
    let mut socket = client(b"", &[]);
    for _ in 0..100 {
        socket.send(Message::text("{}")).unwrap();
        flush(&mut socket).unwrap();
    }
    let mut frames = FrameSocket::new(&socket.get_ref().output[..]);
    let masks = std::iter::from_fn(|| frames.read(None).unwrap());
    let masks: HashSet<[u8; 4]> = masks.map(|frame| frame.header().mask.unwrap()).collect();
    // Two of a hundred are equal in one of a million runs.
    assert!(masks.len() >= 99, "{masks:?}");
}

#[test]
fn only_the_newest_ping_is_answered_while_older_pongs_wait() {
    let input = [control(0x89, b"old"), control(0x89, b"new"), control(0x8a, b"unsolicited")];
    let mut socket = client(&input.concat(), &[]);
    for _ in 0..3 {
        next(&mut socket).unwrap();
    }
    flush(&mut socket).unwrap();
    assert_eq!(written(&socket), [pong(b"new")]);
}

#[test]
fn a_partly_written_frame_is_finished_before_an_answer() {
    let mut socket = client(&control(0x89, b"p"), &[3, 0, 2, 0]);
    socket.send(Message::text("subscribe")).unwrap();
    assert!(flush_once(&mut socket).is_pending());
    next(&mut socket).unwrap();
    assert!(flush_once(&mut socket).is_pending());
    flush(&mut socket).unwrap();
    let text = (OpCode::Data(Data::Text), b"subscribe".to_vec());
    assert_eq!(written(&socket), [text, pong(b"p")]);
}

#[test]
fn a_close_frame_replaces_frames_not_yet_begun() {
    let mut socket = client(&control(0x89, b"p"), &[3, 0]);
    for text in ["begun", "waiting", "waiting too"] {
        socket.send(Message::text(text)).unwrap();
    }
    assert!(flush_once(&mut socket).is_pending());
    next(&mut socket).unwrap();
    socket.send(closing()).unwrap();
    flush(&mut socket).unwrap();
    let begun = (OpCode::Data(Data::Text), b"begun".to_vec());
    assert_eq!(written(&socket), [begun, close_of(1_000)]);
}

#[test]
fn a_pong_is_sent_before_waiting_frames() {
    let mut socket = client(&[control(0x89, b"old"), control(0x89, b"new")].concat(), &[]);
    socket.send(Message::text("waiting")).unwrap();
    next(&mut socket).unwrap();
    next(&mut socket).unwrap();
    flush(&mut socket).unwrap();
    let waiting = (OpCode::Data(Data::Text), b"waiting".to_vec());
    assert_eq!(written(&socket), [pong(b"new"), waiting]);
}

#[test]
fn nothing_is_sent_after_a_close_frame() {
    let input = [control(0x89, b"late"), control(0x88, &[0x03, 0xe8])].concat();
    let mut socket = client(&input, &[]);
    socket.send(closing()).unwrap();
    flush(&mut socket).unwrap();
    next(&mut socket).unwrap();
    next(&mut socket).unwrap();
    flush(&mut socket).unwrap();
    for message in [Message::text("{}"), closing()] {
        let sent = socket.send(message);
        assert!(matches!(sent, Err(Error::Protocol(ProtocolError::SendAfterClosing))));
    }
    flush(&mut socket).unwrap();
    assert_eq!(written(&socket), [close_of(1_000)]);
}

#[test]
fn a_pending_pong_is_replaced_by_a_close_frame() {
    let mut socket = client(&control(0x89, b"p"), &[]);
    next(&mut socket).unwrap();
    socket.send(closing()).unwrap();
    flush(&mut socket).unwrap();
    assert_eq!(written(&socket), [close_of(1_000)]);
}

#[test]
fn the_reply_to_a_close_frame_is_not_replaced_by_a_pong() {
    let input =
        [control(0x89, b"before"), control(0x88, &[0x03, 0xe9]), control(0x89, b"after")].concat();
    let mut socket = client(&input, &[]);
    for _ in 0..3 {
        next(&mut socket).unwrap();
    }
    flush(&mut socket).unwrap();
    assert_eq!(written(&socket), [close_of(1_001)]);
    assert!(socket.send(Message::text("{}")).is_err(), "the reply was a close frame");
}

#[test]
fn a_stream_that_accepts_nothing_more_is_an_error() {
    struct Full;
    impl AsyncWrite for Full {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let mut socket = WebSocket::new(tokio::io::join(tokio::io::empty(), Full), &[], LIMITS);
    socket.send(Message::text("{}")).unwrap();
    let flushed = socket.poll_flush(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Err(Error::Io(error))) = flushed else { panic!("{flushed:?}") };
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reading and writing wait concurrently; each is woken by its own end of the pipe.
#[tokio::test]
async fn pending_reads_and_writes_are_woken_separately() {
    let (reading, writing) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let wakers = [Waker::from(Arc::clone(&reading)), Waker::from(Arc::clone(&writing))];
    let counts = || (reading.0.load(Ordering::Relaxed), writing.0.load(Ordering::Relaxed));
    let (stream, mut server) = duplex(16);
    let mut socket = WebSocket::new(stream, &[], LIMITS);

    socket.send(Message::text("more than the pipe holds")).unwrap();
    assert!(socket.poll_flush(&mut Context::from_waker(&wakers[1])).is_pending());
    assert!(socket.poll_next(&mut Context::from_waker(&wakers[0])).is_pending());
    assert_eq!(counts(), (0, 0));

    server.write_all(&[0x82, 1]).await.unwrap();
    assert_eq!(counts(), (1, 0), "there is something to read");
    assert!(socket.poll_next(&mut Context::from_waker(&wakers[0])).is_pending());
    server.write_all(&[7]).await.unwrap();
    assert_eq!(counts(), (2, 0), "the rest has arrived");
    assert_eq!(socket.next().await.unwrap(), Message::binary(vec![7]));

    server.read_exact(&mut [0; 16]).await.unwrap();
    assert_eq!(counts(), (2, 1), "there is room to write");
    assert!(socket.poll_flush(&mut Context::from_waker(&wakers[1])).is_ready());
}
