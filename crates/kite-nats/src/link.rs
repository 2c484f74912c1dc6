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
                    // The client drops events that are too many to handle, so that the loss of the
                    // socket before may not have been reported.
                    state.losses += u64::from(state.is_up);
                    state.is_up = true;
                    state.connects += 1;
                }
                Event::Disconnected => {
                    state.losses += u64::from(state.is_up);
                    state.is_up = false;
                }
                // The client was dropped: its socket is not lost.
                Event::Closed => state.is_up = false,
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

    fn after(events: &[Event]) -> LinkState {
        let link = Link::new();
        events.iter().for_each(|event| link.on_event(event));
        link.state()
    }

    #[test]
    fn losses_are_counted_once_for_each_socket() {
        let state = after(&[
            Event::Connected,
            Event::Disconnected,
            Event::Disconnected,
            Event::Connected,
            Event::ServerError(ServerError::Other("Slow Consumer\n".into())),
            Event::SlowConsumer(3),
            Event::Disconnected,
        ]);
        assert_eq!((state.connects, state.losses, state.slow), (2, 2, 2));
        assert!(!state.is_up);
        assert_eq!(state.last_error.as_deref(), Some("nats: Slow Consumer "));
    }

    #[test]
    fn the_end_of_the_client_is_no_loss() {
        let state = after(&[Event::Connected, Event::Closed]);
        assert_eq!((state.connects, state.losses, state.is_up), (1, 0, false));
    }

    #[test]
    fn a_loss_whose_event_was_dropped_is_counted_at_the_next_socket() {
        let state = after(&[Event::Connected, Event::SlowConsumer(1), Event::Connected]);
        assert_eq!((state.connects, state.losses, state.is_up), (2, 1, true));
    }
}
