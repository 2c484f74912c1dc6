//! Breaks live connections by the thousand, and holds them to what they promise.
//!
//! Real [`kite_conn`] connections run over loopback, half of them over TLS, against simulators that
//! misbehave ([`kite_sim::Fault`]). Each connection is dealt faults from a seeded, shuffled deck of
//! all kinds. A fault counts only if ticks had flowed since the one before; then everything that
//! its kind promises must be seen, nothing else may be, and ticks must flow again, before the next.
//!
//! What is compared, all the time and at the end:
//! - the frames received on every socket are exactly the beginning of what one socket of the
//!   account was sent, in order (a hash chain over each); all of it on sockets that live at the end;
//! - damaged frames, unknown packets, texts and order updates are counted as they were injected;
//! - events come in a lawful order: every loss is followed by a retry or parking and has exactly
//!   one gap, whose times, instruments and volumes are worked out a second time from the ticks;
//! - the server holds what is desired after every single fault, wishes made while down included;
//! - counters, sink and event lane say the same;
//! - memory, tasks and open files stay flat, and nothing is left at the end.
//!
//! Thresholds are scaled from seconds to milliseconds. A deck depends on the seed and on the
//! connection's number alone, so that a failure can be replayed; timing is the machine's.

mod account;
mod course;
mod deck;
mod failure;
mod gaps;
mod ground;
mod holdings;
mod options;
mod pace;
mod promise;
mod proof;
mod recorder;
mod report;
mod resources;
mod run;
mod tally;

pub use failure::{ChaosError, Failure};
pub use options::{Asked, OptionError, Options};
pub use report::{Report, Volume};
pub use resources::{Sample, Samples};
pub use run::run;
pub use tally::{Tally, Times};
