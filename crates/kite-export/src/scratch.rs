//! The temporary files of exports.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::error::ExportError;

/// The temporary files of exports, so that a program that exits early can remove them.
///
/// An export that fails or is cancelled removes its own. A process that cannot wait for that, for
/// example at a second Ctrl-C, calls [`Scratch::discard`] before it exits.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    state: Arc<Mutex<State>>,
}

/// While this is held, [`Scratch::discard`] waits.
pub(crate) type Held<'s> = MutexGuard<'s, State>;

/// What [`Scratch`] knows. No temporary file is created or renamed without it.
#[derive(Debug, Default)]
pub(crate) struct State {
    is_discarded: bool,
    /// Files and directories with temporary names.
    temporary: Vec<PathBuf>,
    /// Directories created for a tree, which are removed only if they are empty.
    roots: Vec<PathBuf>,
}

impl Scratch {
    /// Creates a scratch for [`Export::scratch`](crate::Export::scratch).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes all temporary files and directories. Running exports cannot create more and do not
    /// rename theirs: they fail with [`ExportError::Cancelled`]. An export whose files are all in
    /// place is not affected.
    pub fn discard(&self) {
        let mut state = self.state.lock();
        state.is_discarded = true;
        // A failure cannot be reported here, and the name shows that the file is temporary.
        for path in state.temporary.drain(..) {
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
        for path in state.roots.drain(..) {
            let _ = fs::remove_dir(path);
        }
    }

    /// Holds the temporary files, unless they are discarded.
    pub(crate) fn hold(&self) -> Result<Held<'_>, ExportError> {
        let state = self.state.lock();
        if state.is_discarded { Err(ExportError::Cancelled { rows: 0 }) } else { Ok(state) }
    }
}

impl State {
    /// Adds a file or directory that is about to be created. It may have its final name when all are
    /// discarded, because nothing else is ever given its temporary one.
    pub(crate) fn add(&mut self, path: &Path) {
        self.temporary.push(path.to_path_buf());
    }

    /// Adds the directory of a tree that is about to be created.
    pub(crate) fn add_root(&mut self, path: &Path) {
        self.roots.push(path.to_path_buf());
    }
}
