//! An HTTPS server with a certificate made for the test.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kite_conn::rustls::crypto::ring;
use kite_conn::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use kite_conn::rustls::{ServerConfig, ServerConnection, StreamOwned};
use rcgen::{CertificateParams, DnType, KeyPair};
use tempfile::TempDir;

/// A server that sends the same body to each request, until the tests end.
#[derive(Debug)]
pub(crate) struct Https {
    pub(crate) port: u16,
    pub(crate) certificate: Vec<u8>,
}

impl Https {
    /// Starts a server whose certificate is for `name`, once it is changed.
    pub(crate) fn start(
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
        body: &'static str,
    ) -> Self {
        Self::serving(name, change, body, |_| "200 OK")
    }

    /// Starts a server that refuses requests without this in their head, with status 403.
    pub(crate) fn protected(name: &str, body: &'static str, needed: &'static str) -> Self {
        Self::serving(
            name,
            |_| {},
            body,
            move |head| match head.contains(needed) {
                true => "200 OK",
                false => "403 Forbidden",
            },
        )
    }

    fn serving(
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
        body: &'static str,
        status: impl Fn(&str) -> &'static str + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        // As the authorities of two servers have two names.
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").der().to_vec();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the protocols")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certificate.clone())],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key in PKCS 8"),
            )
            .expect("a configuration");
        let config = Arc::new(config);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                serve(client, &config, body, &status);
            }
        });
        Self { port, certificate }
    }
}

/// Returns `None` if the client is gone, for instance because it does not trust the certificate.
fn serve(
    client: TcpStream,
    config: &Arc<ServerConfig>,
    body: &str,
    status: impl Fn(&str) -> &'static str,
) -> Option<()> {
    let tls = ServerConnection::new(Arc::clone(config)).ok()?;
    let mut lines = BufReader::new(StreamOwned::new(tls, client));
    let mut head = String::new();
    while lines.read_line(&mut head).ok()? > 2 {}
    let mut stream = lines.into_inner();
    let (status, length) = (status(&head), body.len());
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

/// Writes certificates to a file in PEM.
pub(crate) fn pem_file(folder: &TempDir, certificates: &[&[u8]]) -> PathBuf {
    let pems = certificates.iter().map(|der| pem("CERTIFICATE", der));
    let path = folder.path().join("roots.pem");
    fs::write(&path, pems.collect::<String>()).expect("a file");
    path
}

/// Writes a certificate for `name` and its key to files in PEM; returns both.
pub(crate) fn identity_files(folder: &TempDir, name: &str) -> [PathBuf; 2] {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let path = folder.path().join("key.pem");
    fs::write(&path, pem("PRIVATE KEY", &key.serialize_der())).expect("a file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("permissions");
    }
    [pem_file(folder, &[certificate.der()]), path]
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = BASE64.encode(der);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(64).map(|it| std::str::from_utf8(it).expect("ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
