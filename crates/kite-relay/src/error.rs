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

#[cfg(test)]
mod tests {
    use std::error::Error;

    use error_chain::assert_chain;

    use super::*;

    #[test]
    fn every_error_names_its_cause_once() {
        let address = SocketAddr::from(([0, 0, 0, 0], 8_765));
        let source = io::Error::other("the system's words");
        let error = RelayError::Listen { address, source };
        let RelayError::Listen { source, .. } = &error else { panic!("another error") };
        assert_chain(&error, Some(source as &dyn Error));
        let client = AccountError::SameName { name: "desk".into() };
        assert_chain(&RelayError::from(client.clone()), Some(&client));
        let full = UpstreamFull { asked: 3, free: 2, capacity: 2 };
        assert_chain(&RelayError::from(full), Some(&full));
        let config = ConfigError::new("frames", 0, "above 0");
        assert_chain(&RelayError::from(config.clone()), Some(&config));
        assert_chain(&RelayError::NotLoopback { address }, None);
        assert_chain(&RelayError::NoRandom, None);
    }
}
