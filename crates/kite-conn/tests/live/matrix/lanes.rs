//! A slow consumer under each policy: what it receives agrees with the counters and with what was
//! sent.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_conn::{
    Batch, Connection, Event, EventLane, EventReceiver, Lane, LaneConfig, LaneItem, Overflow, lane,
};
use kite_sim::{Sent, Sim, universe};
use kite_wire::text::TextMessage;
use kite_wire::{FrameEncoder, Mode};

use crate::both_ways;
use crate::probe::{config, connect, credentials, in_time, sim_until};

both_ways![
    a_blocking_lane_loses_nothing,
    a_lane_that_drops_the_oldest_reports_it_exactly,
    a_conflating_lane_keeps_the_newest_of_each_instrument,
    an_inline_sink_that_lags_loses_nothing,
];

/// Maximum number of queued frames in a lane.
const FRAMES: usize = 8;
const INSTRUMENTS: usize = 40;

/// Totals of what a consumer received.
#[derive(Debug, Default)]
struct Tally {
    batches: u64,
    ticks: u64,
    dropped_frames: u64,
    dropped_ticks: u64,
    replaced: u64,
    conflated: u64,
    sequence: u64,
    sent: BTreeMap<u32, Sent>,
    newest: BTreeMap<u32, Vec<u8>>,
}

