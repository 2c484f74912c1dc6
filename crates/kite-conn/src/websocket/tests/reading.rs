//! Reading of a server's messages.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::super::differential::{Wire, put_header, sent, settle};
use super::super::*;

const LIMITS: Limits = Limits { read_bytes: 64, message_bytes: 1_000 };

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_header(&mut bytes, first, payload.len() as u64, None);
    bytes.extend_from_slice(payload);
    bytes
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes()[..], reason].concat())
}

fn reader(bytes: &[u8], read_cuts: &[u8]) -> WebSocket<Wire> {
    WebSocket::new(Wire::new(bytes.to_vec(), read_cuts, &[]), &[], LIMITS)
}

fn next(socket: &mut WebSocket<Wire>) -> Result<Message, Error> {
    settle(socket, |socket, cx| socket.poll_next(cx))
}

/// Returns the messages in a server's output, and the error at its end.
fn read(bytes: &[u8]) -> (Vec<Message>, Error) {
    let mut socket = reader(bytes, &[]);
    let mut messages = Vec::new();
    loop {
        match next(&mut socket) {
            Ok(message) => messages.push(message),
            Err(error) => return (messages, error),
        }
    }
}

fn fault(bytes: &[u8]) -> ProtocolError {
    match read(bytes) {
        (messages, Error::Protocol(error)) if messages.is_empty() => error,
        other => panic!("{other:?}"),
    }
}

/// Returns the replies to a server's output.
fn answer(bytes: &[u8]) -> Vec<(OpCode, Vec<u8>)> {
    let mut socket = reader(bytes, &[]);
    next(&mut socket).unwrap();
    settle(&mut socket, |socket, cx| socket.poll_flush(cx)).unwrap();
    let sent = sent(&socket.get_ref().output);
    sent.into_iter().map(|sent| (sent.opcode, sent.payload)).collect()
}

async fn pair() -> (WebSocket<DuplexStream>, DuplexStream) {
    let (client, server) = duplex(4_096);
    (WebSocket::new(client, &[], LIMITS), server)
}

#[test]
fn messages_are_read_in_order_however_their_bytes_are_split() {
    let long: Vec<u8> = (0..=255).cycle().take(900).collect();
    let bytes = [
        frame(0x81, "a€".as_bytes()),
        frame(0x82, &long),
        frame(0x89, b"p"),
        frame(0x82, b""),
        frame(0x8a, b"q"),
    ]
    .concat();
    let expected = [
        Message::text("a€"),
        Message::binary(long),
        Message::Ping(Bytes::from_static(b"p")),
        Message::binary(Bytes::new()),
        Message::Pong(Bytes::from_static(b"q")),
    ];
    for portion in [1, 2, 3, 7, 13, 64, 199] {
        let mut socket = reader(&bytes, &[0, portion].repeat(bytes.len()));
        for expected in &expected {
            assert_eq!(next(&mut socket).unwrap(), *expected, "in portions of {portion}");
        }
        assert_eq!(next(&mut socket).unwrap_err().to_string(), eof());
    }
}

fn eof() -> String {
    Error::Protocol(ProtocolError::ResetWithoutClosingHandshake).to_string()
}

#[test]
fn a_stream_that_ends_within_a_frame_is_an_end_of_stream() {
    let whole = frame(0x82, &[7; 300]);
    for bytes in 0..whole.len() {
        let (messages, error) = read(&whole[..bytes]);
        assert!(messages.is_empty());
        assert_eq!(error.to_string(), eof());
    }
}

#[test]
fn bytes_received_with_the_handshake_are_read_first() {
    let bytes = [frame(0x82, b"first"), frame(0x82, b"second")].concat();
    for ahead in 0..=bytes.len() {
        let wire = Wire::new(bytes[ahead..].to_vec(), &[], &[]);
        let mut socket = WebSocket::new(wire, &bytes[..ahead], LIMITS);
        assert_eq!(next(&mut socket).unwrap(), Message::binary("first"));
        assert_eq!(next(&mut socket).unwrap(), Message::binary("second"));
    }
}

