//! The ticks of one frame, kept in the bytes received.
//!
//! A thin wrapper around `kite_wire::TickBatch`: ticks are decoded on access.

use std::fmt;
use std::iter::FusedIterator;
use std::time::Duration;

use kite_conn::Stamp;
use kite_wire::{PacketCursor, Packets};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::models::encode::encode_frame;
use crate::models::{EncodeTickError, TickMessage};

/// The ticks of one frame. Used like the `Vec<TickMessage>` that it replaces, with items by value.
///
/// A clone costs one reference count. Iterating decodes ticks; [`packets`](Self::packets) returns
/// zero-copy views instead. Keeping a batch keeps the whole read buffer alive;
/// [`detach`](Self::detach) copies the frame out of it.
///
/// Serde uses a sequence of [`TickMessage`]. Deserialising encodes it as a frame, and fails if a
/// tick has no exact form on the wire (see [`EncodeTickError`]).
#[derive(Clone)]
pub struct TickBatch {
    ticks: kite_wire::TickBatch,
    received: Stamp,
}

impl TickBatch {
    pub(crate) fn new(ticks: kite_wire::TickBatch, received: Stamp) -> Self {
        Self { ticks, received }
    }

    /// Returns the number of ticks.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.ticks.len()
    }

    /// Returns whether the batch contains no ticks.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ticks.is_empty()
    }

    /// Returns the first tick.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<TickMessage> {
        self.iter().next()
    }

    /// Returns the last tick. The packets before it are skipped, not decoded.
    #[inline]
    #[must_use]
    pub fn last(&self) -> Option<TickMessage> {
        self.iter().last()
    }

    /// Returns the tick at `index`. The packets before it are skipped, not decoded. To visit all
    /// ticks, iterate.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<TickMessage> {
        self.iter().nth(index)
    }

    /// Iterates over the ticks, decoding each on access.
    #[inline]
    pub fn iter(&self) -> TickBatchIter<'_> {
        TickBatchIter { packets: self.packets() }
    }

    /// Decodes all ticks.
    #[must_use]
    pub fn to_vec(&self) -> Vec<TickMessage> {
        self.iter().collect()
    }

    /// Iterates over zero-copy views of the packets.
    #[inline]
    #[must_use]
    pub fn packets(&self) -> Packets<'_> {
        self.ticks.packets()
    }

    /// Returns the number of packets of unknown length, which are not among the ticks.
    #[inline]
    #[must_use]
    pub fn skipped(&self) -> u16 {
        self.ticks.skipped()
    }

    /// Returns when the frame was read from the socket, or, for a batch that was not, when it was
    /// created.
    #[inline]
    #[must_use]
    pub fn received(&self) -> Stamp {
        self.received
    }

    /// Returns the time elapsed since [`received`](Self::received).
    #[must_use]
    pub fn age(&self) -> Duration {
        self.received.elapsed()
    }

    /// Copies the frame out of the read buffer, so that keeping it keeps nothing else alive.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { ticks: self.ticks.detach(), received: self.received }
    }

    /// Returns the underlying exact batch, with the wire's integers.
    #[inline]
    #[must_use]
    pub fn as_wire(&self) -> &kite_wire::TickBatch {
        &self.ticks
    }
}

impl From<kite_wire::TickBatch> for TickBatch {
    /// Wraps a batch that was not read from a socket, stamped with the current time.
    fn from(ticks: kite_wire::TickBatch) -> Self {
        Self::new(ticks, Stamp::now())
    }
}

impl TryFrom<&[TickMessage]> for TickBatch {
    type Error = EncodeTickError;

    /// Encodes ticks as one frame, stamped with the current time.
    ///
    /// # Errors
    /// Returns an error if a tick has no exact form on the wire, or there are more than 65,535 of
    /// them.
    fn try_from(ticks: &[TickMessage]) -> Result<Self, EncodeTickError> {
        let frame = kite_wire::TickBatch::new(encode_frame(ticks)?);
        // An encoded frame is not damaged, and a cut-off part would contain no tick.
        Ok(frame.unwrap_or_else(|damaged| damaged.batch).into())
    }
}

impl fmt::Debug for TickBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TickBatch")
            .field("ticks", &self.len())
            .field("skipped", &self.skipped())
            .field("bytes", &self.ticks.as_bytes().len())
            .field("received", &self.received)
            .finish()
    }
}

