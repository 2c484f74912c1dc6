//! Renewal of credentials by the connection itself.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::credentials::Credentials;
use crate::transport::Refusal;

type Answer = Pin<Box<dyn Future<Output = Result<Credentials, TokenSourceError>> + Send>>;

/// Asks the application for credentials, since access tokens expire every morning.
///
/// It is called before every reconnect and after a refusal of the credentials, never while a socket
/// is open, and never concurrently for the same connection. Before a reconnect it has five seconds
/// (or `connect_timeout`, if that is shorter); if it fails, the current credentials are used, which
/// have not been refused. After a refusal it has the whole `connect_timeout`. If it fails, or if
/// the credentials it returned are refused too, it is called again with growing delays, up to
/// `reconnect.delay_cap`.
///
/// # Examples
/// ```
/// use kite_conn::{Credentials, TokenSource};
///
/// # async fn login_of_today() -> std::io::Result<String> { Ok("token".into()) }
/// let source = TokenSource::new(|request| async move {
///     let token = match request.refusal {
///         // Another process may have renewed it: look before logging in again.
///         None => std::fs::read_to_string("access_token")?,
///         Some(_) => login_of_today().await?,
///     };
///     Ok::<_, std::io::Error>(request.current.with_access_token(token))
/// });
/// # let _ = source;
/// ```
#[derive(Clone)]
pub struct TokenSource {
    ask: Arc<dyn Fn(TokenRequest) -> Answer + Send + Sync>,
}

/// A request to a [`TokenSource`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenRequest {
    /// The current credentials.
    pub current: Credentials,
    /// The server's refusal of them; `None` if they may still be valid.
    pub refusal: Option<Refusal>,
}

/// Why a [`TokenSource`] returned no credentials.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TokenSourceError {
    /// The application's own error. It may hold a token, so this error's text does not repeat it:
    /// it is the `source`.
    #[error("the token source failed")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
    /// It did not finish in time.
    #[error("the token source did not answer within {after:?}")]
    Timeout {
        /// The time limit.
        after: std::time::Duration,
    },
    /// The application's code panicked.
    #[error("the token source panicked")]
    Panicked,
}

impl TokenSource {
    /// Creates a source from an asynchronous closure.
    pub fn new<F, A, E>(ask: F) -> Self
    where
        F: Fn(TokenRequest) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let ask = move |request| -> Answer {
            let answer = ask(request);
            Box::pin(async move {
                answer.await.map_err(|error| TokenSourceError::Failed(Arc::from(error.into())))
            })
        };
        Self { ask: Arc::new(ask) }
    }

    pub(crate) fn ask(&self, request: TokenRequest) -> Answer {
        (self.ask)(request)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}
