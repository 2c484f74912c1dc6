//! The server's refusal of a handshake.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::handshake::finish;

/// The response to a refused handshake: an HTTP status and a body.
///
/// The content type is JSON if the body starts with a brace, else HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    body: Cow<'static, str>,
    retry_after: Option<Cow<'static, str>>,
}

impl Refusal {
    /// Refuses with any status and body, including statuses that HTTP does not define.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        Self { status, body: body.into(), retry_after: None }
    }

    /// Refuses as Kite does if the token has expired: 403 and a JSON error.
    #[must_use]
    pub fn auth() -> Self {
        Self::new(
            403,
            r#"{"status":"error","message":"Authentication failed.","data":null,"error_type":"TokenException"}"#,
        )
    }

    /// Refuses with any status and this message in Kite's JSON error format.
    #[must_use]
    pub fn kite(status: u16, message: &str) -> Self {
        let error_type = match status {
            400 => "InputException",
            401 | 403 => "TokenException",
            429 => "NetworkException",
            _ => "GeneralException",
        };
        let body = json!({
            "status": "error", "message": message, "data": null, "error_type": error_type
        });
        Self::new(status, body.to_string())
    }

    /// Adds a `Retry-After` header with this value, which may be seconds, a date, or anything else.
    #[must_use]
    pub fn retry_after(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.retry_after = Some(text.into());
        self
    }

    /// Refuses as Kite does if the query lacks an API key or an access token, or if the API key is
    /// unknown.
    #[must_use]
    pub fn no_credentials() -> Self {
        Self::new(
            400,
            r#"{"status":"error","message":"Invalid `access_token` or `api_key`.","data":null,"error_type":"InputException"}"#,
        )
    }

    /// Refuses as Kite does if an API key has all its sockets open.
    #[must_use]
    pub fn too_many_sockets() -> Self {
        Self::new(
            429,
            r#"{"status":"error","message":"Too many requests","data":null,"error_type":"NetworkException"}"#,
        )
    }

    /// Refuses a request with an `Origin` header, which comes from a web page.
    #[must_use]
    pub fn foreign_origin() -> Self {
        let title = "403 Forbidden";
        Self::new(
            403,
            format!(
                "<html><head><title>{title}</title></head>\
                 <body><h1>{title}</h1><p>The Origin is not listed.</p></body></html>"
            ),
        )
    }

    /// Returns whether the request was refused because its credentials are missing or wrong.
    #[must_use]
    pub fn is_for_credentials(&self) -> bool {
        *self == Self::auth() || *self == Self::no_credentials()
    }

    /// Refuses as a load balancer does if a request is malformed.
    #[must_use]
    pub fn malformed() -> Self {
        Self::new(
            400,
            "<html><head><title>400 Bad Request</title></head>\
             <body><h1>400 Bad Request</h1></body></html>",
        )
    }

    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Returns the `Content-Length` header.
    #[must_use]
    pub fn content_length(&self) -> String {
        format!("Content-Length: {}", self.body.len())
    }

    /// Returns whether the body is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.body.starts_with('{')
    }

    /// Returns the head of the response; `framing` is the header that delimits the body.
    #[must_use]
    pub fn head(&self, framing: &str) -> String {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|s| s.canonical_reason());
        let kind = if self.is_json() { "application/json" } else { "text/html" };
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {kind}\r\n{framing}\r\nConnection: close\r\n",
            self.status,
            reason.unwrap_or("Refused"),
        );
        if let Some(text) = &self.retry_after {
            // Writing to a string does not fail.
            let _ = write!(head, "Retry-After: {text}\r\n");
        }
        head + "\r\n"
    }

    /// Responds to a refused request and waits until the client has closed its side.
    ///
    /// # Errors
    /// Returns an error if the socket failed.
    ///
    /// # Cancel safety
    /// Not cancel safe: part of the response may have been sent.
    pub async fn send(&self, socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
        socket.write_all((self.head(&self.content_length()) + &self.body).as_bytes()).await?;
        finish(socket).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Returns the response that a client reads after closing its own side.
    async fn answer(refusal: &Refusal) -> String {
        let mut written = Vec::new();
        let mut socket = tokio::io::join(tokio::io::empty(), &mut written);
        refusal.send(&mut socket).await.unwrap();
        String::from_utf8(written).unwrap()
    }

    #[tokio::test]
    async fn a_response_declares_its_length_and_type() {
        let response = answer(&Refusal::auth()).await;
        let expected = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n";
        assert!(response.starts_with(expected), "{response}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(serde_json::from_str::<Value>(body).unwrap()["message"].is_string());
        let odd = answer(&Refusal::new(599, "")).await;
        assert!(odd.starts_with("HTTP/1.1 599 Refused\r\n"));
    }
}
