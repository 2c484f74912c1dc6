//! One run of one way in a process of its own, so that memory and CPU time are its alone.

use std::thread;
use std::time::{Duration, Instant};

use kite_wire::Mode;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::application::Application;
use crate::load::{hear, tell};
use crate::machine::{Memory, cpu_seconds};
use crate::ways::{self, Run};

/// Measures a manager that has nothing to do: three connections, 9,000 instruments, heartbeats.
pub fn idle(port: u16, seconds: u64) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let manager = ways::manager(port, 3)?;
    let tokens: Vec<u32> = (0..9_000).map(|n| n << 8 | 1).collect();
    manager.subscribe(&tokens, Mode::Full)?;
    runtime.block_on(manager.start())?;
    hear()?;
    let (user, system) = cpu_seconds()?;
    tell("started")?;
    thread::sleep(Duration::from_secs(seconds));
    let (user_after, system_after) = cpu_seconds()?;
    let busy_s = user_after - user + system_after - system;
    tell(&(busy_s / seconds as f64).to_string())?;
    Ok(())
}

/// What a run has measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Ticks that reached the application, over all consumers.
    pub ticks: u64,
    /// What the client said that it lost, in the client's unit.
    pub lost: u64,
    /// CPU seconds of this process, its own code's and the kernel's for it.
    pub user_s: f64,
    pub system_s: f64,
    /// From the word to start to the last frame.
    pub wall_s: f64,
    /// p50, p99, p99.9 and the longest.
    pub latency_us: [f64; 4],
    /// Beyond what the process had before it connected.
    pub peak_bytes: u64,
    pub sum: u64,
}

/// Runs it: waits for the word to start, tells the outcome.
pub fn run(run: Run) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let before = Memory::read()?;
    let consumers = runtime.spawn(run.consume());
    hear()?;
    let (user, system) = cpu_seconds()?;
    let started = Instant::now();
    tell("started")?;
    let received = runtime.block_on(consumers)??;
    let wall_s = started.elapsed().as_secs_f64();
    let (user_after, system_after) = cpu_seconds()?;
    let mut received = received.into_iter();
    let first = received.next().ok_or("no consumer")?;
    let all = received.try_fold(first, |sum, one| Application::merge(sum, &one))?;
    let outcome = Outcome {
        ticks: all.ticks,
        lost: all.lost,
        user_s: user_after - user,
        system_s: system_after - system,
        wall_s,
        latency_us: all.latency_us(),
        peak_bytes: Memory::read()?.peak.saturating_sub(before.resident),
        sum: all.sum(),
    };
    tell(&serde_json::to_string(&outcome)?)?;
    Ok(())
}
