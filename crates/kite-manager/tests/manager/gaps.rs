//! The gaps of instruments that are moved from a lost connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kite_conn::Stamp;
use kite_manager::{Event, Events, Gap, Manager, ManagerEvent, Move, VolumeMissed};
use kite_sim::{Fault, Refusal, Sim, universe};
use kite_wire::Mode;

use crate::stage::{QUICK, agreed, all_delivered, builder, in_time, key, sim, socket};
use crate::taking::drive;

/// A market that moves only on command, and a manager all of whose instruments have ticked twice.
struct Market {
    sim: Sim,
    manager: Manager,
    planned: Vec<BTreeMap<u32, Mode>>,
    events: Events,
}

impl Market {
    async fn open(in_place: bool) -> Self {
        let sim = sim(1, |it| it.updates_per_second(0.0)).await;
        let manager = builder(&sim, 1).failover(Some(QUICK)).build().unwrap();
        manager.subscribe(&universe(30), Mode::Quote).unwrap();
        if in_place {
            drive(manager.start_in_place().unwrap());
        } else {
            in_time("start", manager.start()).await.unwrap();
        }
        in_time("up", manager.wait_until_live(Duration::from_secs(20))).await.unwrap();
        let (planned, events) = (manager.distribution(), manager.events());
        let market = Self { sim, manager, planned, events };
        agreed(&market.sim, &market.manager).await;
        for _ in 0..2 {
            market.tick().await;
        }
        market
    }

    /// Makes all instruments trade and tick, and waits until all of it has arrived.
    async fn tick(&self) {
        let tokens: Vec<u32> = self.planned.iter().flat_map(BTreeMap::keys).copied().collect();
        self.sim.advance_market(&tokens, 10);
        self.sim.tick_now(&tokens);
        self.sim.pause().await;
        all_delivered(&self.sim, &self.manager).await;
    }

