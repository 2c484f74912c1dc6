//! Checks the proxy, DNS and TCP separately, with the stages that every connection goes through.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kite_conn::{
    Endpoint, HandshakeError, OpenError, OpenStage, Probe, ProbeStream, Proxy, Transport,
};

use super::check::Finding;
use crate::exit::CliError;
use crate::network::{Choice, Network, Target, Unused};

/// Limit for each step.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The way to an endpoint.
#[derive(Debug)]
pub(super) struct Way<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// How its connections are opened.
    pub(super) transport: Transport,
    pub(super) probe: Probe,
    /// The file of root certificates, unless they are those compiled in.
    pub(super) roots: Option<String>,
    choice: Choice,
}

impl<'a> Way<'a> {
    /// Prepares the stages for an endpoint.
    ///
    /// # Errors
    /// Returns an error if the proxy or the file of root certificates cannot be used.
    pub(super) fn new(endpoint: &'a Endpoint, network: &Network) -> Result<Self, CliError> {
        let choice = network.choose(Target::from(endpoint))?;
        let transport = network.transport(endpoint)?;
        let stages = Transport { connect_timeout: PATIENCE, ..transport.clone() };
        let probe = Probe::new(endpoint.clone(), stages);
        let roots = network.roots_origin().filter(|_| endpoint.is_secure());
        Ok(Self { endpoint, transport, probe, roots, choice })
    }

    fn proxy(&self) -> Option<&Proxy> {
        match &self.choice {
            Choice::Through { proxy, .. } => Some(proxy),
            Choice::Direct(_) => None,
        }
    }

    /// Reports which proxy is used, and one that is set and not used.
    pub(super) fn proxy_finding(&self) -> Finding {
        match &self.choice {
            Choice::Through { proxy, origin } => Finding::ok(format!("{proxy}, from {origin}")),
            Choice::Direct(None) => Finding::skipped("none is set"),
            Choice::Direct(Some(unused)) => {
                let advice = match unused {
                    Unused::NotEncrypted { .. } => "to connect through it, pass it by --proxy",
                    Unused::Excepted { .. } => {
                        "to connect through it, change that variable or pass it by --proxy"
                    }
                };
                Finding { advice: Some(advice.to_owned()), ..Finding::skipped(unused.to_string()) }
            }
        }
    }

    /// Resolves the host, or the proxy's.
    pub(super) async fn look_up(&self) -> (Finding, Option<Vec<SocketAddr>>) {
        let (kind, host) = match self.proxy() {
            Some(proxy) => ("the proxy ", proxy.host()),
            None => ("", self.endpoint.host()),
        };
        match self.probe.resolve().await {
            Ok(addresses) if host.parse::<IpAddr>().is_ok() => {
                let whose = if kind.is_empty() { "the host" } else { "the proxy's host" };
                (Finding::ok(format!("{whose} is an IP address")), Some(addresses))
            }
            Ok(addresses) => {
                let first =
                    addresses.first().map(|first| first.ip().to_string()).unwrap_or_default();
                let more = match addresses.len().saturating_sub(1) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                (Finding::ok(format!("{kind}{host} resolves to {first}{more}")), Some(addresses))
            }
            Err(OpenError::NoAddress { host }) => {
                let text = format!("{kind}{host} has no address");
                (Finding::fail(text, "check the host name"), None)
            }
            Err(OpenError::Timeout { .. }) => {
                let text = format!("the resolver did not respond within {PATIENCE:?}");
                (Finding::fail(text, "check the network and the resolver"), None)
            }
            Err(error) => {
                let text = format!("{kind}{host} cannot be resolved: {}", cause(&error));
                (Finding::fail(text, "check the host name, the network and the resolver"), None)
            }
        }
    }

    /// Connects to the first address that accepts a connection, through the proxy if there is one.
    pub(super) async fn connect(&self, addresses: &[SocketAddr]) -> (Finding, Option<ProbeStream>) {
        let (mut failures, mut advice) = (Vec::new(), "check the network");
        for &address in addresses {
            match self.probe.connect(address).await {
                Ok(stream) => {
                    let text = self.connected(address);
                    let finding = match failures.first() {
                        None => Finding::ok(text),
                        Some(failure) => Finding::warn(
                            format!("{text}, but {failure}"),
                            "an address that fails may delay the first connection; reconnects try \
                             it last",
                        ),
                    };
                    return (finding, Some(stream));
                }
                // The other addresses belong to the same proxy.
                Err(error @ OpenError::ProxyRefused { .. }) => {
                    return (Finding::fail(error.to_string(), self.tcp_advice(&error)), None);
                }
                Err(error) => {
                    failures.push(match self.proxy() {
                        Some(proxy) => {
                            format!("the proxy {proxy} at {address} failed: {}", cause(&error))
                        }
                        None => format!("{address} failed: {}", cause(&error)),
                    });
                    advice = self.tcp_advice(&error);
                }
            }
        }
        (Finding::fail(failures.join(", "), advice), None)
    }

    fn connected(&self, address: SocketAddr) -> String {
        let (host, port) = (self.endpoint.host(), self.endpoint.port());
        match self.proxy() {
            Some(_) => format!("connected to the proxy at {address}, and by it to {host}:{port}"),
            None => format!("connected to {address}"),
        }
    }

    fn tcp_advice(&self, error: &OpenError) -> &'static str {
        match error {
            OpenError::ProxyRefused { refusal, .. } => match refusal.status {
                407 => {
                    "the proxy wants other credentials: http://user:password@host:port, user and \
                     password percent-encoded"
                }
                403 | 405 => {
                    "the proxy does not permit this host and port: ask its operator, or name the \
                     host in NO_PROXY if it can be reached without"
                }
                500.. => "the proxy cannot reach the server: check the host, or ask its operator",
                _ => "ask the proxy's operator",
            },
            OpenError::Timeout { stage: OpenStage::Proxy, .. } => {
                "it does not answer: wrong port, or it cannot reach the server"
            }
            OpenError::Proxy { .. } => {
                "another service may be listening there: only HTTP proxies with CONNECT are supported"
            }
            OpenError::Connect { .. } | OpenError::Timeout { .. } if self.proxy().is_some() => {
                "check the proxy's host and port, and that it is running"
            }
            OpenError::Connect { source, .. }
                if source.kind() == io::ErrorKind::ConnectionRefused =>
            {
                "nothing is listening there: check host and port, and that the server is running"
            }
            OpenError::Timeout { .. } => {
                "nothing answers: a firewall may drop the packets; check that outgoing port 443 is open"
            }
            OpenError::NotLoopback { .. } => "use wss:// for a server on another machine",
            _ => "check the network",
        }
    }
}

/// Returns the cause of a stage's failure, without the stage, which the check already names.
fn cause(error: &OpenError) -> String {
    match error {
        OpenError::Dns { source, .. } | OpenError::Connect { source, .. } => source.to_string(),
        OpenError::Proxy { source: HandshakeError::Closed { .. }, .. } => {
            "it closed the connection without a response".to_owned()
        }
        OpenError::Proxy { source, .. } => source.to_string(),
        OpenError::Timeout { .. } => format!("no response within {PATIENCE:?}"),
        error => error.to_string(),
    }
}
