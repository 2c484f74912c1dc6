//! Permission to open a socket, for connections that share a limit.
//!
//! Kite limits the sockets per `api_key`, and frees the slot of a closed one after an unknown time.
//! This module has no policy for that: a connection requests permission, and reports the outcome.

use std::fmt;
use std::pin::Pin;

use crate::transport::OpenError;

/// Completes when a socket may be opened. Dropping it earlier withdraws the request.
pub type AdmissionFuture = Pin<Box<dyn Future<Output = Box<dyn Admission>> + Send>>;

/// Decides when each of several connections may open a socket.
///
/// A connection requests admission before every attempt; [`Transport::connect_timeout`] begins when
/// it is admitted.
///
/// [`Transport::connect_timeout`]: crate::Transport::connect_timeout
pub trait Pacer: fmt::Debug + Send + Sync + 'static {
    /// Requests permission to open one socket.
    fn admit(&self) -> AdmissionFuture;
}

/// Permission to open one socket, held from the attempt to the socket's end. Dropped when the
/// attempt is abandoned or the socket is gone.
pub trait Admission: Send {
    /// Called when the handshake is done.
    fn on_opened(&mut self);

    /// Called when the attempt has failed; the admission is dropped next.
    fn on_failed(&mut self, error: &OpenError);
}
