//! What is known about the socket to the NATS server.

use async_nats::{ClientError, Event, ServerError};
use kite_manager::OneLine;
use tokio::sync::watch;

/// The state of the socket, as the client of NATS reports it.
#[derive(Debug)]
pub(crate) struct Link {
    state: watch::Sender<LinkState>,
}

/// See [`Link`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LinkState {
    pub(crate) is_up: bool,
    /// Number of sockets opened.
    pub(crate) connects: u64,
    /// Number of sockets lost.
    pub(crate) losses: u64,
    /// How often the server, or the client of NATS, had no room for what this consumer did not
    /// read.
    pub(crate) slow: u64,
    pub(crate) last_error: Option<String>,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::new(LinkState::default()) }
    }

    pub(crate) fn on_event(&self, event: &Event) {
        let error = match event {
            Event::ServerError(error) => Some(error.to_string()),
            Event::ClientError(ClientError::Other(error)) => Some(error.clone()),
            Event::ClientError(error) => Some(error.to_string()),
            _ => None,
        };
        let error = error.map(|error| OneLine(error).to_string());
        self.state.send_modify(|state| {
            match event {
                Event::Connected => {
                    state.is_up = true;
                    state.connects += 1;
                }
                Event::Disconnected | Event::Closed => {
                    state.losses += u64::from(state.is_up);
                    state.is_up = false;
                }
                Event::SlowConsumer(_) | Event::ServerError(ServerError::SlowConsumer(_)) => {
                    state.slow += 1;
                }
                // A server closes the socket of a consumer that reads too slowly, with this text.
                Event::ServerError(ServerError::Other(text)) if is_slow(text) => state.slow += 1,
                _ => {}
            }
            state.last_error = error.clone().or_else(|| state.last_error.take());
        });
        match (event, error) {
            (Event::Connected, _) => tracing::info!("NATS: connected"),
            (Event::Disconnected, _) => tracing::warn!("NATS: connection lost"),
            (_, Some(error)) => tracing::warn!(error, "NATS"),
            _ => {}
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    pub(crate) fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }
}

fn is_slow(text: &str) -> bool {
    text.to_ascii_lowercase().contains("slow consumer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_once_for_each_socket() {
        let link = Link::new();
        for event in [
            Event::Connected,
            Event::Disconnected,
            Event::Disconnected,
            Event::Connected,
            Event::ServerError(ServerError::Other("Slow Consumer\n".into())),
            Event::SlowConsumer(3),
            Event::Closed,
        ] {
            link.on_event(&event);
        }
        let state = link.state();
        assert_eq!((state.connects, state.losses, state.slow), (2, 2, 2));
        assert!(!state.is_up);
        assert_eq!(state.last_error.as_deref(), Some("nats: Slow Consumer "));
    }
}
