//! Where a connection gets new credentials by itself.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::credentials::Credentials;
use crate::transport::Refusal;

type Answer = Pin<Box<dyn Future<Output = Result<Credentials, TokenSourceError>> + Send>>;

/// Asks the application for credentials: access tokens die every morning.
///
/// It is asked before every reconnect and after a refusal of the credentials, never while a socket
/// is open, and one question at a time for each connection. Before a reconnect it has five seconds
/// (or `connect_timeout`, if that is shorter); where it fails, the credentials at hand are used,
/// which have not been refused. After a refusal it has the whole `connect_timeout`, and is asked
/// again with growing delays, up to `reconnect.delay_cap`; so it is where what it gave is refused
/// again.
///
/// # Examples
/// ```
/// use kite_conn::{Credentials, TokenSource};
///
/// # async fn login_of_today() -> std::io::Result<String> { Ok("token".into()) }
/// let source = TokenSource::new(|request| async move {
///     let token = match request.refusal {
///         // Perhaps another process has renewed it: look before logging in anew.
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

/// What a [`TokenSource`] is asked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenRequest {
    /// The credentials at hand.
    pub current: Credentials,
    /// The server's refusal of them; `None` where they may still be good.
    pub refusal: Option<Refusal>,
}

/// Why a [`TokenSource`] gave no credentials.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TokenSourceError {
    /// The application's own error. Its text is the application's: keep tokens out of it.
    #[error("the token source failed")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
    /// No answer came in time.
    #[error("the token source gave no answer within {after:?}")]
    Timeout {
        /// The time it had.
        after: std::time::Duration,
    },
    /// The application's code panicked.
    #[error("the token source panicked")]
    Panicked,
}

impl TokenSource {
    /// Makes a source of an asynchronous closure.
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
