//! Connections through a small proxy that the tests implement.

use std::sync::Mutex;

use tokio::net::TcpStream;

use super::tls::{dialer, identity, serve};
use super::*;
use crate::config::ConnectionConfig;

const PASSWORD: &str = "pr0xy/s3cr3t";

fn proxy_at(address: SocketAddr) -> Proxy {
    Proxy::parse(&format!("http://{address}")).unwrap().with_login("operator", PASSWORD).unwrap()
}

/// Accepts one `CONNECT`, answers with `answer` and, if there is a `target`, connects to it.
async fn proxy(listener: &TcpListener, answer: &str, target: Option<SocketAddr>) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let request = read_request(&mut client).await;
    client.write_all(answer.as_bytes()).await.unwrap();
    if let Some(target) = target {
        let mut server = TcpStream::connect(target).await.unwrap();
        // Ends with an error if one side resets; the callers check the data.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
    request
}

/// Returns the error of an attempt through a proxy that answers `answer` and closes.
async fn answered(answer: &str) -> OpenError {
    let (listener, address) = listen().await;
    let dialer = dialer("ticker.example", 443, Tls::default(), Some(proxy_at(address)));
    let opening = dialer.open(&credentials(), no_secrets());
    tokio::join!(opening, proxy(&listener, answer, None)).0.unwrap_err()
}

#[tokio::test]
async fn tls_runs_through_the_proxy_which_resolves_the_name() {
    let identity = identity("ticker.example");
    let (listener, target) = listen().await;
    let (proxy_listener, address) = listen().await;
    let server = async {
        let (tcp, _) = listener.accept().await.unwrap();
        serve(&identity, tcp).await.unwrap()
    };
    let tls = Tls::only([&identity.certificate]).unwrap();
    // This name cannot be resolved, and its port is not the target's.
    let dialer = dialer("ticker.example", 8443, tls, Some(proxy_at(address)));
    let client = async {
        let mut socket = dialer.open(&credentials(), no_secrets()).await.unwrap();
        assert!(matches!(socket.get_ref(), Stream::Tls(_)));
        assert_eq!(socket.next().await.unwrap(), Message::binary(vec![7]));
    };
    let answer = "HTTP/1.1 200 Connection established\r\nProxy-Agent: x\r\n\r\n";
    let ((), (request, _), connect_request) =
        tokio::join!(client, server, proxy(&proxy_listener, answer, Some(target)));
    assert!(
        connect_request.starts_with("CONNECT ticker.example:8443 HTTP/1.1\r\n"),
        "{connect_request}"
    );
    assert_eq!(header(&connect_request, "Host"), Some("ticker.example:8443"));
    // Encoded with another tool: "operator:pr0xy/s3cr3t".
    let basic = "Basic b3BlcmF0b3I6cHIweHkvczNjcjN0";
    assert_eq!(header(&connect_request, "Proxy-Authorization"), Some(basic));
    assert!(
        !connect_request.contains("access_token") && !connect_request.contains("AB12"),
        "{connect_request}"
    );
    assert!(request.starts_with("GET /?api_key=a%20key&access_token="), "{request}");
    assert_eq!(header(&request, "Host"), Some("ticker.example:8443"));
    assert_eq!(header(&request, "Proxy-Authorization"), None);
}

#[tokio::test]
async fn a_plain_endpoint_goes_through_a_proxy_on_loopback_only() {
    let (listener, target) = listen().await;
    let (proxy_listener, address) = listen().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(switch(&request).as_bytes()).await.unwrap();
    };
    let through = |proxy: &str| {
        let proxy = Some(Proxy::parse(proxy).unwrap());
        Dialer::new(endpoint("ws", target), Transport { proxy, ..options(LONG) })
    };
    let local = through(&format!("http://{address}"));
    let answer = "HTTP/1.1 200 OK\r\n\r\n";
    let client = async { local.open(&credentials(), no_secrets()).await.map(drop) };
    let (opened, (), connect_request) =
        tokio::join!(client, server, proxy(&proxy_listener, answer, Some(target)));
    opened.unwrap();
    assert!(
        connect_request.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")),
        "{connect_request}"
    );
    assert_eq!(header(&connect_request, "Proxy-Authorization"), None);

    let error =
        through("http://192.0.2.1:3128").open(&credentials(), no_secrets()).await.unwrap_err();
    assert!(!error.is_retryable());
    let OpenError::NotLoopback { host, address } = error else { panic!("{error:?}") };
    assert_eq!((host.as_str(), address.to_string().as_str()), ("192.0.2.1", "192.0.2.1"));
}

