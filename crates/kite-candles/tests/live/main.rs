//! Bars of running feeds.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod feed;
mod items;
mod properties;
mod sim;