#[test]
fn fragments_form_one_message_with_control_frames_between_them() {
    let bytes = [
        frame(0x01, &"€".as_bytes()[..1]),
        frame(0x89, b"p"),
        frame(0x00, b""),
        frame(0x80, &"€".as_bytes()[1..]),
        frame(0x82, b"next"),
    ]
    .concat();
    let (messages, _) = read(&bytes);
    let ping = Message::Ping(Bytes::from_static(b"p"));
    assert_eq!(messages, [ping, Message::text("€"), Message::binary("next")]);
}

#[test]
fn fragments_out_of_order_are_rejected() {
    assert_eq!(fault(&frame(0x80, b"x")), ProtocolError::UnexpectedContinueFrame);
    let bytes = [frame(0x01, b"a"), frame(0x82, b"b")].concat();
    assert_eq!(fault(&bytes), ProtocolError::ExpectedFragment(Data::Binary));
    let bytes = [frame(0x01, b"a"), frame(0x01, b"b")].concat();
    assert_eq!(fault(&bytes), ProtocolError::ExpectedFragment(Data::Text));
}

#[test]
fn an_invalid_header_is_rejected_before_its_payload_arrives() {
    for (header, expected) in [
        (&[0xc2, 125][..], ProtocolError::NonZeroReservedBits),
        (&[0xa2, 125], ProtocolError::NonZeroReservedBits),
        (&[0x99, 1], ProtocolError::NonZeroReservedBits),
        (&[0x82, 0x81, 1, 2, 3, 4], ProtocolError::MaskedFrameFromServer),
        (&[0x83, 1], ProtocolError::InvalidOpcode(3)),
        (&[0x87, 1], ProtocolError::InvalidOpcode(7)),
        (&[0x8b, 1], ProtocolError::InvalidOpcode(11)),
        (&[0x8f, 1], ProtocolError::InvalidOpcode(15)),
        (&[0x09, 1], ProtocolError::FragmentedControlFrame),
        (&[0x08, 2], ProtocolError::FragmentedControlFrame),
        (&[0x89, 126, 0, 126], ProtocolError::ControlFrameTooBig),
        (&[0x88, 126, 0, 126], ProtocolError::ControlFrameTooBig),
    ] {
        assert_eq!(fault(header), expected);
    }
}

#[test]
fn a_control_frame_may_have_125_bytes() {
    let (messages, _) = read(&frame(0x8a, &[1; 125]));
    assert_eq!(messages, [Message::Pong(vec![1; 125].into())]);
}

#[test]
fn a_message_at_the_limit_is_accepted_and_one_byte_more_is_not() {
    assert_eq!(read(&frame(0x82, &[1; 1_000])).0, [Message::binary(vec![1; 1_000])]);
    let fragments =
        |last: usize| [frame(0x02, &[1; 400]), frame(0, &[2; 400]), frame(0x80, &vec![3; last])];
    assert_eq!(read(&fragments(200).concat()).0.len(), 1);

    let mut lie = vec![0x82];
    lie.extend_from_slice(&[0xff; 9]);
    lie[1] = 127;
    let most = usize::try_from(u64::MAX).unwrap_or(usize::MAX);
    for (bytes, size) in [
        (vec![0x82, 126, 0x03, 0xe9], 1_001),
        (lie, most),
        // The last one has no payload, because the header is enough.
        (fragments(201).concat()[..2 * 404 + 4].to_vec(), 1_001),
    ] {
        let (messages, error) = read(&bytes);
        assert!(messages.is_empty());
        let Error::Capacity(CapacityError::MessageTooLong { size: reported, max_size }) = error
        else {
            panic!("{error}");
        };
        assert_eq!((reported, max_size), (size, 1_000));
    }
}

