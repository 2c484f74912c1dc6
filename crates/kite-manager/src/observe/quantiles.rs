//! The quantiles of a distribution for dashboards.

use kite_conn::Distribution;
use serde::{Deserialize, Serialize};

/// Quantiles of a distribution; each is at most 3 % too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quantiles {
    /// Number of values.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The 99.9th percentile.
    pub p999: u64,
    /// The largest value.
    pub max: u64,
}

impl From<&Distribution> for Quantiles {
    fn from(distribution: &Distribution) -> Self {
        let at = |share| distribution.quantile(share).unwrap_or_default();
        Self {
            count: distribution.count(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        }
    }
}
