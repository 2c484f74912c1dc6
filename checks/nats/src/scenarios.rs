//! What is tried.

mod consumed;
mod decoded;
mod delivered;
mod killed;
mod latest;
mod partitioned;
mod reported;
mod resumed;
mod served;

use crate::{Failure, Programs};

/// The scenarios, in order.
pub(crate) const NAMES: [&str; 11] = [
    "delivered",
    "frames",
    "reported",
    "latest",
    "killed",
    "decoded",
    "consumed",
    "resumed",
    "slow",
    "partitioned",
    "served",
];

/// Runs a scenario; returns what it found.
pub(crate) async fn run(name: &str, programs: &Programs) -> Result<String, Failure> {
    match name {
        "delivered" => delivered::run(programs, true).await,
        "frames" => delivered::run(programs, false).await,
        "reported" => reported::run(programs).await,
        "latest" => latest::run(programs).await,
        "killed" => killed::run(programs).await,
        "consumed" => consumed::run(programs).await,
        "resumed" => resumed::run(programs).await,
        "served" => served::run(programs).await,
        "partitioned" => partitioned::run(programs).await,
        "slow" => resumed::run_slow(programs).await,
        "decoded" => decoded::run(programs).await,
        other => Err(format!("no scenario {other}").into()),
    }
}
