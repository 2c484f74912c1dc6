use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::*;
use crate::websocket::Wire;

mod accepted;
mod proxy;
mod tls;

const TOKEN: &str = "s3cr3t/tok=n";
const KITE_ERROR: &str = r#"{"status":"error","message":"Authentication failed.","data":null}"#;
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);

fn credentials() -> Credentials {
    Credentials::new("a key", TOKEN)
}

fn options(connect_timeout: Duration) -> Transport {
    Transport {
        connect_timeout,
        read_buffer_bytes: 4096,
        max_frame_bytes: 64,
        headers: Vec::new(),
        tls: Tls::default(),
        proxy: None,
        on_accepted: None,
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses connections: bound, so that it is not reused, but not listening.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn endpoint(scheme: &str, address: SocketAddr) -> Endpoint {
    Endpoint::parse(&format!("{scheme}://{address}/?user_id=AB12")).unwrap()
}

/// Reads a request up to its empty line.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(request).unwrap()
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn switch(request: &str) -> String {
    let accept = derive_accept_key(header(request, "Sec-WebSocket-Key").unwrap().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

fn secrets(endpoint: &Endpoint, credentials: &Credentials) -> Arc<Spellings> {
    Secrets::new(endpoint.clone()).remember(credentials.access_token())
}

fn no_secrets() -> Arc<Spellings> {
    Arc::new(Spellings::of([]))
}

/// Performs the handshake in memory with a server that runs `script` on its end.
async fn shake<F: Future>(
    pipe_bytes: usize,
    options: &Transport,
    script: impl FnOnce(DuplexStream) -> F,
) -> (Result<WebSocket<DuplexStream>, OpenError>, F::Output) {
    let (client, server) = duplex(pipe_bytes);
    let (endpoint, credentials) = (Endpoint::default(), credentials());
    let deadline = Deadline::within(options.connect_timeout);
    let secrets = secrets(&endpoint, &credentials);
    let client = handshake(client, &endpoint, &credentials, options, &secrets, deadline);
    let client = async { client.await.map(|(websocket, _)| websocket) };
    tokio::join!(client, script(server))
}

/// Returns the error after the server has sent `reply` and closed.
async fn refused_with(reply: &str) -> OpenError {
    let script = |mut server: DuplexStream| async move {
        read_request(&mut server).await;
        server.write_all(reply.as_bytes()).await.unwrap();
    };
    shake(64 * 1024, &options(LONG), script).await.0.unwrap_err()
}

async fn open(
    endpoint: &Endpoint,
    credentials: &Credentials,
    options: &Transport,
) -> Result<WebSocket<Stream>, OpenError> {
    Dialer::new(endpoint.clone(), options.clone())
        .open(credentials, secrets(endpoint, credentials))
        .await
}

/// Opens with the given addresses instead of a lookup.
async fn open_to(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    timeout: Duration,
) -> Result<WebSocket<Stream>, OpenError> {
    let dialer = Dialer::new(endpoint.clone(), options(timeout));
    open_through(&dialer, addresses).await
}

/// Opens through a dialer, with the given addresses instead of a lookup.
async fn open_through(
    dialer: &Dialer,
    addresses: &[SocketAddr],
) -> Result<WebSocket<Stream>, OpenError> {
    let inner = &dialer.0;
    let deadline = Deadline::within(inner.settings.connect_timeout);
    let tls = inner.settings.tls.build().await.unwrap();
    let tls = inner.endpoint.is_secure().then_some(&tls);
    inner.open_at(addresses, tls, &credentials(), &no_secrets(), deadline).await
}

/// Runs client and server. Fails, instead of hanging, if one waits for the other for ever.
async fn in_time<C: Future, S: Future>(client: C, server: S) -> (C::Output, S::Output) {
    let both = async { tokio::join!(client, server) };
    tokio::time::timeout(LONG, both).await.expect("client or server is still waiting")
}

fn refusal(error: OpenError) -> Refusal {
    match error {
        OpenError::Refused(refusal) => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_connection_opens_over_tcp_and_carries_messages() {
    let (listener, address) = listen().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(switch(&request).as_bytes()).await.unwrap();
        let mut frame = [0; 6 + 2];
        stream.read_exact(&mut frame).await.unwrap();
        (request, frame)
    };
    let client = async {
        let (endpoint, options) = (endpoint("ws", address), options(LONG));
        let mut socket = open(&endpoint, &credentials(), &options).await.unwrap();
        let Stream::Plain(tcp) = socket.get_ref() else { panic!("ws:// is plain") };
        assert!(tcp.stream.nodelay().unwrap());
        socket.deliver(Message::text("{}")).await.unwrap();
        socket
    };
    let (socket, (request, frame)) = tokio::join!(client, server);
    assert_eq!(socket.get_ref().bytes_written(), (request.len() + frame.len()) as u64);
    let line = request.lines().next().unwrap();
    let target = "/?api_key=a%20key&access_token=s3cr3t%2Ftok%3Dn&user_id=AB12";
    assert_eq!(line, format!("GET {target} HTTP/1.1"));
    assert_eq!(header(&request, "Host"), Some(address.to_string().as_str()));
    assert_eq!(header(&request, "Upgrade"), Some("websocket"));
    assert_eq!(header(&request, "Connection"), Some("Upgrade"));
    assert_eq!(header(&request, "Sec-WebSocket-Version"), Some("13"));
    assert_eq!(header(&request, "X-Kite-Version"), Some("3"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(header(&request, "User-Agent"), Some(format!("kite-conn/{version}").as_str()));
    assert_eq!(header(&request, "Sec-WebSocket-Extensions"), None);
    assert_eq!(frame[..2], [0x81, 0x82], "a masked text frame of two bytes");
}

#[tokio::test]
async fn localhost_over_ws_is_dialled_on_loopback() {
    let (listener, address) = listen().await;
    let endpoint = Endpoint::parse(&format!("ws://localhost:{}", address.port())).unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(switch(&request).as_bytes()).await.unwrap();
        request
    };
    let (credentials, options) = (credentials(), options(LONG));
    let (opened, request) = tokio::join!(open(&endpoint, &credentials, &options), server);
    assert!(opened.is_ok());
    let host = format!("localhost:{}", address.port());
    assert_eq!(header(&request, "Host"), Some(host.as_str()));
}

#[tokio::test]
async fn localhost_that_resolves_elsewhere_is_not_dialled() {
    let endpoint = Endpoint::parse("ws://localhost:9").unwrap();
    let outside = "192.0.2.1:9".parse().unwrap();
    let error = open_to(&endpoint, &[outside], LONG).await.unwrap_err();
    assert!(matches!(error, OpenError::NotLoopback { address, .. } if address == outside.ip()));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_frame_in_the_segment_of_the_answer_is_delivered() {
    let script = |mut server: DuplexStream| async move {
        let request = read_request(&mut server).await;
        let frame = [0x82, 0x03, 1, 2, 3];
        let segment = [switch(&request).as_bytes(), &frame, &frame[..2]].concat();
        server.write_all(&segment).await.unwrap();
        server.write_all(&[4, 5, 6]).await.unwrap();
    };
    let (socket, ()) = shake(4096, &options(LONG), script).await;
    let mut socket = socket.unwrap();
    assert_eq!(socket.next().await.unwrap(), Message::binary(vec![1, 2, 3]));
    assert_eq!(socket.next().await.unwrap(), Message::binary(vec![4, 5, 6]));
}

#[tokio::test]
async fn an_answer_in_single_bytes_is_understood() {
    let script = |mut server: DuplexStream| async move {
        let request = read_request(&mut server).await;
        server.write_all(switch(&request).as_bytes()).await.unwrap();
        server.write_all(&[0x82, 0x01, 7]).await.unwrap();
    };
    let (client, server) = duplex(1);
    let (endpoint, credentials, options) = (Endpoint::default(), credentials(), options(LONG));
    let client = async {
        let deadline = Deadline::within(LONG);
        let secrets = secrets(&endpoint, &credentials);
        let socket = handshake(client, &endpoint, &credentials, &options, &secrets, deadline).await;
        socket.unwrap().0.next().await.unwrap()
    };
    let (message, ()) = tokio::join!(client, script(server));
    assert_eq!(message, Message::binary(vec![7]));
}

#[tokio::test]
async fn a_frame_beyond_the_limit_is_an_error() {
    let script = |mut server: DuplexStream| async move {
        let request = read_request(&mut server).await;
        server.write_all(switch(&request).as_bytes()).await.unwrap();
        server.write_all(&[0x82, 65]).await.unwrap();
    };
    let (socket, ()) = shake(4096, &options(LONG), script).await;
    let received = socket.unwrap().next().await;
    assert!(matches!(received, Err(WsError::Capacity(_))), "{received:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_in_later_segments_is_read_to_its_end() {
    // The pipe holds 16 bytes, so head and body cannot arrive in one read.
    let script = |mut server: DuplexStream| async move {
        read_request(&mut server).await;
        let length = KITE_ERROR.len();
        let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\n\r\n");
        server.write_all(head.as_bytes()).await.unwrap();
        server.write_all(KITE_ERROR.as_bytes()).await.unwrap();
        // Kept open, so that only the length marks the end of the body.
        server
    };
    let started = Instant::now();
    let (opened, _server) = shake(16, &options(LONG), script).await;
    assert_eq!(started.elapsed(), Duration::ZERO, "waited beyond the end of the body");
    let error = opened.unwrap_err();
    assert!(error.is_auth() && !error.is_retryable());
    let refusal = refusal(error);
    assert_eq!((refusal.status, refusal.body.as_str()), (403, KITE_ERROR));
    assert_eq!(refusal.message.as_deref(), Some("Authentication failed."));
    assert!(refusal.body_complete);
}

#[tokio::test]
async fn chunked_and_unmeasured_bodies_are_read() {
    let chunked = format!("{:x}\r\n{KITE_ERROR}\r\n0\r\n\r\n", KITE_ERROR.len());
    let head = "HTTP/1.1 400 Bad Request\r\n";
    for reply in [
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunked}"),
        format!("{head}\r\n{KITE_ERROR}"),
    ] {
        let refusal = refusal(refused_with(&reply).await);
        assert_eq!((refusal.body.as_str(), refusal.body_complete), (KITE_ERROR, true));
        assert!(refusal.is_auth());
    }
}

#[tokio::test]
async fn an_html_400_is_not_an_authentication_failure() {
    let page = "<html><body><h1>400 Bad request</h1></body></html>";
    let error = refused_with(&format!("HTTP/1.1 400 Bad Request\r\n\r\n{page}")).await;
    assert!(!error.is_auth() && error.is_retryable());
    let refusal = refusal(error);
    assert_eq!((refusal.status, refusal.message), (400, None));
    assert_eq!(refusal.body, page);
}

#[tokio::test]
async fn a_429_carries_its_retry_after() {
    let error = refused_with("HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n");
    let error = error.await;
    assert!(!error.is_auth() && error.is_retryable());
    let refusal = refusal(error);
    assert_eq!((refusal.status, refusal.retry_after), (429, Some(Duration::from_secs(3))));
}

#[tokio::test]
async fn a_redirect_is_a_refusal_and_is_not_followed() {
    let reply = "HTTP/1.1 302 Found\r\nLocation: wss://other.example/\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(refusal(refused_with(reply).await).status, 302);
}

#[tokio::test(start_paused = true)]
async fn a_status_is_reported_even_if_its_body_does_not_arrive() {
    let script = |mut server: DuplexStream| async move {
        read_request(&mut server).await;
        let reply = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n{\"status\"";
        server.write_all(reply).await.unwrap();
        server
    };
    let started = Instant::now();
    let (opened, _server) = shake(4096, &options(LONG), script).await;
    assert!(started.elapsed() >= LONG && started.elapsed() < 2 * LONG);
    let refusal = refusal(opened.unwrap_err());
    assert_eq!((refusal.status, refusal.body.as_str()), (403, "{\"status\""));
    assert!(!refusal.body_complete && !refusal.is_auth());
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let script = |mut server: DuplexStream| async move {
        read_request(&mut server).await;
        server.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await.unwrap();
        while server.write_all(&[b'x'; 1024]).await.is_ok() {}
    };
    let refusal = refusal(shake(4096, &options(LONG), script).await.0.unwrap_err());
    assert_eq!((refusal.body.len(), refusal.body_complete), (16 * 1024, false));
}

#[tokio::test]
async fn a_server_that_never_answers_times_out() {
    let (listener, address) = listen().await;
    let started = Instant::now();
    let error = open(&endpoint("ws", address), &credentials(), &options(SHORT)).await.unwrap_err();
    assert!(started.elapsed() >= SHORT && started.elapsed() < LONG);
    let OpenError::Timeout { stage, after } = error else { panic!("{error:?}") };
    assert_eq!((stage, after), (OpenStage::Handshake, SHORT));
    drop(listener);
}

#[tokio::test(start_paused = true)]
async fn half_a_head_times_out_at_the_connect_timeout() {
    let script = |mut server: DuplexStream| async move {
        read_request(&mut server).await;
        server.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpg").await.unwrap();
        server
    };
    let started = Instant::now();
    let (opened, _server) = shake(4096, &options(LONG), script).await;
    let elapsed = started.elapsed();
    assert!(elapsed >= LONG && elapsed < LONG + Duration::from_secs(1), "{elapsed:?}");
    let error = opened.unwrap_err();
    assert!(matches!(error, OpenError::Timeout { stage: OpenStage::Handshake, .. }), "{error:?}");
}

#[tokio::test]
async fn a_timeout_beyond_the_clock_does_not_panic() {
    let error = shake(4096, &options(Duration::MAX), |server| async { drop(server) }).await.0;
    assert!(matches!(error.unwrap_err(), OpenError::Handshake(_)));
}

#[tokio::test]
async fn a_tls_handshake_that_hangs_times_out_at_its_stage() {
    let (listener, address) = listen().await;
    let error = open(&endpoint("wss", address), &credentials(), &options(SHORT)).await.unwrap_err();
    assert!(matches!(error, OpenError::Timeout { stage: OpenStage::Tls, .. }), "{error:?}");
    drop(listener);
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_error() {
    let (listener, address) = listen().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let (endpoint, credentials, options) = (endpoint("wss", address), credentials(), options(LONG));
    let (opened, _stream) = tokio::join!(open(&endpoint, &credentials, &options), server);
    let error = opened.unwrap_err();
    let not_tls = matches!(error, OpenError::Tls { fault: TlsFault::NotTls, .. });
    assert!(not_tls && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn the_second_address_is_tried_when_the_first_refuses() {
    let (_socket, refusing) = refusing();
    let (listener, address) = listen().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(switch(&request).as_bytes()).await.unwrap();
    };
    let endpoint = endpoint("ws", address);
    let addresses = [refusing, address];
    let (opened, ()) = tokio::join!(open_to(&endpoint, &addresses, LONG), server);
    assert!(opened.is_ok());
}

#[tokio::test]
async fn an_address_that_hangs_leaves_time_for_the_next() {
    let (_listener, hanging) = listen().await;
    let (_socket, refusing) = refusing();
    let endpoint = endpoint("wss", hanging);
    match open_to(&endpoint, &[hanging, refusing], SHORT).await.unwrap_err() {
        OpenError::Connect { address, tried, source, .. } => {
            assert_eq!((address, tried), (refusing, 2));
            assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
        }
        other => panic!("{other:?}"),
    }
}

/// A listener that drops further connection requests, as a path does that loses all packets, and
/// the sockets that fill its queue.
#[cfg(target_os = "linux")]
async fn dropping() -> (TcpListener, Vec<tokio::net::TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let (address, mut queued) = (listener.local_addr().unwrap(), Vec::new());
    let connect = || tokio::net::TcpStream::connect(address);
    while let Ok(stream) = tokio::time::timeout(SHORT, connect()).await {
        queued.push(stream.unwrap());
    }
    (listener, queued)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_dead_first_address_does_not_cost_its_share_of_the_timeout() {
    let (dead, queued) = dropping().await;
    let (good, good_address) = listen().await;
    let dialer = Dialer::new(endpoint("ws", good_address), options(LONG));
    let addresses = [dead.local_addr().unwrap(), good_address];
    let serve = async || {
        let (mut stream, _) = good.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(switch(&request).as_bytes()).await.unwrap();
    };
    let started = Instant::now();
    let (opened, ()) = in_time(open_through(&dialer, &addresses), serve()).await;
    opened.unwrap();
    assert!(started.elapsed() < LONG / 4, "{:?}", started.elapsed());
    // The reconnect does not even try it: now it would accept, and answer nothing.
    for _ in queued {
        dead.accept().await.unwrap();
    }
    let (opened, ()) = in_time(open_through(&dialer, &addresses), serve()).await;
    opened.unwrap();
}

#[tokio::test]
async fn a_reconnect_begins_with_an_address_that_has_not_failed() {
    let (refusing, refusing_address) = refusing();
    let (good, good_address) = listen().await;
    let dialer = Dialer::new(endpoint("ws", good_address), options(LONG));
    let addresses = [refusing_address, good_address];
    let serve = async || {
        let (mut stream, _) = good.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(switch(&request).as_bytes()).await.unwrap();
    };
    let (opened, ()) = in_time(open_through(&dialer, &addresses), serve()).await;
    opened.unwrap();
    let _answers_nothing = refusing.listen(8).unwrap();
    let (opened, ()) = in_time(open_through(&dialer, &addresses), serve()).await;
    opened.unwrap();
}

#[tokio::test]
async fn an_attempt_starts_after_the_address_that_accepted_and_then_refused() {
    let (bad, bad_address) = listen().await;
    let (good, good_address) = listen().await;
    let dialer = Dialer::new(endpoint("ws", bad_address), options(LONG));
    let addresses = [bad_address, good_address];
    let refusing = async {
        let (mut stream, _) = bad.accept().await.unwrap();
        read_request(&mut stream).await;
        let reply = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(reply).await.unwrap();
    };
    let (opened, ()) = in_time(open_through(&dialer, &addresses), refusing).await;
    assert_eq!(refusal(opened.unwrap_err()).status, 503);
    let serving = async {
        let (mut stream, _) = good.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(switch(&request).as_bytes()).await.unwrap();
    };
    let (opened, ()) = in_time(open_through(&dialer, &addresses), serving).await;
    opened.unwrap();
    // The address that worked is still tried first.
    let closing = async { drop(good.accept().await.unwrap()) };
    let (opened, ()) = in_time(open_through(&dialer, &addresses), closing).await;
    assert!(matches!(opened.unwrap_err(), OpenError::Handshake(_)));
}

#[tokio::test]
async fn an_old_token_that_the_server_echoes_is_redacted() {
    let (listener, address) = listen().await;
    let endpoint = endpoint("ws", address);
    let dialer = Dialer::new(endpoint.clone(), options(LONG));
    let mut secrets = Secrets::new(endpoint);
    let tokens: Vec<_> = (0..8).map(|n| format!("s3cr3t-{n}")).collect();
    let page = format!("<p>{} not-a-token</p>", tokens.join(" "));
    let mut bodies = Vec::new();
    for token in &tokens {
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            let reply = format!("HTTP/1.1 403 No\r\n\r\n{page}");
            stream.write_all(reply.as_bytes()).await.unwrap();
        };
        let credentials = Credentials::new("key", token.as_str());
        let opening = dialer.open(&credentials, secrets.remember(credentials.access_token()));
        let (opened, ()) = tokio::join!(opening, server);
        bodies.push(refusal(opened.unwrap_err()).body);
    }
    assert_eq!(bodies[0].matches("s3cr3t").count(), 7);
    let redacted = ["[redacted]"; 8].join(" ");
    assert_eq!(bodies[7], format!("<p>{redacted} not-a-token</p>"));
    assert!(!format!("{dialer:?} {secrets:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn no_address_is_an_error() {
    let error = open_to(&Endpoint::default(), &[], LONG).await.unwrap_err();
    assert_eq!(error.to_string(), "ws.kite.trade has no address");
}

#[tokio::test]
async fn a_wrong_accept_key_is_rejected() {
    let script = |mut server: DuplexStream| async move {
        let request = read_request(&mut server).await;
        let reply = switch(&request.replace("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x"));
        server.write_all(reply.as_bytes()).await.unwrap();
    };
    let error = shake(4096, &options(LONG), script).await.0.unwrap_err();
    assert!(matches!(error, OpenError::Handshake(HandshakeError::WrongAccept)), "{error:?}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn an_oversize_head_is_rejected() {
    let reply = format!("HTTP/1.1 101 Switching\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    let error = refused_with(&reply).await;
    let OpenError::Handshake(HandshakeError::HeadTooLong { limit }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(limit, 16 * 1024);
}

#[tokio::test]
async fn an_early_close_reports_how_many_bytes_were_received() {
    let error = refused_with("HTTP/1.1 1").await;
    let closed = matches!(error, OpenError::Handshake(HandshakeError::Closed { received: 10 }));
    assert!(closed, "{error:?}");
}

#[tokio::test]
async fn configured_headers_are_sent_and_replace_the_defaults() {
    let mut options = options(LONG);
    options.headers = vec![
        (http::header::USER_AGENT, HeaderValue::from_static("mine/1")),
        (HeaderName::from_static("x-extra"), HeaderValue::from_static("yes")),
    ];
    let script = |mut server: DuplexStream| async move { read_request(&mut server).await };
    let request = shake(4096, &options, script).await.1;
    assert_eq!(header(&request, "user-agent"), Some("mine/1"));
    assert_eq!(header(&request, "User-Agent"), None);
    assert_eq!(header(&request, "x-extra"), Some("yes"));
    assert_eq!(header(&request, "X-Kite-Version"), Some("3"));
}

#[tokio::test]
async fn headers_of_the_handshake_cannot_be_configured() {
    let mut options = options(LONG);
    options.headers = vec![(http::header::HOST, HeaderValue::from_static("other.example"))];
    let script = |mut server: DuplexStream| async move {
        let mut received = Vec::new();
        server.read_to_end(&mut received).await.unwrap();
        received
    };
    let (opened, received) = shake(4096, &options, script).await;
    let error = opened.unwrap_err();
    let OpenError::Handshake(HandshakeError::ReservedHeader { name }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(name, "host");
    assert!(!error.is_retryable() && received.is_empty());
}

#[tokio::test]
async fn the_token_is_in_no_error_even_when_the_server_echoes_it() {
    let encoded = "s3cr3t%2Ftok%3Dn";
    let mut errors = Vec::new();
    for echo in [TOKEN, encoded] {
        for reply in [
            format!("HTTP/1.1 403 {echo}\r\nX-Echo: {echo}\r\n\r\nGET /?access_token={echo} no"),
            format!("HTTP/1.1 403 No\r\n\r\n{{\"status\":\"error\",\"message\":\"bad {echo}\"}}"),
            format!("HTTP/1.1 403 No\r\nContent-Length: 99\r\n\r\nbad {}", &echo[..9]),
            format!("HTTP/1.1 101 x\r\nUpgrade: {echo}\r\n\r\n"),
            format!("HTTP/1.1 101 x\r\nSec-WebSocket-Protocol: {echo}\r\n\r\n"),
            echo.to_owned(),
        ] {
            errors.push(refused_with(&reply).await);
        }
    }
    let (_socket, refusing) = refusing();
    let endpoint = endpoint("ws", refusing);
    errors.push(open(&endpoint, &credentials(), &options(LONG)).await.unwrap_err());
    for error in errors {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let shown = format!("{error} {error:?} {error:#?} {source:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("AB12"), "{shown}");
    }
}

#[tokio::test]
async fn dropping_the_future_closes_the_stream() {
    let (client, mut server) = duplex(4096);
    let (endpoint, credentials, options) = (Endpoint::default(), credentials(), options(LONG));
    let deadline = Deadline::within(LONG);
    {
        let secrets = secrets(&endpoint, &credentials);
        let client = handshake(client, &endpoint, &credentials, &options, &secrets, deadline);
        tokio::select! {
            opened = client => panic!("no answer was sent: {:?}", opened.map(|(it, _)| it)),
            _ = read_request(&mut server) => {}
        }
    }
    assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
}

#[test]
fn the_future_is_send() {
    fn assert_send<T: Send>(_: &T) {}
    let (endpoint, credentials, options) = (Endpoint::default(), credentials(), options(LONG));
    assert_send(&open(&endpoint, &credentials, &options));
}
