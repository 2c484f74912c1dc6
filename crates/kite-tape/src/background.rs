//! Packs the finished files of a running recorder, on a thread of its own.
//!
//! The thread works at most half of the time, so that it does not take a processor from the feed
//! where there are few.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::file::TapeFile;
use crate::name::Name;
use crate::pack::{PackConfig, PackError, pack};

/// The longest pause after a step of the work.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The thread. It ends, and leaves a tape that is not finished as it was, when this is dropped.
pub(crate) struct Background {
    /// The files that the recorder begins.
    begun: Option<Sender<PathBuf>>,
    is_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn start() -> io::Result<Self> {
        let (begun, files) = mpsc::channel();
        let is_ended = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_ended);
        let thread = thread::Builder::new()
            .name("tape-packer".into())
            .spawn(move || work(&files, &ended))?;
        Ok(Self { begun: Some(begun), is_ended, thread: Some(thread) })
    }

    /// Packs the older files of the recorder that has begun to write to this one.
    pub(crate) fn begun(&self, path: &Path) {
        if let Some(begun) = &self.begun {
            // Without the thread, the files stay as they are.
            let _ = begun.send(path.to_owned());
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.is_ended.store(true, Ordering::Relaxed);
        self.begun = None;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that packs tapes panicked; they stay as they are");
            }
        }
    }
}

fn work(begun: &Receiver<PathBuf>, is_ended: &AtomicBool) {
    // Files that cannot be packed are reported once.
    let mut refused = BTreeSet::new();
    while let Ok(current) = begun.recv() {
        for path in older_than(&current) {
            if is_ended.load(Ordering::Relaxed) {
                return;
            }
            if refused.contains(&path) || TapeFile::open(&path).is_ok_and(|it| it.is_packed()) {
                continue;
            }
            match pack_slowly(&path, is_ended) {
                Ok(()) => tracing::debug!(path = %path.display(), "tape packed"),
                Err(PackError::Cancelled) => return,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "tape not packed");
                    refused.insert(path);
                }
            }
        }
    }
}

/// Packs a tape and pauses as long as it works.
fn pack_slowly(path: &Path, is_ended: &AtomicBool) -> Result<(), PackError> {
    let mut resumed = Instant::now();
    let mut pause = |_| {
        if !is_ended.load(Ordering::Relaxed) {
            thread::park_timeout(resumed.elapsed().min(LONGEST_PAUSE));
        }
        resumed = Instant::now();
        if is_ended.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    pack(path, path, &PackConfig::default(), &mut pause).map(drop)
}

/// Returns the files of the same recorder before this one, the oldest first.
fn older_than(current: &Path) -> Vec<PathBuf> {
    let (Some(own), Some(directory)) = (Name::of(current), current.parent()) else {
        return Vec::new();
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let files = directory.read_dir().into_iter().flatten().flatten();
    let mut older: Vec<_> = files
        .filter_map(|file| {
            let path = file.path();
            let name = Name::of(&path)?;
            let position = (name.day.to_owned(), name.number);
            let is_older = name.prefix == own.prefix && position < (own.day.to_owned(), own.number);
            is_older.then_some((position, path))
        })
        .collect();
    older.sort();
    older.into_iter().map(|(_, path)| path).collect()
}
