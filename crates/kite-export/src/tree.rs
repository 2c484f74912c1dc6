//! A tree of files that appears in its directory only when all of them are complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{ExportError, Target};
use crate::output::temporary_name;
use crate::permit::Permit;
use crate::scratch::State;

/// Files under temporary names in a hidden directory, which is within the one they are for. All are
/// removed if the tree is dropped before [`OutputTree::persist`].
#[derive(Debug)]
pub(crate) struct OutputTree {
    root: PathBuf,
    staging: PathBuf,
    permit: Permit,
    /// Whether the root did not exist before.
    is_new: bool,
    /// The final paths of the files, by the number that is their temporary name.
    paths: Vec<PathBuf>,
}

/// A file of the tree.
#[derive(Debug)]
pub(crate) struct TreeFile {
    file: BufWriter<File>,
    path: PathBuf,
}

impl OutputTree {
    pub(crate) fn create(root: &Path, permit: &Permit) -> Result<Self, ExportError> {
        let Some(name) = root.file_name() else {
            return Err(ExportError::NoFileName { path: root.into() });
        };
        let created = |path: &Path, result: io::Result<()>| {
            result.map_err(|source| ExportError::Create { path: path.into(), source })
        };
        let is_new = !root.is_dir();
        let staging = root.join(temporary_name(name));
        let mut held = permit.scratch.hold()?;
        if is_new {
            if root.symlink_metadata().is_ok() {
                return Err(ExportError::NoDirectory { path: root.into() });
            }
            held.add_root(root);
            created(root, fs::create_dir(root))?;
        }
        held.add(&staging);
        let (root, permit, paths) = (root.to_path_buf(), permit.clone(), Vec::new());
        // Removes the root again if the other directory cannot be created.
        let tree = Self { root, staging, permit, is_new, paths };
        created(&tree.staging, fs::create_dir(&tree.staging))?;
        Ok(tree)
    }

    /// Creates a file for this path within the root.
    pub(crate) fn file(&mut self, path: &Path) -> Result<TreeFile, ExportError> {
        let path = self.root.join(path);
        self.permit.check(&path)?;
        let temporary = self.temporary(self.paths.len());
        let _held = self.permit.scratch.hold()?;
        match File::create_new(&temporary) {
            Ok(file) => {
                self.paths.push(path.clone());
                Ok(TreeFile { file: BufWriter::new(file), path })
            }
            Err(source) => Err(ExportError::Create { path: temporary, source }),
        }
    }

    /// Renames all files to their final names. If one cannot be, those already renamed are removed,
    /// except for those that replaced another.
    pub(crate) fn persist(mut self, _held: &State) -> Result<(), ExportError> {
        for path in &self.paths {
            self.permit.check(path)?;
        }
        let mut added: Vec<&PathBuf> = Vec::new();
        for (number, path) in self.paths.iter().enumerate() {
            let is_added = !path.exists();
            if let Err(error) = self.rename(number, path) {
                for path in added {
                    // The first error matters more than those of the cleanup.
                    let _ = fs::remove_file(path);
                    self.remove_empty_parents(path);
                }
                return Err(error);
            }
            added.extend(is_added.then_some(path));
        }
        self.is_new = false;
        Ok(())
    }

    fn rename(&self, number: usize, path: &Path) -> Result<(), ExportError> {
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(|source| {
            self.remove_empty_parents(path);
            ExportError::Create { path: parent.into(), source }
        })?;
        let temporary = self.temporary(number);
        fs::rename(&temporary, path).map_err(|source| {
            self.remove_empty_parents(path);
            ExportError::Rename { from: temporary, to: path.into(), source }
        })
    }

    fn remove_empty_parents(&self, path: &Path) {
        let within = path.ancestors().skip(1).take_while(|it| *it != self.root);
        // A directory that is not empty is not removed, nor are those above it.
        within.map_while(|directory| fs::remove_dir(directory).ok()).for_each(drop);
    }

    fn temporary(&self, number: usize) -> PathBuf {
        self.staging.join(number.to_string())
    }
}

impl Drop for OutputTree {
    fn drop(&mut self) {
        // A failure cannot be reported here, and the name shows that the directory is temporary.
        let _ = fs::remove_dir_all(&self.staging);
        if self.is_new {
            let _ = fs::remove_dir(&self.root);
        }
    }
}

