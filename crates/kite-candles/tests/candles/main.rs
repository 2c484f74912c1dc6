//! Bars from packets, as a user of the crate makes them.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod ends;
mod feed;
mod hours;
mod missed;
mod placing;
mod prices;
mod properties;
mod recorded;
mod runs;
mod sources;
mod volume;
