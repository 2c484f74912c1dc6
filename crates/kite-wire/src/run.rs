//! Adjacent packets of one layout, decoded in a loop of their own.
//!
//! In a loop over packets of any layout the compiler loads all fields of a packet, joins the
//! layouts, and then stores all fields of a tick, most of them by way of the stack. That is a third
//! more instructions.

use alloc::vec::Vec;

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::layout::{FullPacket, IndexFullPacket, IndexQuotePacket, LtpPacket, QuotePacket};
use crate::packet::PacketKind;
use crate::tick::{Fields, Tick};

/// Maximum number of packets in a run, few enough to stay in the first-level cache between the
/// check of their lengths and their use.
const MAX_PACKETS: usize = 64;

/// Adjacent packets of one layout.
#[derive(Debug)]
pub(crate) enum Run<'a> {
    Full(&'a [Prefixed<FullPacket>]),
    Quote(&'a [Prefixed<QuotePacket>]),
    IndexFull(&'a [Prefixed<IndexFullPacket>]),
    IndexQuote(&'a [Prefixed<IndexQuotePacket>]),
    Ltp(&'a [Prefixed<LtpPacket>]),
    /// One packet of unknown length.
    Unknown,
}

/// A packet with its length.
#[derive(Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Prefixed<P> {
    length: [u8; 2],
    packet: P,
}

impl<'a> Run<'a> {
    /// Splits off the next packet and those that follow with the same length, at most `limit`;
    /// `None` if the next packet is incomplete.
    #[inline(always)]
    pub(crate) fn split_off(rest: &mut &'a [u8], limit: u16) -> Option<Self> {
        let (prefix, tail) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*prefix));
        Some(match PacketKind::of_len(length) {
            Some(PacketKind::Full) => Self::Full(split_run(rest, limit)?),
            Some(PacketKind::Quote) => Self::Quote(split_run(rest, limit)?),
            Some(PacketKind::IndexFull) => Self::IndexFull(split_run(rest, limit)?),
            Some(PacketKind::IndexQuote) => Self::IndexQuote(split_run(rest, limit)?),
            Some(PacketKind::Ltp) => Self::Ltp(split_run(rest, limit)?),
            None => {
                *rest = tail.get(length..).filter(|_| limit > 0)?;
                Self::Unknown
            }
        })
    }

    /// Returns the number of packets of known length.
    #[inline(always)]
    pub(crate) fn known(&self) -> u16 {
        let packets = match self {
            Self::Full(run) => run.len(),
            Self::Quote(run) => run.len(),
            Self::IndexFull(run) => run.len(),
            Self::IndexQuote(run) => run.len(),
            Self::Ltp(run) => run.len(),
            Self::Unknown => 0,
        };
        // At most `MAX_PACKETS`.
        packets as u16
    }

    /// Decodes the packets and folds their ticks.
    #[cfg(feature = "bytes")]
    #[inline]
    pub(crate) fn fold<B>(self, init: B, f: impl FnMut(B, Tick) -> B) -> B {
        match self {
            Self::Full(run) => fold(run, init, f),
            Self::Quote(run) => fold(run, init, f),
            Self::IndexFull(run) => fold(run, init, f),
            Self::IndexQuote(run) => fold(run, init, f),
            Self::Ltp(run) => fold(run, init, f),
            Self::Unknown => init,
        }
    }

    /// Decodes the packets and appends their ticks.
    #[inline(always)]
    pub(crate) fn append_to(self, ticks: &mut Vec<Tick>) {
        match self {
            Self::Full(run) => append(run, ticks),
            Self::Quote(run) => append(run, ticks),
            Self::IndexFull(run) => append(run, ticks),
            Self::IndexQuote(run) => append(run, ticks),
            Self::Ltp(run) => append(run, ticks),
            Self::Unknown => {}
        }
    }
}

/// Splits off the first packets that have this layout, at most `limit`.
#[inline(always)]
fn split_run<'a, P>(rest: &mut &'a [u8], limit: u16) -> Option<&'a [Prefixed<P>]>
where
    P: FromBytes + KnownLayout + Immutable + Unaligned,
{
    let (whole, _) = <[Prefixed<P>]>::ref_from_prefix(rest).ok()?;
    let whole = &whole[..whole.len().min(usize::from(limit)).min(MAX_PACKETS)];
    let length = whole.first()?.length;
    let count = whole.iter().take_while(|packet| packet.length == length).count();
    let (run, _) = whole.split_at_checked(count)?;
    *rest = &rest[size_of_val(run)..];
    Some(run)
}

