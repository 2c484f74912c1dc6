//! The typed manager over real WebSockets, against the simulator.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod accounts;
mod callers;
mod capacity;
mod departures;
mod failover;
mod figures;
mod gaps;
mod in_place;
mod latest;
mod live;
mod load;
mod logins;
mod orders;
mod pace;
mod parked;
mod regressions;
mod stage;
mod starts;
mod stopping;
mod streams;
mod taking;
mod tap;
