//! Why a login or a logout failed at Kite's API, and what to do.

use std::error::Error;

use kite_conn::OneLine;

use crate::exit::CliError;

/// Why Kite's API did not do what it was asked for. No text contains a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The API refused, in its own words, from which secrets are removed.
    #[error("{}", refusal(*status, error_type, message))]
    Refused { status: u16, error_type: String, message: String },
    /// The answer is not the API's.
    #[error("the answer is not Kite's (status {status})")]
    NotKite { status: u16 },
    /// The answer lacks something, or has something else in its place.
    #[error("the answer has no valid {what}")]
    Lacks { what: &'static str },
    /// There is no whole answer.
    #[error("{to} did not answer{}", through.as_deref().map(|it| format!(" through {it}")).unwrap_or_default())]
    NoAnswer {
        to: String,
        /// The proxy, without its credentials.
        through: Option<String>,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

fn refusal(status: u16, error_type: &str, message: &str) -> String {
    format!("{} ({}, status {status})", OneLine(message), OneLine(error_type))
}

impl ApiError {
    /// Returns whether the access token of the request is not valid any more.
    pub(crate) fn is_dead_token(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, error_type, .. }
            if error_type == "TokenException")
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Refused { status: 429, .. } => "too many requests: wait a minute, then try again",
            Self::Refused { status: 500.., .. } => "Kite has a problem: try again in a few minutes",
            Self::Refused { message, .. } if message.to_lowercase().contains("checksum") => {
                "check that the api_secret is the one of this api_key"
            }
            Self::Refused { error_type, .. } if error_type == "TokenException" => {
                "a request token lasts a few minutes and is used once: log in again"
            }
            Self::Refused { message, .. } if message.contains("api_key") => "check the api_key",
            Self::Refused { error_type, .. } if error_type == "UserException" => {
                "the account may not use this app: see https://developers.kite.trade"
            }
            Self::Refused { .. } => "see https://kite.trade/docs/connect/v3/exceptions",
            Self::NotKite { status: 500.., .. } => "Kite has a problem: try again in a few minutes",
            Self::NotKite { .. } | Self::Lacks { .. } => {
                "a proxy or another server may have answered: check --api-url and the proxy"
            }
            Self::NoAnswer { .. } => "check the network and the proxy, then log in again",
        }
    }

    /// Returns the error of a command that could not do `what`.
    pub(crate) fn of(self, what: &str) -> CliError {
        let advice = self.advice();
        CliError::unable(what).because(self).help(advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, error_type: &str, message: &str) -> ApiError {
        ApiError::Refused { status, error_type: error_type.into(), message: message.into() }
    }

    #[test]
    fn each_refusal_comes_with_what_to_do() {
        for (error, advice) in [
            (refused(403, "TokenException", "Token is invalid or has expired."), "log in again"),
            (refused(403, "TokenException", "Invalid `checksum`."), "api_secret"),
            (refused(400, "InputException", "Invalid `api_key`."), "check the api_key"),
            (refused(429, "NetworkException", "Too many requests"), "wait a minute"),
            (refused(500, "GeneralException", "Oops"), "few minutes"),
            (refused(400, "NewException", "Oops"), "exceptions"),
            (ApiError::NotKite { status: 503 }, "few minutes"),
            (ApiError::NotKite { status: 200 }, "--api-url"),
        ] {
            assert!(error.advice().contains(advice), "{error}: {}", error.advice());
        }
        assert!(refused(403, "TokenException", "x").is_dead_token());
        assert!(!refused(429, "TokenException", "x").is_dead_token());
    }

    #[test]
    fn the_words_of_a_server_stay_on_one_line() {
        let error = refused(400, "x\u{1b}[2J", "a\nFORGED");
        assert_eq!(error.to_string(), "a FORGED (x [2J, status 400)");
    }
}
