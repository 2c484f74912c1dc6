//! One relay with its server and its clients, from the start to the comparison at the end.

mod verdict;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kite_manager::{Credentials, Event, Events, ManagerEvent, StreamConfig};
use kite_relay::{Relay, RelayClient, RelayStopped};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::clients::slow::Slow;
use crate::clients::steady::Steady;
use crate::clients::{
    Common, Notes, PATIENCE, access_token, api_key, changing, hostile, slow, steady,
};
use crate::lean::{self, Lean};
use crate::market::Market;
use crate::plan::Plan;
use crate::secrets::MARK;
use crate::upstream::{self, Outage, Outages, Upstream};

/// Bytes that may wait for each client: what arrives in a second, so that slow clients leave more and
/// the others do not.
const QUEUE_BYTES: usize = 96 * 1_024;

/// How long the relay keeps what no client asks for any more.
const LINGER: Duration = Duration::from_secs(1);

/// Long enough for clients to get no heartbeats any more.
const DARK: Duration = Duration::from_millis(8_500);

/// Mean time between two such losses.
const DARK_EVERY: Duration = Duration::from_secs(120);

/// How long nothing may have arrived at the end.
const QUIET: Duration = Duration::from_millis(500);

/// Most time for the relay to stop.
const STOP: Duration = Duration::from_secs(20);

/// Everything known about a relay at the end.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) stopped: RelayStopped,
    steady: Vec<Steady>,
    slow: Option<Slow>,
    pub(crate) notes: Notes,
    pub(crate) outages: Vec<Outage>,
    /// By slot: whether each of the fixed instruments is on it.
    placement: Vec<Vec<u32>>,
    /// Ticks and gaps by the manager's count.
    manager_ticks: u64,
    /// Ticks that it left out, of instruments that had left their connection.
    pub(crate) departed_ticks: u64,
    manager_gaps: u64,
    messages: u64,
    /// Instruments that moved to another connection.
    pub(crate) moves: u64,
}

/// The clients that stay to the end.
struct Staying {
    steady: Vec<JoinHandle<Option<Steady>>>,
    slow: JoinHandle<Option<Slow>>,
}

/// Runs a world.
///
/// # Errors
/// Returns an error if it could not be started.
pub(crate) async fn run(plan: Plan) -> Result<World, Box<dyn Error + Send + Sync>> {
    let plan = Arc::new(plan);
    let mut upstream = Upstream::start(&plan).await?;
    let relay = relay(&plan).start(&upstream.manager).await?;
    let (outages, counts) = (Outages::default(), Arc::<Mutex<Counts>>::default());
    let slots = (plan.slots(), plan.connections);
    tokio::spawn(upstream::watch(upstream.manager.events(), Arc::clone(&outages), slots));
    tokio::spawn(count(upstream.manager.events(), Arc::clone(&counts)));
    let lean = Arc::<Lean>::default();
    let stream = upstream.manager.stream(StreamConfig::default())?;
    tokio::spawn(lean::observe(stream, Arc::clone(&lean)));
    upstream.manager.begin()?;

    let (end, ends) = watch::channel(false);
    let common = Common {
        market: Arc::new(Market::new(&plan, Arc::clone(&upstream.sim))),
        lean,
        plan: Arc::clone(&plan),
        relay: relay.address(),
        ends,
        notes: Arc::default(),
    };
    let staying = stay(&common).await?;
    let mut leaving = leave(&common);
    make_trouble(&mut upstream, &plan).await;
    // The receivers are in `common`.
    let _ = end.send(true);
    let left = async { while leaving.join_next().await.is_some() {} };
    if timeout(PATIENCE, left).await.is_err() {
        common.wrong("world", format_args!("{} clients did not leave", leaving.len()));
    }
    if timeout(PATIENCE, settle(&upstream, &relay, &plan, &outages, &counts)).await.is_err() {
        let (ticks, gaps) = (upstream.manager.snapshot().total.ticks, counts.lock().missed);
        let stats = relay.stats();
        common.wrong(
            "world",
            format_args!("not settled: {ticks} ticks and {gaps} gaps upstream, {stats:?}"),
        );
    }
    if format!("{relay:?}{:?}", relay.stats()).contains(MARK) {
        common.wrong("world", "the relay's Debug shows a credential");
    }
    let total = upstream.manager.snapshot().total;
    let placement = upstream.manager.distribution();
    let stopped = relay.stop(STOP).await;
    let (steady, slow) = join(staying, &common).await;
    upstream.manager.stop().await;
    upstream.sim.stop().await;
    let is_fixed = |token: &&u32| plan.is_fixed(**token);
    let placement = placement.iter().map(|it| it.keys().filter(is_fixed).copied().collect());
    let notes = std::mem::take(&mut *common.notes.lock());
    let outages = std::mem::take(&mut *outages.lock());
    let Counts { missed: manager_gaps, moves, .. } = *counts.lock();
    Ok(World {
        placement: placement.collect(),
        plan,
        stopped,
        steady,
        slow,
        notes,
        outages,
        manager_ticks: total.ticks,
        departed_ticks: total.departed_ticks,
        manager_gaps,
        messages: upstream.messages,
        moves,
    })
}

