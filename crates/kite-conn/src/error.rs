//! Errors of requests to a connection, and the one-line display of errors.

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::one_line::OneLine;

/// Displays an error and its causes in one line: "error: cause: cause".
///
/// For errors of any origin, cleaned by [`OneLine`]. The errors of these crates name their causes themselves, and `source`
/// begins beneath what their text says, so that no cause is displayed twice.
#[derive(Debug, Clone, Copy)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", OneLine(self.0))?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {}", OneLine(cause))?;
            source = cause.source();
        }
        Ok(())
    }
}

/// More instruments were requested than the connection can hold. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{asked} more instruments requested, {free} of {limit} free on this connection")]
#[non_exhaustive]
pub struct CapacityError {
    /// Number of new instruments requested.
    pub asked: usize,
    /// Number of instruments the connection could still hold.
    pub free: usize,
    /// The connection's limit.
    pub limit: usize,
}

/// Why instruments could not be subscribed. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// They exceed the connection's limit.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// The connection has ended.
    #[error("the connection has ended; subscribe on another")]
    Closed,
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; it must be {range}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The setting's name.
    pub field: &'static str,
    /// The value it was set to.
    pub value: String,
    /// The values it accepts.
    pub range: &'static str,
}

impl ConfigError {
    /// Creates an error from a setting, its value and the values it accepts.
    pub fn new(field: &'static str, value: impl fmt::Debug, range: &'static str) -> Self {
        Self { field, value: format!("{value:?}"), range }
    }
}

/// Maximum size of a queue or ring in frames, whose slots are allocated up front.
pub(crate) const MAX_QUEUE: usize = 1 << 20;

/// Checks a number against its range.
pub(crate) fn check_range(
    field: &'static str,
    value: usize,
    range: RangeInclusive<usize>,
    named: &'static str,
) -> Result<(), ConfigError> {
    if range.contains(&value) { Ok(()) } else { Err(ConfigError::new(field, value, named)) }
}

/// A day: far beyond any sensible timeout, and far from the end of the clock.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Checks that a duration is above zero and at most a day.
pub(crate) fn check_duration(field: &'static str, value: Duration) -> Result<(), ConfigError> {
    if value > Duration::ZERO && value <= MAX_DURATION {
        Ok(())
    } else {
        Err(ConfigError::new(field, value, "above 0 and at most a day"))
    }
}

/// Why a connection could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// A setting is outside its range.
    #[error("invalid configuration: {0}")]
    Config(ConfigError),
    /// No Tokio runtime is available to run its task.
    #[error("no Tokio runtime: call this from within one")]
    NoRuntime,
    /// The Tokio runtime has no timers.
    #[error("the Tokio runtime has no timers: build it with enable_time or enable_all")]
    NoTimers,
    /// The Tokio runtime has no I/O.
    #[error("the Tokio runtime has no I/O: build it with enable_io or enable_all")]
    NoIo,
}

