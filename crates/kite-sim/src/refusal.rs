//! How the server says no to a handshake.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use crate::fault::BodyDelivery;
use crate::handshake::discard;

/// How the server answers a handshake it refuses: an HTTP status and a body.
///
/// The content type is JSON where the body starts with a brace, else HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    body: Cow<'static, str>,
    retry_after: Option<Cow<'static, str>>,
}

impl Refusal {
    /// Refuses with any status and body, also such as HTTP does not define.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        Self { status, body: body.into(), retry_after: None }
    }

    /// Refuses as Kite does where the token has expired: 403 and a JSON error.
    #[must_use]
    pub fn auth() -> Self {
        Self::new(
            403,
            r#"{"status":"error","message":"Authentication failed.","data":null,"error_type":"TokenException"}"#,
        )
    }

    /// Refuses with any status and an error of Kite's JSON shape around this message.
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

    /// Adds a `Retry-After` header with this text as its value: seconds or a date, or neither.
    #[must_use]
    pub fn retry_after(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.retry_after = Some(text.into());
        self
    }

    /// Refuses as Kite does where the query lacks an API key or an access token.
    pub(crate) fn no_credentials() -> Self {
        Self::new(
            400,
            r#"{"status":"error","message":"Invalid `access_token` or `api_key`.","data":null,"error_type":"InputException"}"#,
        )
    }

    /// Refuses as Kite does where an API key has all its sockets open.
    pub(crate) fn too_many_sockets() -> Self {
        Self::new(
            429,
            r#"{"status":"error","message":"Too many requests","data":null,"error_type":"NetworkException"}"#,
        )
    }

    /// Refuses as a load balancer does where a request is malformed.
    pub(crate) fn malformed() -> Self {
        Self::new(
            400,
            "<html><head><title>400 Bad Request</title></head>\
             <body><h1>400 Bad Request</h1></body></html>",
        )
    }

    /// Gives the HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Gives the body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Says whether the body is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.body.starts_with('{')
    }

    /// Writes the head of the response; `framing` is the header that tells how the body ends.
    fn head(&self, framing: &str) -> String {
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

    /// Answers a refused request and waits until the client has closed its side.
    ///
    /// # Errors
    /// The socket failed.
    pub(crate) async fn give(
        &self,
        socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
        delivery: BodyDelivery,
    ) -> io::Result<()> {
        let (body, length) = (&*self.body, format!("Content-Length: {}", self.body.len()));
        match delivery {
            BodyDelivery::AtOnce => {
                socket.write_all((self.head(&length) + body).as_bytes()).await?;
            }
            BodyDelivery::Later(delay) => {
                socket.write_all(self.head(&length).as_bytes()).await?;
                socket.flush().await?;
                sleep(delay).await;
                socket.write_all(body.as_bytes()).await?;
            }
            BodyDelivery::Chunked => {
                let (front, back) = body.as_bytes().split_at(body.len() / 2);
                let mut answer = self.head("Transfer-Encoding: chunked").into_bytes();
                for chunk in [front, back].into_iter().filter(|chunk| !chunk.is_empty()) {
                    answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    answer.extend_from_slice(chunk);
                    answer.extend_from_slice(b"\r\n");
                }
                answer.extend_from_slice(b"0\r\n\r\n");
                socket.write_all(&answer).await?;
            }
            BodyDelivery::Never => {
                let half = &body.as_bytes()[..body.len() / 2];
                socket.write_all(self.head(&length).as_bytes()).await?;
                socket.write_all(half).await?;
                socket.flush().await?;
                return discard(socket).await;
            }
        }
        socket.shutdown().await?;
        // A socket closed with unread bytes is reset, which could destroy the body on its way.
        discard(socket).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;

    /// Gives what a client reads that has closed its own side.
    async fn answer(refusal: &Refusal, delivery: BodyDelivery) -> String {
        let mut written = Vec::new();
        let mut socket = tokio::io::join(tokio::io::empty(), &mut written);
        refusal.give(&mut socket, delivery).await.unwrap();
        String::from_utf8(written).unwrap()
    }

    #[tokio::test]
    async fn a_response_declares_its_length_and_type() {
        let response = answer(&Refusal::auth(), BodyDelivery::AtOnce).await;
        let expected = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n";
        assert!(response.starts_with(expected), "{response}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(serde_json::from_str::<Value>(body).unwrap()["message"].is_string());
        let odd = answer(&Refusal::new(599, ""), BodyDelivery::AtOnce).await;
        assert!(odd.starts_with("HTTP/1.1 599 Refused\r\n"));
    }

    #[tokio::test]
    async fn every_delivery_but_never_gives_the_body_whole() {
        let refusal = Refusal::kite(429, "slow \"down\"").retry_after("7");
        let body: Value = serde_json::from_str(refusal.body()).unwrap();
        assert_eq!(body["message"], "slow \"down\"");

        let late = answer(&refusal, BodyDelivery::Later(Duration::ZERO)).await;
        assert_eq!(late, answer(&refusal, BodyDelivery::AtOnce).await);
        assert!(late.contains("\r\nRetry-After: 7\r\n"), "{late}");

        let chunked = answer(&refusal, BodyDelivery::Chunked).await;
        let (head, mut rest) = chunked.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Transfer-Encoding: chunked") && !head.contains("Content-Length"));
        let mut joined = String::new();
        while let Some((length, after)) = rest.split_once("\r\n") {
            let length = usize::from_str_radix(length, 16).unwrap();
            joined.push_str(&after[..length]);
            rest = &after[length + 2..];
        }
        assert_eq!(joined, refusal.body());

        let unfinished = answer(&refusal, BodyDelivery::Never).await;
        let (_, half) = unfinished.split_once("\r\n\r\n").unwrap();
        assert_eq!(half, &refusal.body()[..refusal.body().len() / 2]);
    }
}
