//! Brings the records of a tape to the stage, each in its time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, sleep_until};

use super::reader::{Reader, Record, Records};
use super::schedule::Schedule;
use super::setting::{Speed, Start};
use super::stage::{Dealt, Stage};
use crate::fault::FOREVER;
use crate::server::Shared;

/// Replays a tape to its end.
pub(crate) async fn run(records: Records, stage: Arc<Stage>, shared: Arc<Shared>) {
    let mut reader = Reader::new(records);
    let mut pump = Pump { stage, shared };
    pump.until_start().await;
    pump.stage.note_begun();
    pump.shared.changed.notify_waiters();
    pump.play(&mut reader).await;
    // Whatever was dealt is on its way; the last socket's last frame ends the replay.
    pump.shared.until(|| pump.shared.is_quiet()).await;
    pump.stage.note_finished();
    pump.shared.changed.notify_waiters();
    tracing::info!("replay finished");
}

struct Pump {
    stage: Arc<Stage>,
    shared: Arc<Shared>,
}

impl Pump {
    async fn until_start(&self) {
        let stage = &self.stage;
        match stage.replay.start {
            Start::AtOnce => {}
            Start::OnRequest => self.shared.until(|| stage.is_requested()).await,
            Start::Sockets(count) => tokio::select! {
                () = self.shared.until(|| stage.is_requested()) => {}
                () = self.until_settled(count) => {}
            },
        }
    }

    /// Waits until this many sockets are subscribed and no command has come for a while.
    async fn until_settled(&self, count: usize) {
        let (stage, settle) = (&self.stage, self.stage.replay.settle);
        loop {
            self.shared.until(|| stage.audience() >= count).await;
            let commands = stage.commands();
            if !settle.is_zero() {
                sleep(settle).await;
            }
            if stage.commands() == commands && stage.audience() >= count {
                return;
            }
        }
    }

    async fn play(&mut self, reader: &mut Reader) {
        let replay = &self.stage.replay;
        let (speed, until) = (replay.speed, replay.until_unix_ns.unwrap_or(u64::MAX));
        let mut clock = match speed {
            Speed::Times(times) => Some(Clock {
                schedule: Schedule::new(times, replay.longest_pause),
                begun: Instant::now(),
                paused_before: self.shared.paused_for(),
            }),
            Speed::AsRead => None,
        };
        loop {
            let record = match reader.next().await {
                Ok(Some(Ok(record))) => record,
                Ok(Some(Err(damage))) => {
                    self.stage.note_damage(damage);
                    continue;
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "tape not readable any more");
                    return self.stage.note_damage(format!("reading the tape failed: {error}"));
                }
            };
            if record.received.recv_unix_ns >= until {
                return;
            }
            if !self.stage.replay.takes(record.received.source) {
                continue;
            }
            match &mut clock {
                Some(clock) => clock.until_due(&record, &self.shared).await,
                None if self.stage.audience() == 0 => self.until_settled(1).await,
                None => {}
            }
            self.deal(&record).await;
            consume_budget().await;
        }
    }

    /// Deals a record once every socket has room for it and nothing is paused.
    async fn deal(&self, record: &Record) {
        loop {
            match self.stage.deal(record, &self.shared) {
                Dealt::Out => return self.shared.changed.notify_waiters(),
                Dealt::Full(sockets) => {
                    for (id, sender) in sockets {
                        self.stage.note_room(id, sender.reserve_owned().await.ok());
                    }
                }
                Dealt::Paused => self.shared.until(|| !self.shared.is_paused()).await,
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
    async fn until_due(&mut self, record: &Record, shared: &Shared) {
        let due = self.schedule.due(record.received.recv_unix_ns);
        loop {
            shared.until(|| !shared.is_paused()).await;
            let paused = shared.paused_for().saturating_sub(self.paused_before);
            let due = self.begun + due.saturating_add(paused).min(FOREVER);
            if due <= Instant::now() {
                return;
            }
            // A pause in the meantime puts it off.
            sleep_until(due).await;
        }
    }
}
