//! What a client costs.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use bytes::Bytes;
use kite_server::{Message, Socket, Transport};
use tokio::net::{TcpListener, TcpStream};

/// A frame of 3,000 instruments in full mode.
const LARGEST_FRAME: usize = 2 + 3_000 * 186;

#[tokio::test]
async fn a_client_that_does_not_read_takes_a_few_kilobytes_whatever_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = Transport::from(listener.accept().await.unwrap().0);
    let shared = Bytes::from(vec![0; LARGEST_FRAME]);
    let mut cx = Context::from_waker(Waker::noop());
    let mut socket = None;
    let memory = measure(|| {
        let Poll::Ready(mut open) = pin!(Socket::new(server, Vec::new())).poll(&mut cx) else {
            panic!("no I/O is needed");
        };
        // Far more than the buffers of the operating system hold.
        for _ in 0..200 {
            open.start_send(Message::Binary(shared.clone()));
        }
        assert!(open.poll_flush(&mut cx).is_pending());
        assert!(open.poll_message(&mut cx).is_pending());
        socket = Some(open);
    });
    assert!(memory.bytes_max < 32 * 1_024, "{memory:?}");
    drop(socket);
}
