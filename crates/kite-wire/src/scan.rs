//! One pass over a frame that yields packets first, then counts and faults.

use core::iter::FusedIterator;

use crate::error::FrameFault;
use crate::frame::Frame;
use crate::packet::{Packet, PacketKind};
#[cfg(feature = "alloc")]
use crate::run::Run;

/// Yields the packets of a binary frame while it walks their lengths.
///
/// Makes one pass instead of the two of [`Frame::walk`] and its iterator, which is faster for
/// frames that are not in the CPU caches, such as those of a recording. [`Scan::finish`] then
/// returns what was skipped or damaged.
///
/// ```
/// use kite_wire::{FrameFault, Scan};
///
/// // Two packets declared, the second one truncated.
/// let bytes = [0, 2, 0, 8, 0x00, 0x06, 0x3a, 0x01, 0x00, 0x02, 0x66, 0xba, 0, 8, 1];
/// let mut scan = Scan::new(&bytes);
/// assert_eq!(scan.by_ref().map(|packet| packet.instrument_token()).sum::<u32>(), 408_065);
/// let frame = scan.finish();
/// assert!(matches!(frame.fault(), Some(FrameFault::TruncatedPacket { index: 1, .. })));
/// assert_eq!(frame.bytes_left(), 3);
/// ```
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    rest: &'a [u8],
    declared: u16,
    /// Declared packets not walked yet.
    left: u16,
    /// Packets of known length so far.
    packets: u16,
    stride: Stride,
}

impl<'a> Scan<'a> {
    /// Creates a scan before the first packet.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let (declared, rest) = match bytes.split_first_chunk::<2>() {
            Some((head, rest)) => (u16::from_be_bytes(*head), rest),
            None => (0, &bytes[bytes.len()..]),
        };
        Self { bytes, rest, declared, left: declared, packets: 0, stride: Stride::default() }
    }

    #[inline(always)]
    fn next_body(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        let body = self.stride.split_body(&mut self.rest)?;
        self.left -= 1;
        self.packets += u16::from(self.stride.is_known());
        Some(body)
    }

    /// Splits off the next packets that have the same length.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) fn next_run(&mut self) -> Option<Run<'a>> {
        let run = Run::split_off(&mut self.rest, self.left)?;
        let known = run.known();
        // A run of unknown length is one packet.
        self.left -= known.max(1);
        self.packets += known;
        Some(run)
    }

    /// Walks the remaining packets and returns the checked frame.
    #[must_use]
    pub fn finish(mut self) -> Frame<'a> {
        self.skip_uniform();
        while self.next_body().is_some() {}
        let index = self.declared - self.left;
        let fault = self.fault(index);
        let bytes_left = if fault.is_some() { self.rest.len() } else { 0 };
        Frame::accounted(self.bytes, bytes_left, self.packets, index - self.packets, fault)
    }

    /// Skips the remaining packets if they all have one layout, as in most frames. The position of
    /// each length is then known without reading the previous one.
    #[inline]
    fn skip_uniform(&mut self) {
        let Some((prefix, _)) = self.rest.split_first_chunk::<2>() else { return };
        let length = usize::from(u16::from_be_bytes(*prefix));
        let is_whole = usize::from(self.left) * (2 + length) == self.rest.len();
        if !is_whole || PacketKind::of_len(length).is_none() {
            return;
        }
        if self.rest.chunks_exact(2 + length).all(|packet| packet[..2] == *prefix) {
            self.packets += self.left;
            self.left = 0;
            self.rest = &self.rest[self.rest.len()..];
        }
    }

    /// Returns why the walk ended before packet `index`; `None` at the end of the frame.
    fn fault(&self, index: u16) -> Option<FrameFault> {
        let (declared, left) = (self.declared, self.rest.len());
        let offset = self.bytes.len() - left;
        match (self.left, self.rest.split_first_chunk::<2>()) {
            _ if self.bytes.is_empty() => Some(FrameFault::Empty),
            (0, _) if left == 0 => None,
            (0, _) => Some(FrameFault::TrailingBytes { declared, offset, left }),
            (_, None) => Some(FrameFault::TruncatedLength { index, declared, offset }),
            (_, Some((prefix, tail))) => Some(FrameFault::TruncatedPacket {
                index,
                declared,
                offset: offset + 2,
                length: u16::from_be_bytes(*prefix),
                left: tail.len(),
            }),
        }
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        loop {
            let body = self.next_body()?;
            if self.stride.is_known() {
                return Packet::checked(body);
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.left)))
    }
}

impl FusedIterator for Scan<'_> {}

/// The length of the previous packet, which is usually that of the next one too.
///
/// The address of each packet depends on the length of the one before, which has to be loaded
/// first. If the length bytes repeat, the known length is used and the processor does not wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stride {
    prefix: [u8; 2],
    len: usize,
    /// Whether a layout has this length.
    known: bool,
}

impl Stride {
    /// Splits off the next packet's length and body and returns the body; splits off nothing if
    /// either is incomplete.
    #[inline(always)]
    pub(crate) fn split_body<'a>(&mut self, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (prefix, tail) = rest.split_first_chunk::<2>()?;
        if *prefix != self.prefix {
            let len = usize::from(u16::from_be_bytes(*prefix));
            *self = Self { prefix: *prefix, len, known: PacketKind::of_len(len).is_some() };
        }
        let (body, tail) = tail.split_at_checked(self.len)?;
        *rest = tail;
        Some(body)
    }

    /// Returns whether the body split off last has the length of a layout.
    #[inline(always)]
    pub(crate) fn is_known(&self) -> bool {
        self.known
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_of_one_layout_are_accounted_for_like_any_other(
            length in proptest::sample::select(std::vec![0_u16, 8, 12, 28, 32, 44, 184]),
            packets in 0_u16..6,
            changed in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
            declared in proptest::option::of(0_u16..7),
            tail in 0_usize..3,
        ) {
            let mut bytes = Vec::from(declared.unwrap_or(packets).to_be_bytes());
            for _ in 0..packets {
                bytes.extend(length.to_be_bytes());
                bytes.extend(std::iter::repeat_n(7, usize::from(length)));
            }
            bytes.extend(std::iter::repeat_n(0, tail));
            if let Some((at, byte)) = changed {
                *at.get_mut(&mut bytes) = byte;
            }
            let mut one_by_one = Scan::new(&bytes);
            while one_by_one.next().is_some() {}
            prop_assert_eq!(Scan::new(&bytes).finish(), one_by_one.finish());
        }
    }

    proptest! {
        #[test]
        fn a_scan_stopped_anywhere_agrees_with_the_walk(
            lengths in proptest::collection::vec(
                prop_oneof![4 => prop::sample::select(&[8_u16, 28, 32, 44, 184][..]), 1 => 0_u16..70],
                0..12,
            ),
            count_error in -1_i32..3,
            cut in 0_usize..40,
            taken in 0_usize..14,
        ) {
            let declared = u16::try_from((lengths.len() as i32 + count_error).max(0)).unwrap();
            let mut bytes = Vec::from(declared.to_be_bytes());
            for length in lengths {
                bytes.extend(length.to_be_bytes());
                bytes.resize(bytes.len() + usize::from(length), 7);
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let walked = Frame::walk(&bytes);
            let mut scan = Scan::new(&bytes);
            prop_assert!(scan.by_ref().take(taken).eq(walked.packets().take(taken)));
            prop_assert_eq!(scan.finish(), walked);
        }
    }
}
