//! What was received, held against what the simulator's ledger says was sent.

use kite_sim::{Sim, SocketRecord};

use crate::recorder::{State, Tape};

/// The proof for one connection, socket by socket.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// The record that the last tape was found in: those of later sockets come behind it.
    matched: Option<u64>,
    pub(crate) sums: Sums,
}

/// What the records of ended sockets add up to, and those open at the end.
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

/// How far the proof has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    Proven,
    /// What is still missing, as a failure would say it.
    Open(String),
}

impl Proof {
    /// Compares the tapes of all lost sockets and forgets what is proven, on both sides.
    ///
    /// The caller has a live socket, and nothing on its way that could end it.
    pub(crate) fn check(&mut self, sim: &Sim, api_key: &str, state: &mut State) -> Finding {
        let records = sim.sockets(api_key);
        while let Some(tape) = state.lost.first() {
            if tape.frames > 0 {
                let Some(record) = self.find(&records, tape) else {
                    return Finding::Open(format!(
                        "no socket began with the {} frames received in epoch {} ({records:?})",
                        tape.frames, tape.epoch
                    ));
                };
                self.matched = Some(record.id);
            }
            state.lost.remove(0);
        }
        // Before it is the only one open, another may end between the look and the forgetting.
        let open = records.iter().filter(|record| record.end.is_none()).count();
        if open == 1 && state.course.live_epoch().is_some() {
            let ended = records.iter().filter(|record| record.end.is_some());
            ended.for_each(|record| self.sums.add(record));
            sim.forget_ended(api_key);
        }
        Finding::Proven
    }

    /// Compares the socket that is open at the end, the market at rest: it got everything.
    pub(crate) fn check_whole(&mut self, sim: &Sim, api_key: &str, state: &mut State) -> Finding {
        let open = self.check(sim, api_key, state);
        if open != Finding::Proven {
            return open;
        }
        let records = sim.sockets(api_key);
        let [record] = &records[..] else {
            return Finding::Open(format!("one socket should be open at the end: {records:?}"));
        };
        let tape = &state.tape;
        let is_whole = tape.frames == record.frames()
            && tape.chain == record.chain()
            && tape.ticks == record.ticks;
        if !is_whole {
            return Finding::Open(format!(
                "{} frames with {} ticks of {record:?} were received at the end, of {} with {}",
                tape.frames,
                tape.ticks,
                record.frames(),
                record.ticks
            ));
        }
        Finding::Proven
    }

    /// Adds what is open at the end to the sums.
    pub(crate) fn close(&mut self, sim: &Sim, api_key: &str) {
        sim.sockets(api_key).iter().for_each(|record| self.sums.add(record));
    }

    /// Finds the socket whose first frames were received, behind that of the epoch before.
    fn find<'a>(&self, records: &'a [SocketRecord], tape: &Tape) -> Option<&'a SocketRecord> {
        records
            .iter()
            .filter(|record| self.matched.is_none_or(|matched| matched < record.id))
            .find(|record| record.has_prefix(tape.frames, tape.chain))
    }
}