fn relay(plan: &Plan) -> kite_relay::RelayBuilder {
    let client = |name: &str| {
        let credentials = Credentials::new(api_key(name), access_token(name));
        RelayClient::new(name, credentials).orders(name.contains("orders"))
    };
    let mut builder = Relay::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .policy(plan.policy)
        .queue_bytes(QUEUE_BYTES)
        .linger(LINGER)
        .stall(slow::STALL)
        .instruments(&plan.fixed_in_full())
        .client(client(hostile::GREEDY).max_sockets(hostile::GREEDY_SOCKETS));
    let names = [slow::TO_THE_END, slow::AT_TIMES, slow::NEVER, hostile::FLOODS, hostile::GARBLES];
    for name in steady::ALL.iter().map(|(name, _)| *name).chain(names) {
        builder = builder.client(client(name));
    }
    for &(name, limit) in changing::ALL {
        builder = builder.client(client(name).max_instruments(limit));
    }
    builder
}

/// Starts the clients that stay, and waits until all fixed instruments are known in full.
async fn stay(common: &Common) -> Result<Staying, Box<dyn Error + Send + Sync>> {
    let (mut tasks, mut ready) = (Vec::new(), Vec::new());
    for &(name, mode) in steady::ALL {
        let (sender, receiver) = oneshot::channel();
        tasks.push(tokio::spawn(steady::run(common.clone(), name, mode, sender)));
        ready.push(receiver);
    }
    for receiver in ready {
        timeout(PATIENCE, receiver).await??;
    }
    let slow = tokio::spawn(slow::to_the_end(common.clone(), common.plan.seed ^ 1));
    Ok(Staying { steady: tasks, slow })
}

/// Starts the clients that leave before the end.
fn leave(common: &Common) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut seeds = Rng::with_seed(!common.plan.seed);
    for &(name, limit) in changing::ALL {
        tasks.spawn(changing::run(common.clone(), name, limit, seeds.u64(..)));
    }
    tasks.spawn(slow::at_times(common.clone(), seeds.u64(..)));
    tasks.spawn(slow::never(common.clone()));
    tasks.spawn(hostile::flood(common.clone(), seeds.u64(..)));
    tasks.spawn(hostile::garble(common.clone(), seeds.u64(..)));
    tasks.spawn(hostile::guess(common.clone(), seeds.u64(..)));
    tasks.spawn(hostile::take_too_many(common.clone(), seeds.u64(..)));
    tasks
}

/// Makes trouble upstream until the time is over.
async fn make_trouble(upstream: &mut Upstream, plan: &Plan) {
    let mut random = Rng::with_seed(plan.seed ^ 2);
    let end = Instant::now() + plan.time;
    let mut dark_at = Instant::now();
    loop {
        let pause = Duration::from_millis(random.u64(50..1_500));
        let left = end.saturating_duration_since(Instant::now());
        sleep(pause.min(left)).await;
        if pause >= left {
            return;
        }
        if Instant::now() >= dark_at && left > DARK && plan.has_dark_times {
            upstream.refuse_for(DARK).await;
            dark_at = Instant::now() + DARK_EVERY;
        } else {
            upstream.trouble(&mut random).await;
        }
    }
}

/// Ends all trouble and waits until everything that was sent has arrived at the clients.
async fn settle(
    upstream: &Upstream,
    relay: &Relay,
    plan: &Plan,
    outages: &Outages,
    counts: &Mutex<Counts>,
) {
    upstream.calm().await;
    // What lingers changes subscriptions, which is answered by snapshots, and a gap is reported only
    // once its instruments have ticked again.
    let is_quiet = || {
        let subscribed: usize = upstream.manager.distribution().iter().map(|it| it.len()).sum();
        let losses = outages.lock().len() as u64;
        // A failover has gaps of its own.
        let has_all = plan.failover.is_some() || counts.lock().gaps + plan.slots() as u64 == losses;
        subscribed == plan.fixed.len() && has_all
    };
    while !is_quiet() {
        sleep(Duration::from_millis(1)).await;
    }
    upstream.sim.pause().await;
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let stats = relay.stats();
        let total = upstream.manager.snapshot().total;
        let ticks = total.ticks - total.departed_ticks;
        let is_in =
            stats.ticks_in + stats.ticks_missed == ticks && stats.gaps == counts.lock().missed;
        let is_done = is_in && stats.clients.iter().all(|client| client.waiting() == 0);
        // What the server wrote last may still be on its way to the manager.
        if !is_done || ticks != last {
            (last, since) = (ticks, Instant::now());
        } else if since.elapsed() > QUIET {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

async fn join(staying: Staying, common: &Common) -> (Vec<Steady>, Option<Slow>) {
    let mut steady = Vec::new();
    for task in staying.steady {
        match timeout(PATIENCE, task).await {
            Ok(Ok(client)) => steady.extend(client),
            _ => common.wrong("world", "a steady client did not end"),
        }
    }
    let slow = match timeout(PATIENCE, staying.slow).await {
        Ok(Ok(slow)) => slow,
        _ => {
            common.wrong("world", "a slow client did not end");
            None
        }
    };
    (steady, slow)
}

/// What the manager reports.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    gaps: u64,
    /// Gaps with instruments, which the relay counts: of a connection whose instruments have moved
    /// away, nothing was missed.
    missed: u64,
    moves: u64,
}

async fn count(mut events: Events, counts: Arc<Mutex<Counts>>) {
    while let Some(event) = events.recv().await {
        match event {
            ManagerEvent::Connection { event: Event::Gap(gap), .. } => {
                let mut counts = counts.lock();
                counts.gaps += 1;
                counts.missed += u64::from(!gap.instruments.is_empty());
            }
            ManagerEvent::Moved { moves, .. } => counts.lock().moves += moves.len() as u64,
            _ => {}
        }
    }
}
