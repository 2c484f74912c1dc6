//! Arbitrary sequences of sends and receives, compared with a simple model.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// A lane as documented, on one thread.
struct Model {
    overflow: Overflow,
    frames: usize,
    bytes: usize,
    queue: VecDeque<(u64, Vec<PacketSpec>)>,
    table: Vec<(u64, Vec<PacketSpec>)>,
    /// Each with the sequence of the frame before it.
    notices: VecDeque<(u64, u32)>,
    /// The sequence of the last frame.
    sequence: u64,
    /// Sequences and ticks of the frames dropped and not reported yet.
    missing: VecDeque<(u64, usize)>,
    held: Option<Held>,
    stats: LaneStats,
    is_closing: bool,
    /// Frames and ticks discarded at the end.
    discarded: (u64, u64),
}

/// Frames removed from the queue.
enum Held {
    Frame((u64, Vec<PacketSpec>)),
    /// A conflated frame with the bytes of what it was made of, and the numbers of notices before
    /// and after it.
    Conflated(Option<(Seen, usize)>, usize, usize),
}

fn size((_, packets): &(u64, Vec<PacketSpec>)) -> usize {
    2 + packets.iter().map(|&(_, _, len)| 2 + len).sum::<usize>()
}

/// Returns the bytes of a table: each instrument's packets, as far as they are longer than all
/// before.
fn table_bytes(frames: &[(u64, Vec<PacketSpec>)]) -> usize {
    let mut longest = BTreeMap::new();
    let mut bytes = 0;
    for &(token, _, len) in frames.iter().flat_map(|(_, packets)| packets) {
        let before = longest.entry(token).or_insert(0);
        if len > *before {
            *before = len;
            bytes += len;
        }
    }
    bytes
}

impl Model {
    fn new(overflow: Overflow, frames: usize, bytes: usize) -> Self {
        let (queue, table, stats) = (VecDeque::new(), Vec::new(), LaneStats::default());
        let (notices, missing) = (VecDeque::new(), VecDeque::new());
        let (sequence, held, is_closing, discarded) = (0, None, false, (0, 0));
        Self {
            overflow,
            frames,
            bytes,
            queue,
            table,
            notices,
            sequence,
            missing,
            held,
            stats,
            is_closing,
            discarded,
        }
    }

    fn queued_bytes(&self) -> usize {
        let held = self.held.iter().map(|held| match held {
            Held::Frame(frame) => size(frame),
            Held::Conflated(Some((_, bytes)), ..) => *bytes,
            Held::Conflated(None, ..) => 0,
        });
        self.queue.iter().map(size).chain(held).sum()
    }

    fn ready(&self) -> bool {
        self.is_closing || self.has_room()
    }

    fn has_room(&self) -> bool {
        let waiting = self.queue.len() + usize::from(matches!(self.held, Some(Held::Frame(_))));
        self.overflow != Overflow::Block
            || waiting == 0
            || (waiting < self.frames && self.queued_bytes() < self.bytes)
    }

    fn give(&mut self, frame: (u64, Vec<PacketSpec>)) {
        self.sequence = frame.0;
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
        if self.discarded.0 > 0 || !self.has_room() {
            self.missing.push_back((frame.0, frame.1.len()));
            let ticks = frame.1.len() as u64;
            self.discarded = (self.discarded.0 + 1, self.discarded.1 + ticks);
            self.stats.dropped_frames += 1;
            self.stats.dropped_ticks += ticks;
            return;
        }
        while !fits(self) {
            let (sequence, packets) = self.queue.pop_front().unwrap();
            self.missing.push_back((sequence, packets.len()));
            self.stats.dropped_frames += 1;
            self.stats.dropped_ticks += packets.len() as u64;
        }
        self.queue.push_back(frame);
    }

    fn deliver(&mut self, ticks: usize) {
        self.stats.delivered_frames += 1;
        self.stats.delivered_ticks += ticks as u64;
    }

    fn notify(&mut self, epoch: u32) {
        self.notices.push_back((self.sequence, epoch));
    }

    fn pull(&mut self) -> Option<Held> {
        if self.table.is_empty() {
            return self.queue.pop_front().map(Held::Frame);
        }
        let bytes = self.queue.iter().map(size).sum::<usize>() + table_bytes(&self.table);
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
        let before = self.notices.iter().filter(|(after, _)| *after < newest).count();
        let after = self.notices.len() - before;
        Some(Held::Conflated(Some((Seen::Conflated(newest, rows, replaced), bytes)), before, after))
    }

