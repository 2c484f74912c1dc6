//! One connection to the simulator: what arrives, what is lost, what is restored.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod broken;
mod draining;
mod ending;
mod faults;
mod feed;
mod in_place;
mod matrix;
mod probe;
mod story;

/// Runs each test on a connection with its own task, and on one driven by its consumer.
macro_rules! both_ways {
    ($($name:ident),* $(,)?) => {
        mod inline {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name().await;
            })*
        }
        mod driven_by_its_consumer {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::probe::driven(super::$name()).await;
            })*
        }
    };
}
pub(crate) use both_ways;
