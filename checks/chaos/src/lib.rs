//! Injects thousands of faults into live connections and checks what they promise.
//!
//! Real [`kite_conn`] connections run over loopback, half of them over TLS, against simulators that
//! misbehave ([`kite_sim::Fault`]). Each connection receives faults from a seeded, shuffled deck of
//! all kinds. A fault counts only if ticks flowed since the previous one; before the next,
//! everything promised for its kind must be seen and nothing else, and ticks must flow again.
//!
//! Compared during the run and at its end:
//! - the frames received on every socket are exactly the first frames sent to one socket of the
//!   account, in order (by a hash chain), and all of them on sockets still open at the end;
//! - damaged frames, unknown packets, text frames and order updates are counted as they were
//!   injected;
//! - events arrive in a valid order: every loss is followed by a retry or parking and has exactly
//!   one gap, whose times, instruments and volumes are recomputed from the ticks;
//! - the server has the desired subscriptions after every fault, including changes made while
//!   disconnected;
//! - counters, sink and event lane agree;
//! - memory, tasks and open files do not grow, and none remain at the end.
//!
//! Thresholds are scaled from seconds to milliseconds. A deck depends only on the seed and the
//! connection's number, so that a failure can be replayed; timing depends on the machine.

mod account;
mod event_order;
mod failure;
mod fault_deck;
mod frame_check;
mod gaps;
mod options;
mod promise;
mod recorder;
mod report;
mod resources;
mod run;
mod simulator;
mod subscriptions;
mod tally;
mod timing;

pub use failure::{ChaosError, Failure};
pub use options::{Invocation, OptionError, Options};
pub use report::{Report, Volume};
pub use resources::{Sample, Samples, leftovers, panics, watch_panics};
pub use run::run;
pub use tally::{Tally, Times};
