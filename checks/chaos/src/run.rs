//! A whole run: opens connections, injects faults, compares everything at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kite_sim::{Fault, FaultKind};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::account::{Account, credentials};
use crate::failure::ChaosError;
use crate::options::Options;
use crate::report::{Report, Volume};
use crate::resources::{Sample, Samples, leftovers, panics, watch_panics};
use crate::simulator::{CONNECTIONS, Simulator};
use crate::tally::Tally;
use crate::timing::TIMEOUT;

/// Interval of resource samples: about 300 in a full run.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples per line of progress.
const PROGRESS_EVERY: u64 = 10;

/// The least share of every kind in a run of at least this many faults.
const MIN_PERCENT: u64 = 2;
const MIN_FAULTS_FOR_SHARES: u64 = 5_000;

/// Opens connections, injects the requested faults, and compares everything at the end.
///
/// `progress` receives a line every ten seconds.
///
/// # Errors
/// Returns a [`ChaosError`] if the run could not begin. Broken promises are in the report.
pub async fn run(options: &Options, progress: impl Fn(&str)) -> Result<Report, ChaosError> {
    watch_panics();
    let (begun, before, panics_before) = (Instant::now(), Sample::now(), panics());
    let numbers: Vec<usize> = match options.only_connection {
        Some(only) => vec![only],
        None => (0..options.connections).collect(),
    };
    let tally = Arc::<Mutex<Tally>>::default();
    let (simulators, mut accounts) = open(options, &numbers, &tally).await?;
    let requested: u64 = numbers.iter().map(|&number| options.share(number)).sum();

    let (mut samples, mut wrong) = (Samples::default(), Vec::new());
    accounts = run_faults(accounts, options, requested, &mut samples, &mut wrong, &progress).await;
    pause_markets(&simulators, &mut wrong).await;
    accounts.iter().for_each(Account::tick_once_more);
    pause_markets(&simulators, &mut wrong).await;
    let deadline = Instant::now() + TIMEOUT;
    for account in &mut accounts {
        account.final_check(deadline).await;
    }
    let (mut volume, mut failures) = (Volume::default(), Vec::new());
    for mut account in accounts {
        account.close().await;
        add_volume(&mut volume, &account);
        failures.append(&mut account.failures);
    }
    let tally = tally.lock().clone();
    if failures.is_empty() {
        wrong.extend(miscounted(&simulators, &tally));
    }
    wrong.extend(samples.growth());
    wrong.extend(rare(options, &tally));
    for simulator in simulators {
        simulator.sim.stop().await;
    }
    wrong.extend(leftovers(before, TIMEOUT).await);
    if panics() != panics_before {
        wrong.push(format!("{} panics", panics() - panics_before));
    }
    if tally.total() + (failures.len() as u64) < requested {
        wrong.push(format!("{} of {requested} faults were injected in time", tally.total()));
    }
    let (options, took) = (options.clone(), begun.elapsed());
    Ok(Report { options, took, tally, volume, samples, failures, faults_of_run: wrong })
}

/// Stops the markets, and waits until everything queued has been sent.
async fn pause_markets(simulators: &[Arc<Simulator>], wrong: &mut Vec<String>) {
    for simulator in simulators {
        if tokio::time::timeout(TIMEOUT, simulator.sim.pause()).await.is_err() {
            wrong.push("a simulator did not become idle: a frame stays unread".to_owned());
        }
    }
}

/// Starts simulators and opens the connections to them.
async fn open(
    options: &Options,
    numbers: &[usize],
    tally: &Arc<Mutex<Tally>>,
) -> Result<(Vec<Arc<Simulator>>, Vec<Account>), ChaosError> {
    let (secure, plain): (Vec<usize>, Vec<usize>) =
        numbers.iter().partition(|&&number| options.is_tls(number));
    let (mut simulators, mut accounts) = (Vec::new(), Vec::new());
    for (is_tls, numbers) in [(false, plain), (true, secure)] {
        for numbers in numbers.chunks(CONNECTIONS) {
            let logins: Vec<_> = numbers.iter().map(|&number| credentials(number)).collect();
            let simulator =
                Simulator::start(options.seed, is_tls, &logins).await.map_err(ChaosError::Sim)?;
            for &number in numbers {
                let (simulator, tally) = (Arc::clone(&simulator), Arc::clone(tally));
                accounts.push(Account::open(options, number, simulator, tally)?);
            }
            simulators.push(simulator);
        }
    }
    Ok((simulators, accounts))
}

/// Injects the faults into all connections concurrently.
async fn run_faults(
    accounts: Vec<Account>,
    options: &Options,
    requested: u64,
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
            let report = |is_kept: bool| {
                let count = if is_kept { &kept } else { &broken };
                count.fetch_add(1, Ordering::Relaxed);
            };
            account.run_faults(share, stop, report).await;
            account
        });
    }
    let begun = Instant::now();
    let (mut done, mut samples_taken) = (Vec::new(), 0);
    let mut clock = tokio::time::interval(SAMPLE_EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                None => break,
                Some(Ok(account)) => done.push(account),
                Some(Err(error)) => wrong.push(format!("a task of the test failed: {error}")),
            },
            _ = clock.tick() => {
                // Not once one is done: its connection still holds its resources.
                if done.is_empty() {
                    samples.add(Sample::now());
                }
                samples_taken += 1;
                if samples_taken % PROGRESS_EVERY == 0 {
                    progress(&format!(
                        "{:>4} s: {} of {requested} faults, {} promises broken, {:?}",
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
    let sums = account.frame_check.sums;
    volume.sockets += sums.sockets;
    volume.frames_sent += sums.frames_sent;
    volume.ticks_sent += sums.ticks_sent;
    volume.ticks_delivered += state.totals.ticks;
    volume.gaps += state.gaps.reported;
    volume.volumes_known += state.gaps.known;
    volume.volume_known += state.gaps.volume;
}

/// Lists the faults whose counts at the simulators differ from those injected.
fn miscounted(simulators: &[Arc<Simulator>], tally: &Tally) -> Vec<String> {
    let mut injected = BTreeMap::<FaultKind, u64>::new();
    for simulator in simulators {
        for (kind, count) in simulator.sim.stats().faults {
            *injected.entry(kind).or_insert(0) += count;
        }
    }
    let dealt = |kind| {
        let of = |counts: &BTreeMap<FaultKind, u64>| counts.get(&kind).copied().unwrap_or_default();
        of(&tally.faults) + of(&tally.provocations)
    };
    let differing = injected.iter().filter(|(kind, count)| match kind {
        // Not counted if the client hangs up before the operating system has the whole frame.
        FaultKind::OversizedFrame => dealt(**kind) < **count,
        _ => dealt(**kind) != **count,
    });
    differing
        .map(|(kind, count)| format!("{kind}: {} dealt, {count} injected", dealt(*kind)))
        .collect()
}

/// Lists the kinds with too small a share of a run that is long enough for all.
fn rare(options: &Options, tally: &Tally) -> Vec<String> {
    let total = tally.total();
    let is_whole = options.only_connection.is_none() && options.skip.is_empty();
    if !is_whole || total < MIN_FAULTS_FOR_SHARES || !(0.4..=1.0).contains(&options.tls_share) {
        return Vec::new();
    }
    let count = |kind| tally.faults.get(&kind).copied().unwrap_or_default();
    let rare = Fault::KINDS.iter().filter(|kind| count(**kind) * 100 < total * MIN_PERCENT);
    rare.map(|kind| format!("{kind}: {} of {total} are below 2 %", count(*kind))).collect()
}
