//! The quantiles of a distribution that are worth a line in a dashboard.

use kite_conn::Distribution;
use serde::{Deserialize, Serialize};

/// How values are distributed; each at most 3 % too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quantiles {
    /// How many values there are.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// What 99 of 100 values do not exceed.
    pub p99: u64,
    /// What 999 of 1,000 values do not exceed.
    pub p999: u64,
    /// The largest.
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
