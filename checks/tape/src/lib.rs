//! A recorder under a random mixture of failures; see [`soak`]. The tests of this package also check
//! that a replay equals its recording.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails ends the check")]

pub mod account;
pub mod recording;
pub mod soak;
