//! A run from its first socket to its last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kite_sim::{Fault, FaultKind};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::account::{Account, credentials};
use crate::failure::ChaosError;
use crate::ground::{CONNECTIONS, Ground};
use crate::options::Options;
use crate::pace::PATIENCE;
use crate::report::{Report, Volume};
use crate::resources::{Sample, Samples, leftovers, panics, watch_panics};
use crate::tally::Tally;

/// Between two samples of what the process holds: about 300 of a full run.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Between two lines of progress.
const PROGRESS_EVERY: u64 = 10;

/// The part that every kind has in a run of this length at least.
const LEAST_PERCENT: u64 = 2;
const WHOLE_RUN: u64 = 5_000;

/// Opens connections, deals the faults asked for, and compares everything at the end.
///
/// `progress` is told a line now and then.
///
/// # Errors
/// [`ChaosError`] where the run could not begin. Promises that were not held are in the report.
pub async fn run(options: &Options, progress: impl Fn(&str)) -> Result<Report, ChaosError> {
    watch_panics();
    let (begun, before, panics_before) = (Instant::now(), Sample::now(), panics());
    let numbers: Vec<usize> = match options.only_connection {
        Some(only) => vec![only],
        None => (0..options.connections).collect(),
    };
    let tally = Arc::<Mutex<Tally>>::default();
    let (grounds, mut accounts) = open(options, &numbers, &tally).await?;
    let asked: u64 = numbers.iter().map(|&number| options.share(number)).sum();

    let (mut samples, mut wrong) = (Samples::default(), Vec::new());
    accounts = suffer(accounts, options, asked, &mut samples, &mut wrong, &progress).await;
    rest(&grounds, &mut wrong).await;
    accounts.iter().for_each(Account::tick_once_more);
    rest(&grounds, &mut wrong).await;
    let deadline = Instant::now() + PATIENCE;
    for account in &mut accounts {
        account.settle(deadline).await;
    }
    let (mut volume, mut failures) = (Volume::default(), Vec::new());
    for mut account in accounts {
        account.close().await;
        add_volume(&mut volume, &account);
        failures.append(&mut account.failures);
    }
    let tally = tally.lock().clone();
    if failures.is_empty() {
        wrong.extend(uncounted(&grounds, &tally));
    }
    wrong.extend(samples.growth());
    wrong.extend(rare(options, &tally));
    for ground in grounds {
        ground.sim.stop().await;
    }
    wrong.extend(leftovers(before, PATIENCE).await);
    if panics() != panics_before {
        wrong.push(format!("{} panics", panics() - panics_before));
    }
    if tally.total() + (failures.len() as u64) < asked {
        wrong.push(format!("{} of {asked} faults were suffered in time", tally.total()));
    }
    let (options, took) = (options.clone(), begun.elapsed());
    Ok(Report { options, took, tally, volume, samples, failures, faults_of_run: wrong })
}

/// Stops the markets, and waits until all that they had begun to send is sent.
async fn rest(grounds: &[Arc<Ground>], wrong: &mut Vec<String>) {
    for ground in grounds {
        if tokio::time::timeout(PATIENCE, ground.sim.pause()).await.is_err() {
            wrong.push("a simulator could not come to rest: a frame stays unread".to_owned());
        }
    }
}

/// Starts simulators and opens the connections to them.
async fn open(
    options: &Options,
    numbers: &[usize],
    tally: &Arc<Mutex<Tally>>,
) -> Result<(Vec<Arc<Ground>>, Vec<Account>), ChaosError> {
    let (secure, plain): (Vec<usize>, Vec<usize>) =
        numbers.iter().partition(|&&number| options.is_tls(number));
    let (mut grounds, mut accounts) = (Vec::new(), Vec::new());
    for (is_tls, numbers) in [(false, plain), (true, secure)] {
        for numbers in numbers.chunks(CONNECTIONS) {
            let logins: Vec<_> = numbers.iter().map(|&number| credentials(number)).collect();
            let ground =
                Ground::start(options.seed, is_tls, &logins).await.map_err(ChaosError::Sim)?;
            for &number in numbers {
                let (ground, tally) = (Arc::clone(&ground), Arc::clone(tally));
                accounts.push(Account::open(options, number, ground, tally)?);
            }
            grounds.push(ground);
        }
    }
    Ok((grounds, accounts))
}

