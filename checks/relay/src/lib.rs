//! Runs relays between a faulty server and clients that misbehave, and checks what a relay promises.
//!
//! Everything uses real sockets. For each policy for slow clients there is a world of its own: a
//! [`kite_sim`] server with random faults and expiring tokens, a manager of one or two accounts, with
//! or without failover, a [`Relay`](kite_relay::Relay) with small limits, and clients that stay, come
//! and go, stall, flood, send garbage, or guess credentials. Clients are written by hand, down to the
//! frames, so that they can break every rule and so that nothing but the relay logs their credentials.
//!
//! Compared during the run and at its end:
//! - every packet has the bytes of a state that the market, computed from the seed, has had by then,
//!   none is older than the one before, and no step is missing without a gap that reports it with its
//!   volume, or a count of the policy;
//! - a client receives the instruments and modes that it asked for, from the point at which its
//!   command is applied, which a change of another instrument's mode marks; a snapshot comes first;
//! - what is queued for a client is sent, replaced, dropped or unsubscribed, to the tick, and what is
//!   sent arrives;
//! - losses of more than a second are reported, shorter ones are not, and heartbeats arrive unless
//!   the rule withholds them;
//! - orders, messages and errors reach the clients they are for, messages once;
//! - refusals have Kite's statuses; a stop delivers a close frame with code 1001;
//! - memory, tasks and open files do not grow, and none remain at the end;
//! - no line of the log, at any level, contains a token.
//!
//! What happens depends on the seed, when it happens on the machine.

mod book;
mod clients;
mod lean;
mod market;
mod options;
mod plan;
mod reader;
mod report;
mod run;
mod secrets;
mod socket;
mod upstream;
mod world;

pub use options::{OptionError, Options};
pub use report::Report;
pub use run::run;
