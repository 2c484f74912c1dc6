//! Everything that `kite serve` needs to know, wherever it was written.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use kite_conn::Credentials;
use kite_relay::{
    Heartbeats, Origin, Relay, RelayBuilder, RelayClient, RelayError, SlowClients, TlsFiles,
};
use kite_server::{AccountError, MAX_SOCKETS};
use kite_wire::MAX_INSTRUMENTS;

use super::http::HttpSettings;
use super::nats::NatsSettings;
use super::places::Places;
use crate::args::feed::InstrumentArgs;
use crate::exit::CliError;
use crate::feed::credentials;
use crate::feed::settings::FeedSettings;

/// Advice for an address that other machines reach.
const HOW_TO_SECURE: &str = "add --tls-cert and --tls-key, or --insecure if the network is trusted";

/// The default address of the relay.
pub(super) const DEFAULT_RELAY: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8_765));

/// The default time for which instruments are kept after the last client has left them.
pub(super) const DEFAULT_LINGER: Duration = Duration::from_secs(30);

/// The default interval of reports without a terminal.
pub(super) const DEFAULT_REPORT_EVERY: Duration = Duration::from_secs(60);

/// The settings of a run.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) feed: FeedSettings,
    /// Instruments that are always subscribed.
    pub(super) instruments: InstrumentArgs,
    /// Sockets of the account.
    pub(super) connections: usize,
    /// For the feed and all clients, if not one.
    pub(super) threads: Option<usize>,
    pub(super) relay: RelaySettings,
    /// Metrics, status and a page over HTTP, if they are to be served.
    pub(super) http: Option<HttpSettings>,
    /// Where the feed is published, if it is.
    pub(super) nats: Option<NatsSettings>,
    /// Sockets of clients that have to subscribe before a replay starts.
    pub(super) sockets: usize,
    /// The directory of the tapes, if the feed is recorded.
    pub(super) record: Option<PathBuf>,
    /// Whether tapes are packed when the next one has begun.
    pub(super) pack: bool,
    /// How often to report without a terminal.
    pub(super) report_every: Duration,
    pub(super) json: bool,
}

/// The settings of the relay.
#[derive(Debug)]
pub(super) struct RelaySettings {
    pub(super) listen: SocketAddr,
    /// If there is none, credentials are made.
    pub(super) clients: Vec<ClientSettings>,
    pub(super) slow: SlowClients,
    pub(super) linger: Duration,
    pub(super) heartbeats: Heartbeats,
    pub(super) tls: Option<TlsFiles>,
    pub(super) is_insecure: bool,
    pub(super) origins: Vec<Origin>,
}

/// A client that may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientSettings {
    pub(super) name: String,
    /// The file of its credentials.
    pub(super) credentials: PathBuf,
    /// Whether it receives order updates.
    pub(super) orders: bool,
    /// How many sockets it may have open, if not as many as Kite admits.
    pub(super) sockets: Option<usize>,
    /// How many instruments each of them may subscribe, if not as many as Kite admits.
    pub(super) instruments: Option<usize>,
}

impl ClientSettings {
    /// Reads its credentials.
    pub(super) fn credentials(&self) -> Result<Credentials, CliError> {
        credentials::read(&self.credentials)
    }

    /// Returns how many sockets it may have open, and how many instruments each may subscribe.
    pub(super) fn limits(&self) -> (usize, usize) {
        (self.sockets.unwrap_or(MAX_SOCKETS), self.instruments.unwrap_or(MAX_INSTRUMENTS))
    }

    /// Returns the client with these credentials.
    pub(super) fn client(&self, credentials: Credentials) -> RelayClient {
        let mut client = RelayClient::new(&self.name, credentials).orders(self.orders);
        if let Some(sockets) = self.sockets {
            client = client.max_sockets(sockets);
        }
        if let Some(instruments) = self.instruments {
            client = client.max_instruments(instruments);
        }
        client
    }
}

/// Returns whether a text can name a client or an account.
pub(super) fn is_plain_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(is_plain)
}

impl RelaySettings {
    /// Checks what needs neither files nor the network.
    pub(super) fn check(&self) -> Result<(), CliError> {
        if self.tls.is_none() && !self.is_insecure && !self.listen.ip().is_loopback() {
            return Err(not_started(RelayError::NotLoopback { address: self.listen }));
        }
        let mut names: Vec<&str> = self.clients.iter().map(|client| &*client.name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(CliError::usage(format!("two clients have the name {}", pair[0]))),
            None => Ok(()),
        }
    }

    /// Prepares the relay. Reads the files of the clients' credentials.
    pub(super) fn builder(&self) -> Result<RelayBuilder, CliError> {
        let mut builder = Relay::builder()
            .listen(self.listen)
            .policy(self.slow)
            .linger(self.linger)
            .heartbeats(self.heartbeats)
            .insecure(self.is_insecure);
        for client in &self.clients {
            builder = builder.client(client.client(client.credentials()?));
        }
        if let Some(files) = &self.tls {
            // The relay reports a key that cannot be read.
            if let Ok(metadata) = std::fs::metadata(&files.key) {
                credentials::check_private(&files.key, &metadata, "the private key")?;
            }
            builder = builder.tls(files.clone());
        }
        Ok(self.origins.iter().cloned().fold(builder, RelayBuilder::origin))
    }
}

/// Explains why the relay cannot start: what the user wrote is wrong usage, everything else is not.
pub(super) fn not_started(error: RelayError) -> CliError {
    let what = "cannot start the relay";
    match error {
        RelayError::NotLoopback { address } => CliError::usage(format!(
            "{address} can be reached from other machines, where clients' tokens need TLS"
        ))
        .help(HOW_TO_SECURE),
        RelayError::Client(AccountError::SameName { .. } | AccountError::SameApiKey { .. })
        | RelayError::Instruments(_) => CliError::usage(what).because(error),
        RelayError::Listen { ref source, .. } if source.kind() == ErrorKind::AddrInUse => {
            CliError::unable(what)
                .because(error)
                .help("choose another port, or port 0 for any free one")
        }
        error => CliError::unable(what).because(error),
    }
}

/// Does the same as [`not_started`], with the place of an address that cannot be listened on.
pub(super) fn not_started_at(places: &Places, error: RelayError) -> CliError {
    match error {
        RelayError::Listen { .. } => places.at("relay.listen", not_started(error)),
        error => not_started(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Status;

    fn listening(listen: &str) -> RelaySettings {
        RelaySettings {
            listen: listen.parse().unwrap(),
            clients: Vec::new(),
            slow: SlowClients::default(),
            linger: Duration::ZERO,
            heartbeats: Heartbeats::default(),
            tls: None,
            is_insecure: false,
            origins: Vec::new(),
        }
    }

    #[test]
    fn other_machines_reach_the_relay_only_by_tls_or_on_request() {
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
            assert!(listening(local).check().is_ok(), "{local}");
        }
        for remote in ["0.0.0.0:1", "192.168.1.5:1", "[::]:1"] {
            let error = listening(remote).check().unwrap_err();
            assert_eq!((error.status(), error.advice()), (Status::Usage, Some(HOW_TO_SECURE)));
            let insecure = RelaySettings { is_insecure: true, ..listening(remote) };
            assert!(insecure.check().is_ok(), "{remote}");
            let tls = Some(TlsFiles { certificates: "a".into(), key: "b".into() });
            assert!(RelaySettings { tls, ..listening(remote) }.check().is_ok(), "{remote}");
        }
    }
}
