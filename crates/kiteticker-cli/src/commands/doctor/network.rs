//! DNS, TCP and TLS, each by itself: the stages of the connections that every command makes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kite_conn::{
    ConnectionConfig, Endpoint, ErrorChain, OpenError, Probe, ProbeStream, TlsFault, Transport,
};

use super::check::Finding;

/// What each step is given.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prepares the stages towards an endpoint.
pub(super) fn probe(endpoint: &Endpoint) -> Probe {
    Probe::new(&ConnectionConfig {
        endpoint: endpoint.clone(),
        transport: Transport { connect_timeout: PATIENCE, ..Default::default() },
        ..ConnectionConfig::default()
    })
}

/// Looks the host up.
pub(super) async fn look_up(
    probe: &Probe,
    endpoint: &Endpoint,
) -> (Finding, Option<Vec<SocketAddr>>) {
    let host = endpoint.host();
    match probe.resolve().await {
        Ok(addresses) if host.parse::<IpAddr>().is_ok() => {
            (Finding::ok("the host is an address"), Some(addresses))
        }
        Ok(addresses) => {
            let first = addresses.first().map(|first| first.ip().to_string()).unwrap_or_default();
            let more = match addresses.len().saturating_sub(1) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            (Finding::ok(format!("{host} is {first}{more}")), Some(addresses))
        }
        Err(OpenError::NoAddress { host }) => {
            (Finding::fail(format!("{host} has no address"), "check the name"), None)
        }
        Err(OpenError::Timeout { .. }) => {
            let says = format!("the resolver did not answer within {PATIENCE:?}");
            (Finding::fail(says, "check the network and the resolver"), None)
        }
        Err(error) => {
            let says = format!("{host} cannot be looked up: {}", cause(&error));
            (Finding::fail(says, "check the name, the network and the resolver"), None)
        }
    }
}

/// Connects to the first address that takes a connection.
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
                        "an address that fails costs time at every reconnect",
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
            "nothing listens there: check host and port, and that the server runs"
        }
        OpenError::Timeout { .. } => {
            "nothing answers: a firewall may drop the packets; is port 443 open to the outside?"
        }
        OpenError::NotLoopback { .. } => "use wss:// for a server that is not on this machine",
        _ => "check the network",
    }
}

/// Makes the TLS handshake.
pub(super) async fn secure(
    probe: &Probe,
    stream: ProbeStream,
    endpoint: &Endpoint,
) -> (Finding, Option<ProbeStream>) {
    match probe.secure(stream).await {
        Ok(stream) => {
            let version = stream.tls_version().unwrap_or("no TLS");
            let says = format!("{version}, the certificate is {}'s", endpoint.host());
            (Finding::ok(says), Some(stream))
        }
        Err(OpenError::Tls { fault, source, .. }) => {
            let says = format!("the TLS handshake failed: {source}");
            (Finding::fail(says, tls_advice(fault)), None)
        }
        Err(OpenError::Timeout { .. }) => {
            let says = format!("the TLS handshake did not end within {PATIENCE:?}");
            (Finding::fail(says, "something on the way holds TLS up: a firewall or a proxy"), None)
        }
        Err(error) => {
            let says = format!("TLS cannot be set up: {}", cause(&error));
            (Finding::fail(says, "report this"), None)
        }
    }
}

fn tls_advice(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::UnknownIssuer => {
            "somebody on the way, such as a company's proxy, shows a certificate of its own"
        }
        TlsFault::NotValidNow => "set this machine's clock",
        TlsFault::WrongName | TlsFault::Certificate => {
            "check the host's name: the certificate is for another"
        }
        TlsFault::NotTls => "the server speaks no TLS on this port",
        _ => "something on the way broke the connection: a firewall or a proxy",
    }
}

/// What a stage failed of, without the stage that the check names already.
fn cause(error: &OpenError) -> String {
    match error {
        OpenError::Dns { source, .. } | OpenError::Connect { source, .. } => source.to_string(),
        OpenError::Timeout { .. } => format!("no answer in {PATIENCE:?}"),
        error => ErrorChain(error).to_string(),
    }
}
