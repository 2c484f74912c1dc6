//! A run from the first connection to the summary.

use std::collections::HashMap;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY, Sent, Sim, SimError};
use kiteticker_async_manager::kite_manager::Snapshot;
use kiteticker_async_manager::{KiteManagerConfig, KiteTickerManager};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use crate::args::{Account, Options, Source};
use crate::consumer::{Feed, consume};
use crate::instruments::Plan;
use crate::numbers::{count, plural};
use crate::sampler::Sampler;
use crate::screen::Screen;
use crate::summary::{Comparison, Faults, Summary};
use crate::view::Board;

/// Connections that Kite allows.
const MOST_CONNECTIONS: usize = 3;
/// Instruments that Kite allows on each.
const MOST_PER_CONNECTION: usize = 3_000;
const SECOND: Duration = Duration::from_secs(1);
/// What has not come after this long without anything coming is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("the simulator did not start: {0}")]
    Simulator(#[from] SimError),
    #[error("{0}")]
    Manager(String),
    #[error("interrupted before a connection was up")]
    Interrupted,
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl From<String> for RunError {
    fn from(error: String) -> Self {
        Self::Manager(error)
    }
}

/// Streams, shows it once a second, and sums up.
pub(crate) async fn run(
    options: Options,
    screen: &mut Screen<impl Write>,
) -> Result<Summary, RunError> {
    let mut interrupt = pin!(interrupt());
    let (sim, plan, mut manager, source) = match options.source {
        Source::Simulator => {
            let sim = Sim::builder().start().await?;
            let (plan, config) = (Plan::simulated(), config(MOST_CONNECTIONS));
            let manager = KiteTickerManager::new(API_KEY.into(), ACCESS_TOKEN.into(), config)
                .with_endpoint(sim.endpoint());
            let source = format!("the simulator at {}", sim.endpoint());
            (Some(sim), plan, manager, source)
        }
        Source::Kite(account) => {
            // Never the endpoint itself: its query may hold credentials.
            let source = account.endpoint.as_ref().map_or("Kite", |_| "the endpoint given");
            let (plan, manager) = live(account);
            (None, plan, manager, source.to_owned())
        }
    };
    let connections = manager.typed().config().connections;
    screen.say(&head(&plan, connections, &source, options.duration))?;

    tokio::select! {
        started = manager.start() => started?,
        () = &mut interrupt => {
            manager.stop().await?;
            return Err(RunError::Interrupted);
        }
    }
    for (mode, tokens) in &plan.subscriptions {
        manager.subscribe_symbols(tokens, Some(*mode)).await?;
    }
    let mut consumers = JoinSet::new();
    let mut feeds = Vec::new();
    for (_, channel) in manager.get_all_channels() {
        let feed = Arc::new(Feed::new(plan.shown.iter().map(|one| one.token).collect()));
        feeds.push(Arc::clone(&feed));
        consumers.spawn(async move { consume(channel, &feed).await });
    }

    let mut sampler = Sampler::new(feeds.clone(), now());
    let watch = watch(&manager, &plan, &feeds, &mut sampler, options.duration, screen);
    tokio::select! {
        watched = watch => watched?,
        () = &mut interrupt => {}
    }

    if let Some(sim) = &sim {
        settle(sim, &feeds, plan.len()).await;
    }
    let snapshot = manager.typed().snapshot();
    sampler.sample(&snapshot, now());
    // Its channels end, and so do the consumers.
    manager.stop().await?;
    while consumers.join_next().await.is_some() {}
    Ok(sum_up(&plan, sim.as_ref(), &feeds, &snapshot, sampler))
}

/// Shows once a second what has arrived.
async fn watch(
    manager: &KiteTickerManager,
    plan: &Plan,
    feeds: &[Arc<Feed>],
    sampler: &mut Sampler,
    duration: Duration,
    screen: &mut Screen<impl Write>,
) -> io::Result<()> {
    let latest_of = |token| feeds.iter().find_map(|feed| feed.lock().latest.get(&token).copied());
    let mut ticks = interval_at(Instant::now() + SECOND, SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let seconds = duration.as_secs();
    for second in 1..=seconds {
        ticks.tick().await;
        let board = Board {
            second,
            seconds,
            rows: sampler.sample(&manager.typed().snapshot(), now()),
            instruments: plan.shown.iter().map(|one| (one, latest_of(one.token))).collect(),
            error: last_error(feeds),
        };
        screen.draw(&board.lines(screen.style()))?;
    }
    Ok(())
}

/// Puts together what the consumers received; they and the simulator are done.
fn sum_up(
    plan: &Plan,
    sim: Option<&Sim>,
    feeds: &[Arc<Feed>],
    snapshot: &Snapshot,
    sampler: Sampler,
) -> Summary {
    let mut received = HashMap::<u32, Sent>::new();
    let (mut lagged, mut frames, mut ticks) = (0, 0, 0);
    for feed in feeds {
        let feed = feed.lock();
        for (&token, of_feed) in &feed.instruments {
            let sum = received.entry(token).or_default();
            sum.ticks += of_feed.ticks;
            sum.checksum = sum.checksum.wrapping_add(of_feed.checksum);
        }
        lagged += feed.lagged;
        frames += feed.frames;
        ticks += feed.ticks;
    }
    Summary {
        comparison: sim.map(|sim| Comparison::new(&sim.sent(), &received)),
        asked: plan.len(),
        seen: received.len(),
        ticks,
        frames,
        latency: sampler.into_latency(),
        error: last_error(feeds),
        faults: Faults::new(snapshot, lagged),
    }
}

/// Gives the last error of the first connection that told one.
fn last_error(feeds: &[Arc<Feed>]) -> Option<String> {
    feeds.iter().find_map(|feed| feed.lock().error.clone())
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn config(max_connections: usize) -> KiteManagerConfig {
    KiteManagerConfig { max_connections, ..Default::default() }
}

fn live(account: Account) -> (Plan, KiteTickerManager) {
    let plan = Plan::live(account.tokens);
    // As few as carry the list: other programs of the account may need the rest.
    let connections = plan.len().div_ceil(MOST_PER_CONNECTION);
    let manager = KiteTickerManager::new(
        account.api_key.expose().to_owned(),
        account.access_token.expose().to_owned(),
        config(connections),
    );
    let manager = match account.endpoint {
        Some(endpoint) => manager.with_endpoint(endpoint.expose()),
        None => manager,
    };
    (plan, manager)
}

/// Says what is about to happen.
fn head(plan: &Plan, connections: usize, source: &str, duration: Duration) -> Vec<String> {
    let modes = plan
        .subscriptions
        .iter()
        .map(|(mode, tokens)| format!("{} {}", count(tokens.len()), mode.to_websocket_string()));
    vec![
        format!(
            "{} ({}) on {}",
            plural(plan.len() as u64, "instrument"),
            modes.collect::<Vec<_>>().join(", "),
            plural(connections as u64, "connection"),
        ),
        format!("from {source} for {} s; Ctrl-C ends it earlier", count(duration.as_secs())),
    ]
}

/// Completes at Ctrl-C; never, where the system does not tell of it.
async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// Stops the market and waits until all that was sent has come, or nothing comes any more.
async fn settle(sim: &Sim, feeds: &[Arc<Feed>], instruments: usize) {
    // A socket that is not read keeps the simulator waiting: that is a loss as well.
    let _ = timeout(PATIENCE, sim.pause()).await;
    let (mut before, mut since) = (0, Instant::now());
    loop {
        let (mut ticks, mut seen) = (0, 0);
        for feed in feeds {
            let feed = feed.lock();
            ticks += feed.ticks;
            seen += feed.instruments.len();
        }
        if ticks >= sim.stats().ticks_sent && seen >= instruments {
            return;
        }
        if ticks != before {
            (before, since) = (ticks, Instant::now());
        } else if since.elapsed() >= PATIENCE {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
}
