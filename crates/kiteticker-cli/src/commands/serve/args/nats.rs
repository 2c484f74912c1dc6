//! The arguments of the publisher to NATS.

use std::path::PathBuf;

use clap::Args;
use kite_nats::{DEFAULT_PREFIX, Server};

use crate::commands::serve::nats::{NatsSettings, What};

#[derive(Debug, Args)]
#[command(next_help_heading = "NATS")]
pub(super) struct NatsArgs {
    /// Publish the feed to this NATS server, nats:// or tls://; several with commas
    #[arg(long, value_name = "URL", value_parser = server)]
    nats: Option<Server>,
    /// File with the credentials, a JWT and a seed, as nsc writes it
    #[arg(long, value_name = "FILE", requires = "nats")]
    nats_credentials: Option<PathBuf>,
    /// Trust the root certificates of this file instead of the system's; implies TLS
    #[arg(long, value_name = "PEM", requires = "nats")]
    nats_ca_file: Option<PathBuf>,
    /// First part of all subjects [kite]
    #[arg(long, value_name = "NAME", requires = "nats")]
    nats_prefix: Option<String>,
    /// Ticks as packets, as whole frames, or both [packets]
    #[arg(long, value_name = "WHAT", requires = "nats", hide_possible_values = true)]
    nats_what: Option<What>,
}

/// Parses the URL of a server. The error does not repeat it, because it may have a password.
pub(in crate::commands::serve) fn server(text: &str) -> Result<Server, String> {
    text.parse().map_err(|error: kite_nats::ServerError| error.to_string())
}

impl NatsArgs {
    /// Returns the settings, if anything is to be published.
    pub(super) fn settings(self) -> Option<NatsSettings> {
        let mut server = self.nats?;
        if let Some(file) = self.nats_credentials {
            server = server.credentials_file(file);
        }
        if let Some(file) = self.nats_ca_file {
            server = server.root_certificates(file);
        }
        let prefix = self.nats_prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
        Some(NatsSettings { server, prefix, what: self.nats_what.unwrap_or_default() })
    }
}
