//! Faults of the endpoints of access tokens.

use std::str::FromStr;
use std::time::Duration;

/// A fault of the next request to `/session/token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginFault {
    /// The request token has expired, or the access token has: 403, `TokenException`.
    Expired,
    /// The checksum does not match: 403, `TokenException`.
    WrongChecksum,
    /// Too many requests: 429.
    RateLimit,
    /// The server behind the load balancer is down: 503 and a page of HTML.
    Unavailable,
    /// The answer comes late.
    Slow {
        /// How late.
        delay: Duration,
    },
    /// An answer with status 200 that is not JSON.
    Garbage,
    /// The connection ends without an answer.
    End,
}

/// Why a text names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected one of expired, checksum, rate_limit, unavailable, slow:MILLISECONDS, garbage and end"
)]
#[non_exhaustive]
pub struct LoginFaultError;

impl FromStr for LoginFault {
    type Err = LoginFaultError;

    /// Parses a fault: `expired`, `checksum`, `rate_limit`, `unavailable`, `slow:MILLISECONDS`,
    /// `garbage` or `end`.
    fn from_str(text: &str) -> Result<Self, LoginFaultError> {
        Ok(match text {
            "expired" => Self::Expired,
            "checksum" => Self::WrongChecksum,
            "rate_limit" => Self::RateLimit,
            "unavailable" => Self::Unavailable,
            "garbage" => Self::Garbage,
            "end" => Self::End,
            _ => {
                let ms = text.strip_prefix("slow:").and_then(|ms| ms.parse::<u32>().ok());
                let delay = Duration::from_millis(ms.ok_or(LoginFaultError)?.into());
                Self::Slow { delay }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_parsed_by_name() {
        assert_eq!("expired".parse(), Ok(LoginFault::Expired));
        let delay = Duration::from_millis(1_500);
        assert_eq!("slow:1500".parse(), Ok(LoginFault::Slow { delay }));
        for text in ["", "slow", "slow:", "slow:-1", "Expired", "slow:99999999999"] {
            assert_eq!(text.parse::<LoginFault>(), Err(LoginFaultError), "{text}");
        }
    }
}