impl Serialize for TickBatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de> Deserialize<'de> for TickBatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ticks = Vec::<TickMessage>::deserialize(deserializer)?;
        Self::try_from(&ticks[..]).map_err(de::Error::custom)
    }
}

impl<'a> IntoIterator for &'a TickBatch {
    type Item = TickMessage;
    type IntoIter = TickBatchIter<'a>;

    #[inline]
    fn into_iter(self) -> TickBatchIter<'a> {
        self.iter()
    }
}

impl IntoIterator for TickBatch {
    type Item = TickMessage;
    type IntoIter = TickBatchIntoIter;

    fn into_iter(self) -> TickBatchIntoIter {
        let cursor = PacketCursor::new(self.ticks.as_bytes().clone());
        TickBatchIntoIter { left: self.len(), cursor }
    }
}

/// Iterator over the ticks of a borrowed [`TickBatch`].
#[derive(Debug, Clone)]
pub struct TickBatchIter<'a> {
    packets: Packets<'a>,
}

impl Iterator for TickBatchIter<'_> {
    type Item = TickMessage;

    #[inline]
    fn next(&mut self) -> Option<TickMessage> {
        self.packets.next().map(TickMessage::from)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.packets.size_hint()
    }

    #[inline]
    fn nth(&mut self, n: usize) -> Option<TickMessage> {
        self.packets.nth(n).map(TickMessage::from)
    }

    #[inline]
    fn last(self) -> Option<TickMessage> {
        self.packets.last().map(TickMessage::from)
    }
}

impl ExactSizeIterator for TickBatchIter<'_> {}
impl FusedIterator for TickBatchIter<'_> {}

/// Owning iterator over the ticks of a [`TickBatch`]; it keeps the frame's memory alive.
#[derive(Debug, Clone)]
pub struct TickBatchIntoIter {
    cursor: PacketCursor,
    left: usize,
}

impl Iterator for TickBatchIntoIter {
    type Item = TickMessage;

