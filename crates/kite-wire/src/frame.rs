//! A binary frame: packet lengths are checked once, then reading packets cannot fail.

use core::iter::FusedIterator;

use crate::error::FrameFault;
use crate::packet::Packet;
#[cfg(feature = "bytes")]
use crate::run::Run;
use crate::scan::{Scan, Stride};

/// Instruments that Kite allows on one socket (documented; older pages say 1,000).
pub const MAX_INSTRUMENTS: usize = 3_000;

/// The largest valid frame: 3,000 full packets (computed from the documented limits), in bytes.
pub const MAX_FRAME_BYTES: usize = 2 + MAX_INSTRUMENTS * (2 + 184);

/// A binary frame whose packet lengths have been checked.
///
/// The walk never fails as a whole; it keeps the good packets and accounts for the rest.
/// - A packet of unknown length is skipped by its length and counted in [`Frame::skipped`].
/// - If the frame's tail is damaged, [`Frame::fault`] returns how, and [`Frame::as_bytes`] is the
///   good part before it.
/// - A frame of one byte is a heartbeat.
///
/// `packets().len() + skipped()` is the number of whole packets; `as_bytes().len() + bytes_left()`
/// is the number of all bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    good: &'a [u8],
    bytes_left: usize,
    packets: u16,
    skipped: u16,
    fault: Option<FrameFault>,
}

impl<'a> Frame<'a> {
    /// Walks the packet lengths of a binary frame.
    ///
    /// [`Scan`] yields the packets while it walks, for callers that need the counts only
    /// afterwards.
    #[must_use]
    pub fn walk(bytes: &'a [u8]) -> Self {
        Scan::new(bytes).finish()
    }

    /// Wraps the result of a walk.
    #[inline]
    pub(crate) fn accounted(
        bytes: &'a [u8],
        bytes_left: usize,
        packets: u16,
        skipped: u16,
        fault: Option<FrameFault>,
    ) -> Self {
        let good = &bytes[..bytes.len() - bytes_left];
        Self { good, bytes_left, packets, skipped, fault }
    }

    /// Wraps bytes with the counts of an earlier walk.
    #[cfg(feature = "bytes")]
    pub(crate) fn walked(good: &'a [u8], packets: u16, skipped: u16) -> Self {
        Self { good, bytes_left: 0, packets, skipped, fault: None }
    }

    /// Returns whether this is a heartbeat, a frame of one byte (whose value is not documented).
    #[inline]
    #[must_use]
    pub fn is_heartbeat(&self) -> bool {
        self.good.len() == 1
    }

    /// Returns what is wrong with the frame's tail, if anything.
    #[inline]
    #[must_use]
    pub fn fault(&self) -> Option<FrameFault> {
        self.fault
    }

    /// Returns the number of packets of unknown length.
    #[inline]
    #[must_use]
    pub fn skipped(&self) -> u16 {
        self.skipped
    }

    /// Returns the number of bytes after the good part.
    #[inline]
    #[must_use]
    pub fn bytes_left(&self) -> usize {
        self.bytes_left
    }

    /// Returns the good part of the frame. Its head still declares the original number of packets.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.good
    }

    /// Iterates over the packets of known length, in the order of the frame.
    #[inline]
    #[must_use]
    pub fn packets(&self) -> Packets<'a> {
        Packets { rest: self.body(), left: self.packets, stride: Stride::default() }
    }

    /// Iterates over the bodies of all packets in the good part, including those of unknown length.
    #[inline]
    #[must_use]
    pub fn bodies(&self) -> Bodies<'a> {
        Bodies { rest: self.body(), left: self.packets + self.skipped, stride: Stride::default() }
    }

    /// Returns the good part after the packet count.
    #[inline]
    fn body(&self) -> &'a [u8] {
        self.good.get(2..).unwrap_or_default()
    }

    /// Returns the first packet of an instrument.
    #[must_use]
    pub fn find(&self, instrument_token: u32) -> Option<Packet<'a>> {
        self.packets().find(|packet| packet.instrument_token() == instrument_token)
    }
}

impl<'a> IntoIterator for Frame<'a> {
    type Item = Packet<'a>;
    type IntoIter = Packets<'a>;

    fn into_iter(self) -> Packets<'a> {
        self.packets()
    }
}

