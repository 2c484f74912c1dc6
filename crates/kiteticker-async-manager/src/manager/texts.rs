//! The bound on messages of the server's texts that a channel holds, in bytes.
//!
//! The published channels are bounded in messages, but a text is as long as the server makes it, and
//! its parsed form larger. What receivers have not read cannot be taken back from such a channel, so
//! a message without room is replaced by a report.

use std::collections::VecDeque;

use kite_wire::text::TextMessage;

use crate::models::{Order, TickerMessage};

/// Number of bytes that the unread messages of texts take in a channel. A thousand ordinary order
/// updates fit.
pub(crate) const MOST_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// Too many messages of texts are unread.
#[derive(Debug)]
pub(crate) struct TooManyTexts;

/// The unread messages of texts in a channel.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// Number of each message, counted over all that were sent, and its bytes; the oldest first.
    unread: VecDeque<(u64, usize)>,
    /// Sum of the bytes.
    bytes: usize,
}

impl Texts {
    /// Forgets the messages before this one: all receivers have read them, or the channel has
    /// overwritten them.
    pub(crate) fn forget_before(&mut self, number: u64) {
        while let Some(&(oldest, bytes)) = self.unread.front()
            && oldest < number
        {
            self.unread.pop_front();
            self.bytes -= bytes;
        }
    }

    /// Returns whether there is room for a message. One beyond the bound has room if no other is
    /// unread.
    pub(crate) fn have_room_for(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= MOST_TEXT_BYTES
    }

    pub(crate) fn add(&mut self, number: u64, bytes: usize) {
        self.unread.push_back((number, bytes));
        self.bytes += bytes;
    }
}

/// Returns an upper bound of the memory that the message of a text takes.
pub(crate) fn most_bytes(text: &[u8]) -> usize {
    // The order's texts are in the parsed object too, and an unreadable one is kept as text.
    size_of::<Order>() + 2 * text.len() + TextMessage::most_bytes(text)
}

/// Returns the report of a text whose message was not sent.
pub(crate) fn dropped_text(bytes: usize) -> TickerMessage {
    let mib = MOST_TEXT_BYTES / (1024 * 1024);
    TickerMessage::Error(format!(
        "a message from the server that takes up to {bytes} bytes was dropped, possibly an order \
         update, because {mib} MiB of earlier ones are unread: check Kite's order book"
    ))
}
