//! A connection's link to its server: none, an attempt to open a socket, or a socket.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::{Admission, Pacer, TokenSourceError};
use crate::credentials::Credentials;
use crate::observe::LossCause;
use crate::transport::OpenError;
use crate::websocket::WebSocket;

pub(super) enum Link<W> {
    None,
    Renewing(Renewing),
    Opening(Opening<W>),
    Open(Box<Socket<W>>),
}

/// An open socket.
pub(super) struct Socket<W> {
    pub(super) websocket: WebSocket<W>,
    /// Why the socket cannot be written to any more. What was received is read first.
    pub(super) failure: Option<LossCause>,
    /// The socket's permission. Dropped after the socket, so that the slot is free for the next one
    /// admitted.
    _admission: Option<Box<dyn Admission>>,
}

/// A request to the token source.
pub(super) type Renewing =
    Pin<Box<dyn Future<Output = Result<Credentials, TokenSourceError>> + Send>>;

/// An attempt to open a socket.
pub(super) type Opening<W> =
    Pin<Box<dyn Future<Output = Result<Box<Socket<W>>, OpenError>> + Send>>;

impl<W: Send + 'static> Link<W> {
    /// Opens a socket, once admitted.
    pub(super) fn open(
        opening: impl Future<Output = Result<WebSocket<W>, OpenError>> + Send + 'static,
        pacer: Option<&Arc<dyn Pacer>>,
    ) -> Self {
        let Some(pacer) = pacer else {
            return Self::Opening(Box::pin(async { Ok(Socket::new(opening.await?, None)) }));
        };
        let admission = pacer.admit();
        Self::Opening(Box::pin(async {
            let mut admission = admission.await;
            match opening.await {
                Ok(websocket) => {
                    admission.on_opened();
                    Ok(Socket::new(websocket, Some(admission)))
                }
                Err(error) => {
                    admission.on_failed(&error);
                    Err(error)
                }
            }
        }))
    }
}

impl<W> Socket<W> {
    fn new(websocket: WebSocket<W>, admission: Option<Box<dyn Admission>>) -> Box<Self> {
        Box::new(Self { websocket, failure: None, _admission: admission })
    }
}
