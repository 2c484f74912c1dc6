//! TLS with the certificate created at start.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY, Fault, FaultKind, Sim};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::bare::{Bare, Door};
use crate::client::{DEADLINE, until};

/// Opens a TLS connection that trusts only the simulator's certificate.
pub(crate) async fn handshake(
    sim: &Sim,
    name: &'static str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(sim.certificate_der().unwrap().to_vec())).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let connect = connector.connect(ServerName::try_from(name).unwrap(), stream);
    timeout(DEADLINE, connect).await.expect("TLS handshake hangs")
}

#[tokio::test]
async fn the_certificate_is_valid_for_both_names_and_no_other() {
    let sim = Door::Tls.quiet_sim().await;
    assert_eq!(sim.endpoint(), format!("wss://localhost:{}", sim.addr().port()));
    for (name, is_good) in [("localhost", true), ("127.0.0.1", true), ("example.com", false)] {
        let stream = TcpStream::connect(sim.addr()).await.unwrap();
        assert_eq!(handshake(&sim, name, stream).await.is_ok(), is_good, "{name}");
    }
}

#[tokio::test]
async fn each_start_creates_a_new_certificate() {
    let (one, two) = (Door::Tls.quiet_sim().await, Door::Tls.quiet_sim().await);
    assert_ne!(one.certificate_der(), two.certificate_der());
    let stream = TcpStream::connect(one.addr()).await.unwrap();
    assert!(handshake(&two, "localhost", stream).await.is_err());
    assert_eq!(Door::Tcp.quiet_sim().await.certificate_der(), None);
}

#[tokio::test]
async fn credentials_are_checked_over_tls() {
    let sim = Door::Tls.quiet_sim().await;
    Bare::connect(&sim, Door::Tls).await;
    sim.set_access_token(API_KEY, format!("{ACCESS_TOKEN} renewed"));
    assert_eq!(Bare::status(&sim, Door::Tls).await, 403);
}

#[tokio::test]
async fn a_tls_handshake_can_hang_or_receive_garbage() {
    let sim = Door::Tls.quiet_sim().await;
    sim.at_next_handshake("any account", Fault::GarbageTls);
    sim.at_next_handshake("any account", Fault::HangingTls);
    let stream = TcpStream::connect(sim.addr()).await.unwrap();
    let error = handshake(&sim, "localhost", stream).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");

    let mut stream = TcpStream::connect(sim.addr()).await.unwrap();
    stream.write_all(b"a hello that is never answered").await.unwrap();
    until(&sim, |sim| sim.stats().faults.contains_key(&FaultKind::HangingTls)).await;
    let silence = timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(silence.is_err(), "{silence:?}");
    stream.shutdown().await.unwrap();
    assert_eq!(timeout(DEADLINE, stream.read(&mut [0])).await.unwrap().unwrap(), 0);
    assert_eq!(Bare::status(&sim, Door::Tls).await, 101);
}
