//! DNS, TCP and TLS, each by itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kite_conn::Endpoint;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

use super::check::Finding;

/// What each step is given.
const PATIENCE: Duration = Duration::from_secs(5);

/// A stream to the server, encrypted or not.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// Looks the host up.
pub(super) async fn look_up(endpoint: &Endpoint) -> (Finding, Option<Vec<SocketAddr>>) {
    let (host, port) = (endpoint.host(), endpoint.port());
    if let Ok(address) = host.parse::<IpAddr>() {
        return (Finding::ok("the host is an address"), Some(vec![(address, port).into()]));
    }
    let looked_up = timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<SocketAddr> = match looked_up {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            let says = format!("{host} cannot be looked up: {error}");
            return (Finding::fail(says, "check the name, the network and the resolver"), None);
        }
        Err(_) => {
            let says = format!("the resolver did not answer within {PATIENCE:?}");
            return (Finding::fail(says, "check the network and the resolver"), None);
        }
    };
    match addresses.first() {
        None => (Finding::fail(format!("{host} has no address"), "check the name"), None),
        Some(first) => {
            let more = match addresses.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            (Finding::ok(format!("{host} is {}{more}", first.ip())), Some(addresses))
        }
    }
}

/// Connects to the first address that takes a connection.
pub(super) async fn connect(addresses: &[SocketAddr]) -> (Finding, Option<TcpStream>) {
    let mut failures = Vec::new();
    for address in addresses {
        let error = match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => {
                let finding = match failures.first() {
                    None => Finding::ok(format!("connected to {address}")),
                    Some((failure, _)) => Finding::warn(
                        format!("connected to {address}, but {failure}"),
                        "an address that fails costs time at every reconnect",
                    ),
                };
                return (finding, Some(socket));
            }
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {PATIENCE:?}")),
        };
        failures.push((format!("{address} failed: {error}"), error.kind()));
    }
    let advice = match failures.last().map(|failure| failure.1) {
        Some(io::ErrorKind::ConnectionRefused) => {
            "nothing listens there: check host and port, and that the server runs"
        }
        Some(io::ErrorKind::TimedOut) => {
            "nothing answers: a firewall may drop the packets; is port 443 open to the outside?"
        }
        _ => "check the network",
    };
    let says: Vec<String> = failures.into_iter().map(|failure| failure.0).collect();
    (Finding::fail(says.join(", "), advice), None)
}

/// Makes the TLS handshake.
pub(super) async fn secure(socket: TcpStream, endpoint: &Endpoint) -> (Finding, Option<Stream>) {
    let broken = |error: &dyn std::fmt::Display| {
        (Finding::fail(format!("TLS cannot be set up: {error}"), "report this"), None)
    };
    let name = match ServerName::try_from(endpoint.host().to_owned()) {
        Ok(name) => name,
        Err(error) => return broken(&error),
    };
    let config = match client_config() {
        Ok(config) => config,
        Err(error) => return broken(&error),
    };
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, socket);
    match timeout(PATIENCE, connecting).await {
        Ok(Ok(stream)) => {
            let version = match stream.get_ref().1.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
                _ => "TLS",
            };
            let says = format!("{version}, the certificate is {}'s", endpoint.host());
            (Finding::ok(says), Some(Stream::Secure(Box::new(stream))))
        }
        Ok(Err(error)) => {
            (Finding::fail(format!("the TLS handshake failed: {error}"), advice(&error)), None)
        }
        Err(_) => {
            let says = format!("the TLS handshake did not end within {PATIENCE:?}");
            (Finding::fail(says, "something on the way holds TLS up: a firewall or a proxy"), None)
        }
    }
}

/// The roots that the project's own connections believe.
fn client_config() -> Result<ClientConfig, rustls::Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    let provider = Arc::new(ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

fn advice(error: &io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(certificate)) => match certificate {
            CertificateError::UnknownIssuer => {
                "somebody on the way, such as a company's proxy, shows a certificate of its own"
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => "set this machine's clock",
            _ => "check the host's name: the certificate is for another",
        },
        Some(rustls::Error::InvalidMessage(_)) => "the server speaks no TLS on this port",
        _ => "something on the way broke the connection: a firewall or a proxy",
    }
}
