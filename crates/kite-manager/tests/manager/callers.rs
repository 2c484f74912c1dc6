//! Many tasks that make conflicting requests for the same instruments, while sockets break.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kite_manager::{FailoverConfig, Manager, StreamConfig};
use kite_sim::{FaultChance, FaultKind, Sim};
use kite_wire::Mode;

use crate::stage::{Random, agreed, builder, in_time, sim, until};
use crate::taking::take;

const KINDS: [FaultKind; 8] = [
    FaultKind::Reset,
    FaultKind::EndOfStream,
    FaultKind::Close,
    FaultKind::InvalidFrame,
    FaultKind::HandshakeReset,
    FaultKind::HandshakeEnd,
    FaultKind::TruncatedFrame,
    FaultKind::UnknownText,
];

async fn broken_sim(accounts: usize) -> Sim {
    let chance = FaultChance::new(7, Duration::from_millis(150)).kinds(KINDS);
    sim(accounts, |it| it.updates_per_second(40.0).chance(chance)).await
}

/// Makes one random call and updates the expected instruments.
fn call(manager: &Manager, wanted: &mut BTreeMap<u32, Mode>, tokens: &[u32], random: &mut Random) {
    let from = random.below(tokens.len() - 8);
    let some = &tokens[from..from + 1 + random.below(8)];
    let mode = Mode::ALL[random.below(3)];
    match random.below(4) {
        0 => {
            manager.unsubscribe(some);
            wanted.retain(|token, _| !some.contains(token));
        }
        1 => {
            manager.set_mode(some, mode);
            for (_, known) in wanted.iter_mut().filter(|(token, _)| some.contains(token)) {
                *known = mode;
            }
        }
        _ => {
            manager.subscribe(some, mode).unwrap();
            for token in some {
                wanted.entry(*token).or_insert(mode);
            }
        }
    }
}

/// Makes random calls from several tasks on a faulty feed; afterwards all must agree.
async fn call_from_tasks(tasks: u64, accounts: usize, time: Duration) {
    let sim = broken_sim(accounts).await;
    let impatient = Duration::from_millis(40);
    let failover = FailoverConfig { after: impatient, stable_after: impatient };
    let manager = builder(&sim, accounts).failover(Some(failover)).build().unwrap();
    let taking = take(manager.stream(StreamConfig::default()).unwrap());
    in_time("start", manager.start()).await.unwrap();
    let tokens: Arc<[u32]> = kite_sim::universe(60).into();
    // Calls are made under this lock, so that their order is known.
    let wanted = Arc::new(Mutex::new(BTreeMap::new()));
    let end = Instant::now() + time;
    let callers: Vec<_> = (0..tasks)
        .map(|seed| {
            let (manager, tokens) = (manager.clone(), Arc::clone(&tokens));
            let wanted = Arc::clone(&wanted);
            tokio::spawn(async move {
                let (mut random, mut calls) = (Random(seed), 0_u64);
                while Instant::now() < end {
                    call(&manager, &mut wanted.lock().unwrap(), &tokens, &mut random);
                    calls += 1;
                    // Sometimes let the feed run in between.
                    match random.below(4) {
                        0 => tokio::time::sleep(Duration::from_millis(1)).await,
                        _ => tokio::task::yield_now().await,
                    }
                }
                calls
            })
        })
        .collect();
    for caller in callers {
        let calls = tokio::time::timeout(time + Duration::from_secs(30), caller).await;
        assert!(calls.unwrap().unwrap() > 100);
    }
    sim.calm();
    let wanted = wanted.lock().unwrap().clone();
    let placed = || manager.distribution().into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(placed().len(), wanted.len(), "each on one connection");
    assert_eq!(placed().into_iter().collect::<BTreeMap<_, _>>(), wanted);
    in_time("all back", manager.wait_until_live(Duration::from_secs(30))).await.unwrap();
    agreed(&sim, &manager).await;
    assert_eq!(placed().into_iter().collect::<BTreeMap<_, _>>(), wanted);
    let faults: u64 = sim.stats().faults.values().sum();
    assert!(faults > 10, "{:?}", sim.stats());
    let before = taking.look(|taken| taken.delivered);
    until("ticks after all calls", || taking.look(|taken| taken.delivered > before)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_from_two_tasks_end_in_the_state_of_the_last_call() {
    call_from_tasks(2, 1, Duration::from_secs(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_from_eight_tasks_on_two_accounts_end_in_the_state_of_the_last_call() {
    call_from_tasks(8, 2, Duration::from_secs(4)).await;
}

/// `cargo test -p kite-manager --test manager -- --ignored a_minute`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn a_minute_of_calls_ends_in_the_state_of_the_last_call() {
    call_from_tasks(2, 1, Duration::from_secs(60)).await;
}
