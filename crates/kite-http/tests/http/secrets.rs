//! TLS, and that no secret is shown.

use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kite_http::{HttpError, TlsFiles};
use kite_manager::{Credentials, Manager};
use kite_relay::{Relay, RelayClient};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::browser::Browser;
use crate::client::{exchange, get, get_with};
use crate::stage::{in_time, quiet_sim, server, ticking, until};

const READERS: &str = "the-token-of-the-readers";

#[tokio::test]
async fn readers_of_other_machines_use_tls() {
    let directory = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificates: directory.path().join("cert.pem"),
        key: directory.path().join("key.pem"),
    };
    let pem = |kind: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
    };
    fs::write(&files.certificates, pem("CERTIFICATE", cert.der())).unwrap();
    fs::write(&files.key, pem("PRIVATE KEY", &signing_key.serialize_der())).unwrap();
    let manager = Manager::builder().account("main", Credentials::new("key", "token"));
    let manager = manager.build().unwrap();
    let builder = server(&manager).listen("0.0.0.0:0".parse().unwrap()).token(READERS);
    let http = builder.tls(files.clone()).start().unwrap();
    assert!(http.endpoint().starts_with("https://"));

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let address = ("127.0.0.1", http.address().port());
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = in_time("TLS", connector.connect(name, stream)).await.unwrap();
    let request = format!(
        "GET /api/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {READERS}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let _ = in_time("the answer", stream.read_to_string(&mut text)).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");

    let plain = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let text = exchange((std::net::Ipv4Addr::LOCALHOST, address.1).into(), plain.as_bytes()).await;
    assert!(!text.contains("200"), "{text}");

    let swapped = TlsFiles { certificates: files.key.clone(), key: files.certificates };
    let refused = server(&manager).tls(swapped).start();
    assert!(matches!(refused, Err(HttpError::Tls(_))));
}

#[tokio::test]
async fn no_token_is_in_what_is_shown() {
    let sim = quiet_sim().await;
    let manager = ticking(&sim).await;
    let client = Credentials::new("client_key", "client_token");
    let relay = Relay::builder().listen("127.0.0.1:0".parse().unwrap());
    let relay = relay.client(RelayClient::new("one", client)).start(&manager).await.unwrap();
    let counts = relay.counts();
    let builder = server(&manager).relay(move || counts.stats()).token(READERS);
    let mut shown = format!("{builder:?}");
    let http = builder.start().unwrap();
    shown += &format!("{http:?}");
    // A refused token is part of what a server may echo.
    sim.revoke_token("upstream_key");
    sim.drop_all();
    until("a refusal", || manager.snapshot().live == 0).await;
    let right = format!("Authorization: Bearer {READERS}\r\n");
    for path in [
        "/metrics",
        "/readyz",
        "/healthz",
        "/api/status",
        "/api/latest?i=408065",
        "/api/candles?i=408065",
    ] {
        let answer = get_with(&http, path, &right).await;
        shown += &format!("{answer:?}{:?}", get(&http, path).await);
    }
    let mut browser = Browser::open_with(http.address(), "", &right).await;
    shown += &format!("{:?}", browser.until("status", |_| true).await);
    shown += &format!("{:?}", browser.until("incidents", |_| true).await);
    assert!(shown.contains("now_ms") && shown.contains("handshake"), "{shown}");
    assert!(shown.contains("kite_frames_total") && shown.contains("no connection is live"));
    for secret in ["upstream_token", "client_token", READERS] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
