//! The behaviour of the published API, tested over real WebSockets to the simulator on loopback.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails ends the test")]

mod configuration;
mod damage;
mod every_tick;
mod lifecycle;
mod multi;
mod partial_start;
mod prices;
mod raw;
mod reconnect;
mod rig;
mod single;
mod statistics;
mod subscriptions;
