//! The built command, as a user meets it: what it prints, where, and how it ends.
#![expect(clippy::expect_used, reason = "a step that fails ends the test")]

mod doctor;
mod export;
mod inspect;
mod instruments;
mod process;
mod record;
mod replay;
mod sim;
mod tape;
mod usage;
