//! What a server answered to a handshake that it accepted, for programs that want to know.

use std::fmt;
use std::net::SocketAddr;

/// A server's acceptance of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The address that the socket is connected to, which is the proxy's if there is one.
    pub peer: SocketAddr,
    /// The headers in the order of the response, with names in lower case. Access tokens are
    /// replaced by `[redacted]`, as in a [`Refusal`](crate::Refusal), and bytes that are not UTF-8.
    pub headers: Vec<(String, String)>,
}

/// Receives what servers answer to handshakes ([`Transport::on_accepted`]).
///
/// [`Transport::on_accepted`]: crate::Transport::on_accepted
pub trait OnAccepted: fmt::Debug + Send + Sync + 'static {
    /// Called on the connection's task when a handshake is accepted, before
    /// [`Event::Up`](crate::Event::Up). Must not block.
    fn on_accepted(&self, accepted: Accepted);
}
