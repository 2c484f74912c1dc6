//! While the consumer keeps up, a frame passes a lane, or a stream that drives its own socket,
//! without an allocation.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use kite_conn::{
    Batch, Connection, ConnectionConfig, Credentials, Endpoint, EventLane, LaneConfig, LaneItem,
    Overflow, Sink, Stamp, lane,
};
use kite_sim::{ACCESS_TOKEN, API_KEY, Sim, universe};
use kite_wire::{Mode, TickBatch};
use tokio::runtime::Builder;

#[test]
fn a_lane_that_is_not_full_allocates_nothing() {
    // The first stamp allocates the clock of the process.
    let _ = Stamp::now();
    let frame = Bytes::from_static(&[0, 1, 0, 8, 0, 0, 0, 7, 0, 0, 0, 9]);
    for overflow in [Overflow::Block, Overflow::DropOldest, Overflow::Conflate] {
        let (mut sink, mut lane) = lane(LaneConfig { overflow, ..Default::default() }).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let counted = allocation_counter::measure(|| {
            for sequence in 1..=1_000 {
                assert!(lane.poll_recv(&mut context).is_pending());
                assert!(sink.poll_ready(&mut context).is_ready());
                let ticks = TickBatch::new(frame.clone()).unwrap();
                sink.on_batch(&Batch::new(ticks, Stamp::now(), 1, sequence));
                let taken = lane.poll_recv(&mut context);
                let Poll::Ready(Some(LaneItem::Batch(batch))) = taken else { panic!("no batch") };
                assert_eq!(batch.sequence, sequence);
            }
        });
        assert_eq!(counted.count_total, 0, "{overflow:?}");
    }
}

#[test]
fn a_stream_that_drives_its_socket_allocates_nothing_for_a_frame() {
    // The simulator allocates on its own thread, which is not counted.
    let servers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sim = Sim::builder().updates_per_second(500.0);
    let sim = servers.block_on(sim.start()).unwrap();
    let endpoint = Endpoint::parse(&sim.endpoint()).unwrap();
    let config = ConnectionConfig { endpoint, ..ConnectionConfig::default() };
    let credentials = Credentials::new(API_KEY, ACCESS_TOKEN);
    let (connection, mut stream) =
        Connection::in_place(config, credentials, &EventLane::default(), 0).unwrap();
    connection.subscribe(&universe(100), Mode::Full).unwrap();
    let here = Builder::new_current_thread().enable_all().build().unwrap();
    let mut receive = |frames| {
        here.block_on(async {
            for _ in 0..frames {
                assert!(!stream.recv().await.unwrap().ticks.is_empty());
            }
        });
    };
    // Until every instrument is known and the read buffer has its final size.
    receive(300);
    let counted = allocation_counter::measure(|| receive(600));
    // Another block is allocated if more data waits than ever before.
    assert!(counted.count_total <= 3, "{counted:?}");
}
