//! Tests of the built command: its output and its exit status.
#![expect(clippy::expect_used, reason = "a failed step ends the test")]

mod admission;
mod clean;
mod clients;
mod commands;
mod completions;
mod config;
mod connections;
mod credentials;
mod disk;
mod doctor;
mod edit;
mod export;
mod https;
mod inspect;
mod instruments;
mod names;
mod network;
mod passed_over;
mod period;
mod process;
mod proxy;
mod quit;
mod record;
mod refused;
mod replay;
mod select;
mod serve;
mod server;
mod silences;
mod sim;
mod socket;
mod status;
mod tape;
mod usage;
mod watchlists;
