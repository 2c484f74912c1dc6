//! Threads that run jobs in any order and return the results in the order of the jobs.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

/// A job and the channel for its result.
type Job<J, R> = (J, SyncSender<R>);

pub(crate) struct Pool<J, R> {
    jobs: Option<Sender<Job<J, R>>>,
    promised: VecDeque<Receiver<R>>,
    threads: Vec<JoinHandle<()>>,
}

/// A thread ended before its job did.
#[derive(Debug)]
pub(crate) struct Lost;

impl<J: Send + 'static, R: Send + 'static> Pool<J, R> {
    /// Starts the threads; `worker` is called once for each.
    pub(crate) fn start<W>(threads: usize, worker: impl Fn() -> W) -> io::Result<Self>
    where
        W: FnMut(J) -> R + Send + 'static,
    {
        let (jobs, queue) = mpsc::channel::<Job<J, R>>();
        let queue = Arc::new(Mutex::new(queue));
        let mut pool = Self { jobs: Some(jobs), promised: VecDeque::new(), threads: Vec::new() };
        for _ in 0..threads {
            let (queue, mut work) = (Arc::clone(&queue), worker());
            let next = move || queue.lock().recv();
            let run = move || {
                while let Ok((job, result)) = next() {
                    // No one waits for the results of a cancelled export.
                    let _ = result.send(work(job));
                }
            };
            pool.threads.push(thread::Builder::new().name("kite-export".into()).spawn(run)?);
        }
        Ok(pool)
    }

    pub(crate) fn submit(&mut self, job: J) {
        let (result, promise) = mpsc::sync_channel(1);
        if let Some(jobs) = &self.jobs {
            // If all threads have ended, the promise reports it.
            let _ = jobs.send((job, result));
        }
        self.promised.push_back(promise);
    }

    /// Returns the number of results that have not been taken.
    pub(crate) fn outstanding(&self) -> usize {
        self.promised.len()
    }

    /// Waits for the next result in the order of the jobs; `None` if none is outstanding.
    pub(crate) fn take(&mut self) -> Option<Result<R, Lost>> {
        Some(self.promised.pop_front()?.recv().map_err(|_| Lost))
    }
}

impl<J, R> Drop for Pool<J, R> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panicked thread was already reported as lost.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_arrive_in_the_order_of_the_jobs() {
        let mut pool = Pool::start(3, || |job: u32| job * 2).unwrap();
        (0..500).for_each(|job| pool.submit(job));
        assert_eq!(pool.outstanding(), 500);
        for job in 0..500 {
            assert_eq!(pool.take().unwrap().unwrap(), job * 2);
        }
        assert!(pool.take().is_none());
    }

    #[test]
    fn a_thread_that_panics_is_reported_instead_of_waited_for() {
        let mut pool = Pool::start(1, || |job: u32| 1 / job).unwrap();
        pool.submit(1);
        pool.submit(0);
        pool.submit(1);
        assert!(pool.take().unwrap().is_ok());
        assert!(pool.take().unwrap().is_err());
        assert!(pool.take().unwrap().is_err());
    }
}