impl Tally {
    fn take(&mut self, item: LaneItem) {
        match item {
            LaneItem::Batch(batch) => self.take_batch(&batch),
            LaneItem::Conflated { batch, replaced } => {
                self.conflated += 1;
                self.replaced += replaced;
                self.take_batch(&batch);
            }
            LaneItem::Dropped { frames, ticks, .. } => {
                assert!(frames > 0 && ticks > 0);
                self.dropped_frames += frames;
                self.dropped_ticks += ticks;
            }
            LaneItem::Up { epoch: 1, .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn take_batch(&mut self, batch: &Batch) {
        assert!(batch.sequence > self.sequence, "in order, none twice");
        assert_eq!(batch.epoch, 1);
        self.sequence = batch.sequence;
        self.batches += 1;
        self.ticks += batch.ticks.len() as u64;
        for packet in batch.ticks.packets() {
            let (token, bytes) = (packet.instrument_token(), packet.as_bytes());
            self.sent.entry(token).or_default().add(bytes);
            self.newest.insert(token, bytes.to_vec());
        }
    }

    /// Returns the number of ticks accounted for.
    fn accounted(&self) -> u64 {
        self.ticks + self.dropped_ticks + self.replaced
    }
}

/// A market that is too fast for its consumer.
struct Flood {
    sim: Sim,
    connection: Connection,
    lane: Lane,
    events: EventReceiver,
    tally: Tally,
}

impl Flood {
    async fn begin(overflow: Overflow) -> Self {
        let sim = Sim::builder()
            .greet(false)
            .updates_per_second(1_000.0)
            .heartbeat_every(Duration::from_millis(20))
            .start()
            .await
            .unwrap();
        let (sink, lane) =
            lane(LaneConfig { frames: FRAMES, overflow, ..Default::default() }).unwrap();
        let event_lane = EventLane::default();
        let events = event_lane.subscribe();
        let config = config(&sim);
        let connection = Connection::spawn(config, credentials(), sink, &event_lane, 0).unwrap();
        connection.subscribe(&universe(INSTRUMENTS), Mode::Quote).unwrap();
        Self { sim, connection, lane, events, tally: Tally::default() }
    }

    /// Receives one item for every thirty frames that the simulator sends.
    async fn consume_slowly(&mut self) {
        for _ in 0..25 {
            let frames = self.sim.stats().frames_sent + 30;
            sim_until(&self.sim, "frames", |sim| sim.stats().frames_sent >= frames).await;
            let item = in_time("an item", self.lane.recv()).await.unwrap();
            self.tally.take(item);
        }
    }

    /// Stops the market and receives everything that is left.
    async fn consume_all(&mut self) {
        let Self { sim, lane, tally, .. } = self;
        let pause = sim.pause();
        tokio::pin!(pause);
        let all = async {
            let mut is_paused = false;
            while !is_paused || tally.accounted() < sim.stats().ticks_sent {
                tokio::select! {
                    item = lane.recv() => tally.take(item.unwrap()),
                    () = &mut pause, if !is_paused => is_paused = true,
                }
            }
        };
        in_time("every tick", all).await;
        self.connection.close().await;
        assert!(self.lane.recv().await.is_none(), "nothing is left");
    }

    async fn next_event(&mut self) -> Event {
        in_time("an event", self.events.recv()).await.unwrap().event
    }

    /// Sends an order update and waits for it in the event lane.
    async fn order_arrives(&mut self) {
        self.sim.send_order(serde_json::json!({"order_id": "1", "status": "COMPLETE"}));
        loop {
            if let Event::Text { message, .. } = self.next_event().await {
                assert!(matches!(*message, TextMessage::Order(_)), "{message:?}");
                return;
            }
        }
    }

    /// Asserts that everything sent is accounted for, and that all counters agree.
    fn assert_accounted(&mut self) {
        let (sim, stats, lane) = (self.sim.stats(), self.connection.stats(), self.lane.stats());
        let tally = &self.tally;
        assert_eq!(tally.accounted(), sim.ticks_sent);
        assert_eq!((stats.ticks, stats.losses), (sim.ticks_sent, 0));
        assert_eq!(stats.frames - stats.heartbeats, sim.frames_sent);
        assert_eq!((lane.delivered_frames, lane.delivered_ticks), (tally.batches, tally.ticks));
        assert_eq!(
            (lane.dropped_frames, lane.dropped_ticks),
            (tally.dropped_frames, tally.dropped_ticks)
        );
        assert_eq!(lane.conflated_ticks, tally.replaced);
        assert_eq!((lane.queued_frames, lane.queued_bytes), (0, 0));
        while let Ok(tagged) = self.events.try_recv() {
            let event = tagged.event;
            let is_usual =
                matches!(event, Event::Opening { .. } | Event::Up { .. } | Event::Closed { .. });
            assert!(is_usual, "{event:?}");
        }
    }

    /// Asserts that the last state of every instrument arrived.
    fn assert_newest(&self) {
        assert_eq!(self.tally.newest.len(), INSTRUMENTS);
        for (&token, bytes) in &self.tally.newest {
            let mut buffer = [0; 256];
            let mut encoder = FrameEncoder::new(&mut buffer).unwrap();
            encoder.push(&self.sim.instrument(token).tick(Mode::Quote)).unwrap();
            assert_eq!(encoder.finish()[4..], bytes[..], "{token}");
        }
    }
}

async fn a_blocking_lane_loses_nothing() {
    let mut flood = Flood::begin(Overflow::Block).await;
    flood.consume_slowly().await;
    let stats = flood.connection.stats();
    assert!(stats.frames - stats.frames_delivered <= 1, "TCP holds the rest: {stats:?}");
    assert!(flood.lane.stats().queued_frames <= FRAMES as u64);
    // The order waits after the frames that TCP holds back, and is not lost.
    flood.sim.send_order(serde_json::json!({"order_id": "1", "status": "COMPLETE"}));
    flood.consume_all().await;
    let mut orders = 0;
    let mut others = Vec::new();
    while let Ok(tagged) = flood.events.try_recv() {
        match tagged.event {
            Event::Text { .. } => orders += 1,
            other => others.push(crate::story::word(&other)),
        }
    }
    assert_eq!(orders, 1);
    assert_eq!(others, ["opening 1", "up 1", "closed"]);
    flood.assert_accounted();
    flood.assert_newest();
    assert_eq!(flood.tally.sent, flood.sim.sent());
    assert_eq!(flood.tally.batches, flood.sim.stats().frames_sent);
}

async fn a_lane_that_drops_the_oldest_reports_it_exactly() {
    let mut flood = Flood::begin(Overflow::DropOldest).await;
    flood.consume_slowly().await;
    let dropped = flood.lane.stats().dropped_frames;
    sim_until(&flood.sim, "more", |sim| sim.stats().frames_sent > dropped + 1_500).await;
    flood.order_arrives().await;
    assert!(flood.lane.stats().dropped_frames >= 1_000, "{:?}", flood.lane.stats());
    flood.consume_all().await;
    flood.assert_accounted();
    flood.assert_newest();
    let tally = &flood.tally;
    assert_eq!(tally.batches + tally.dropped_frames, flood.sim.stats().frames_sent);
    assert!(tally.dropped_frames >= 1_000 && tally.conflated == 0, "{tally:?}");
}

async fn a_conflating_lane_keeps_the_newest_of_each_instrument() {
    let mut flood = Flood::begin(Overflow::Conflate).await;
    flood.consume_slowly().await;
    let frames = flood.sim.stats().frames_sent;
    sim_until(&flood.sim, "more", |sim| sim.stats().frames_sent > frames + 1_500).await;
    flood.order_arrives().await;
    flood.consume_all().await;
    flood.assert_accounted();
    flood.assert_newest();
    let tally = &flood.tally;
    assert_eq!((tally.dropped_frames, tally.dropped_ticks), (0, 0));
    assert!(tally.conflated > 10 && tally.replaced > tally.ticks, "{tally:?}");
}

async fn an_inline_sink_that_lags_loses_nothing() {
    let sim = Sim::builder().greet(false).updates_per_second(1_000.0).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&universe(INSTRUMENTS), Mode::Quote).unwrap();
    for round in 1..=5 {
        probe.take_frames(true);
        probe.until("ticks", |seen| seen.frames > 50 * round).await;
        probe.take_frames(false);
        let frames = sim.stats().frames_sent + 100;
        sim_until(&sim, "frames", |sim| sim.stats().frames_sent >= frames).await;
    }
    probe.take_frames(true);
    in_time("a pause", sim.pause()).await;
    let sent = sim.sent();
    probe.until("every tick", |seen| seen.ticks == sent).await;
    connection.close().await;
    let stats = connection.stats();
    assert_eq!(stats.ticks, sim.stats().ticks_sent);
    assert_eq!((stats.losses, stats.frames), (0, stats.frames_delivered));
}
