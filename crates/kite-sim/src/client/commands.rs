//! A client's commands, and those that are ignored.

use std::fmt;

use kite_server::{End, LimitExceeded, texts};
use kite_wire::{MAX_INSTRUMENTS, ParsedCommand};

use super::Client;
use super::peer::Peer;
use crate::replay::Feed;

impl Client {
    /// Counts and logs a text frame that is ignored. The reason holds nothing of the client's text.
    pub(super) fn note_ignored(&self, reason: &dyn fmt::Display) {
        let client = Peer(self.peer);
        tracing::info!(%client, %reason, "command ignored");
        self.state.counters.ignored_commands.add(1);
    }

    pub(super) async fn on_command(&mut self, command: ParsedCommand<'_>) -> Result<(), End> {
        let ignored = command.tokens.ignored();
        if !ignored.is_empty() {
            self.note_ignored(&ignored);
        }
        // Announced before the subscriptions are visible, so that a pause after them waits for the
        // snapshot.
        let writing = self.state.flow.begin();
        let (before, snapshot) = {
            let mut turn = self.state.fanout.as_ref().map(|fanout| fanout.turn());
            if let Some(turn) = &mut turn {
                turn.note_command();
            }
            // Frames that a replay dealt before the command are sent before its snapshot.
            let before = self.feed.as_mut().map(Feed::drain).unwrap_or_default();
            let mut book = self.book.lock();
            (before, book.obey(command, MAX_INSTRUMENTS, &self.state.exchange))
        };
        for queued in before {
            self.send_queued(queued).await?;
        }
        match snapshot {
            Ok(frame) => self.send_frame(frame, &writing).await?,
            Err(LimitExceeded) => {
                let client = Peer(self.peer);
                tracing::info!(%client, limit = MAX_INSTRUMENTS, "command refused: socket is full");
                self.state.counters.refused_commands.add(1);
                self.send_text(&texts::too_many_instruments(MAX_INSTRUMENTS)).await?;
            }
        }
        self.state.counters.commands.add(1);
        Ok(())
    }
}