    #[inline]
    fn next(&mut self) -> Option<TickMessage> {
        let packet = self.cursor.next_packet()?;
        self.left -= 1;
        Some(packet.into())
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for TickBatchIntoIter {}
impl FusedIterator for TickBatchIntoIter {}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::models::Tick;

    /// A batch of packets with these bodies.
    fn batch(bodies: &[Vec<u8>]) -> TickBatch {
        let mut frame = Vec::from(u16::try_from(bodies.len()).unwrap().to_be_bytes());
        for body in bodies {
            frame.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
            frame.extend(body);
        }
        kite_wire::TickBatch::new(frame.into()).unwrap().into()
    }

    /// The body of a packet of this length for instrument `token`.
    fn body(token: u32, length: usize) -> Vec<u8> {
        let mut body = vec![1; length];
        body[..4].copy_from_slice(&token.to_be_bytes());
        body
    }

    fn mixed() -> TickBatch {
        batch(&[
            body(265, 32),
            body(9, 64),
            body(408_065, 184),
            body(513, 8),
            vec![],
            body(769, 44),
            body(1033, 28),
            body(9, 12),
        ])
    }

    #[test]
    fn every_accessor_returns_the_same_ticks_by_value() {
        let batch = mixed();
        let expected: Vec<TickMessage> =
            [(265, 32), (408_065, 184), (513, 8), (769, 44), (1033, 28)]
                .map(|(token, length)| Tick::try_from(&body(token, length)[..]).unwrap().into())
                .into();

        assert_eq!((batch.len(), batch.skipped(), batch.is_empty()), (5, 3, false));
        assert_eq!(batch.to_vec(), expected);
        assert_eq!(batch.iter().collect::<Vec<_>>(), expected);
        assert_eq!(batch.clone().into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(
            (batch.first().as_ref(), batch.last().as_ref()),
            (expected.first(), expected.last())
        );
        for (at, tick) in batch.iter().enumerate() {
            assert_eq!(batch.get(at), Some(tick));
        }
        assert_eq!(batch.get(5), None);

        let mut borrowed = vec![];
        for tick in &batch {
            borrowed.push(tick);
        }
        assert_eq!(borrowed, expected);
        let tokens: Vec<u32> = batch.packets().map(|packet| packet.instrument_token()).collect();
        assert_eq!(tokens, [265, 408_065, 513, 769, 1033]);
        let mut owned = vec![];
        for tick in batch {
            owned.push(tick);
        }
        assert_eq!(owned, expected);
    }

    #[test]
    fn both_iterators_report_how_many_ticks_are_left() {
        let batch = mixed();
        let (mut borrowed, mut owned) = (batch.iter(), batch.clone().into_iter());
        for left in (0..5).rev() {
            assert!(borrowed.next().is_some() && owned.next().is_some());
            assert_eq!((borrowed.len(), owned.len()), (left, left));
        }
        assert_eq!((borrowed.next(), owned.next()), (None, None));
    }

    #[test]
    fn an_empty_batch_and_a_heartbeat_have_no_ticks() {
        for frame in [&[0, 0][..], &[7]] {
            let frame = Bytes::copy_from_slice(frame);
            let batch = TickBatch::from(kite_wire::TickBatch::new(frame).unwrap());
            assert!(batch.is_empty() && batch.first().is_none() && batch.last().is_none());
            assert_eq!((batch.iter().count(), batch.clone().into_iter().count()), (0, 0));
        }
    }

    #[test]
    fn a_clone_shares_memory_and_a_detached_batch_does_not() {
        let batch = mixed();
        let start = |batch: &TickBatch| batch.as_wire().as_bytes().as_ptr();
        assert_eq!(start(&batch.clone()), start(&batch));
        let detached = batch.detach();
        assert_ne!(start(&detached), start(&batch));
        assert_eq!((detached.as_wire(), detached.received()), (batch.as_wire(), batch.received()));
    }

    #[test]
    fn the_age_is_measured_from_the_stamp() {
        let wire = mixed().as_wire().clone();
        let received = Stamp::at(Stamp::now().to_instant() + Duration::from_millis(1));
        let batch = TickBatch::new(wire, received);
        assert_eq!(batch.received(), received);
        let later = received.to_instant() + Duration::from_secs(3600);
        assert!(batch.age() < later.duration_since(received.to_instant()));
        assert!(TickBatch::new(batch.as_wire().clone(), Stamp::at(later)).age().is_zero());
    }

    #[test]
    fn debug_is_a_summary() {
        let batch = batch(&vec![body(408_065, 184); 3000]);
        let text = format!("{batch:?}");
        assert!(text.contains("ticks: 3000") && text.contains("bytes: 558002"), "{text}");
        assert!(text.len() < 200, "{text}");
    }

    #[test]
    fn serde_uses_a_sequence_of_tick_messages() {
        let batch = mixed();
        let json = serde_json::to_value(&batch).unwrap();
        assert_eq!(json, serde_json::to_value(batch.to_vec()).unwrap());
        assert_eq!(json[1]["instrument_token"], 408_065);
        assert_eq!(json[1]["content"]["mode"], 3);
        assert_eq!(json[1]["content"]["exchange"], "NSE");

        let mut odd = json;
        odd[1]["content"]["last_price"] = 0.001.into();
        let error = serde_json::from_value::<TickBatch>(odd).unwrap_err().to_string();
        assert!(error.contains("408065") && error.contains("last_price"), "{error}");
    }

    #[test]
    fn more_ticks_than_a_frame_can_hold_are_rejected() {
        let ticks = vec![Tick::try_from(&body(513, 8)[..]).unwrap().into(); 65_536];
        assert_eq!(TickBatch::try_from(&ticks[1..]).unwrap().len(), 65_535);
        let error = TickBatch::try_from(&ticks[..]).unwrap_err();
        assert_eq!(error, EncodeTickError::Frame(kite_wire::EncodeError::TooManyPackets));
    }

    proptest! {
        #[test]
        fn ticks_survive_json_and_the_owned_iterator(
            bodies in proptest::collection::vec(
                prop::sample::select(&[0_usize, 8, 28, 32, 44, 64, 184][..])
                    .prop_flat_map(|len| proptest::collection::vec(any::<u8>(), len)),
                0..8,
            ),
        ) {
            let batch = batch(&bodies);
            prop_assert_eq!(batch.clone().into_iter().collect::<Vec<_>>(), batch.to_vec());
            let json = serde_json::to_string(&batch).unwrap();
            let again: TickBatch = serde_json::from_str(&json).unwrap();
            let exact = |batch: &TickBatch| batch.as_wire().iter().collect::<Vec<_>>();
            prop_assert_eq!(exact(&again), exact(&batch));
        }
    }
}
