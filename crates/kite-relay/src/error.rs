//! Errors of a relay.

use std::io;
use std::net::SocketAddr;

use kite_manager::ConfigError;
use kite_server::AccountError;
use kite_server::tls::IdentityError;

use crate::wishes::UpstreamFull;

/// Why a relay could not be started. No text contains a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The address is reachable from other machines, and there is no TLS.
    #[error("{address} is not a loopback address: clients' tokens need TLS there")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        r#source: io::Error,
    },
    /// A client's credentials have other characters than `[A-Za-z0-9_-]`, or two clients have the
    /// same name or the same api_key.
    #[error(transparent)]
    Client(#[from] AccountError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] IdentityError),
    /// The fixed instruments do not fit.
    #[error("the fixed instruments do not fit: {0}")]
    Instruments(UpstreamFull),
    /// A setting of the stream from the manager is outside its range.
    #[error("invalid configuration: {0}")]
    Config(ConfigError),
    /// The operating system has no random numbers for a client's credentials.
    #[error("no random numbers for credentials")]
    NoRandom,
}

impl From<UpstreamFull> for RelayError {
    fn from(error: UpstreamFull) -> Self {
        Self::Instruments(error)
    }
}

impl From<ConfigError> for RelayError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}