impl From<ConfigError> for SpawnError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use error_chain::assert_chain;

    use super::*;
    use crate::config::TokenSourceError;
    use crate::observe::ParkReason;
    use crate::transport::{HandshakeError, OpenError, OpenStage, TlsError, TlsFault};

    fn io() -> Arc<io::Error> {
        Arc::new(io::Error::other("the system's words"))
    }

    fn open_errors() -> Vec<OpenError> {
        let (host, address) = ("host".to_owned(), ([127, 0, 0, 1], 443).into());
        let fault = TlsFault::NotTls;
        vec![
            OpenError::Dns { host: host.clone(), source: io() },
            OpenError::NoAddress { host: host.clone() },
            OpenError::NotLoopback { host: host.clone(), address: [10, 0, 0, 1].into() },
            OpenError::Connect { proxy: None, address, tried: 2, source: io() },
            OpenError::Proxy { proxy: host.clone(), address, source: HandshakeError::NotHttp },
            OpenError::TlsSetup(TlsError::NativeUnreadable { failures: 1, source: io() }),
            OpenError::Tls { host, address, fault, source: io() },
            OpenError::Timeout { stage: OpenStage::Dns, after: Duration::from_secs(1) },
            OpenError::Handshake(HandshakeError::Io { received: 7, source: io() }),
        ]
    }

    #[test]
    fn errors_of_an_attempt_name_their_cause_once() {
        for error in open_errors() {
            let cause: Option<&dyn Error> = match &error {
                OpenError::Dns { source, .. }
                | OpenError::Connect { source, .. }
                | OpenError::Tls { source, .. } => Some(source),
                OpenError::Proxy { source, .. } => Some(source),
                OpenError::TlsSetup(source) => Some(source),
                OpenError::Handshake(source) => Some(source),
                OpenError::NoAddress { .. }
                | OpenError::NotLoopback { .. }
                | OpenError::ProxyRefused { .. }
                | OpenError::Timeout { .. }
                | OpenError::Refused(_) => None,
            };
            assert_chain(&error, cause);
        }
        let (read, tls) = (
            HandshakeError::Io { received: 7, source: io() },
            TlsError::NativeUnreadable { failures: 1, source: io() },
        );
        assert_chain(&read, Some(&io()));
        assert_chain(&tls, Some(&io()));
    }

    #[test]
    fn the_number_of_addresses_is_stated_if_there_were_several() {
        let address = ([127, 0, 0, 1], 443).into();
        let error =
            |tried| OpenError::Connect { proxy: None, address, tried, source: io() }.to_string();
        assert!(error(1).starts_with("connecting to 127.0.0.1:443 failed: "), "{}", error(1));
        assert!(
            error(2).starts_with("connecting to 127.0.0.1:443, the last of 2 addresses tried, ")
        );
    }

    #[test]
    fn what_a_resolver_or_a_certificate_says_stays_on_one_line() {
        let said = || Arc::new(io::Error::other("name \x1b[2J\u{202e}\nFORGED"));
        let (host, address) = ("host".to_owned(), ([127, 0, 0, 1], 443).into());
        let fault = TlsFault::WrongName;
        for error in [
            OpenError::Dns { host: host.clone(), source: said() },
            OpenError::Connect { proxy: None, address, tried: 2, source: said() },
            OpenError::Tls { host: host.clone(), address, fault, source: said() },
            OpenError::Handshake(HandshakeError::Io { received: 7, source: said() }),
        ] {
            let parked = ParkReason::Configuration(error.clone());
            for shown in [error.to_string(), parked.to_string(), ErrorChain(&error).to_string()] {
                assert!(shown.ends_with("name  [2J  FORGED"), "{shown:?}");
            }
        }
    }

    #[test]
    fn reasons_to_park_name_their_cause_once() {
        for last in open_errors() {
            assert_chain(&ParkReason::Authentication(last.clone()), Some(&last));
            assert_chain(&ParkReason::Configuration(last.clone()), Some(&last));
            let used_up =
                ParkReason::AttemptsUsedUp { failures: 6, limit: 5, last: Some(last.clone()) };
            assert_chain(&used_up, Some(&last));
        }
        assert_chain(&ParkReason::AttemptsUsedUp { failures: 6, limit: 5, last: None }, None);
    }

    #[test]
    fn errors_of_requests_name_their_cause_once() {
        let config = ConfigError::new("setting", 5, "1 to 3");
        assert_chain(&SpawnError::from(config.clone()), Some(&config));
        assert_chain(&SpawnError::NoRuntime, None);
        let capacity = CapacityError { asked: 3, free: 1, limit: 3_000 };
        assert_chain(&SubscribeError::from(capacity), Some(&capacity));
        assert_chain(&SubscribeError::Closed, None);
    }

    #[test]
    fn the_words_of_a_token_source_are_its_errors_source_only() {
        let failed = TokenSourceError::Failed(io());
        assert_chain(&failed, None);
        assert_eq!(ErrorChain(&failed).to_string(), "the token source failed: the system's words");
        assert_chain(&TokenSourceError::Panicked, None);
    }
}
