//! Deals the records of a tape to the sockets, each when it is due.

use std::sync::Arc;
use std::time::Duration;

use kite_server::{Changes, LatestPackets};
use tokio::sync::mpsc;
use tokio::task::coop::consume_budget;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use super::fanout::{Dealt, Fanout, Queued};
use super::options::{Speed, Start};
use super::reader::{Reader, Record, Records, Tape, TapeStart};
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
    loop {
        if pump.play(&mut reader).await == Played::ToTheEnd {
            pump.finish().await;
        }
        if let Some(found) = pump.seek().await {
            reader = found;
        }
    }
}

/// How a stretch of the tape was played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Played {
    ToTheEnd,
    /// The replay is to continue at another place.
    Moved,
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

    /// Reports the end of the tape once the last dealt frame has been sent, and waits until the
    /// replay is to continue at another place.
    async fn finish(&self) {
        let sent = async {
            self.flow.until_quiet().await;
            self.fanout.note_finished();
            self.changes.notify();
            tracing::info!("replay finished");
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = self.until_moved() => {}
            () = sent => {}
        }
    }

    async fn until_moved(&self) {
        self.changes.until(|| self.fanout.is_moved()).await;
    }

    /// Reads the tape up to the place at which the replay is to continue, and sends the sockets what
    /// they would have then.
    async fn seek(&self) -> Option<Reader> {
        let to = self.fanout.place()?;
        let replay = self.fanout.replay.clone().from(to);
        // Damage found on the way was, or will be, reported when it is played.
        let reading = spawn_blocking(move || TapeStart::new(&replay));
        let TapeStart { records, latest, not_kept, .. } = match reading.await {
            Ok(start) => start,
            Err(error) => {
                tracing::error!(%error, "tape no longer readable");
                self.fanout.note_damage(format!("reading the tape failed: {error}"));
                TapeStart {
                    records: Box::new(std::iter::empty()),
                    latest: LatestPackets::default(),
                    not_kept: 0,
                    damages: Vec::new(),
                }
            }
        };
        for frame in self.fanout.arrive(to, latest, not_kept) {
            while let Dealt::Full(sockets) = self.fanout.deal_snapshot(&frame, &self.flow) {
                self.until_room(sockets).await;
            }
        }
        self.changes.notify();
        Some(Reader::new(records))
    }

    async fn play(&mut self, reader: &mut Reader) -> Played {
        let replay = &self.fanout.replay;
        let until = replay.until_unix_ns.unwrap_or(u64::MAX);
        let mut clock = Clock::new(self.fanout.speed(), replay.longest_pause, &self.flow);
        loop {
            let record = match reader.next().await {
                Ok(Some(Ok(record))) => record,
                Ok(Some(Err(damage))) => {
                    self.fanout.note_damage(damage);
                    continue;
                }
                Ok(None) => return Played::ToTheEnd,
                Err(error) => {
                    tracing::error!(%error, "tape no longer readable");
                    self.fanout.note_damage(format!("reading the tape failed: {error}"));
                    return Played::ToTheEnd;
                }
            };
            if record.received.recv_unix_ns >= until {
                return Played::ToTheEnd;
            }
            if !self.fanout.replay.takes(record.received.source) {
                continue;
            }
            tokio::select! {
                biased;
                // First, so that a record that is due already costs nothing more.
                () = self.until_due(&mut clock, &record) => {}
                () = self.until_moved() => return Played::Moved,
            }
            if !self.deal(&record).await {
                return Played::Moved;
            }
            consume_budget().await;
        }
    }

    /// Waits until a record is due, by the speed of the moment.
    async fn until_due(&self, clock: &mut Clock, record: &Record) {
        let replay = &self.fanout.replay;
        clock.take(record, &replay.tape);
        loop {
            self.flow.until_resumed().await;
            let speed = self.fanout.speed();
            clock.set_speed(speed, &self.flow);
            let Some(due) = clock.due(&self.flow) else {
                if self.fanout.audience() == 0 {
                    self.until_settled(1).await;
                }
                return;
            };
            if due <= Instant::now() {
                return;
            }
            // A pause or a change of the speed in the meantime changes it.
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.changes.until(|| self.fanout.speed() != speed) => {}
            }
        }
    }

    /// Deals a record once every socket has room for it and the simulator is not paused. Returns
    /// false if the replay is to continue at another place instead.
    async fn deal(&self, record: &Record) -> bool {
        loop {
            match self.fanout.deal(record, &self.flow) {
                Dealt::Out => {
                    self.changes.notify();
                    return true;
                }
                Dealt::Moved => return false,
                Dealt::Full(sockets) => self.until_room(sockets).await,
                Dealt::Paused => tokio::select! {
                    () = self.flow.until_resumed() => {}
                    () = self.until_moved() => {}
                },
            }
        }
    }

    async fn until_room(&self, sockets: Vec<(u64, mpsc::Sender<Queued>)>) {
        for (id, sender) in sockets {
            self.fanout.note_room(id, sender.reserve_owned().await.ok());
        }
    }
}

/// The replay's clock: Tokio's, without the time in which the simulator was paused.
struct Clock {
    speed: Speed,
    longest_pause: Option<Duration>,
    schedule: Schedule,
    begun: Instant,
    paused_before: Duration,
}

impl Clock {
    fn new(speed: Speed, longest_pause: Option<Duration>, flow: &Flow) -> Self {
        Self {
            speed,
            longest_pause,
            schedule: Schedule::new(times(speed), longest_pause),
            begun: Instant::now(),
            paused_before: flow.paused_for(),
        }
    }

    /// Schedules the next record.
    fn take(&mut self, record: &Record, tape: &Arc<dyn Tape>) {
        self.schedule.due(record.received.recv_unix_ns, |from, to| tape.is_cut(from, to));
    }

    fn set_speed(&mut self, speed: Speed, flow: &Flow) {
        if self.speed == speed {
            return;
        }
        if self.speed == Speed::AsRead {
            // There was no pace to continue.
            *self = Self::new(speed, self.longest_pause, flow);
            return;
        }
        let ran = self.begun.elapsed().saturating_sub(self.paused(flow));
        self.schedule.set_speed(times(speed), ran);
        self.speed = speed;
    }

    /// Returns when the last record taken is due; `None` if it is as soon as it is read.
    fn due(&self, flow: &Flow) -> Option<Instant> {
        if self.speed == Speed::AsRead {
            return None;
        }
        let due = self.schedule.last_due().saturating_add(self.paused(flow));
        Some(self.begun + due.min(FOREVER))
    }

    fn paused(&self, flow: &Flow) -> Duration {
        flow.paused_for().saturating_sub(self.paused_before)
    }
}

/// Returns the factor of a speed; that of one without is not used.
fn times(speed: Speed) -> f64 {
    match speed {
        Speed::Times(times) => times,
        Speed::AsRead => 1.0,
    }
}
