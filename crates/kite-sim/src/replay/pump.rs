//! Deals the records of a tape to the sockets, each when it is due.

use std::sync::Arc;
use std::time::Duration;

use kite_server::Changes;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, sleep_until};

use super::fanout::{Dealt, Fanout};
use super::options::{Speed, Start};
use super::reader::{Reader, Record, Records, Tape};
use super::schedule::Schedule;
use crate::flow::Flow;
use crate::time::FOREVER;

/// Replays a tape to its end.
pub(crate) async fn run(
    records: Records,
    fanout: Arc<Fanout>,
    flow: Arc<Flow>,
    changes: Arc<Changes>,
) {
    let mut reader = Reader::new(records);
    let mut pump = Pump { fanout, flow, changes };
    pump.until_start().await;
    pump.fanout.note_begun();
    pump.changes.notify();
    pump.play(&mut reader).await;
    // The replay ends when the last dealt frame has been sent.
    pump.flow.until_quiet().await;
    pump.fanout.note_finished();
    pump.changes.notify();
    tracing::info!("replay finished");
}

struct Pump {
    fanout: Arc<Fanout>,
    flow: Arc<Flow>,
    changes: Arc<Changes>,
}

impl Pump {
    async fn until_start(&self) {
        let fanout = &self.fanout;
        match fanout.replay.start {
            Start::AtOnce => {}
            Start::OnRequest => self.changes.until(|| fanout.is_requested()).await,
            Start::Sockets(count) => tokio::select! {
                () = self.changes.until(|| fanout.is_requested()) => {}
                () = self.until_settled(count) => {}
            },
        }
    }

    /// Waits until this many sockets are subscribed and no command has arrived for a while.
    async fn until_settled(&self, count: usize) {
        let (fanout, settle) = (&self.fanout, self.fanout.replay.settle);
        loop {
            self.changes.until(|| fanout.audience() >= count).await;
            let commands = fanout.commands();
            if !settle.is_zero() {
                sleep(settle).await;
            }
            if fanout.commands() == commands && fanout.audience() >= count {
                return;
            }
        }
    }

    async fn play(&mut self, reader: &mut Reader) {
        let replay = &self.fanout.replay;
        let (speed, until) = (replay.speed, replay.until_unix_ns.unwrap_or(u64::MAX));
        let mut clock = match speed {
            Speed::Times(times) => Some(Clock {
                schedule: Schedule::new(times, replay.longest_pause),
                begun: Instant::now(),
                paused_before: self.flow.paused_for(),
            }),
            Speed::AsRead => None,
        };
        loop {
            let record = match reader.next().await {
                Ok(Some(Ok(record))) => record,
                Ok(Some(Err(damage))) => {
                    self.fanout.note_damage(damage);
                    continue;
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "tape no longer readable");
                    return self.fanout.note_damage(format!("reading the tape failed: {error}"));
                }
            };
            if record.received.recv_unix_ns >= until {
                return;
            }
            if !self.fanout.replay.takes(record.received.source) {
                continue;
            }
            match &mut clock {
                Some(clock) => clock.until_due(&record, &replay.tape, &self.flow).await,
                None if self.fanout.audience() == 0 => self.until_settled(1).await,
                None => {}
            }
            self.deal(&record).await;
            consume_budget().await;
        }
    }

    /// Deals a record once every socket has room for it and the simulator is not paused.
    async fn deal(&self, record: &Record) {
        loop {
            match self.fanout.deal(record, &self.flow) {
                Dealt::Out => return self.changes.notify(),
                Dealt::Full(sockets) => {
                    for (id, sender) in sockets {
                        self.fanout.note_room(id, sender.reserve_owned().await.ok());
                    }
                }
                Dealt::Paused => self.flow.until_resumed().await,
            }
        }
    }
}

/// The replay's clock: Tokio's, without the time in which the simulator was paused.
struct Clock {
    schedule: Schedule,
    begun: Instant,
    paused_before: Duration,
}

impl Clock {
    async fn until_due(&mut self, record: &Record, tape: &Arc<dyn Tape>, flow: &Flow) {
        let is_cut = |from, to| tape.is_cut(from, to);
        let due = self.schedule.due(record.received.recv_unix_ns, is_cut);
        loop {
            flow.until_resumed().await;
            let paused = flow.paused_for().saturating_sub(self.paused_before);
            let due = self.begun + due.saturating_add(paused).min(FOREVER);
            if due <= Instant::now() {
                return;
            }
            // A pause in the meantime delays it.
            sleep_until(due).await;
        }
    }
}
