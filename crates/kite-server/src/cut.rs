//! Cuts a frame down to what a socket is subscribed to.
//!
//! Works on bytes and modes only, without I/O or a clock. Every richer layout begins with the
//! leaner one, so that a packet is cut by its length alone.

use bytes::Bytes;
use kite_wire::{Frame, FrameBuilder, Mode};

/// The part of a frame for one socket.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// The bytes of the frame itself if nothing had to be cut; `None` if nothing is left.
    pub frame: Option<Bytes>,
    /// Packets in it that came in a leaner mode than subscribed.
    pub leaner: u64,
}

/// Cuts frames, reusing its buffer.
#[derive(Debug, Default)]
pub struct Cutter {
    /// The mode in which each packet of the frame is sent, if at all.
    modes: Vec<Option<Mode>>,
}

impl Cutter {
    /// Cuts a frame that has been walked: `frame` is the walk of `bytes`, and `mode_of` returns the mode
    /// in which an instrument is subscribed, if it is.
    ///
    /// Packets of unknown length and everything after damage are not sent, because their instrument
    /// is unknown.
    pub fn cut(
        &mut self,
        bytes: &Bytes,
        frame: &Frame<'_>,
        mode_of: impl Fn(u32) -> Option<Mode>,
    ) -> Cut {
        self.modes.clear();
        let (mut bytes_sent, mut leaner) = (0, 0);
        let mut is_whole = frame.fault().is_none() && frame.skipped() == 0;
        for packet in frame.packets() {
            let mode = mode_of(packet.instrument_token());
            self.modes.push(mode);
            let Some(mode) = mode else {
                is_whole = false;
                continue;
            };
            let sent = packet.in_mode(mode).as_bytes().len();
            is_whole &= sent == packet.as_bytes().len();
            leaner += u64::from(packet.mode() < mode);
            bytes_sent += 2 + sent;
        }
        let frame = match (bytes_sent, is_whole) {
            (0, _) => None,
            (_, true) => Some(bytes.clone()),
            (_, false) => Some(self.rebuild(frame, bytes_sent)),
        };
        Cut { frame, leaner }
    }

    fn rebuild(&self, frame: &Frame<'_>, bytes_sent: usize) -> Bytes {
        let mut cut = FrameBuilder::with_capacity(bytes_sent);
        let packets = frame.packets().zip(&self.modes);
        for packet in packets.filter_map(|(packet, mode)| Some(packet.in_mode((*mode)?))) {
            // Does not fail, because there are no more packets than in the given frame.
            if cut.push(packet).is_err() {
                break;
            }
        }
        cut.finish().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kite_wire::{Fields, Tick};
    use proptest::prelude::*;

    use super::*;

    const LENGTHS: [usize; 5] = [8, 28, 32, 44, 184];

    fn frame_of(packets: &[Vec<u8>]) -> Bytes {
        let mut frame = Vec::from((packets.len() as u16).to_be_bytes());
        for packet in packets {
            frame.extend((packet.len() as u16).to_be_bytes());
            frame.extend(packet);
        }
        frame.into()
    }

    fn cut(bytes: &Bytes, modes: &BTreeMap<u32, Mode>) -> Cut {
        Cutter::default().cut(bytes, &Frame::walk(bytes), |token| modes.get(&token).copied())
    }

    fn ticks(bytes: &[u8]) -> Vec<Tick> {
        let frame = Frame::walk(bytes);
        assert_eq!((frame.fault(), frame.skipped()), (None, 0));
        frame.packets().map(Tick::from).collect()
    }

    /// Reduces a tick to a mode field by field, as the model for cutting by length.
    fn reduced(tick: &Tick, mode: Mode) -> Tick {
        let fields = match (mode, tick.fields) {
            (Mode::Ltp, _) => Fields::Ltp,
            (Mode::Quote, Fields::Full { quote, .. }) => Fields::Quote(quote),
            (Mode::Quote, Fields::IndexFull { quote, .. }) => Fields::IndexQuote(quote),
            (_, fields) => fields,
        };
        Tick { fields, ..*tick }
    }

    /// A packet of one of twelve instruments; if `odd`, some have unknown lengths.
    fn packet(odd: bool) -> impl Strategy<Value = Vec<u8>> {
        let length = match odd {
            true => prop_oneof![4 => prop::sample::select(&LENGTHS[..]), 1 => 4_usize..200].boxed(),
            false => prop::sample::select(&LENGTHS[..]).boxed(),
        };
        (length, 1_u8..=12, any::<u8>()).prop_flat_map(|(length, token, _)| {
            prop::collection::vec(any::<u8>(), length).prop_map(move |mut packet| {
                packet[..4].copy_from_slice(&[0, 1, token, 1]);
                packet
            })
        })
    }

    fn modes() -> impl Strategy<Value = BTreeMap<u32, Mode>> {
        let token = (1_u32..=12).prop_map(|token| 1 << 16 | token << 8 | 1);
        prop::collection::btree_map(token, prop::sample::select(&Mode::ALL[..]), 0..12)
    }

    proptest! {
        #[test]
        fn every_packet_keeps_its_recorded_values_in_the_subscribed_mode(
            packets in prop::collection::vec(packet(true), 0..20),
            modes in modes(),
        ) {
            let bytes = frame_of(&packets);
            let frame = Frame::walk(&bytes);
            let asked: Vec<(Tick, Mode)> = frame
                .packets()
                .map(Tick::from)
                .filter_map(|tick| Some((tick, *modes.get(&tick.instrument_token)?)))
                .collect();
            let expected: Vec<Tick> = asked.iter().map(|(tick, mode)| reduced(tick, *mode)).collect();
            let leaner = asked.iter().filter(|(tick, mode)| tick.kind().mode() < *mode).count();
            let cut = cut(&bytes, &modes);
            prop_assert_eq!(cut.leaner, leaner as u64);
            prop_assert_eq!(cut.frame.is_some(), !expected.is_empty());
            prop_assert_eq!(cut.frame.map_or_else(Vec::new, |frame| ticks(&frame)), expected);
        }

        #[test]
        fn a_frame_subscribed_whole_is_not_copied(
            packets in prop::collection::vec(packet(false), 1..20),
        ) {
            let bytes = frame_of(&packets);
            let all: BTreeMap<u32, Mode> =
                (1..=12).map(|token| (1 << 16 | token << 8 | 1, Mode::Full)).collect();
            let frame = cut(&bytes, &all).frame.unwrap();
            prop_assert_eq!((frame.as_ptr(), frame.len()), (bytes.as_ptr(), bytes.len()));
        }

        #[test]
        fn damage_loses_what_follows_it_and_no_more(
            packets in prop::collection::vec(packet(false), 1..10),
            lost in 1_usize..200,
            modes in modes(),
        ) {
            let whole = frame_of(&packets);
            let bytes = whole.slice(..whole.len() - lost.min(whole.len()));
            let good = Frame::walk(&bytes).packets().len();
            let before: Vec<_> = packets[..good].to_vec();
            prop_assert_eq!(cut(&bytes, &modes), cut(&frame_of(&before), &modes));
        }
    }

    #[test]
    fn a_heartbeat_and_an_empty_frame_leave_nothing() {
        let all = BTreeMap::from([(408_065, Mode::Full)]);
        for bytes in [&[][..], &[0], &[0, 0]] {
            assert_eq!(cut(&Bytes::copy_from_slice(bytes), &all).frame, None);
        }
    }
}
