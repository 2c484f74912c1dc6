//! Arbitrary sequences of sends and receives, compared with a simple model.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// A lane as documented, on one thread.
struct Model {
    overflow: Overflow,
    frames: usize,
    bytes: usize,
    queue: VecDeque<(u64, Vec<PacketSpec>)>,
    table: Vec<(u64, Vec<PacketSpec>)>,
    /// Dropped before the queue's head and not reported yet.
    missing: (u64, u64),
    held: Option<(u64, Vec<PacketSpec>)>,
    stats: LaneStats,
}

fn size((_, packets): &(u64, Vec<PacketSpec>)) -> usize {
    2 + packets.iter().map(|&(_, _, len)| 2 + len).sum::<usize>()
}

impl Model {
    fn new(overflow: Overflow, frames: usize, bytes: usize) -> Self {
        let (queue, table, stats) = (VecDeque::new(), Vec::new(), LaneStats::default());
        Self { overflow, frames, bytes, queue, table, missing: (0, 0), held: None, stats }
    }

    fn queued_bytes(&self) -> usize {
        self.queue.iter().chain(&self.held).map(size).sum()
    }

    fn ready(&self) -> bool {
        self.overflow != Overflow::Block
            || (self.queue.len() < self.frames && self.queued_bytes() < self.bytes)
    }

    fn give(&mut self, frame: (u64, Vec<PacketSpec>)) {
        let fits = |model: &Self| {
            model.overflow == Overflow::Block
                || model.queue.is_empty()
                || (model.queue.len() < model.frames
                    && model.queued_bytes() + size(&frame) <= model.bytes)
        };
        if self.overflow == Overflow::Conflate && (!self.table.is_empty() || !fits(self)) {
            self.table.push(frame);
            return;
        }
        while !fits(self) {
            let (_, packets) = self.queue.pop_front().unwrap();
            self.missing.0 += 1;
            self.missing.1 += packets.len() as u64;
            self.stats.dropped_frames += 1;
            self.stats.dropped_ticks += packets.len() as u64;
        }
        self.queue.push_back(frame);
    }

    fn deliver(&mut self, ticks: usize) {
        self.stats.delivered_frames += 1;
        self.stats.delivered_ticks += ticks as u64;
    }

    fn take(&mut self) -> Option<Seen> {
        if !self.table.is_empty() {
            let mut rows: Vec<PacketSpec> = Vec::new();
            let (mut newest, mut replaced) = (0, 0);
            for (sequence, packets) in self.queue.drain(..).chain(self.table.drain(..)) {
                newest = sequence;
                for packet in packets {
                    match rows.iter_mut().find(|row| row.0 == packet.0) {
                        Some(row) => {
                            *row = packet;
                            replaced += 1;
                        }
                        None => rows.push(packet),
                    }
                }
            }
            self.stats.conflated_ticks += replaced;
            self.deliver(rows.len());
            return Some(Seen::Conflated(newest, rows, replaced));
        }
        if self.held.is_none() {
            self.held = Some(self.queue.pop_front()?);
            let (frames, ticks) = std::mem::take(&mut self.missing);
            if frames > 0 {
                return Some(Seen::Dropped(frames, ticks));
            }
        }
        let (sequence, packets) = self.held.take()?;
        self.deliver(packets.len());
        Some(Seen::Batch(sequence, packets))
    }
}

#[derive(Debug, Clone)]
enum Op {
    Send(Vec<(u32, usize)>),
    Receive(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let packet = (0_u32..6, prop::sample::select(vec![8, 28, 32, 44, 184]));
    let give = prop::collection::vec(packet, 0..5).prop_map(Op::Send);
    prop::collection::vec(prop_oneof![3 => give, 2 => (1_usize..4).prop_map(Op::Receive)], 0..80)
}

proptest! {
    #[test]
    fn a_lane_behaves_like_its_model(
        overflow in prop::sample::select(EVERY.to_vec()),
        frames in 1_usize..6,
        bytes in 1_usize..1_500,
        ops in ops(),
    ) {
        let (mut sink, mut lane) = bounded(overflow, frames, bytes);
        let mut model = Model::new(overflow, frames, bytes);
        let (mut sequence, mut price, mut given, mut conflated) = (0, 0, 0, 0);
        let drain_all = Op::Receive(usize::MAX);
        for op in ops.into_iter().chain([drain_all]) {
            match op {
                Op::Send(packets) => {
                    prop_assert_eq!(ready(&mut sink, Waker::noop()), model.ready());
                    if !model.ready() {
                        continue;
                    }
                    sequence += 1;
                    let packets: Vec<PacketSpec> = packets
                        .into_iter()
                        .map(|(token, len)| {
                            price += 1;
                            (token, price, len)
                        })
                        .collect();
                    given += packets.len() as u64;
                    sink.on_batch(&batch(sequence, &packets));
                    model.give((sequence, packets));
                }
                Op::Receive(most) => {
                    for _ in 0..most {
                        let taken = next(&mut lane);
                        prop_assert_eq!(&taken, &model.take());
                        match taken {
                            Some(Seen::Conflated(.., replaced)) => conflated += replaced,
                            Some(_) => {}
                            None => break,
                        }
                    }
                }
            }
            let stats = lane.stats();
            prop_assert_eq!(stats, sink.stats());
            if model.table.is_empty() {
                let queued_frames = model.queue.len() + usize::from(model.held.is_some());
                let queued_bytes = model.queued_bytes() as u64;
                let queued_frames = queued_frames as u64;
                let bytes_limit = stats.bytes_limit;
                prop_assert_eq!(stats, LaneStats { queued_frames, queued_bytes, bytes_limit, ..model.stats });
            }
        }
        let stats = lane.stats();
        prop_assert_eq!(stats.conflated_ticks, conflated);
        let accounted = stats.delivered_ticks + stats.dropped_ticks + stats.conflated_ticks;
        prop_assert_eq!(accounted, given);
        prop_assert_eq!((stats.queued_frames, stats.queued_bytes), (0, 0));
    }
}
