//! A client in logs.

use std::fmt;
use std::net::SocketAddr;

/// A client's address in logs.
pub(crate) struct Peer(pub(crate) Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("in memory"),
        }
    }
}
