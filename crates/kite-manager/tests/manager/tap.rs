//! Taps, which receive everything the connections receive.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kite_conn::{Batch, Event, Sink};
use kite_manager::{Seat, StreamConfig};
use kite_sim::Chain;
use kite_wire::Mode;

use crate::stage::{agreed, all_delivered, builder, in_time, sim, sim_until, socket, until};
use crate::taking::{drive, take};

/// Frames and events received on one connection.
#[derive(Debug, Default)]
struct Received {
    frames: usize,
    chain: Chain,
    ups: usize,
}

type Notes = Arc<Mutex<BTreeMap<(usize, usize), Received>>>;

struct Listener {
    notes: Notes,
    at: (usize, usize),
}

impl Listener {
    fn new(notes: &Notes, seat: Seat) -> Self {
        assert_eq!(seat.account, crate::stage::name(seat.account_index));
        Self { notes: Arc::clone(notes), at: (seat.account_index, seat.connection) }
    }

    fn record(&self, note: impl FnOnce(&mut Received)) {
        note(self.notes.lock().unwrap().entry(self.at).or_default());
    }
}

impl Sink for Listener {
    fn on_batch(&mut self, batch: &Batch) {
        self.record(|received| {
            if !batch.ticks.frame().is_heartbeat() {
                received.frames += 1;
                received.chain.add(batch.frame());
            }
        });
    }

    fn on_event(&mut self, event: &Event) {
        if let Event::Up { .. } = event {
            self.record(|received| received.ups += 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_receives_every_frame_of_every_connection_in_both_kinds_of_run() {
    for in_place in [false, true] {
        let sim = sim(2, |it| it).await;
        let notes = Notes::default();
        let listening = Arc::clone(&notes);
        let manager =
            builder(&sim, 2).tap(move |seat| Listener::new(&listening, seat)).build().unwrap();
        manager.subscribe(&kite_sim::universe(60), Mode::Full).unwrap();
        let beside = take(manager.stream(StreamConfig::default()).unwrap());
        let driven = match in_place {
            true => Some(drive(manager.start_in_place().unwrap())),
            false => {
                in_time("start", manager.start()).await.unwrap();
                None
            }
        };
        agreed(&sim, &manager).await;
        sim_until(&sim, "ticks", |sim| sim.stats().ticks_sent > 1_000).await;
        sim.pause().await;
        all_delivered(&sim, &manager).await;
        for (slot, here) in manager.distribution().iter().enumerate() {
            let (account, connection) = (slot / 3, slot % 3);
            let record = socket(&sim, account, here);
            let notes = notes.lock().unwrap();
            let received = &notes[&(account, connection)];
            assert_eq!((received.frames, received.chain), (record.frames(), record.chain()));
            assert_eq!(received.ups, 1);
        }
        for taken in [Some(beside), driven].into_iter().flatten() {
            until("the others", || taken.look(|taken| taken.ticks == sim.sent())).await;
        }
        in_time("stop", manager.stop()).await;
    }
}

/// Records the order in which taps are called.
struct Turns {
    name: &'static str,
    turns: Arc<Mutex<Vec<&'static str>>>,
}

impl Sink for Turns {
    fn on_batch(&mut self, _: &Batch) {
        self.turns.lock().unwrap().push(self.name);
    }

    fn on_event(&mut self, _: &Event) {
        self.turns.lock().unwrap().push(self.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_taps_are_called_in_order_with_the_same_input() {
    let sim = sim(1, |it| it).await;
    let turns = Arc::<Mutex<Vec<&'static str>>>::default();
    let tap = |name| {
        let turns = Arc::clone(&turns);
        move |_| Turns { name, turns: Arc::clone(&turns) }
    };
    let builder = builder(&sim, 1).connections(1).tap(tap("first")).tap(tap("second"));
    let manager = builder.build().unwrap();
    manager.subscribe(&kite_sim::universe(10), Mode::Ltp).unwrap();
    in_time("start", manager.start()).await.unwrap();
    until("frames", || manager.snapshot().connections[0].figures.frames > 100).await;
    in_time("stop", manager.stop()).await;
    let turns = turns.lock().unwrap();
    assert!(turns.len() > 100 && turns.len() % 2 == 0, "{}", turns.len());
    assert!(turns.chunks(2).all(|pair| pair == ["first", "second"]));
}
