//! A short run.
//!
//! The only test of its binary: memory, tasks and open files are those of the whole process.

use std::error::Error;
use std::time::Duration;

use relay_checks::{Options, run};

#[test]
fn a_relay_keeps_its_promises_through_seconds_of_chaos() -> Result<(), Box<dyn Error + Send + Sync>>
{
    let mut options = Options::default();
    options.time = Duration::from_secs(12);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(run(&options, |line| eprintln!("{line}")))?;
    assert!(report.is_good(), "{report}");
    Ok(())
}
