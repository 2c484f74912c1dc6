//! Checks DNS, TCP and TLS separately, with the stages that every connection goes through.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kite_conn::{Endpoint, OpenError, Probe, ProbeStream, TlsFault, Transport};

use super::check::Finding;

/// Limit for each step.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prepares the stages for an endpoint.
pub(super) fn probe(endpoint: &Endpoint) -> Probe {
    let transport = Transport { connect_timeout: PATIENCE, ..Transport::default() };
    Probe::new(endpoint.clone(), transport)
}

/// Resolves the host.
pub(super) async fn look_up(
    probe: &Probe,
    endpoint: &Endpoint,
) -> (Finding, Option<Vec<SocketAddr>>) {
    let host = endpoint.host();
    match probe.resolve().await {
        Ok(addresses) if host.parse::<IpAddr>().is_ok() => {
            (Finding::ok("the host is an IP address"), Some(addresses))
        }
        Ok(addresses) => {
            let first = addresses.first().map(|first| first.ip().to_string()).unwrap_or_default();
            let more = match addresses.len().saturating_sub(1) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            (Finding::ok(format!("{host} resolves to {first}{more}")), Some(addresses))
        }
        Err(OpenError::NoAddress { host }) => {
            (Finding::fail(format!("{host} has no address"), "check the host name"), None)
        }
        Err(OpenError::Timeout { .. }) => {
            let text = format!("the resolver did not respond within {PATIENCE:?}");
            (Finding::fail(text, "check the network and the resolver"), None)
        }
        Err(error) => {
            let text = format!("{host} cannot be resolved: {}", cause(&error));
            (Finding::fail(text, "check the host name, the network and the resolver"), None)
        }
    }
}

/// Connects to the first address that accepts a connection.
pub(super) async fn connect(
    probe: &Probe,
    addresses: &[SocketAddr],
) -> (Finding, Option<ProbeStream>) {
    let (mut failures, mut advice) = (Vec::new(), "check the network");
    for &address in addresses {
        match probe.connect(address).await {
            Ok(stream) => {
                let finding = match failures.first() {
                    None => Finding::ok(format!("connected to {address}")),
                    Some(failure) => Finding::warn(
                        format!("connected to {address}, but {failure}"),
                        "an address that fails may delay the first connection; reconnects try it last",
                    ),
                };
                return (finding, Some(stream));
            }
            Err(error) => {
                failures.push(format!("{address} failed: {}", cause(&error)));
                advice = tcp_advice(&error);
            }
        }
    }
    (Finding::fail(failures.join(", "), advice), None)
}

fn tcp_advice(error: &OpenError) -> &'static str {
    match error {
        OpenError::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
            "nothing is listening there: check host and port, and that the server is running"
        }
        OpenError::Timeout { .. } => {
            "nothing answers: a firewall may drop the packets; check that outgoing port 443 is open"
        }
        OpenError::NotLoopback { .. } => "use wss:// for a server on another machine",
        _ => "check the network",
    }
}

/// Performs the TLS handshake.
pub(super) async fn secure(
    probe: &Probe,
    stream: ProbeStream,
    endpoint: &Endpoint,
) -> (Finding, Option<ProbeStream>) {
    match probe.secure(stream).await {
        Ok(stream) => {
            let version = stream.tls_version().unwrap_or("no TLS");
            let text = format!("{version}, the certificate is valid for {}", endpoint.host());
            (Finding::ok(text), Some(stream))
        }
        Err(OpenError::Tls { fault, source, .. }) => {
            let text = format!("the TLS handshake failed: {source}");
            (Finding::fail(text, tls_advice(fault)), None)
        }
        Err(OpenError::Timeout { .. }) => {
            let text = format!("the TLS handshake did not complete within {PATIENCE:?}");
            (Finding::fail(text, "a firewall or a proxy may block TLS"), None)
        }
        Err(error) => {
            let text = format!("TLS cannot be set up: {}", cause(&error));
            (Finding::fail(text, "report this as a bug"), None)
        }
    }
}

fn tls_advice(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::UnknownIssuer => {
            "a proxy on the path, such as a company's, may present its own certificate"
        }
        TlsFault::NotValidNow => "check this machine's clock",
        TlsFault::WrongName | TlsFault::Certificate => {
            "check the host name: the certificate is for another"
        }
        TlsFault::NotTls => "the server does not speak TLS on this port",
        _ => "a firewall or a proxy may have broken the connection",
    }
}

/// Returns the cause of a stage's failure, without the stage, which the check already names.
fn cause(error: &OpenError) -> String {
    match error {
        OpenError::Dns { source, .. } | OpenError::Connect { source, .. } => source.to_string(),
        OpenError::Timeout { .. } => format!("no response within {PATIENCE:?}"),
        OpenError::TlsSetup(error) => error.to_string(),
        error => error.to_string(),
    }
}