/// Iterator over the packets of a [`Frame`].
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
    left: u16,
    stride: Stride,
}

impl<'a> Packets<'a> {
    /// Splits off the next packets that have the same length.
    #[cfg(feature = "bytes")]
    #[inline(always)]
    pub(crate) fn next_run(&mut self) -> Option<Run<'a>> {
        // Packets of unknown length are not counted.
        let run = Run::split_off(&mut self.rest, self.left)?;
        self.left -= run.known();
        Some(run)
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        if self.left == 0 {
            return None;
        }
        loop {
            let body = self.stride.split_body(&mut self.rest)?;
            if self.stride.is_known() {
                self.left -= 1;
                return Packet::checked(body);
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Packets<'_> {}
impl FusedIterator for Packets<'_> {}

/// Iterator over the bodies of all packets of a [`Frame`], known or not.
#[derive(Debug, Clone)]
pub struct Bodies<'a> {
    rest: &'a [u8],
    left: u16,
    stride: Stride,
}

impl<'a> Iterator for Bodies<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        let body = self.stride.split_body(&mut self.rest)?;
        self.left -= 1;
        Some(body)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Bodies<'_> {}
impl FusedIterator for Bodies<'_> {}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::packet::PacketKind;

    fn frame_of(lengths: &[u16]) -> Vec<u8> {
        let mut bytes = Vec::from(u16::try_from(lengths.len()).unwrap().to_be_bytes());
        for (index, &length) in lengths.iter().enumerate() {
            bytes.extend(length.to_be_bytes());
            let mut body = vec![0; usize::from(length)];
            if length >= 4 {
                body[..4].copy_from_slice(&u32::try_from(index).unwrap().to_be_bytes());
            }
            bytes.extend(body);
        }
        bytes
    }

    #[test]
    fn an_unknown_packet_is_skipped_and_the_others_are_kept() {
        let bytes = frame_of(&[8, 64, 184, 0, 44]);
        let frame = Frame::walk(&bytes);
        assert_eq!((frame.fault(), frame.skipped(), frame.packets().len()), (None, 2, 3));
        let tokens: Vec<_> = frame.packets().map(Packet::instrument_token).collect();
        assert_eq!(tokens, [0, 2, 4]);
        assert_eq!(frame.bodies().map(<[u8]>::len).collect::<Vec<_>>(), [8, 64, 184, 0, 44]);
        assert_eq!(frame.find(2).map(|packet| packet.kind()), Some(PacketKind::Full));
    }

    #[test]
    fn every_prefix_keeps_its_whole_packets_and_has_a_fault() {
        let bytes = frame_of(&[8, 184, 28]);
        for cut in 2..bytes.len() {
            let frame = Frame::walk(&bytes[..cut]);
            assert!(frame.fault().is_some(), "{cut}");
            let whole = [12, 198, 228].iter().filter(|&&end| end <= cut).count();
            assert_eq!(frame.packets().count(), whole, "{cut}");
            assert_eq!(frame.as_bytes().len() + frame.bytes_left(), cut);
        }
    }

    #[test]
    fn one_byte_is_a_heartbeat_and_an_empty_frame_a_fault() {
        assert!(Frame::walk(&[0]).is_heartbeat() && Frame::walk(&[7]).is_heartbeat());
        assert_eq!(Frame::walk(&[]).fault(), Some(FrameFault::Empty));
        assert_eq!(Frame::walk(&[0, 0]).packets().len(), 0);
    }

    #[test]
    fn trailing_bytes_are_a_fault_after_good_packets() {
        let mut bytes = frame_of(&[8]);
        bytes.push(1);
        let frame = Frame::walk(&bytes);
        let fault = FrameFault::TrailingBytes { declared: 1, offset: 12, left: 1 };
        assert_eq!((frame.fault(), frame.packets().len()), (Some(fault), 1));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_accounted_for(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let frame = Frame::walk(&bytes);
            prop_assert_eq!(frame.as_bytes().len() + frame.bytes_left(), bytes.len());
            prop_assert_eq!(frame.packets().count(), frame.packets().len());
            prop_assert_eq!(
                frame.bodies().count(),
                frame.packets().len() + usize::from(frame.skipped())
            );
        }
    }
}
