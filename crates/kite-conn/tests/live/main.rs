//! One connection against the simulator: what comes, what is lost, what comes back.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod ending;
mod faults;
mod feed;
mod matrix;
mod probe;
mod story;

/// Runs each test with frames checked in place and through a parser's queue.
macro_rules! both_ways {
    ($($name:ident),* $(,)?) => {
        mod in_place {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(None).await;
            })*
        }
        mod through_a_parser {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(Some(4)).await;
            })*
        }
    };
}
pub(crate) use both_ways;