#[test]
fn a_text_frame_that_is_not_utf_8_is_rejected_whole_or_in_fragments() {
    let euro = "€".as_bytes();
    for bytes in [
        frame(0x81, &euro[..2]),
        [frame(0x01, &euro[..2]), frame(0x80, b"x")].concat(),
        [frame(0x01, euro), frame(0x80, &euro[..1])].concat(),
    ] {
        let (messages, error) = read(&bytes);
        assert!(messages.is_empty() && matches!(error, Error::Utf8(_)), "{error}");
    }
}

#[test]
fn a_close_frame_has_its_code_and_reason() {
    for (bytes, expected) in [
        (frame(0x88, b""), None),
        (close(1_001, b""), Some((1_001, ""))),
        (close(4_321, "späť".as_bytes()), Some((4_321, "späť"))),
        (close(1_006, b"as it came"), Some((1_006, "as it came"))),
        (close(0, b""), Some((0, ""))),
    ] {
        let (messages, _) = read(&bytes);
        let [Message::Close(close)] = &messages[..] else { panic!("{messages:?}") };
        let close = close.as_ref().map(|close| (u16::from(close.code), close.reason.as_str()));
        assert_eq!(close, expected);
    }
}

#[test]
fn a_close_frame_with_half_a_code_or_a_broken_reason_is_rejected() {
    assert_eq!(fault(&frame(0x88, &[3])), ProtocolError::InvalidCloseSequence);
    assert!(matches!(read(&close(1_000, &[0xff])).1, Error::Utf8(_)));
}

#[test]
fn a_close_frame_is_answered_with_its_code_or_with_1002_if_that_must_not_be_sent() {
    let reply = |code: u16| vec![(OpCode::Control(Control::Close), code.to_be_bytes().to_vec())];
    for code in [1_000, 1_001, 1_003, 1_011, 1_013, 3_000, 4_999] {
        assert_eq!(answer(&close(code, b"why")), reply(code));
    }
    for code in [0, 999, 1_004, 1_005, 1_006, 1_015, 1_016, 2_999, 5_000, u16::MAX] {
        assert_eq!(answer(&close(code, b"why")), reply(1_002), "{code}");
    }
    assert_eq!(answer(&frame(0x88, b"")), [(OpCode::Control(Control::Close), Vec::new())]);
}

#[test]
fn a_ping_is_answered_with_its_payload_and_a_pong_with_nothing() {
    let pong = (OpCode::Control(Control::Pong), b"p".to_vec());
    assert_eq!(answer(&frame(0x89, b"p")), [pong]);
    assert_eq!(answer(&frame(0x8a, b"p")), []);
}

#[tokio::test]
async fn messages_pass_a_pipe_that_is_smaller_than_they_are() {
    let (mut socket, mut server) = pair().await;
    let sent: Vec<Vec<u8>> = (0..200).map(|n| vec![n as u8; n * 5]).collect();
    let script = async {
        for payload in &sent {
            server.write_all(&frame(0x82, payload)).await.unwrap();
        }
        drop(server);
    };
    let received = async {
        let mut received = Vec::new();
        while let Ok(Message::Binary(bytes)) = socket.next().await {
            received.push(bytes);
        }
        received
    };
    let (received, ()) = tokio::join!(received, script);
    assert_eq!(received, sent);
}

#[tokio::test]
async fn a_failing_stream_returns_its_error() {
    let stream = failing();
    let mut socket = WebSocket::new(stream, &frame(0x82, b"before"), LIMITS);
    assert_eq!(socket.next().await.unwrap(), Message::binary("before"));
    let Err(Error::Io(error)) = socket.next().await else { panic!("no error") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// A stream whose reads fail.
fn failing() -> impl AsyncRead + AsyncWrite + Unpin {
    struct Reset;
    impl AsyncRead for Reset {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }
    tokio::io::join(Reset, tokio::io::sink())
}
