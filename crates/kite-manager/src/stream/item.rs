//! What a merged stream delivers.

use std::sync::Arc;

use kite_conn::{Batch, Gap, LossCause, Stamp};
use kite_wire::{Packet, Packets};

use crate::account_id::AccountId;
use crate::stream::first::FirstPackets;

/// A batch and the connection that received it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaggedBatch {
    /// The account.
    pub account: AccountId,
    /// The connection's number within the account, from 0.
    pub connection: usize,
    /// The ticks, with the receive time, the number of the connection's socket (`epoch`) and the
    /// frame's number on the connection (`sequence`). Frames without ticks are left out, so the
    /// sequence has gaps.
    pub batch: Batch,
    pub(crate) firsts: Option<FirstPackets>,
}

impl TaggedBatch {
    /// Creates a batch of which no packet is first, for programs that test what they do with items.
    #[must_use]
    pub fn new(account: AccountId, connection: usize, batch: Batch) -> Self {
        Self { account, connection, batch, firsts: None }
    }

    /// Returns the packets, in order.
    #[must_use]
    pub fn packets(&self) -> Packets<'_> {
        self.batch.ticks.packets()
    }

    /// Returns whether a packet of this frame is the first of its instrument after a subscribe, a
    /// change of its mode, or a reconnect. Such a packet is a snapshot: Kite's newest values, no
    /// matter how old, rather than a trade.
    ///
    /// A subscription in another mode than quote has two: Kite answers the subscribe with a packet
    /// in quote mode, and the mode that follows with one in that mode. An instrument that moved to
    /// another connection was subscribed there. After a change of mode, packets in the old mode
    /// that were still on their way are not first.
    ///
    /// What counts is what the stream delivers. If the first packet was dropped, or replaced by a
    /// newer one ([`StreamItem::Conflated`]), the next one or the newer one is first. A stream that
    /// was created later than an instrument was subscribed, or chose it later, does not know of the
    /// subscription: its first packet of that instrument is not first.
    ///
    /// Always false unless [`StreamConfig::mark_first`](crate::StreamConfig::mark_first) is set or
    /// [`InPlaceStream::mark_first`](crate::InPlaceStream::mark_first) was called, and for a packet
    /// of another frame.
    #[must_use]
    pub fn is_first(&self, packet: &Packet<'_>) -> bool {
        self.firsts.as_ref().is_some_and(|firsts| firsts.contains(packet))
    }

    /// Returns whether a packet is first, as [`TaggedBatch::is_first`], after a subscribe or a
    /// reconnect and not after a change of its mode: before it, the instrument may have traded
    /// without being sent.
    #[must_use]
    pub fn starts_subscription(&self, packet: &Packet<'_>) -> bool {
        self.firsts.as_ref().is_some_and(|firsts| firsts.starts_subscription(packet))
    }
}

/// An item of a [`TickStream`](crate::TickStream).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StreamItem {
    /// A frame; it shares the socket's read buffer unless packets were left out.
    Ticks(TaggedBatch),
    /// All queued frames of a connection, conflated into one: the newest packet of each instrument,
    /// with the stamp, epoch and sequence of the newest frame.
    Conflated {
        /// The conflated frame.
        ticks: TaggedBatch,
        /// Number of packets left out because a newer one of the same instrument replaced them.
        replaced: u64,
    },
    /// Frames of a connection were dropped between its previous and its next item.
    Dropped {
        /// The account.
        account: AccountId,
        /// The connection's number within the account, from 0.
        connection: usize,
        /// Number of frames dropped; 0 if conflated packets had no room for further instruments.
        frames: u64,
        /// Number of ticks dropped, of the chosen instruments.
        ticks: u64,
        /// Number of other items dropped ([`StreamItem::Up`] and those below it, and what
        /// [`TaggedBatch::is_first`] is computed from), because more than 256 waited on the
        /// connection. Reported before the next such item.
        notices: u64,
    },
    /// A socket was opened; the items of this connection after this one are from it.
    ///
    /// This item and those below have their place among the items of their connection: no frame
    /// that was received later overtakes them. They do not count toward the bounds of the stream
    /// and are not dropped with frames. Those that happened between conflated frames come before
    /// [`StreamItem::Conflated`], whose packets may therefore be older than they are.
    Up {
        /// The account.
        account: AccountId,
        /// The connection's number within the account, from 0.
        connection: usize,
        /// Number of this socket on its connection, from 1.
        epoch: u32,
        /// Number of instruments being subscribed on it.
        instruments: usize,
    },
    /// A socket was lost; no item from it follows.
    Down {
        /// The account.
        account: AccountId,
        /// The connection's number within the account, from 0.
        connection: usize,
        /// The socket's number.
        epoch: u32,
        /// The cause.
        cause: LossCause,
        /// When the last message of any kind, including a pong, was received.
        last_heard: Stamp,
    },
    /// What was missed while no socket delivered these instruments. It follows the frame that
    /// settles it, see [`Event::Gap`](crate::Event::Gap), and lists all instruments of the
    /// connection, including those that the stream does not deliver.
    Gap {
        /// The account.
        account: AccountId,
        /// The connection's number within the account, from 0.
        connection: usize,
        /// The gap.
        gap: Arc<Gap>,
    },
}

impl StreamItem {
    /// Returns the frame of [`StreamItem::Ticks`] or [`StreamItem::Conflated`], the items that
    /// carry ticks.
    #[must_use]
    pub fn ticks(&self) -> Option<&TaggedBatch> {
        match self {
            Self::Ticks(ticks) | Self::Conflated { ticks, .. } => Some(ticks),
            _ => None,
        }
    }

    /// Returns the packets of [`StreamItem::ticks`], in order; none for any other item.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.ticks().into_iter().flat_map(TaggedBatch::packets)
    }
}
