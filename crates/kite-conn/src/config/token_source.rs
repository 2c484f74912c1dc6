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
/// A source that waits for a person is created by [`TokenSource::waiting`], without these limits.
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
    /// Whether it waits itself until there are other credentials.
    waits: bool,
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
    /// A source that [waits](TokenSource::waiting) for other credentials returned the current ones.
    #[error("the token source returned the current credentials instead of other ones")]
    Unchanged,
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
        Self { ask: Arc::new(ask), waits: false }
    }

    /// Creates a source that waits, for as long as it takes, until there are other credentials than
    /// the current ones, such as those that a person's login writes into a file.
    ///
    /// There is no time limit, and after a refusal it is asked without a delay. If it returns the
    /// current credentials, that is a failure: [`TokenSourceError::Unchanged`].
    /// [`TokenFile`](crate::TokenFile) is such a source.
    pub fn waiting<F, A, E>(ask: F) -> Self
    where
        F: Fn(TokenRequest) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self { waits: true, ..Self::new(ask) }
    }

    /// Returns whether the source waits itself, as [`TokenSource::waiting`] creates it.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// Calls the application's code, which has `limit` to answer unless it
    /// [waits](Self::waiting). Connections do this themselves;
    /// it is public for a source that answers for several others.
    ///
    /// # Errors
    /// Returns [`TokenSourceError`] if the application's code fails, panics, does not answer in
    /// time, or waits and returns the current credentials.
    ///
    /// # Cancel safety
    /// Dropping the future drops the application's future.
    pub fn ask(
        &self,
        request: TokenRequest,
        limit: Duration,
    ) -> impl Future<Output = Result<Credentials, TokenSourceError>> + Send + 'static {
        let (ask, waits) = (Arc::clone(&self.ask), self.waits);
        async move {
            let current = waits.then(|| request.current.clone());
            // The panic of application code must not end the connection.
            let answer = AssertUnwindSafe(async { ask(request).await }).catch_unwind();
            let answer = match current {
                None => tokio::time::timeout(limit, answer).await,
                Some(_) => Ok(answer.await),
            };
            match answer {
                Ok(Ok(Ok(found))) if Some(&found) == current.as_ref() => {
                    Err(TokenSourceError::Unchanged)
                }
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
