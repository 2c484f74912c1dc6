//! Errors of the server.

use std::io;
use std::net::SocketAddr;

use kite_candles::{CandleStreamError, Every};
use kite_server::tls::IdentityError;

/// Why the server could not be started. No text contains the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address is reachable from other machines, and there is no TLS.
    #[error("{address} is not a loopback address: the token needs TLS there")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The address is reachable from other machines, and there is no token.
    #[error("{address} is not a loopback address: readers need a token there")]
    NoToken {
        /// The address.
        address: SocketAddr,
    },
    /// The token is too short to be safe from guessing.
    #[error("the token has {len} characters: at least {least} are needed")]
    TokenTooShort {
        /// Its length.
        len: usize,
        /// The shortest that is accepted.
        least: usize,
    },
    /// The token has a character that a header cannot carry.
    #[error("the token has a character other than visible ASCII")]
    TokenCharacter,
    /// A name of the server is not that of a host.
    #[error("{host:?} is not a host name or an address without a port")]
    Host {
        /// The name.
        host: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        r#source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] IdentityError),
    /// Bars are to be kept that are too short for that.
    #[error("bars of {every} are too short to keep for a day; must be {} or longer", Every::MINUTE)]
    BarsTooShort {
        /// Their length.
        every: Every,
    },
    /// A setting of the bars is out of range.
    #[error(transparent)]
    Bars(#[from] CandleStreamError),
    /// The server's thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use error_chain::assert_chain;

    use super::*;

    #[test]
    fn every_error_names_its_cause_once() {
        let address = SocketAddr::from(([0, 0, 0, 0], 9_464));
        let source = io::Error::other("the system's words");
        let error = HttpError::Listen { address, source };
        let HttpError::Listen { source, .. } = &error else { panic!("another error") };
        assert_chain(&error, Some(source as &dyn Error));
        assert_chain(&HttpError::NotLoopback { address }, None);
        assert_chain(&HttpError::NoToken { address }, None);
        assert_chain(&HttpError::TokenTooShort { len: 3, least: 16 }, None);
        assert_chain(&HttpError::TokenCharacter, None);
        assert_chain(&HttpError::BarsTooShort { every: "5s".parse().unwrap() }, None);
        assert_chain(&HttpError::Host { host: "a/b".into() }, None);
    }
}
