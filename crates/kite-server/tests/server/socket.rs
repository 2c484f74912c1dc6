//! The writing side for a task that must not wait for a slow client.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use kite_server::{Connection, End, HEARTBEAT, Message, Received, Socket, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, advance};
use tokio_tungstenite::tungstenite::Message as ClientMessage;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::pair::{memory, tcp};

fn frame(byte: u8, length: usize) -> Bytes {
    vec![byte; length].into()
}

/// Polls once for a message and once for a flush, as a client's task does.
async fn turn<S: Connection>(socket: &mut Socket<S>) -> (Option<Received>, bool) {
    tokio::task::yield_now().await;
    poll_fn(|cx| {
        let received = match socket.poll_message(cx) {
            Poll::Ready(received) => Some(received.unwrap()),
            Poll::Pending => None,
        };
        let is_flushed = match socket.poll_flush(cx) {
            Poll::Ready(flushed) => {
                flushed.unwrap();
                true
            }
            Poll::Pending => false,
        };
        Poll::Ready((received, is_flushed))
    })
    .await
}

#[tokio::test]
async fn messages_handed_over_together_share_a_system_call_and_are_not_copied() {
    let (mut socket, mut client, writes) = memory(1 << 16).await;
    let frames = [frame(1, 2_000), frame(2, 70), HEARTBEAT, frame(3, 200)];
    for frame in &frames {
        poll_fn(|cx| socket.poll_ready(cx)).await.unwrap();
        socket.start_send(Message::Binary(frame.clone()));
    }
    socket.start_send(Message::text("text"));
    assert!(writes.lock().unwrap().is_empty(), "nothing is written before the flush");
    poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();

    let writes = writes.lock().unwrap().clone();
    assert_eq!(writes.len(), 1, "{writes:?}");
    for frame in &frames {
        assert!(writes[0].contains(&frame.as_ptr().addr()), "the payload itself is written");
    }
    for frame in frames {
        assert_eq!(client.next().await.unwrap().unwrap(), ClientMessage::Binary(frame));
    }
    assert_eq!(client.next().await.unwrap().unwrap(), ClientMessage::text("text"));
}

