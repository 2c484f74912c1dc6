//! A whole run: one world for each policy, side by side, and the resources of the process.

use std::error::Error;
use std::time::{Duration, Instant};

use kite_chaos::{Sample, Samples, leftovers, panics, watch_panics};
use kite_relay::SlowClients;
use tokio::task::JoinSet;

use crate::options::Options;
use crate::plan::Plan;
use crate::report::Report;
use crate::{secrets, world};

/// The policies over a live feed. `Block` is for replays, whose source can wait.
const POLICIES: [SlowClients; 3] =
    [SlowClients::Conflate, SlowClients::DropOldest, SlowClients::Disconnect];

/// Interval of resource samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples per line of progress.
const PROGRESS_EVERY: u64 = 30;
/// The least time for a comparison of its beginning with its end.
const LONG: Duration = Duration::from_secs(60);
/// Most time until nothing is left of the run.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs the worlds and compares everything at the end. `progress` receives a line every half minute.
///
/// # Errors
/// Returns an error if the run could not begin. What did not hold is in the report.
pub async fn run(
    options: &Options,
    progress: impl Fn(&str),
) -> Result<Report, Box<dyn Error + Send + Sync>> {
    watch_panics();
    secrets::search();
    let (begun, before, panics_before) = (Instant::now(), Sample::now(), panics());
    let mut tasks = JoinSet::new();
    for (number, policy) in POLICIES.into_iter().enumerate() {
        let seed = options.seed.wrapping_mul(POLICIES.len() as u64).wrapping_add(number as u64);
        tasks.spawn(world::run(Plan::new(seed, policy, options.time)));
    }
    let (mut worlds, mut samples, mut taken) = (Vec::new(), Samples::default(), 0_u64);
    let mut clock = tokio::time::interval(SAMPLE_EVERY);
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                None => break,
                Some(world) => worlds.push(world??),
            },
            _ = clock.tick() => {
                // Only while all run.
                if begun.elapsed() < options.time {
                    samples.add(Sample::now());
                }
                taken += 1;
                if taken.is_multiple_of(PROGRESS_EVERY) {
                    progress(&format!("{:>4} s: {:?}", begun.elapsed().as_secs(), Sample::now()));
                }
            }
        }
    }
    let mut wrong = Vec::new();
    for world in &worlds {
        wrong.extend(world.wrong().iter().map(|it| format!("{:?}: {it}", world.plan.policy)));
    }
    // A short run is over before the number of sockets has settled.
    if options.time >= LONG {
        wrong.extend(samples.growth());
    }
    wrong.extend(leftovers(before, LIMIT).await);
    if panics() != panics_before {
        wrong.push(format!("{} panics", panics() - panics_before));
    }
    wrong.extend(secrets::leaks().iter().map(|line| format!("a token in the log: {line}")));
    if secrets::lines() == 0 {
        wrong.push("nothing was logged".into());
    }
    let (options, took) = (options.clone(), begun.elapsed());
    Ok(Report { options, took, worlds, samples, lines: secrets::lines(), wrong })
}
