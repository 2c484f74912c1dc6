//! A frame passes a lane without an allocation while the consumer keeps up.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use kite_conn::{Batch, LaneConfig, LaneItem, Overflow, Sink, Stamp, lane};
use kite_wire::TickBatch;

#[test]
fn a_lane_that_is_not_full_allocates_nothing() {
    let frame = Bytes::from_static(&[0, 1, 0, 8, 0, 0, 0, 7, 0, 0, 0, 9]);
    for overflow in [Overflow::Block, Overflow::DropOldest, Overflow::Conflate] {
        let (mut sink, mut lane) = lane(LaneConfig { overflow, ..Default::default() }).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let counted = allocation_counter::measure(|| {
            for sequence in 1..=1_000 {
                assert!(lane.poll_recv(&mut context).is_pending());
                assert!(sink.poll_ready(&mut context).is_ready());
                let ticks = TickBatch::new(frame.clone()).unwrap();
                sink.on_batch(Batch::new(ticks, Stamp::now(), 1, sequence));
                let taken = lane.poll_recv(&mut context);
                let Poll::Ready(Some(LaneItem::Batch(batch))) = taken else { panic!("no batch") };
                assert_eq!(batch.sequence, sequence);
            }
        });
        assert_eq!(counted.count_total, 0, "{overflow:?}");
    }
}
