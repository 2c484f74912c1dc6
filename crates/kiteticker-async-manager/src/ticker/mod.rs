//! A single connection and the readers of its channels.

mod client;
mod raw_subscriber;
mod subscriber;

pub use client::KiteTickerAsync;
pub use raw_subscriber::KiteTickerRawSubscriber184;
pub use subscriber::KiteTickerSubscriber;
