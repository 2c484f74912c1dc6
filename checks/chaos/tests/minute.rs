//! A short run: four hundred faults on eight connections, in less than a minute.
//!
//! The only test of its binary: memory, tasks and open files are those of the whole process.

use std::error::Error;

use kite_chaos::{Invocation, Options, run};
use kite_sim::Fault;

/// Seeds of failures that were found and fixed.
const REGRESSIONS: &[u64] = &[];

/// The seed that is always run.
const SEED: u64 = 1;

#[test]
fn every_promise_holds_through_four_hundred_faults() -> Result<(), Box<dyn Error>> {
    for seed in [SEED].iter().chain(REGRESSIONS) {
        let line = format!("--seed {seed} --faults 400 --connections 8 --seconds 120");
        let Invocation::Run(options) = Options::parse(line.split(' ').map(str::to_owned))? else {
            return Err("no run was requested".into());
        };
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build()?;
        let report = runtime.block_on(run(&options, |line| eprintln!("{line}")))?;
        assert!(report.is_good(), "{report}");
        assert_eq!(report.tally.total(), 400);
        assert_eq!(report.tally.faults.len(), Fault::KINDS.len(), "every kind was injected");
    }
    Ok(())
}
