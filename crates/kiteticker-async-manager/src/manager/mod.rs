//! The published managers of several connections, for one account or for several.

mod builder;
mod catch_up;
mod channel_id;
pub(crate) mod channels;
mod config;
mod health;
mod multi;
pub(crate) mod ring;
pub(crate) mod runs;
mod stats;
pub(crate) mod texts;
mod ticker_manager;
pub(crate) mod underlying;
mod unified;

pub use builder::{KiteTickerManagerBuilder, OneAccount, TickerManagerBuilder};
pub use channel_id::ChannelId;
pub use config::KiteManagerConfig;
pub use health::HealthSummary;
pub use multi::{
    ApiCredentials, ApiKeyId, ApiKeyStats, DistributionStrategy, MultiApiConfig,
    MultiApiKiteTickerManager, MultiApiKiteTickerManagerBuilder, MultiApiStats, SeveralAccounts,
};
pub use stats::{ConnectionStats, ManagerStats, ProcessorStats};
pub use ticker_manager::KiteTickerManager;