/// Has all connections suffer side by side.
async fn suffer(
    accounts: Vec<Account>,
    options: &Options,
    asked: u64,
    samples: &mut Samples,
    wrong: &mut Vec<String>,
    progress: &impl Fn(&str),
) -> Vec<Account> {
    let stop = Instant::now() + options.longest;
    let (kept, broken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = JoinSet::new();
    for mut account in accounts {
        let (kept, broken) = (Arc::clone(&kept), Arc::clone(&broken));
        let share = options.share(account.number());
        tasks.spawn(async move {
            let told = |is_kept: bool| {
                let count = if is_kept { &kept } else { &broken };
                count.fetch_add(1, Ordering::Relaxed);
            };
            account.suffer(share, stop, told).await;
            account
        });
    }
    let begun = Instant::now();
    let (mut done, mut looks) = (Vec::new(), 0);
    let mut clock = tokio::time::interval(SAMPLE_EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                None => break,
                Some(Ok(account)) => done.push(account),
                Some(Err(error)) => wrong.push(format!("the test's own task failed: {error}")),
            },
            _ = clock.tick() => {
                // A connection that is done holds still what it held.
                if done.is_empty() {
                    samples.add(Sample::now());
                }
                looks += 1;
                if looks % PROGRESS_EVERY == 0 {
                    progress(&format!(
                        "{:>4} s: {} of {asked} faults, {} promises not held, {:?}",
                        begun.elapsed().as_secs(),
                        kept.load(Ordering::Relaxed),
                        broken.load(Ordering::Relaxed),
                        Sample::now(),
                    ));
                }
            }
        }
    }
    done
}

fn add_volume(volume: &mut Volume, account: &Account) {
    let state = account.recorder.state();
    let sums = account.proof.sums;
    volume.sockets += sums.sockets;
    volume.frames_sent += sums.frames_sent;
    volume.ticks_sent += sums.ticks_sent;
    volume.ticks_delivered += state.totals.ticks;
    volume.gaps += state.gaps.told;
    volume.volumes_known += state.gaps.known;
    volume.volume_known += state.gaps.volume;
}

/// Says which faults the simulators count otherwise than they were dealt.
fn uncounted(grounds: &[Arc<Ground>], tally: &Tally) -> Vec<String> {
    let mut struck = BTreeMap::<FaultKind, u64>::new();
    for ground in grounds {
        for (kind, count) in ground.sim.stats().faults {
            *struck.entry(kind).or_insert(0) += count;
        }
    }
    let dealt = |kind| {
        let of = |counts: &BTreeMap<FaultKind, u64>| counts.get(&kind).copied().unwrap_or_default();
        of(&tally.faults) + of(&tally.provocations)
    };
    let differing = struck.iter().filter(|(kind, count)| match kind {
        // Not counted where the client hangs up before the whole frame is with the system.
        FaultKind::OversizedFrame => dealt(**kind) < **count,
        _ => dealt(**kind) != **count,
    });
    differing
        .map(|(kind, count)| format!("{kind}: {} dealt, {count} struck", dealt(*kind)))
        .collect()
}

/// Says which kinds had too small a part in a run that deals every kind often enough.
fn rare(options: &Options, tally: &Tally) -> Vec<String> {
    let total = tally.total();
    let is_whole = options.only_connection.is_none() && options.skip.is_empty();
    if !is_whole || total < WHOLE_RUN || !(0.4..=1.0).contains(&options.tls_share) {
        return Vec::new();
    }
    let count = |kind| tally.faults.get(&kind).copied().unwrap_or_default();
    let rare = Fault::KINDS.iter().filter(|kind| count(**kind) * 100 < total * LEAST_PERCENT);
    rare.map(|kind| format!("{kind}: {} of {total} are below 2 %", count(*kind))).collect()
}