// Not inlined, like `decode`: the compiler knows that a function's arguments do not overlap, and
// stores each field as soon as it is loaded. Otherwise it loads all fields first.
#[cfg(feature = "bytes")]
#[inline(never)]
fn fold<'a, P, B>(run: &'a [Prefixed<P>], init: B, mut f: impl FnMut(B, Tick) -> B) -> B
where
    Tick: From<&'a P>,
{
    run.iter().fold(init, |folded, prefixed| f(folded, Tick::from(&prefixed.packet)))
}

#[inline]
fn append<'a, P>(run: &'a [Prefixed<P>], ticks: &mut Vec<Tick>)
where
    Tick: From<&'a P>,
{
    // The shortest tick, of which three words are written.
    let blank = Tick { instrument_token: 0, last_price: 0, fields: Fields::Ltp };
    let first = ticks.len();
    ticks.resize(first + run.len(), blank);
    for (tick, prefixed) in ticks[first..].iter_mut().zip(run) {
        decode(&prefixed.packet, tick);
    }
}

#[inline(never)]
fn decode<'a, P>(packet: &'a P, tick: &mut Tick)
where
    Tick: From<&'a P>,
{
    *tick = packet.into();
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::frame::Frame;
    use crate::scan::Scan;

    /// Adjacent packets of one length, known or not, with arbitrary contents.
    fn packets() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let length = prop_oneof![
            4 => prop::sample::select(&[8_usize, 28, 32, 44, 184][..]),
            1 => 0..70_usize,
        ];
        let count = prop_oneof![3 => 1..4_usize, 1 => 1..3 * MAX_PACKETS];
        (length, count).prop_flat_map(|(length, count)| vec(vec(any::<u8>(), length), count))
    }

    proptest! {
        #[test]
        fn every_way_to_decode_a_frame_yields_the_same_ticks(
            packets in vec(packets(), 0..6),
            count_error in -1_i32..3,
            cut in 0_usize..40,
            taken in 0_usize..100,
        ) {
            let packets = packets.concat();
            let declared = u16::try_from((packets.len() as i32 + count_error).max(0)).unwrap();
            let mut bytes = Vec::from(declared.to_be_bytes());
            for packet in &packets {
                bytes.extend(u16::try_from(packet.len()).unwrap().to_be_bytes());
                bytes.extend(packet);
            }
            bytes.truncate(bytes.len().saturating_sub(cut));

            let frame = Frame::walk(&bytes);
            let expected: Vec<Tick> = frame.packets().map(Tick::from).collect();
            let mut ticks = expected.clone();
            frame.append_ticks(&mut ticks);
            prop_assert_eq!(&ticks[..expected.len()], &expected[..], "earlier ticks are kept");
            prop_assert_eq!(&ticks[expected.len()..], &expected[..]);

            let mut scan = Scan::new(&bytes);
            let mut ticks: Vec<Tick> = scan.by_ref().take(taken).map(Tick::from).collect();
            prop_assert_eq!(scan.append_ticks(&mut ticks), frame);
            prop_assert_eq!(&ticks, &expected);

            #[cfg(feature = "bytes")]
            {
                let frame = bytes::Bytes::copy_from_slice(frame.as_bytes());
                let batch = crate::batch::TickBatch::new(frame).unwrap_or_else(|it| it.batch);
                let mut iter = batch.iter();
                let mut ticks: Vec<Tick> = iter.by_ref().take(taken).collect();
                iter.for_each(|tick| ticks.push(tick));
                prop_assert_eq!(&ticks, &expected);
            }
        }
    }
}
