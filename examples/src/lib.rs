//! Runnable programs over `kiteticker_async_manager`, each in its own directory beside this one.
//!
//! - `quickstart`: `cargo run --release --example quickstart` starts a simulator of Kite's ticker
//!   server, streams 9,000 instruments over three connections, shows what arrives and how fast,
//!   and proves at the end that nothing was lost. With `--live` it runs against Kite.
//!
//! This library is empty: Cargo asks a package for one beside its examples.