    /// Returns the next item: what was dropped, a notice or a frame, by the order in which they
    /// were given, except that the notices between conflated frames come first.
    fn take(&mut self) -> Option<Seen> {
        if matches!(self.held, Some(Held::Conflated(None, _, 0))) {
            self.held = None;
        }
        let held = self.held.take().or_else(|| self.pull());
        let notice = self.notices.front().copied();
        match held {
            Some(Held::Conflated(Some((seen, _)), 0, after)) => {
                let Seen::Conflated(_, rows, _) = &seen else { unreachable!() };
                self.deliver(rows.len());
                self.held = Some(Held::Conflated(None, 0, after));
                Some(seen)
            }
            Some(Held::Conflated(seen, before, after)) => {
                let (before, after) = match seen {
                    Some(_) => (before - 1, after),
                    None => (0, after - 1),
                };
                self.held = Some(Held::Conflated(seen, before, after));
                self.notices.pop_front().map(|(_, epoch)| Seen::Notice(epoch))
            }
            None | Some(Held::Frame(_)) => {
                let frame = held.and_then(|held| match held {
                    Held::Frame(frame) => Some(frame),
                    Held::Conflated(..) => None,
                });
                let at = |frame: &(u64, Vec<PacketSpec>)| frame.0;
                let notice =
                    notice.filter(|(after, _)| frame.as_ref().is_none_or(|it| *after < at(it)));
                let end = notice.map(|(after, _)| after + 1).or(frame.as_ref().map(at))?;
                let lost = self.missing.iter().take_while(|(sequence, _)| *sequence < end).count();
                if lost > 0 {
                    let ticks = self.missing.drain(..lost).map(|(_, ticks)| ticks as u64).sum();
                    self.held = frame.map(Held::Frame);
                    return Some(Seen::Dropped(lost as u64, ticks, 0));
                }
                if let Some((_, epoch)) = notice {
                    self.notices.pop_front();
                    self.held = frame.map(Held::Frame);
                    return Some(Seen::Notice(epoch));
                }
                let (sequence, packets) = frame?;
                self.deliver(packets.len());
                Some(Seen::Batch(sequence, packets))
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Send(Vec<(u32, usize)>),
    Notify,
    Receive(usize),
    StopWaiting,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let packet = (0_u32..6, prop::sample::select(vec![8, 28, 32, 44, 184]));
    let give = prop::collection::vec(packet, 0..5).prop_map(Op::Send);
    let receive = (1_usize..4).prop_map(Op::Receive);
    let op = prop_oneof![
        30 => give,
        10 => Just(Op::Notify),
        30 => receive,
        1 => Just(Op::StopWaiting),
    ];
    prop::collection::vec(op, 0..100)
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
        let mut epoch = 0;
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
                Op::Notify => {
                    epoch += 1;
                    notify(&mut sink, epoch);
                    model.notify(epoch);
                }
                Op::StopWaiting => {
                    sink.stop_waiting();
                    model.is_closing = true;
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
                let is_held =
                    matches!(model.held, Some(Held::Frame(_) | Held::Conflated(Some(_), ..)));
                let queued_frames = model.queue.len() + usize::from(is_held);
                let queued_bytes = model.queued_bytes() as u64;
                let queued_frames = queued_frames as u64;
                let bytes_limit = stats.bytes_limit;
                prop_assert_eq!(stats, LaneStats { queued_frames, queued_bytes, bytes_limit, ..model.stats });
            }
        }
        let unread = sink.unread();
        prop_assert_eq!((unread.discarded_frames, unread.discarded_ticks), model.discarded);
        prop_assert_eq!(unread.queued_frames, 0);
        prop_assert_eq!(lane.try_recv().err(), Some(TryRecvError::Empty));
        drop(sink);
        if !model.missing.is_empty() {
            let ticks = model.missing.iter().map(|(_, ticks)| *ticks as u64).sum();
            let frames = model.missing.len() as u64;
            prop_assert_eq!(next(&mut lane), Some(Seen::Dropped(frames, ticks, 0)));
        }
        prop_assert_eq!(lane.try_recv().err(), Some(TryRecvError::Ended));
        let stats = lane.stats();
        prop_assert_eq!(stats.conflated_ticks, conflated);
        let accounted = stats.delivered_ticks + stats.dropped_ticks + stats.conflated_ticks;
        prop_assert_eq!(accounted, given);
        prop_assert_eq!((stats.queued_frames, stats.queued_bytes), (0, 0));
    }
}
