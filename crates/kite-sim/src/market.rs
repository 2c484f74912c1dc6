//! The simulated market: single instruments, and the exchange that holds them.
//!
//! No socket and no clock here.

mod exchange;
mod instrument;
mod known;
mod price;
mod sent;
mod universe;
mod walk;

pub(crate) use exchange::Exchange;
pub use instrument::Instrument;
pub use known::known_instruments;
pub use sent::Sent;
pub use universe::universe;
pub(crate) use walk::Walk;
