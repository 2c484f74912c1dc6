//! Batches of selected packets of other batches.

use std::borrow::Cow;

use kite_conn::Batch;
use kite_wire::{FrameBuilder, Packet};

/// Returns a batch of the packets for which `keep` returns true; `keep` is called once per packet,
/// in order.
///
/// If all packets are kept, returns the same batch; if none is (also for a heartbeat), returns
/// `None`. Otherwise the packets are copied into a new frame with the same stamp, epoch and
/// sequence, without packets of unknown length and without a damaged tail.
pub(crate) fn select(
    batch: &Batch,
    mut keep: impl FnMut(Packet<'_>) -> bool,
) -> Option<Cow<'_, Batch>> {
    let mut packets = batch.ticks.packets();
    let before_gap = packets.by_ref().take_while(|&packet| keep(packet)).count();
    if before_gap == batch.ticks.len() {
        return (before_gap > 0).then_some(Cow::Borrowed(batch));
    }
    let mut frame = FrameBuilder::new();
    let rest = packets.filter(|&packet| keep(packet));
    for packet in batch.ticks.packets().take(before_gap).chain(rest) {
        // A frame builder has room for the packets of any frame.
        if frame.push(packet).is_err() {
            break;
        }
    }
    if frame.packets() == 0 {
        return None;
    }
    let ticks = frame.finish_batch();
    Some(Cow::Owned(Batch::new(ticks, batch.received, batch.epoch, batch.sequence)))
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use kite_conn::Stamp;
    use kite_wire::{TickBatch, TokenMap};
    use proptest::prelude::*;

    use super::*;

    /// Creates a frame of packets from token and length; the other bytes are the packet's index.
    pub(crate) fn frame(packets: &[(u32, usize)]) -> Bytes {
        let mut frame = (packets.len() as u16).to_be_bytes().to_vec();
        for (place, &(token, len)) in packets.iter().enumerate() {
            let mut packet = vec![place as u8; len.max(4)];
            packet[..4].copy_from_slice(&token.to_be_bytes());
            frame.extend_from_slice(&(len as u16).to_be_bytes());
            frame.extend_from_slice(&packet[..len]);
        }
        frame.into()
    }

    fn tokens(batch: &Batch) -> Vec<u32> {
        batch.ticks.packets().map(Packet::instrument_token).collect()
    }

    #[test]
    fn a_whole_batch_is_borrowed_and_a_partial_one_keeps_its_stamp_and_sequence() {
        let ticks = TickBatch::new(frame(&[(1, 8), (2, 5), (3, 184), (1, 44)])).unwrap();
        let batch = Batch::new(ticks, Stamp::now(), 3, 77);
        let same = select(&batch, |_| true).unwrap();
        assert_eq!(same.frame().as_ptr(), batch.frame().as_ptr());
        assert!(select(&batch, |_| false).is_none());
        let part = select(&batch, |packet| packet.instrument_token() == 1).unwrap();
        assert_eq!((part.epoch, part.sequence, part.received), (3, 77, batch.received));
        let bodies: Vec<_> = batch.ticks.packets().map(Packet::as_bytes).collect();
        let kept: Vec<_> = part.ticks.packets().map(Packet::as_bytes).collect();
        assert_eq!(kept, [bodies[0], bodies[2]]);
        assert_eq!(part.frame().len(), 2 + 2 + 8 + 2 + 44);
    }

    #[test]
    fn a_heartbeat_selects_nothing() {
        let ticks = TickBatch::new(Bytes::from_static(&[0])).unwrap();
        assert!(select(&Batch::new(ticks, Stamp::now(), 1, 1), |_| true).is_none());
    }

    proptest! {
        #[test]
        fn kept_packets_are_the_chosen_ones_byte_for_byte(
            packets in prop::collection::vec((0_u32..12, prop::sample::select(vec![3, 8, 44, 184])), 0..30),
            wanted in prop::collection::btree_set(0_u32..12, 0..12),
        ) {
            let ticks = TickBatch::new(frame(&packets)).unwrap();
            let batch = Batch::new(ticks, Stamp::now(), 1, 1);
            let set: TokenMap<()> = wanted.iter().copied().collect();
            let mut offered = Vec::new();
            let selected = select(&batch, |packet| {
                offered.push(packet.instrument_token());
                set.contains(packet.instrument_token())
            });
            prop_assert_eq!(offered, tokens(&batch));
            let all = batch.ticks.packets();
            let chosen = all.filter(|packet| wanted.contains(&packet.instrument_token()));
            let chosen: Vec<&[u8]> = chosen.map(Packet::as_bytes).collect();
            let given = selected.as_ref().map(|it| it.ticks.packets().map(Packet::as_bytes));
            prop_assert_eq!(given.into_iter().flatten().collect::<Vec<_>>(), chosen.clone());
            prop_assert_eq!(selected.is_none(), chosen.is_empty());
        }
    }
}
