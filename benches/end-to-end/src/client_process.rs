//! One run of one client in a separate process, so that its memory and CPU time are measured alone.

use std::thread;
use std::time::{Duration, Instant};

use kite_wire::Mode;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::application::Application;
use crate::clients::{self, Run};
use crate::load::{read_line, send_line};
use crate::machine::{Memory, cpu_seconds};

/// Measures an idle manager: three connections, 9,000 instruments, only heartbeats.
pub fn idle(port: u16, seconds: u64) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let manager = clients::manager(port, 3)?;
    let tokens: Vec<u32> = (0..9_000).map(|n| n << 8 | 1).collect();
    manager.subscribe(&tokens, Mode::Full)?;
    runtime.block_on(manager.start())?;
    read_line()?;
    let (user, system) = cpu_seconds()?;
    send_line("started")?;
    thread::sleep(Duration::from_secs(seconds));
    let (user_after, system_after) = cpu_seconds()?;
    let busy_s = user_after - user + system_after - system;
    send_line(&(busy_s / seconds as f64).to_string())?;
    Ok(())
}

/// The measurements of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Ticks that reached the application, across all consumers.
    pub ticks: u64,
    /// What the client reported as lost, in the client's unit.
    pub lost: u64,
    /// CPU seconds of this process in user mode; `system_s` is the time in the kernel.
    pub user_s: f64,
    pub system_s: f64,
    /// From the start to the last frame.
    pub wall_s: f64,
    /// p50, p99, p99.9 and the longest latency.
    pub latency_us: [f64; 4],
    /// Peak memory above what the process had before it connected.
    pub peak_bytes: u64,
    pub sum: u64,
}

/// Connects, waits for the start line, consumes the load and writes the outcome.
pub fn run(run: Run) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let before = Memory::read()?;
    let consumers = runtime.spawn(run.consume());
    read_line()?;
    let (user, system) = cpu_seconds()?;
    let started = Instant::now();
    send_line("started")?;
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
    send_line(&serde_json::to_string(&outcome)?)?;
    Ok(())
}
