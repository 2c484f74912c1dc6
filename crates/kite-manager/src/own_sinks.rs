//! The manager's own sinks of a connection: merged streams and the table of newest packets.

use std::task::{Context, Poll};

use kite_conn::{Batch, Event, Sink, Unread};
use kite_wire::Command;

use crate::latest::LatestSink;
use crate::stream::HubSink;

/// Both leave out packets of instruments that have left the connection.
#[derive(Debug)]
pub(crate) struct OwnSinks {
    pub(crate) hub: HubSink,
    pub(crate) latest: Option<LatestSink>,
}

impl Sink for OwnSinks {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.hub.poll_ready(cx)
    }

    fn on_batch(&mut self, batch: &Batch) {
        self.hub.on_batch(batch);
        if let Some(latest) = &mut self.latest {
            latest.on_batch(batch, self.hub.former());
        }
    }

    fn on_event(&mut self, event: &Event) {
        self.hub.on_event(event);
    }

    fn on_command(&mut self, command: Command<'_>) {
        self.hub.on_command(command);
        if let Some(latest) = &mut self.latest {
            latest.on_command(command);
        }
    }

    fn on_departed(&mut self, tokens: &[u32]) {
        self.hub.on_departed(tokens);
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.hub.poll_drained(cx)
    }

    fn stop_waiting(&mut self) {
        self.hub.stop_waiting();
    }

    fn unread(&self) -> Unread {
        self.hub.unread()
    }
}
