//! A count that one task writes and any other reads.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A count with a single writer, which updates it by a plain load and store, without a locked
/// instruction.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.set(self.0.load(Relaxed).wrapping_add(n));
    }

    #[inline]
    pub(crate) fn set(&self, value: u64) {
        // Release and acquire make a reader that sees this count also see those written before it.
        self.0.store(value, Release);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Acquire)
    }
}
