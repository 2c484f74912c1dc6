//! Resources of the process: memory, tasks, open files; and a count of panics.

use std::fs;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

/// Allowed growth from the first third to the last.
const GROWTH_PERCENT: u64 = 10;
/// Always allowed: the allocator's granularity, and sockets that are being replaced.
const MEMORY_SLACK: u64 = 4 << 20;
/// In a run of less than a minute, the allocator is still growing in the first third.
const SHORT_RUN: usize = 60;
const SHORT_MEMORY_SLACK: u64 = 16 << 20;
const COUNT_SLACK: u64 = 24;

/// Resources of the process at one instant. Zero if the operating system does not report them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Resident memory in bytes.
    pub memory: u64,
    /// Tasks of the runtime.
    pub tasks: u64,
    /// Open files and sockets.
    pub files: u64,
}

impl Sample {
    /// Takes a sample; must be called within a runtime.
    ///
    /// # Panics
    /// Panics outside of a Tokio runtime.
    #[must_use]
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let files = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64);
        Self {
            memory: kib.unwrap_or_default() * 1_024,
            tasks: Handle::current().metrics().num_alive_tasks() as u64,
            files,
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            tasks: self.tasks.max(other.tasks),
            files: self.files.max(other.files),
        }
    }
}

/// Samples of a whole run.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    taken: Vec<Sample>,
}

impl Samples {
    /// Adds a sample.
    pub fn add(&mut self, sample: Sample) {
        self.taken.push(sample);
    }

    /// Returns, of the first, second and last third, the median of the memory and the maxima of the
    /// others. Frames of megabytes are there for milliseconds, so that a maximum of the memory is a
    /// matter of chance.
    #[must_use]
    pub fn thirds(&self) -> [Sample; 3] {
        let third = self.taken.len().div_ceil(3).max(1);
        let mut thirds = self.taken.chunks(third).map(|chunk| {
            let most = chunk.iter().fold(Sample::default(), |most, sample| most.max(*sample));
            Sample { memory: median(chunk), ..most }
        });
        std::array::from_fn(|_| thirds.next().unwrap_or_default())
    }

    /// Returns what grew from the first third to the last.
    #[must_use]
    pub fn growth(&self) -> Vec<String> {
        if self.taken.len() < 6 {
            return Vec::new();
        }
        let [first, _, last] = self.thirds();
        let is_short = self.taken.len() < SHORT_RUN;
        let memory_slack = if is_short { SHORT_MEMORY_SLACK } else { MEMORY_SLACK };
        let compared = [
            ("memory", first.memory, last.memory, memory_slack),
            ("tasks", first.tasks, last.tasks, COUNT_SLACK),
            ("open files", first.files, last.files, COUNT_SLACK),
        ];
        let grown = compared.into_iter().filter(|(_, first, last, slack)| {
            *last > first + (first * GROWTH_PERCENT / 100).max(*slack)
        });
        grown.map(|(what, first, last, _)| format!("{what} grew from {first} to {last}")).collect()
    }
}

fn median(samples: &[Sample]) -> u64 {
    let mut memory: Vec<u64> = samples.iter().map(|sample| sample.memory).collect();
    memory.sort_unstable();
    memory.get(memory.len() / 2).copied().unwrap_or_default()
}

/// Waits until the process has no more tasks and files than before; returns what is left if it does
/// not in time.
///
/// # Cancel safety
/// Cancel safe.
///
/// # Panics
/// Panics outside of a Tokio runtime.
pub async fn leftovers(before: Sample, limit: Duration) -> Option<String> {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let now = Sample::now();
        if now.tasks <= before.tasks && now.files <= before.files {
            return None;
        }
        if tokio::time::Instant::now() >= deadline {
            return Some(format!(
                "{} tasks and {} open files are left, {} and {} before the run",
                now.tasks, now.files, before.tasks, before.files
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Starts counting panics of any thread; the message is printed as before.
pub fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(panic);
        }));
    });
}

/// Returns the number of panics counted.
#[must_use]
pub fn panics() -> u64 {
    PANICS.load(Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_judged_by_thirds() {
        let sample = |memory, tasks| Sample { memory: memory << 20, tasks, files: 50 };
        let samples = |taken: &[Sample]| Samples { taken: taken.to_vec() };
        let flat: Vec<_> = (0..90).map(|_| sample(100, 40)).collect();
        assert!(samples(&flat).growth().is_empty());
        let growing: Vec<_> = (0..90).map(|index| sample(100 + index, 40 + index)).collect();
        let growth = samples(&growing).growth();
        assert_eq!(growth.len(), 2, "{growth:?}");
        assert_eq!(samples(&growing).thirds()[2], sample(175, 129));
        let mut with_a_peak = flat;
        with_a_peak[80] = sample(200, 40);
        assert!(samples(&with_a_peak).growth().is_empty());
    }
}
