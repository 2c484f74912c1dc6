//! The sending end of a stream.

use kite_conn::{Batch, LaneSink, Sink};
use kite_wire::Command;

use crate::stream::filter::{Chosen, Tokens};
use crate::stream::select::select;

/// The sending end of one stream on one connection.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) sink: LaneSink,
    chosen: Chosen,
    /// A copy of the chosen instruments, as of the last change seen.
    tokens: Tokens,
}

impl Subscriber {
    pub(crate) fn new(sink: LaneSink, chosen: Chosen) -> Self {
        Self { tokens: chosen.tokens(), sink, chosen }
    }

    /// Picks up the chosen instruments after a change.
    pub(crate) fn catch_up(&mut self) {
        self.tokens = self.chosen.tokens();
    }

    /// Delivers the selected packets of a batch.
    #[inline]
    pub(crate) fn deliver(&mut self, batch: &Batch) {
        match &self.tokens {
            None => self.sink.on_batch(batch),
            Some(tokens) => {
                if let Some(batch) =
                    select(batch, |packet| tokens.contains(packet.instrument_token()))
                {
                    self.sink.on_batch(&batch);
                }
            }
        }
    }

    /// Passes on a command, as far as it names selected instruments.
    pub(crate) fn deliver_command(&mut self, command: Command<'_>) {
        if !self.sink.wants_commands() {
            return;
        }
        let Some(chosen) = &self.tokens else { return self.sink.on_command(command) };
        let chosen = |token: &u32| chosen.contains(*token);
        let tokens: Vec<u32> = command.tokens().iter().copied().filter(chosen).collect();
        if !tokens.is_empty() {
            self.sink.on_command(Command::new(command.kind(), &tokens));
        }
    }
}
