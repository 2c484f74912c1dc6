//! Clients that send garbage, too much or too slowly, or read nothing.

use std::net::SocketAddr;
use std::time::Duration;

use kite_http::{HttpBuilder, HttpServer};
use kite_manager::{Credentials, Manager};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::client::{exchange, get};
use crate::stage::{in_time, server};

fn builder() -> HttpBuilder {
    let manager = Manager::builder().account("main", Credentials::new("key", "token"));
    server(&manager.build().unwrap())
}

/// Waits until the server ends a connection; returns what it sent.
async fn ended(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = in_time("the end of the connection", stream.read_to_end(&mut bytes)).await;
    bytes
}

async fn assert_serves(http: &HttpServer) {
    assert_eq!(get(http, "/healthz").await.body, "ok\n");
}

#[tokio::test]
async fn garbage_is_refused_and_the_server_goes_on() {
    let http = builder().start().unwrap();
    let host = format!("Host: {}\r\n", http.address());
    let long_name = format!("GET / HTTP/1.1\r\n{host}{}: 1\r\n\r\n", "a".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\n{host}{}\r\n", "a: 1\r\n".repeat(1_000));
    let long_path = format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(70_000));
    let smuggled =
        format!("GET / HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello");
    for bytes in [
        b"\0\x01\x02\x03\xff\xfe\r\n\r\n".as_slice(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        long_name.as_bytes(),
        many.as_bytes(),
        long_path.as_bytes(),
        smuggled.as_bytes(),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        let text = exchange(http.address(), bytes).await;
        let is_refused = text.is_empty() || text.starts_with("HTTP/1.1 4");
        assert!(is_refused, "{shown:?}: {text}");
        assert_serves(&http).await;
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let http = builder().start().unwrap();
    let host = http.address();
    let request =
        |path: &str, last: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{last}\r\n");
    let requests = ["/healthz", "/readyz", "/healthz"].map(|path| request(path, "")).concat();
    let text =
        exchange(host, (requests + &request("/missing", "Connection: close\r\n")).as_bytes()).await;
    let statuses: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "503", "200", "404"]);
}

#[tokio::test]
async fn a_body_is_not_read() {
    let http = builder().start().unwrap();
    let host = http.address();
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9999999\r\n\r\nmore");
    let text = exchange(host, request.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[tokio::test]
async fn a_slow_head_ends_its_connection() {
    let http = builder().head_deadline(Duration::from_millis(200)).start().unwrap();
    let mut slow = TcpStream::connect(http.address()).await.unwrap();
    let (mut reading, mut writing) = slow.split();
    let drip = async {
        // Longer than the limit, so that only the server can end it.
        for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ".iter().cycle() {
            if writing.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut bytes = Vec::new();
    let end = async {
        let _ = reading.read_to_end(&mut bytes).await;
    };
    tokio::select! {
        () = in_time("the end of a slow request", drip) => {}
        () = in_time("the end of a slow request", end) => {}
    }
    assert_serves(&http).await;
}

#[tokio::test]
async fn idle_connections_are_ended_before_and_after_a_request() {
    let http = builder().head_deadline(Duration::from_millis(200)).start().unwrap();
    let mut silent = TcpStream::connect(http.address()).await.unwrap();
    ended(&mut silent).await;
    let mut idle = TcpStream::connect(http.address()).await.unwrap();
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", http.address());
    idle.write_all(request.as_bytes()).await.unwrap();
    assert!(ended(&mut idle).await.starts_with(b"HTTP/1.1 200"));
}

/// Asks for many responses and reads none of them.
async fn glutton(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!("GET /api/status HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut bytes = request.repeat(100).into_bytes();
    while let Ok(Ok(written)) =
        tokio::time::timeout(Duration::from_millis(200), stream.write(&bytes)).await
    {
        let len = bytes.len();
        bytes.rotate_left(written % len);
    }
    stream
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_ended() {
    let http = builder().stall(Duration::from_millis(300)).start().unwrap();
    let mut glutton = glutton(http.address()).await;
    let over = async {
        while glutton.write_all(b"GET /healthz HTTP/1.1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    in_time("the end of a reader that takes nothing", over).await;
    assert_serves(&http).await;
}

#[tokio::test]
async fn connections_in_excess_wait_for_a_place() {
    let head = Duration::from_millis(300);
    let http = builder().max_connections(2).head_deadline(head).start().unwrap();
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(TcpStream::connect(http.address()).await.unwrap());
    }
    // Those before it have to end for it to be served.
    assert_serves(&http).await;
    for stream in &mut silent {
        assert_eq!(ended(stream).await, b"");
    }
}

#[tokio::test]
async fn a_thousand_connections_leave_room_for_a_reader() {
    let http = builder().head_deadline(Duration::from_millis(500)).start().unwrap();
    let mut open = Vec::new();
    for _ in 0..400 {
        open.push(TcpStream::connect(http.address()).await.unwrap());
    }
    assert_serves(&http).await;
    drop(open);
    for _ in 0..600 {
        let mut stream = TcpStream::connect(http.address()).await.unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n").await;
    }
    assert_serves(&http).await;
}

#[tokio::test]
async fn dropping_the_server_ends_connections_and_frees_the_port() {
    let http = builder().start().unwrap();
    let address = http.address();
    let mut open = TcpStream::connect(address).await.unwrap();
    assert_serves(&http).await;
    http.stop();
    assert_eq!(ended(&mut open).await, b"");
    assert!(TcpStream::connect(address).await.is_err());
    builder().listen(address).start().unwrap();
}
