//! Several connections of one account behind the published API.

mod builder;
mod channel_id;
pub(crate) mod channels;
mod config;
mod health;
mod stats;
mod ticker_manager;

pub use builder::KiteTickerManagerBuilder;
pub use channel_id::ChannelId;
pub use config::KiteManagerConfig;
pub use health::HealthSummary;
pub use stats::{ConnectionStats, ManagerStats, ProcessorStats};
pub use ticker_manager::KiteTickerManager;
