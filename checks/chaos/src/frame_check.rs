//! Compares the frames received with those that the simulator recorded as sent.

use kite_sim::{Sim, SocketRecord};

use crate::recorder::{SocketLog, State};

/// The comparison for one connection, socket by socket.
#[derive(Debug, Default)]
pub(crate) struct FrameCheck {
    /// The record that matched the last log; those of later sockets follow it.
    matched: Option<u64>,
    pub(crate) sums: Sums,
}

/// Sums over the records of ended sockets, and of those open at the end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    pub(crate) sockets: u64,
    pub(crate) frames_sent: u64,
    pub(crate) ticks_sent: u64,
}

impl Sums {
    fn add(&mut self, record: &SocketRecord) {
        self.sockets += 1;
        self.frames_sent += record.frames() as u64;
        self.ticks_sent += record.ticks;
    }
}

/// The result so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    Matched,
    /// What is still missing, as a message.
    Missing(String),
}

impl FrameCheck {
    /// Compares the logs of all lost sockets and forgets what matched, on both sides.
    ///
    /// The caller has a live socket, and nothing in flight could end it.
    pub(crate) fn check(&mut self, sim: &Sim, api_key: &str, state: &mut State) -> Finding {
        let records = sim.sockets(api_key);
        while let Some(log) = state.lost.first() {
            if log.frames > 0 {
                let Some(record) = self.find(&records, log) else {
                    return Finding::Missing(format!(
                        "no socket began with the {} frames received in epoch {} ({records:?})",
                        log.frames, log.epoch
                    ));
                };
                self.matched = Some(record.id);
            }
            state.lost.remove(0);
        }
        // While others are open, one may end between the check and the forgetting.
        let open = records.iter().filter(|record| record.end.is_none()).count();
        if open == 1 && state.event_order.live_epoch().is_some() {
            let ended = records.iter().filter(|record| record.end.is_some());
            ended.for_each(|record| self.sums.add(record));
            sim.forget_ended(api_key);
        }
        Finding::Matched
    }

    /// Compares the socket that is open at the end, with the market paused: it received everything.
    pub(crate) fn check_whole(&mut self, sim: &Sim, api_key: &str, state: &mut State) -> Finding {
        let open = self.check(sim, api_key, state);
        if open != Finding::Matched {
            return open;
        }
        let records = sim.sockets(api_key);
        let [record] = &records[..] else {
            return Finding::Missing(format!("one socket should be open at the end: {records:?}"));
        };
        let log = &state.log;
        let is_whole = log.frames == record.frames()
            && log.chain == record.chain()
            && log.ticks == record.ticks;
        if !is_whole {
            return Finding::Missing(format!(
                "{} frames with {} ticks of {record:?} were received at the end, of {} with {}",
                log.frames,
                log.ticks,
                record.frames(),
                record.ticks
            ));
        }
        Finding::Matched
    }

    /// Adds the sockets open at the end to the sums.
    pub(crate) fn close(&mut self, sim: &Sim, api_key: &str) {
        sim.sockets(api_key).iter().for_each(|record| self.sums.add(record));
    }

    /// Finds the socket whose first frames were received, after that of the previous epoch.
    fn find<'a>(&self, records: &'a [SocketRecord], log: &SocketLog) -> Option<&'a SocketRecord> {
        records
            .iter()
            .filter(|record| self.matched.is_none_or(|matched| matched < record.id))
            .find(|record| record.has_prefix(log.frames, log.chain))
    }
}