    /// Breaks a connection and refuses its reconnects; returns when it was last heard.
    async fn lose(&mut self, connection: usize) -> Stamp {
        let instruments = &self.manager.distribution()[connection];
        self.sim.refuse_with(Some(Refusal::new(503, "busy")));
        let socket = socket(&self.sim, 0, instruments).id;
        assert!(self.sim.inject_socket(socket, Fault::Reset { at: 0 }));
        loop {
            match self.next().await {
                ManagerEvent::Connection { seat, event: Event::Down { last_heard, .. } } => {
                    assert_eq!(seat.connection, connection);
                    return last_heard;
                }
                ManagerEvent::Connection { event: Event::Gap(gap), .. } => panic!("{gap:?}"),
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> ManagerEvent {
        in_time("an event", self.events.recv()).await.unwrap()
    }

    /// Waits for a move, and for `gaps` gaps, each with the connection that reports it.
    async fn moved(&mut self, gaps: usize) -> (Vec<Move>, Vec<(usize, Arc<Gap>)>) {
        let (mut moved, mut found) = (None, Vec::new());
        while moved.is_none() || found.len() < gaps {
            match self.next().await {
                ManagerEvent::Moved { moves, .. } => moved = Some(moves.to_vec()),
                ManagerEvent::Connection { seat, event: Event::Gap(gap) } => {
                    found.push((seat.connection, gap));
                }
                _ => {}
            }
        }
        (moved.unwrap(), found)
    }

    fn volumes(&self) -> BTreeMap<u32, Option<u32>> {
        let all = self.planned.iter().flat_map(BTreeMap::keys);
        all.map(|&token| (token, self.sim.instrument(token).volume())).collect()
    }
}

fn volumes(gap: &Gap) -> BTreeMap<u32, VolumeMissed> {
    gap.instruments.iter().map(|it| (it.token, it.volume)).collect()
}

/// Returns what the instruments of some moves missed.
fn missed<'a>(
    moves: impl Iterator<Item = &'a Move>,
    before: &BTreeMap<u32, Option<u32>>,
    after: &BTreeMap<u32, Option<u32>>,
) -> BTreeMap<u32, VolumeMissed> {
    let missed = |token| match (before[&token], after[&token]) {
        (Some(before), Some(after)) => VolumeMissed::Known(after - before),
        _ => VolumeMissed::NotCarried,
    };
    moves.map(|it| (it.token, missed(it.token))).collect()
}

async fn a_failover_has_one_gap_on_each_new_connection(in_place: bool) {
    let mut market = Market::open(in_place).await;
    let before = market.volumes();
    let last_heard = market.lose(1).await;
    let tokens: Vec<u32> = market.planned[1].keys().copied().collect();
    market.sim.advance_market(&tokens, 500);
    let after = market.volumes();

    let (moves, gaps) = market.moved(2).await;
    for (connection, gap) in &gaps {
        let here = moves.iter().filter(|it| it.to == *connection);
        assert_eq!(volumes(gap), missed(here, &before, &after), "connection {connection}");
        assert_eq!((gap.moved_from, gap.lost_epoch, gap.epoch), (Some(1), 1, 1));
        assert_eq!(gap.last_heard, last_heard);
        assert!(gap.lost <= gap.up && gap.up.since(gap.lost) >= QUICK.after, "{gap:?}");
        assert!(gap.resumed.is_some_and(|resumed| resumed >= gap.up), "{gap:?}");
        assert!(gap.known_volume() > 0);
    }
    assert_ne!(gaps[0].0, gaps[1].0);

    market.sim.refuse_with(None);
    let (_, gaps) = market.moved(1).await;
    let [(1, own)] = &gaps[..] else { panic!("{gaps:?}") };
    assert_eq!((own.moved_from, own.instruments.len()), (None, 0), "they were moved away");
    assert_eq!(market.manager.distribution(), market.planned);
    agreed(&market.sim, &market.manager).await;
    market.tick().await;

    // A plain reconnect after the move back reports only what it missed itself.
    let before = market.volumes();
    market.lose(1).await;
    market.sim.advance_market(&tokens, 20);
    let after = market.volumes();
    market.sim.refuse_with(None);
    let own = loop {
        match market.next().await {
            ManagerEvent::Connection { seat, event: Event::Gap(gap) } => {
                assert_eq!(seat.connection, 1);
                break gap;
            }
            ManagerEvent::Moved { .. } => panic!("it was down for a short time only"),
            _ => {}
        }
    };
    assert_eq!(volumes(&own), missed(moves.iter(), &before, &after));
    in_time("stop", market.manager.stop()).await;
    while let Ok(event) = market.events.try_recv() {
        assert!(!matches!(event, ManagerEvent::Connection { event: Event::Gap(_), .. }), "{event}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_has_one_gap_on_each_new_connection_that_the_old_one_leaves_out() {
    a_failover_has_one_gap_on_each_new_connection(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_of_a_run_in_place_has_the_same_gaps() {
    a_failover_has_one_gap_on_each_new_connection(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gap_of_a_move_without_ticks_is_reported_when_the_run_ends() {
    let mut market = Market::open(false).await;
    for record in market.sim.sockets(&key(0)) {
        // Neither sends the snapshots of the instruments that are moved to it.
        assert!(market.sim.inject_socket(record.id, Fault::HeartbeatsOnly));
    }
    market.lose(1).await;
    let (moves, _) = market.moved(0).await;
    agreed(&market.sim, &market.manager).await;
    in_time("stop", market.manager.stop()).await;
    let mut reported = BTreeMap::new();
    while let Ok(event) = market.events.try_recv() {
        if let ManagerEvent::Connection { event: Event::Gap(gap), .. } = event {
            assert_eq!((gap.moved_from, gap.resumed), (Some(1), None));
            reported.extend(volumes(&gap));
        }
    }
    assert_eq!(reported, moves.iter().map(|it| (it.token, VolumeMissed::NotBack)).collect());
}