#[tokio::test]
async fn a_refusal_by_the_proxy_has_its_own_error_and_is_retried() {
    for (status, body, delay) in
        [(407, "login first", 30), (502, "no route", 0), (403, KITE_ERROR, 9)]
    {
        let length = body.len();
        let error = answered(&format!(
            "HTTP/1.1 {status} No\r\nRetry-After: {delay}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
        assert!(error.is_retryable() && !error.is_auth(), "{error:?}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(delay)));
        let shown = error.to_string();
        let OpenError::ProxyRefused { proxy, refusal } = error else { panic!("{error:?}") };
        let refused = format!("the proxy {proxy} refused the connection with status {status}");
        assert_eq!(shown, format!("{refused} (retry after {delay} s)"));
        assert_eq!((refusal.status, refusal.body.as_str()), (status, body));
        assert!(!refusal.is_auth() && refusal.body_complete);
    }
}

#[tokio::test]
async fn an_endless_refusal_by_the_proxy_is_cut() {
    let (listener, address) = listen().await;
    let dialer = dialer("ticker.example", 443, Tls::default(), Some(proxy_at(address)));
    let server = async {
        let (mut client, _) = listener.accept().await.unwrap();
        read_request(&mut client).await;
        client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await.unwrap();
        while client.write_all(&[b'x'; 1024]).await.is_ok() {}
    };
    let error = tokio::join!(dialer.open(&credentials(), no_secrets()), server).0.unwrap_err();
    let OpenError::ProxyRefused { refusal, .. } = error else { panic!("{error:?}") };
    assert_eq!((refusal.body.len(), refusal.body_complete), (16 * 1024, false));
}

#[tokio::test]
async fn invalid_answers_of_a_proxy_are_distinguished() {
    let fault = async |answer: &str| match answered(answer).await {
        error @ OpenError::Proxy { .. } => {
            assert!(error.is_retryable() && !error.is_auth());
            let OpenError::Proxy { source, .. } = error else { unreachable!() };
            source
        }
        other => panic!("{other:?}"),
    };
    assert!(matches!(fault("SSH-2.0-x\r\n\r\n").await, HandshakeError::NotHttp));
    assert!(matches!(fault("HTTP/1.1 2").await, HandshakeError::Closed { received: 10 }));
    let early = fault("HTTP/1.1 200 OK\r\n\r\nhello").await;
    assert!(matches!(early, HandshakeError::EarlyBytes { bytes: 5 }), "{early:?}");
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    assert!(matches!(fault(&long).await, HandshakeError::HeadTooLong { .. }));
}

#[tokio::test]
async fn a_proxy_that_hangs_times_out_at_its_stage() {
    let (_listener, address) = listen().await;
    let endpoint = Endpoint::parse("wss://ticker.example").unwrap();
    let options = Transport { proxy: Some(proxy_at(address)), ..options(SHORT) };
    let error =
        Dialer::new(endpoint, options).open(&credentials(), no_secrets()).await.unwrap_err();
    let OpenError::Timeout { stage, after } = error else { panic!("{error:?}") };
    assert_eq!((stage, after), (OpenStage::Proxy, SHORT));
}

#[tokio::test]
async fn a_proxy_that_is_not_reached_is_named() {
    let (_socket, refusing) = refusing();
    let dialer = dialer("ticker.example", 443, Tls::default(), Some(proxy_at(refusing)));
    let error = dialer.open(&credentials(), no_secrets()).await.unwrap_err();
    let named = format!("connecting to the proxy {refusing} at {refusing} failed: ");
    assert!(error.to_string().starts_with(&named), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn every_address_of_the_proxy_is_tried_until_one_answers() {
    let (_socket, refusing) = refusing();
    let (listener, address) = listen().await;
    let (second, second_address) = listen().await;
    let dialer = dialer("ticker.example", 443, Tls::default(), Some(proxy_at(address)));
    let addresses = [refusing, address, second_address];
    let opening = open_through(&dialer, &addresses);
    let refuse = "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n";
    let (opened, _) = in_time(opening, proxy(&listener, refuse, None)).await;
    assert!(matches!(opened.unwrap_err(), OpenError::ProxyRefused { .. }));
    // The next attempt starts after the one that refused.
    let opening = open_through(&dialer, &addresses);
    let (opened, _) = in_time(opening, proxy(&second, refuse, None)).await;
    assert!(matches!(opened.unwrap_err(), OpenError::ProxyRefused { .. }));
}

#[tokio::test]
async fn the_proxys_credentials_are_never_printed_or_logged() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let _capture = tracing::subscriber::set_default(
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(move || writer.clone())
            .finish(),
    );
    let basic = "b3BlcmF0b3I6cHIweHkvczNjcjN0";
    let mut printed = String::new();
    for echo in [PASSWORD, basic, "operator", "pr0xy%2Fs3cr3t", r"pr0xy\/s3cr3t", TOKEN] {
        for answer in [
            format!("HTTP/1.1 407 {echo}\r\nX-Echo: {echo}\r\n\r\n<p>{echo}</p>"),
            format!("HTTP/1.1 407 No\r\nContent-Length: 99\r\n\r\n{{\"a\":\"{echo}\"}}"),
            format!("HTTP/1.1 200 OK\r\n\r\n{echo}"),
            format!("{echo}\r\n\r\n"),
        ] {
            // The proxy never receives the token.
            if echo == TOKEN && answer.starts_with("HTTP/1.1 407") {
                continue;
            }
            let error = answered(&answer).await;
            let source = std::error::Error::source(&error).map(ToString::to_string);
            printed.push_str(&format!("{error} {error:?} {error:#?} {source:?}\n"));
        }
    }
    let config = ConnectionConfig {
        transport: Transport {
            proxy: Some(proxy_at(([127, 0, 0, 1], 1).into())),
            ..Default::default()
        },
        ..Default::default()
    };
    printed.push_str(&format!("{config:?} {config:#?} {:?}", Dialer::from(&config)));
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("address failed") && printed.contains("[redacted]"));
    for text in [&printed, &log] {
        for secret in ["s3cr3t", "operator", &basic[..20]] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}
