//! The simulated market, with single instruments and the exchange that holds them.
//!
//! Performs no I/O; [`clock`] alone reads a clock, if the market's time is to run.

mod clock;
mod exchange;
mod instrument;
mod known;
mod listing;
mod price;
mod sent;
mod universe;
mod walk;

pub(crate) use clock::Clock;
pub(crate) use exchange::Exchange;
pub use instrument::Instrument;
pub use known::known_instruments;
pub use sent::Sent;
pub use universe::universe;
pub(crate) use walk::Walk;
