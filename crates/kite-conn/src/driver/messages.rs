//! Handles the server's messages by kind.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use kite_wire::text::{TextError, TextMessage};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use super::clock::now;
use super::network::Network;
use super::{Driver, nanos};
use crate::clock::Stamp;
use crate::deliver::Sink;
use crate::observe::{Event, LossCause};
use crate::session::Input;

impl<S: Sink, N: Network> Driver<S, N> {
    /// Handles a message.
    ///
    /// # Errors
    /// Returns the cause of the loss if the message ends the socket.
    #[inline]
    pub(super) fn on_message(&mut self, message: Message) -> Result<(), LossCause> {
        let now = now();
        self.turn.take(message.len());
        self.record_activity(now);
        // A connection that is driven late reads what has arrived before its timer is polled.
        self.look_at_clocks(now);
        match message {
            Message::Binary(bytes) => self.on_binary(now, bytes),
            Message::Text(text) => self.on_text(now, text),
            Message::Pong(payload) => self.on_pong(now, &payload),
            Message::Ping(_) => self.session.on_message(now),
            Message::Close(frame) => return Err(close_cause(frame)),
            Message::Frame(_) => {}
        }
        Ok(())
    }

    fn on_binary(&mut self, now: Instant, bytes: Bytes) {
        let received = Stamp::at(now);
        let counts = &self.reporter.counters.socket;
        counts.frames.add(1);
        counts.bytes.add(bytes.len() as u64);
        counts.last_message.set(received.as_nanos());
        // A heartbeat is one byte, and a frame without packets two.
        let has_ticks = bytes.len() > 2;
        if has_ticks {
            counts.frame_bytes.record(bytes.len() as u64);
        }
        if self.session.on_frame(now, has_ticks) {
            // An event is pending and must be delivered in order with the frames.
            self.turn.end();
        }
        self.intake.on_frame(bytes, received, self.session.epoch());
    }

    #[inline(never)]
    fn on_text(&mut self, now: Instant, text: Utf8Bytes) {
        let received = Stamp::at(now);
        self.session.on_message(now);
        let counts = &self.reporter.counters.socket;
        counts.texts.add(1);
        counts.last_message.set(received.as_nanos());
        let redacted = self.secrets.redact_frame(&text);
        let parsed = match redacted.as_deref().map(std::str::from_utf8) {
            Some(Ok(redacted)) => TextMessage::parse(redacted),
            _ => TextMessage::parse(&text),
        };
        // A copy, because a short text that waits for its consumer would keep a whole block of the
        // socket's read buffer.
        let text = redacted.unwrap_or_else(|| Bytes::copy_from_slice(text.as_bytes()));
        match parsed {
            Ok(message) => self.on_readable_text(received, text, message),
            Err(error) => self.on_unreadable_text(received, text, error),
        }
    }

    fn on_readable_text(&mut self, received: Stamp, text: Bytes, message: TextMessage) {
        if let TextMessage::Error(message) = &message {
            self.handle(Input::ServerError(message.clone()));
        }
        let message = Arc::new(message);
        self.report(Event::Text { text, message, received });
    }

    fn on_unreadable_text(&mut self, received: Stamp, text: Bytes, error: TextError) {
        let counts = &self.reporter.counters.socket;
        counts.unreadable_texts.add(1);
        counts.errors.add(1);
        // The sink receives every one; the lane keeps its room for important events.
        let admitted = self.unreadable.admit(received);
        let suppressed = admitted.unwrap_or_default();
        let event = Event::TextUnreadable { text, error, received, suppressed };
        match admitted {
            Some(_) => self.report(event),
            None => self.deliver(event, received),
        }
    }

    fn on_pong(&mut self, now: Instant, payload: &[u8]) {
        let departed = self.session.departed(payload);
        if !departed.is_empty() {
            self.intake.on_departed(&departed);
        }
        let Some(round_trip) = self.session.on_pong(now, payload) else { return };
        let counts = &self.reporter.counters.socket;
        // Zero means "none", so a clock that did not advance counts as 1 ns.
        let round_trip_ns = nanos(round_trip).max(1);
        counts.round_trip_ns.set(round_trip_ns);
        counts.round_trips_ns.record(round_trip_ns);
    }
}

fn close_cause(frame: Option<CloseFrame>) -> LossCause {
    let (code, reason) = frame.map_or((1005, String::new()), |frame| {
        (frame.code.into(), frame.reason.as_str().to_owned())
    });
    LossCause::CloseFrame { code, reason }
}

/// Returns the cause of loss for a socket error.
pub(super) fn loss_cause(error: WsError) -> LossCause {
    match error {
        WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => LossCause::Eof,
        // TLS without a close_notify counts as the end of the stream.
        WsError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => LossCause::Eof,
        WsError::Io(error) => LossCause::Io(error.kind()),
        WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            LossCause::FrameTooLarge { bytes: size, limit: max_size }
        }
        other => LossCause::Protocol(other.to_string()),
    }
}
