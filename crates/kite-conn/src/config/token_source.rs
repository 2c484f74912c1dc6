//! Renewal of credentials by the connection itself.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::credentials::Credentials;
use crate::transport::Refusal;

type Answer = Pin<Box<dyn Future<Output = Result<Credentials, TokenSourceError>> + Send>>;

/// Asks the application for credentials, since access tokens expire every morning.
///
/// It is called only when a login may be necessary: before the first handshake if the credentials
/// have no access token, and after the server has refused them. A lost socket is reopened with the
/// same credentials. It has `connect_timeout` to answer. If it fails, or if the credentials it
/// returned are refused too, it is called again with growing delays, up to `reconnect.delay_cap`.
///
/// It is never called concurrently for the same connection, nor for the connections of one account
/// of kite-manager's `Manager`, which share its answer. This matters because Kite invalidates the
/// previous access token at each login.
///
/// # Examples
/// ```
/// use std::fs;
/// use kite_conn::TokenSource;
///
/// # async fn login_of_today() -> std::io::Result<String> { Ok("token".into()) }
/// let source = TokenSource::new(|request| async move {
///     // Another process may have logged in already, which made the current token invalid.
///     let stored = fs::read_to_string("access_token").unwrap_or_default();
///     let stored = stored.trim();
///     if !stored.is_empty() && stored != request.current.access_token().expose() {
///         return Ok(request.current.with_access_token(stored));
///     }
///     let token = login_of_today().await?;
///     fs::write("access_token", &token)?;
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
    /// The server's refusal of them; `None` if they have no access token yet.
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
        after: Duration,
    },
    /// The application's code panicked.
    #[error("the token source panicked")]
    Panicked,
}

impl TokenRequest {
    /// Creates a request, as a connection does; for a source that is called by other code.
    #[must_use]
    pub fn new(current: Credentials, refusal: Option<Refusal>) -> Self {
        Self { current, refusal }
    }
}

impl TokenSource {
    /// Creates a source from an asynchronous closure. Its errors become
    /// [`TokenSourceError::Failed`]; a [`TokenSourceError`] is passed on as it is.
    pub fn new<F, A, E>(ask: F) -> Self
    where
        F: Fn(TokenRequest) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let ask = move |request| -> Answer {
            let answer = ask(request);
            Box::pin(async move { answer.await.map_err(|error| own_error(error.into())) })
        };
        Self { ask: Arc::new(ask) }
    }

    /// Calls the application's code, which has `limit` to answer. Connections do this themselves;
    /// it is public for a source that answers for several others.
    ///
    /// # Errors
    /// Returns [`TokenSourceError`] if the application's code fails, panics, or does not answer in
    /// time.
    ///
    /// # Cancel safety
    /// Dropping the future drops the application's future.
    pub fn ask(
        &self,
        request: TokenRequest,
        limit: Duration,
    ) -> impl Future<Output = Result<Credentials, TokenSourceError>> + Send + 'static {
        let ask = Arc::clone(&self.ask);
        async move {
            // The panic of application code must not end the connection.
            let answer = AssertUnwindSafe(async { ask(request).await }).catch_unwind();
            match tokio::time::timeout(limit, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(TokenSourceError::Panicked),
                Err(_) => Err(TokenSourceError::Timeout { after: limit }),
            }
        }
    }
}

fn own_error(error: Box<dyn Error + Send + Sync>) -> TokenSourceError {
    match error.downcast() {
        Ok(own) => *own,
        Err(other) => TokenSourceError::Failed(Arc::from(other)),
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}
