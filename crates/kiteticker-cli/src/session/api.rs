//! The endpoint that issues and ends access tokens.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::time::Duration;

use kite_conn::{Credentials, Secret};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use ureq::http::Response;
use ureq::{Agent, Body, Error};

use super::error::ApiError;
use super::url::ServerUrl;
use crate::exit::CliError;
use crate::network::{Network, Route};

/// The version of Kite Connect's API, which its clients send.
const KITE_VERSION: &str = "3";
/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a request and its answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A session takes about a kilobyte.
const MAX_ANSWER_BYTES: u64 = 256 << 10;

/// A new session. `Debug` does not show its token.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) access_token: Secret,
    pub(crate) user_id: String,
    pub(crate) user_name: Option<String>,
    pub(crate) login_time: Option<String>,
}

/// Kite's API. Its requests block.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    agent: Agent,
    url: ServerUrl,
    /// The proxy, for errors.
    proxy: Option<String>,
}

impl Api {
    /// Prepares requests.
    ///
    /// # Errors
    /// Returns an error if the proxy or the file of root certificates cannot be used.
    pub(crate) fn new(url: ServerUrl, network: &Network) -> Result<Self, CliError> {
        let Route { proxy, tls, shown } = network.route(url.as_str())?;
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            // The request holds secrets, which are for this server alone.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(tls)
            .user_agent(concat!("kite/", env!("CARGO_PKG_VERSION")));
        Ok(Self { agent: Agent::new_with_config(config.build()), url, proxy: shown })
    }

    /// Exchanges a request token for a session.
    ///
    /// # Errors
    /// Returns an error if the API refuses or does not answer.
    pub(crate) fn exchange(
        &self,
        api_key: &str,
        request_token: &Secret,
        api_secret: &Secret,
    ) -> Result<Session, ApiError> {
        let checksum = checksum(api_key, request_token, api_secret);
        let form = [
            ("api_key", api_key),
            ("request_token", request_token.expose()),
            ("checksum", checksum.expose()),
        ];
        let request = self.agent.post(self.token_url()).header("X-Kite-Version", KITE_VERSION);
        let answer = request.send_form(form);
        let data = self.data(answer, &[request_token, api_secret, &checksum])?;
        session(&data)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Returns an error if the API refuses, also if the session has ended before, or does not
    /// answer.
    pub(crate) fn end(&self, credentials: &Credentials) -> Result<(), ApiError> {
        let token = credentials.access_token();
        let request = self.agent.delete(self.token_url()).header("X-Kite-Version", KITE_VERSION);
        let request = request.query("api_key", credentials.api_key());
        let answer = request.query("access_token", token.expose()).call();
        self.data(answer, &[token]).map(|_| ())
    }

    fn token_url(&self) -> String {
        format!("{}/session/token", self.url.as_str())
    }

    /// Reads the `data` of an answer; in an error's texts the secrets are replaced.
    fn data(
        &self,
        answer: Result<Response<Body>, Error>,
        secrets: &[&Secret],
    ) -> Result<Value, ApiError> {
        let answer = answer.map_err(|error| self.no_answer(own_words(error)))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        let mut body = answer.into_body().into_reader().take(MAX_ANSWER_BYTES + 1);
        body.read_to_end(&mut bytes).map_err(|error| self.no_answer(error.into()))?;
        let not_kite = || ApiError::NotKite { status };
        if bytes.len() as u64 > MAX_ANSWER_BYTES {
            return Err(not_kite());
        }
        let mut answer: Value = serde_json::from_slice(&bytes).map_err(|_| not_kite())?;
        match answer["status"].as_str() {
            Some("success") if (200..300).contains(&status) => Ok(answer["data"].take()),
            Some("error") => {
                let text = |name: &str| without(answer[name].as_str().unwrap_or("?"), secrets);
                let (error_type, message) = (text("error_type"), text("message"));
                Err(ApiError::Refused { status, error_type, message })
            }
            _ => Err(not_kite()),
        }
    }

    fn no_answer(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ApiError {
        let to = self.url.as_str().to_owned();
        ApiError::NoAnswer { to, through: self.proxy.clone(), source }
    }
}

/// Returns the cause of a failed request without the request's URL, which may hold a token.
fn own_words(error: Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        Error::BadUri(_) => "it is not a valid URL".into(),
        Error::Io(source) => Box::new(source),
        Error::Timeout(_) => Box::new(io::Error::new(io::ErrorKind::TimedOut, error)),
        other => Box::new(other),
    }
}

/// Returns the hexadecimal SHA-256 of key, request token and secret.
fn checksum(api_key: &str, request_token: &Secret, api_secret: &Secret) -> Secret {
    let mut hash = Sha256::new();
    for part in [api_key, request_token.expose(), api_secret.expose()] {
        hash.update(part);
    }
    let hex = hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    Secret::from(hex)
}

fn session(data: &Value) -> Result<Session, ApiError> {
    let text = |name: &str| data[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    // It is written into a file of lines.
    let is_plain = |text: &String| text.bytes().all(|byte| byte.is_ascii_graphic());
    let access_token = text("access_token").filter(is_plain).map(Secret::from);
    Ok(Session {
        access_token: access_token.ok_or(ApiError::Lacks { what: "access_token" })?,
        user_id: text("user_id").ok_or(ApiError::Lacks { what: "user_id" })?,
        user_name: text("user_name"),
        login_time: text("login_time"),
    })
}

/// Replaces secrets that a server repeats.
fn without(text: &str, secrets: &[&Secret]) -> String {
    secrets
        .iter()
        .map(|it| it.expose())
        .filter(|it| !it.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_checksum_is_the_sha_256_of_key_request_token_and_secret() {
        // From `printf 'keytokensecret' | sha256sum`.
        let expected = "08a03d928417ea4085557933d3b187ff2a3515b039d6054dbd230c95d978a17a";
        assert_eq!(checksum("key", &"token".into(), &"secret".into()).expose(), expected);
    }

    #[test]
    fn a_session_without_a_token_that_fits_a_line_is_refused() {
        let of = |token: Value| session(&json!({"access_token": token, "user_id": "AB1234"}));
        assert_eq!(of("abc".into()).unwrap().access_token.expose(), "abc");
        for token in [json!(null), json!(""), json!(7), json!("a\nb"), json!("a b"), json!("é")] {
            assert!(matches!(of(token), Err(ApiError::Lacks { what: "access_token" })));
        }
        assert!(session(&json!({"access_token": "abc"})).is_err());
    }

    #[test]
    fn secrets_that_a_server_repeats_are_replaced() {
        let secrets = [&Secret::from("s3cr3t"), &Secret::from("")];
        assert_eq!(without("no s3cr3t, s3cr3t!", &secrets), "no [redacted], [redacted]!");
    }
}
