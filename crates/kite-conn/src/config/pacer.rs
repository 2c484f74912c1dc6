//! Leave to open a socket, where several connections share a limit.
//!
//! Kite counts the sockets of an api_key, and frees the slot of one that was closed when it pleases.
//! What to make of that is not decided here: a connection asks, and reports.

use std::fmt;
use std::pin::Pin;

use crate::transport::OpenError;

/// Completes when a socket may be opened. Dropped before, the wish is withdrawn.
pub type AdmissionFuture = Pin<Box<dyn Future<Output = Box<dyn Admission>> + Send>>;

/// Decides when each of several connections may open a socket.
///
/// A connection asks before every attempt; [`Transport::connect_timeout`] begins when it is
/// admitted.
///
/// [`Transport::connect_timeout`]: crate::Transport::connect_timeout
pub trait Pacer: fmt::Debug + Send + Sync + 'static {
    /// Asks for leave to open one socket.
    fn admit(&self) -> AdmissionFuture;
}

/// The leave to open one socket, from the attempt to the socket's end. Dropping it says that the
/// attempt was given up or that the socket is gone.
pub trait Admission: Send {
    /// The handshake is done.
    fn on_opened(&mut self);

    /// The attempt failed; dropped next.
    fn on_failed(&mut self, error: &OpenError);
}