#[tokio::test]
async fn no_more_than_a_batch_is_handed_over_to_a_client_that_does_not_read() {
    let (mut socket, _client, _) = memory(100).await;
    let mut count = 0;
    while poll_fn(|cx| Poll::Ready(socket.poll_ready(cx).is_ready())).await {
        socket.start_send(Message::Binary(frame(7, 10_000)));
        count += 1;
    }
    assert_eq!(count, 7, "64 KiB and what is longer than that by the last frame");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_read_and_its_stall_is_seen() {
    let (mut socket, mut client) = tcp().await;
    // More than the buffers of both sides hold.
    socket.start_send(Message::Binary(frame(1, 64 << 20)));
    let mut taken = None;
    let since = loop {
        assert_eq!(turn(&mut socket).await, (None, false));
        let bytes = socket.stream_mut().transport().bytes_written();
        match (socket.stalled_since(), taken) {
            (Some(since), Some(before)) if before == bytes => break since,
            _ => taken = Some(bytes),
        }
    };
    assert!(since <= Instant::now());

    client.send(ClientMessage::text("a command")).await.unwrap();
    client.send(ClientMessage::Ping(Bytes::from_static(b"?"))).await.unwrap();
    for expected in [Received::Text("a command".into()), Received::Ping] {
        let received = poll_fn(|cx| socket.poll_message(cx)).await.unwrap();
        assert_eq!(received, expected);
    }

    // The frame that has begun is finished before the pong.
    let reading = tokio::spawn(async move {
        let first = client.next().await.unwrap().unwrap();
        let second = client.next().await.unwrap().unwrap();
        (first.len(), second)
    });
    socket.start_send(Message::Binary(HEARTBEAT));
    poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
    assert_eq!(socket.stalled_since(), None);
    let (length, second) = reading.await.unwrap();
    assert_eq!(length, 64 << 20);
    assert_eq!(second, ClientMessage::Pong(Bytes::from_static(b"?")));
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_counted_from_the_last_byte_taken() {
    let (mut socket, mut client, _) = memory(10).await;
    assert_eq!(socket.stalled_since(), None);
    socket.start_send(Message::Binary(frame(1, 100)));
    assert_eq!(turn(&mut socket).await, (None, false));
    let begun = Instant::now();
    assert_eq!(socket.stalled_since(), Some(begun));
    advance(Duration::from_secs(40)).await;
    assert_eq!(turn(&mut socket).await, (None, false));
    assert_eq!(socket.stalled_since(), Some(begun));

    client.get_mut().read_exact(&mut [0]).await.unwrap();
    assert_eq!(turn(&mut socket).await, (None, false));
    assert_eq!(socket.stalled_since(), Some(Instant::now()), "one byte was taken");
    assert_eq!(begun.elapsed(), Duration::from_secs(40));
}

#[tokio::test]
async fn a_stalled_client_can_be_reset() {
    let (mut socket, mut client) = tcp().await;
    socket.start_send(Message::Binary(frame(1, 64 << 20)));
    while !(turn(&mut socket).await.0.is_none() && socket.stalled_since().is_some()) {}
    socket.stream_mut().transport().reset_on_drop();
    drop(socket);
    let mut read = vec![0; 1 << 20];
    let error = loop {
        match client.get_mut().read(&mut read).await {
            Ok(0) => panic!("the stream ended without a reset"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn pings_of_a_client_that_reads_no_pongs_take_bounded_memory() {
    const PINGS: usize = 10_000;
    let (mut socket, mut client, _) = memory(1_024).await;
    socket.start_send(Message::Binary(frame(1, 4_096)));
    let payload = Bytes::from_static(&[b'?'; 100]);
    let mut received = 0;
    for _ in 0..PINGS {
        client.feed(ClientMessage::Ping(payload.clone())).await.unwrap();
        let mut sending = std::pin::pin!(client.flush());
        while sending.as_mut().now_or_never().is_none() {
            received += usize::from(turn(&mut socket).await.0 == Some(Received::Ping));
        }
    }
    while received < PINGS {
        received += usize::from(turn(&mut socket).await.0 == Some(Received::Ping));
    }
    socket.start_close(1_001, "");
    let serving = tokio::spawn(async move {
        poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
        socket.close().await;
    });
    let (mut pongs, mut is_closed) = (0, false);
    while let Some(message) = client.next().await {
        assert!(!is_closed, "nothing follows the close frame");
        let message = message.unwrap();
        pongs += usize::from(message.is_pong());
        is_closed = message.is_close();
    }
    assert!(is_closed);
    assert!((1..60).contains(&pongs), "{pongs} pongs of 102 bytes were kept");
    serving.await.unwrap();
}

#[tokio::test]
async fn a_close_frame_follows_what_was_handed_over_and_nothing_follows_it() {
    let (mut socket, mut client) = tcp().await;
    socket.start_send(Message::text("last"));
    let reason = "é".repeat(100);
    socket.start_close(1_001, &reason);
    socket.start_send(Message::text("too late"));
    socket.start_close(1_000, "too late");
    let serving = tokio::spawn(async move {
        poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
        let answer = poll_fn(|cx| socket.poll_message(cx)).await;
        socket.close().await;
        answer
    });
    assert_eq!(client.next().await.unwrap().unwrap(), ClientMessage::text("last"));
    let expected = CloseFrame { code: 1_001.into(), reason: "é".repeat(61).into() };
    assert_eq!(client.next().await.unwrap().unwrap(), ClientMessage::Close(Some(expected)));
    assert!(client.next().await.is_none());
    assert_eq!(serving.await.unwrap(), Err(End::ClientClosed));
}

#[tokio::test]
async fn a_clients_close_frame_is_answered_after_the_frame_that_has_begun() {
    let (mut socket, mut client, _) = memory(50).await;
    socket.start_send(Message::Binary(frame(1, 100)));
    socket.start_send(Message::Binary(frame(2, 100)));
    assert_eq!(turn(&mut socket).await, (None, false));
    client.send(ClientMessage::Close(None)).await.unwrap();
    assert_eq!(poll_fn(|cx| socket.poll_message(cx)).await, Err(End::ClientClosed));
    let closing = tokio::spawn(async move { socket.close().await });
    assert_eq!(client.next().await.unwrap().unwrap(), ClientMessage::Binary(frame(1, 100)));
    assert_eq!(client.next().await.unwrap().unwrap(), ClientMessage::Close(None));
    assert!(client.next().await.is_none());
    closing.await.unwrap();
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_receives_a_close_frame_with_the_code_and_no_reset() {
    let unmasked = b"\x81\x02{}".to_vec();
    let reserved = b"\x83\x82\0\0\0\0{}".to_vec();
    let not_text = b"\x81\x82\0\0\0\0\xff\xff".to_vec();
    let mut too_long = b"\x81\xff\0\0\0\0\0\x20\0\0\0\0\0\0".to_vec();
    too_long.extend([b' '; 1 << 16]);
    for (bytes, violation, code) in [
        (unmasked, Violation::Frame, 1_002),
        (reserved, Violation::Frame, 1_002),
        (not_text, Violation::Text, 1_007),
        (too_long, Violation::TooLong, 1_009),
    ] {
        let (mut socket, mut client) = tcp().await;
        socket.start_send(Message::text("last"));
        let serving = tokio::spawn(async move {
            let end = poll_fn(|cx| socket.poll_message(cx)).await.unwrap_err();
            assert_eq!(end, End::Violation(violation));
            socket.reject(violation).await;
        });
        client.get_mut().write_all(&bytes).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), ClientMessage::text("last"));
        let reason = violation.reason().into();
        let expected = CloseFrame { code: code.into(), reason };
        assert_eq!(client.next().await.unwrap().unwrap(), ClientMessage::Close(Some(expected)));
        // A reset would be an error.
        assert_eq!(client.get_mut().read(&mut [0]).await.unwrap(), 0);
        drop(client);
        serving.await.unwrap();
    }
}
