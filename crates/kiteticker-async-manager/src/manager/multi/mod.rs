//! The published manager of several accounts, each with up to three connections.

mod api_key;
mod builder;
mod config;
mod manager;
mod stats;

pub use api_key::{ApiCredentials, ApiKeyId};
pub use builder::{MultiApiKiteTickerManagerBuilder, SeveralAccounts};
pub use config::{DistributionStrategy, MultiApiConfig};
pub use manager::MultiApiKiteTickerManager;
pub use stats::{ApiKeyStats, MultiApiStats};
