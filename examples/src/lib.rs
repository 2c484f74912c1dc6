//! Runnable programs, beside this directory.
//!
//! - `quickstart`: `cargo run --release --example quickstart` starts a simulator of Kite's ticker
//!   server, streams 9,000 instruments over three connections, shows what arrives and how fast,
//!   and proves at the end that nothing was lost. With `--live` it runs against Kite.
//! - `record` and `replay`: `cargo run --release --example record` writes ten seconds of a simulated
//!   market to tick files, and `… --example replay` feeds them to the manager again and makes bars
//!   of a minute of them.
//! - `load_parquet`: `cargo run --release --example load_parquet -- day.parquet` loads exported ticks
//!   with the Arrow reader; without a path it records and exports a few first.
//!
//! This library is empty: Cargo asks a package for one beside its examples.
