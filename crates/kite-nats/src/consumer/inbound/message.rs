//! Reads the headers and the JSON of a message.

use async_nats::Message;
use bytes::Bytes;

use crate::consumer::notices;
use crate::headers::{HeaderError, Headers};
use crate::subject::number;

/// Why a message is not delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Invalid {
    #[error(transparent)]
    Subject(#[from] crate::SubjectError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("not a packet of the instrument of its subject")]
    Packet,
    #[error("a damaged frame")]
    Frame,
    #[error("not readable as JSON")]
    Json,
    #[error(transparent)]
    Notice(#[from] notices::Unreadable),
    #[error("an order update that is not readable")]
    Order,
    #[error("an answer with an error: {0}")]
    Refused(String),
}

/// Reads the payload as JSON.
pub(super) fn json(payload: &Bytes) -> Result<serde_json::Value, Invalid> {
    serde_json::from_slice(payload).map_err(|_| Invalid::Json)
}

/// Reads the headers of ticks.
pub(super) fn headers(message: &Message) -> Result<Headers, HeaderError> {
    Headers::read(|name| Some(message.headers.as_ref()?.get(name)?.as_str()))
}

/// Returns the number that a header has.
pub(super) fn header<N: std::str::FromStr + ToString>(
    message: &Message,
    name: &'static str,
) -> Result<N, HeaderError> {
    let value = message.headers.as_ref().and_then(|it| it.get(name));
    let value = value.ok_or(HeaderError::Missing { name })?.as_str();
    number(value).ok_or_else(|| HeaderError::Invalid { name, value: value.to_owned() })
}
