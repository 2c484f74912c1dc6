//! Decompresses blocks on other threads before they are needed.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use parking_lot::Mutex;

use crate::file::{Part, TapeFile};
use crate::unpack::{Unpacked, unpack};

const MOST_THREADS: usize = 64;

/// Threads that decompress blocks; they end when this is dropped.
pub(crate) struct Ahead {
    jobs: Sender<Job>,
    threads: usize,
}

struct Job {
    file: TapeFile,
    part: Part,
    reply: Sender<Unpacked>,
}

/// A block that a thread will decompress.
pub(crate) struct Promise(Receiver<Unpacked>);

impl Promise {
    /// Waits for the block; `None` if no thread is running.
    pub(crate) fn wait(self) -> Option<Unpacked> {
        self.0.recv().ok()
    }
}

impl Ahead {
    pub(crate) fn new(threads: usize) -> Self {
        let threads = threads.min(MOST_THREADS);
        let (jobs, todo) = mpsc::channel::<Job>();
        let todo = Arc::new(Mutex::new(todo));
        for number in 0..threads {
            let todo = Arc::clone(&todo);
            // If no thread can be started, the reader decompresses the block itself.
            let _ = thread::Builder::new()
                .name(format!("tape-reader-{number}"))
                .spawn(move || work(&todo));
        }
        Self { jobs, threads }
    }

    /// Maximum number of parts requested at the same time.
    pub(crate) fn window(&self) -> usize {
        2 * self.threads
    }

    pub(crate) fn request(&self, file: TapeFile, part: Part) -> Promise {
        let (reply, answer) = mpsc::channel();
        // Fails if no thread is running; then `wait` returns `None`.
        let _ = self.jobs.send(Job { file, part, reply });
        Promise(answer)
    }
}

fn work(todo: &Mutex<Receiver<Job>>) {
    loop {
        let job = todo.lock().recv();
        let Ok(Job { file, part, reply }) = job else { return };
        // The reader may have been dropped.
        let _ = reply.send(unpack(&file, part));
    }
}
