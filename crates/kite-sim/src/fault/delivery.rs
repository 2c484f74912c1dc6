//! How the body of a refusal is sent, which is with the head, late, in chunks, or incomplete.

use std::io;
use std::time::Duration;

use kite_server::Refusal;
use kite_server::handshake::{discard, finish};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use super::random::Random;

/// How the body of a refusal is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BodyDelivery {
    /// With the head.
    #[default]
    AtOnce,
    /// In a separate TCP segment, this much later.
    Later(Duration),
    /// In two chunks, without a `Content-Length`.
    Chunked,
    /// Only its first half; TCP stays open until the client closes it.
    Never,
}

impl BodyDelivery {
    /// Draws one of the first `ways` variants; the fourth never ends.
    pub(super) fn draw(random: &mut Random, ways: usize, longest_delay: Duration) -> Self {
        match random.below(ways) {
            0 => Self::AtOnce,
            1 => Self::Later(random.up_to(longest_delay)),
            2 => Self::Chunked,
            _ => Self::Never,
        }
    }

    /// Responds to a refused request and waits until the client has closed its side.
    ///
    /// # Errors
    /// Returns an error if the socket failed.
    pub(crate) async fn send(
        self,
        refusal: &Refusal,
        socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let (body, length) = (refusal.body(), refusal.content_length());
        match self {
            Self::AtOnce => return refusal.send(socket).await,
            Self::Later(delay) => {
                socket.write_all(refusal.head(&length).as_bytes()).await?;
                socket.flush().await?;
                sleep(delay).await;
                socket.write_all(body.as_bytes()).await?;
            }
            Self::Chunked => {
                let (front, back) = body.as_bytes().split_at(body.len() / 2);
                let mut answer = refusal.head("Transfer-Encoding: chunked").into_bytes();
                for chunk in [front, back].into_iter().filter(|chunk| !chunk.is_empty()) {
                    answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    answer.extend_from_slice(chunk);
                    answer.extend_from_slice(b"\r\n");
                }
                answer.extend_from_slice(b"0\r\n\r\n");
                socket.write_all(&answer).await?;
            }
            Self::Never => {
                let half = &body.as_bytes()[..body.len() / 2];
                socket.write_all(refusal.head(&length).as_bytes()).await?;
                socket.write_all(half).await?;
                socket.flush().await?;
                return discard(socket).await;
            }
        }
        finish(socket).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Returns the response that a client reads after closing its own side.
    async fn answer(refusal: &Refusal, delivery: BodyDelivery) -> String {
        let mut written = Vec::new();
        let mut socket = tokio::io::join(tokio::io::empty(), &mut written);
        delivery.send(refusal, &mut socket).await.unwrap();
        String::from_utf8(written).unwrap()
    }

    #[tokio::test]
    async fn every_delivery_but_never_sends_the_whole_body() {
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