impl TreeFile {
    /// Returns the file's final path, for errors.
    pub(crate) fn target(&self) -> Target {
        Target::File(self.path.clone())
    }

    /// Syncs the complete file to disk and closes it.
    pub(crate) fn close(mut self) -> Result<(), ExportError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|source| ExportError::Write { target: Target::File(self.path), source })
    }
}

impl Write for TreeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    fn write(tree: &mut OutputTree, path: &str, text: &str) {
        let mut file = tree.file(Path::new(path)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.close().unwrap();
    }

    fn persisted(tree: OutputTree) -> Result<(), ExportError> {
        let scratch = tree.permit.scratch.clone();
        tree.persist(&*scratch.hold()?)
    }

    #[test]
    fn a_discarded_tree_is_removed_with_the_directory_that_was_created_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let permit = Permit::default();
        let mut tree = OutputTree::create(&directory.path().join("new"), &permit).unwrap();
        write(&mut tree, "date=1/ticks.csv", "a");
        let mut other = OutputTree::create(directory.path(), &permit).unwrap();
        write(&mut other, "date=1/ticks.csv", "a");
        permit.scratch.discard();
        assert_eq!(entries(directory.path()), 0);
        let refused = other.file(Path::new("date=2/ticks.csv"));
        assert!(matches!(refused, Err(ExportError::Cancelled { .. })), "{refused:?}");
        assert!(matches!(persisted(tree), Err(ExportError::Cancelled { .. })));
        assert_eq!(entries(directory.path()), 0);
    }

    #[test]
    fn files_have_only_their_final_names_once_all_are_complete() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("ticks");
        let mut tree = OutputTree::create(&root, &Permit::default()).unwrap();
        write(&mut tree, "date=1/symbol=A/ticks.csv", "a");
        write(&mut tree, "date=1/symbol=B/ticks.csv", "b");
        assert!(!root.join("date=1").exists());
        persisted(tree).unwrap();
        assert_eq!((entries(&root), entries(&root.join("date=1"))), (1, 2));
        assert_eq!(fs::read(root.join("date=1/symbol=B/ticks.csv")).unwrap(), b"b");
    }

    #[test]
    fn a_tree_dropped_before_it_is_complete_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("ticks");
        let mut tree = OutputTree::create(&root, &Permit::default()).unwrap();
        write(&mut tree, "date=1/ticks.csv", "a");
        drop(tree);
        assert_eq!(entries(directory.path()), 0);
    }

    #[test]
    fn another_day_is_added_to_a_directory_and_a_file_is_replaced_only_if_allowed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for day in ["date=1/ticks.csv", "date=2/ticks.csv"] {
            let mut tree = OutputTree::create(root, &Permit::default()).unwrap();
            write(&mut tree, day, "old");
            persisted(tree).unwrap();
        }
        let mut tree = OutputTree::create(root, &Permit::default()).unwrap();
        let refused = tree.file(Path::new("date=2/ticks.csv"));
        assert!(matches!(refused, Err(ExportError::Exists { .. })), "{refused:?}");
        drop(tree);
        let permit = Permit { overwrite: true, ..Permit::default() };
        let mut tree = OutputTree::create(root, &permit).unwrap();
        write(&mut tree, "date=2/ticks.csv", "new");
        persisted(tree).unwrap();
        let read = |day: &str| fs::read_to_string(root.join(day)).unwrap();
        assert_eq!(
            (read("date=1/ticks.csv"), read("date=2/ticks.csv")),
            ("old".into(), "new".into())
        );
        assert_eq!(entries(root), 2);
    }

    #[test]
    fn files_that_cannot_all_be_renamed_are_removed_again() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::write(root.join("date=2"), "a file where a directory must be").unwrap();
        let mut tree = OutputTree::create(root, &Permit::default()).unwrap();
        write(&mut tree, "date=1/ticks.csv", "a");
        write(&mut tree, "date=2/ticks.csv", "a");
        assert!(matches!(persisted(tree), Err(ExportError::Create { .. })));
        assert_eq!(entries(root), 1);
    }

    #[test]
    fn a_file_is_no_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ticks");
        fs::write(&path, "mine").unwrap();
        let refused = OutputTree::create(&path, &Permit::default());
        assert!(matches!(refused, Err(ExportError::NoDirectory { .. })), "{refused:?}");
    }
}
