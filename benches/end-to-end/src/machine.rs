//! Measurements from the operating system: a clock shared by all processes, CPU time, memory.

use std::io;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::time::{ClockId, clock_gettime};

/// Returns the monotonic clock in nanoseconds, which all processes share.
pub fn clock_ns() -> u64 {
    // Cannot fail, because every Linux has this clock.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        now.tv_sec().cast_unsigned() * 1_000_000_000 + now.tv_nsec().cast_unsigned()
    })
}

/// Returns the CPU seconds used by this process, in user mode and in the kernel.
pub fn cpu_seconds() -> io::Result<(f64, f64)> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    Ok((seconds(usage.user_time()), seconds(usage.system_time())))
}

/// Memory of this process in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Currently resident.
    pub resident: u64,
    /// Peak resident.
    pub peak: u64,
}

impl Memory {
    /// Reads the current values.
    pub fn read() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            kib.map_or(0, |kib| kib * 1024)
        };
        Ok(Self { resident: field("VmRSS:"), peak: field("VmHWM:") })
    }
}
