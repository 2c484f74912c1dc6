//! TLS with certificates from PEM files.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kite_server::Transport;
use kite_server::tls::{IdentityError, accept, acceptor_from_pem};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Writes a certificate and its key, and returns the certificate.
fn write_identity(directory: &Path) -> rcgen::Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = |kind: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
    };
    fs::write(directory.join("cert.pem"), pem("CERTIFICATE", made.cert.der())).unwrap();
    let key = made.signing_key.serialize_der();
    fs::write(directory.join("key.pem"), pem("PRIVATE KEY", &key)).unwrap();
    made.cert
}

#[tokio::test]
async fn a_certificate_and_a_key_from_files_serve_tls() {
    let directory = TempDir::new().unwrap();
    let certificate = write_identity(directory.path());
    let files = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let acceptor = acceptor_from_pem(&files.0, &files.1).unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (client, server) = duplex(1 << 14);
    let name = "localhost".try_into().unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, client);
    let (client, server) = tokio::join!(connecting, accept(&acceptor, Transport::from(server)));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    server.write_all(b"secret").await.unwrap();
    server.flush().await.unwrap();
    let mut read = [0; 6];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"secret");
}

#[test]
fn every_error_names_the_file() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_identity(directory.path());
    let other = TempDir::new().unwrap();
    write_identity(other.path());
    fs::write(path("empty.pem"), "").unwrap();
    let damaged = "-----BEGIN CERTIFICATE-----\nsecret!\n-----END CERTIFICATE-----\n";
    fs::write(path("damaged.pem"), damaged).unwrap();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(path("encrypted.pem"), encrypted).unwrap();

    let error = |certificates: &str, key: &str| {
        acceptor_from_pem(&path(certificates), &path(key)).err().unwrap()
    };
    let cases = [
        (error("missing.pem", "key.pem"), "missing.pem"),
        (error("cert.pem", "missing.pem"), "missing.pem"),
        (error("empty.pem", "key.pem"), "empty.pem has no certificate"),
        (error("key.pem", "key.pem"), "key.pem has no certificate"),
        (error("cert.pem", "cert.pem"), "cert.pem has no private key"),
        (error("damaged.pem", "key.pem"), "damaged.pem is not a PEM file: a section is not base64"),
        (error("cert.pem", "encrypted.pem"), "encrypted.pem is encrypted"),
    ];
    for (error, expected) in cases {
        let text = error.to_string();
        assert!(text.contains(expected) && !text.contains("secret"), "{text}");
        let cause = match &error {
            IdentityError::Read { source, .. } => Some(source as &dyn std::error::Error),
            _ => None,
        };
        error_chain::assert_chain(&error, cause);
    }
    let foreign = acceptor_from_pem(&path("cert.pem"), &other.path().join("key.pem")).err();
    assert!(matches!(foreign, Some(IdentityError::OtherKey { .. })), "{foreign:?}");
}
