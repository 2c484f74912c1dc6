#![doc = include_str!("../README.md")]

mod error;
pub mod manager;
mod models;
mod raw;
pub mod ticker;

pub use kite_conn;
pub use kite_manager;
pub use kite_wire;

pub use manager::{
    ChannelId, HealthSummary, KiteManagerConfig, KiteTickerManager, KiteTickerManagerBuilder,
    ManagerStats,
};
pub use models::*;
pub use raw::*;
pub use ticker::{KiteTickerAsync, KiteTickerRawSubscriber184, KiteTickerSubscriber};
