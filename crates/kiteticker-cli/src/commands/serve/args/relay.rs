//! The arguments of the relay and its clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use kite_relay::{Heartbeats, Origin, SlowClients, TlsFiles};

use super::address;
use crate::commands::serve::origin;
use crate::commands::serve::settings::{
    ClientSettings, DEFAULT_LINGER, DEFAULT_RELAY, RelaySettings, is_plain_name,
};
use crate::exit::CliError;
use crate::format::times;

#[derive(Debug, Args)]
#[command(next_help_heading = "Clients")]
pub(super) struct RelayArgs {
    /// Address and port to listen on; port 0 is any free one [127.0.0.1:8765]
    #[arg(long = "relay", value_name = "ADDR", value_parser = address)]
    listen: Option<SocketAddr>,
    /// A client, and the file with its api_key and access_token; repeatable
    #[arg(long = "client", value_name = "NAME=FILE")]
    clients: Vec<ClientFile>,
    /// Send order updates to this client too; repeatable
    #[arg(long, value_name = "NAME")]
    orders: Vec<String>,
    /// Clients that read too slowly: conflate, drop_oldest, disconnect or block
    /// [conflate]
    #[arg(long, value_name = "POLICY", hide_possible_values = true)]
    slow: Option<Slow>,
    /// Keep instruments this long after the last client has left them [30s]
    #[arg(long, value_name = "DURATION", value_parser = times::duration, allow_hyphen_values = true)]
    linger: Option<Duration>,
    /// Heartbeats: while_fed, or always, also without a connection to Kite or when it is silent
    /// [while_fed]
    #[arg(long, value_name = "WHEN", hide_possible_values = true)]
    heartbeats: Option<Beats>,
    /// Chain of certificates for wss://, the server's own first
    #[arg(long, value_name = "PEM", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate
    #[arg(long, value_name = "PEM", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Serve other machines without TLS: tokens and ticks are readable on the way
    #[arg(long, conflicts_with = "tls_cert")]
    insecure: bool,
    /// Admit web pages from here, such as `https://example.com`; repeatable
    #[arg(long = "origin", value_name = "ORIGIN", value_parser = origin::parse)]
    origins: Vec<Origin>,
}

/// What happens to a client that reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(in crate::commands::serve) enum Slow {
    Conflate,
    DropOldest,
    Disconnect,
    Block,
}

impl From<Slow> for SlowClients {
    fn from(slow: Slow) -> Self {
        match slow {
            Slow::Conflate => Self::Conflate,
            Slow::DropOldest => Self::DropOldest,
            Slow::Disconnect => Self::Disconnect,
            Slow::Block => Self::Block,
        }
    }
}

/// When clients get heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(in crate::commands::serve) enum Beats {
    WhileFed,
    Always,
}

impl From<Beats> for Heartbeats {
    fn from(beats: Beats) -> Self {
        match beats {
            Beats::WhileFed => Self::WhileFed,
            Beats::Always => Self::Always,
        }
    }
}

/// Parses the name of a value of a choice.
pub(in crate::commands::serve) fn one_of<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = values.map(|it| it.get_name().to_owned()).collect();
        format!("expected {}", names.join(", "))
    })
}

/// A client's name and the file of its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ClientFile {
    name: String,
    path: PathBuf,
}

impl FromStr for ClientFile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, path) = text.split_once('=').unwrap_or((text, ""));
        if !is_plain_name(name) || path.is_empty() {
            return Err(
                "expected NAME=FILE, such as research=research.credentials, with a name of \
                        letters, digits, `-`, `_` and `.`",
            );
        }
        Ok(Self { name: name.to_owned(), path: path.into() })
    }
}

impl RelayArgs {
    /// Returns the settings, checked against each other.
    pub(super) fn settings(self) -> Result<RelaySettings, CliError> {
        let is_client = |name: &String| self.clients.iter().any(|client| client.name == *name);
        if let Some(name) = self.orders.iter().find(|name| !is_client(name)) {
            return Err(CliError::usage(format!("--orders {name} is no --client"))
                .help(format!("name the client: --client {name}=FILE")));
        }
        let client = |ClientFile { name, path }| ClientSettings {
            orders: self.orders.contains(&name),
            credentials: path,
            name,
            sockets: None,
            instruments: None,
        };
        let clients = self.clients.into_iter().map(client).collect();
        let tls = self.tls_cert.zip(self.tls_key);
        Ok(RelaySettings {
            listen: self.listen.unwrap_or(DEFAULT_RELAY),
            clients,
            slow: self.slow.map(Into::into).unwrap_or_default(),
            linger: self.linger.unwrap_or(DEFAULT_LINGER),
            heartbeats: self.heartbeats.map(Into::into).unwrap_or_default(),
            tls: tls.map(|(certificates, key)| TlsFiles { certificates, key }),
            is_insecure: self.insecure,
            origins: self.origins,
        })
    }
}
