//! Opens and reads tapes for the commands.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kite_tape::{Entries, PassedOver, ReadConfig, Reel, Source, TapeFile};

use crate::blocking;
use crate::console::output::Output;
use crate::console::paths;
use crate::console::progress::Bar;
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::format::numbers;

/// Time past the end of a range to search for gaps recorded late. Few gaps last longer.
pub(crate) const READ_PAST_NS: u64 = 600_000_000_000;

/// Opens tapes; errors name the file.
pub(crate) async fn open(paths: &[PathBuf]) -> Result<Reel, CliError> {
    let paths = paths.to_vec();
    let opened = blocking::run("opening the tapes", move || Reel::open(&paths)).await?;
    opened.map_err(|error| {
        let advice = match error {
            kite_tape::OpenError::NoTapes { .. } => Some("record tapes with kite record"),
            kite_tape::OpenError::Tape { .. } => Some("name .ktape files recorded by kite"),
            _ => None,
        };
        let error = CliError::unable("cannot read the tapes").because(error);
        match advice {
            Some(advice) => error.help(advice),
            None => error,
        }
    })
}

/// Opens tapes, and reports each file that is not read: those that may hold records as warnings.
pub(crate) async fn open_and_warn(paths: &[PathBuf], output: Output) -> Result<Reel, CliError> {
    let reel = open_and_note(paths, output).await?;
    reel.passed_over().iter().filter(|file| file.is_loss()).for_each(|file| output.warn(file));
    Ok(reel)
}

/// Opens tapes, and notes each copy and each unfinished file. The caller reports the files that may
/// hold records.
pub(crate) async fn open_and_note(paths: &[PathBuf], output: Output) -> Result<Reel, CliError> {
    let reel = open(paths).await?;
    reel.passed_over().iter().filter(|file| !file.is_loss()).for_each(|file| output.note(file));
    Ok(reel)
}

/// Checks that tapes can be put in the directory of an option: that it is one, or does not exist.
pub(crate) fn check_directory((option, to): (&str, &Path)) -> Result<(), CliError> {
    match to.metadata() {
        Ok(found) if !found.is_dir() => {
            Err(CliError::usage(format!("{option} {} is not a directory", paths::shown(to))))
        }
        _ => Ok(()),
    }
}

/// Tries whether files can be created in a directory, or the directory itself if it does not exist.
/// What is created for that is removed again.
///
/// # Errors
/// Returns the system's error.
pub(crate) fn try_directory(to: &Path) -> io::Result<()> {
    let tried = match to.is_dir() {
        true => tempfile::tempfile_in(to).map(drop),
        false => {
            // The nearest directory that exists is where it would be created.
            let beneath = to.ancestors().skip(1).find(|it| it.exists()).unwrap_or(Path::new("."));
            tempfile::tempdir_in(beneath).and_then(tempfile::TempDir::close)
        }
    };
    // The error itself would name what was created.
    tried.map_err(|error| io::Error::from(error.kind()))
}

/// Warns of each file that is cut off, and notes those that are still being recorded.
pub(crate) fn report_ends(reel: &Reel, output: Output) {
    for file in reel.files() {
        let path = paths::shown(file.path());
        if file.is_cut_off() {
            output.warn(format_args!("{path} is cut off: {}", file.ending()));
        } else if file.is_being_recorded() {
            let at = numbers::grouped(file.ending().at() as u64);
            output.note(format_args!("{path} is still being recorded; read to byte {at}"));
        }
    }
}

/// Returns whether records may be missing because a file of a directory could not be read, or a file
/// is cut off.
pub(crate) fn lack_parts(reel: &Reel) -> bool {
    let are_missing = reel.passed_over().iter().any(PassedOver::is_loss);
    are_missing || reel.files().iter().any(TapeFile::is_cut_off)
}

/// Returns whether two paths lead to the same file, also by different links.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    let id = |path: &Path| {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(path).map(|found| (found.dev(), found.ino()))
    };
    #[cfg(not(unix))]
    let id = std::fs::canonicalize;
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

/// Starts to read with as many threads as the machine has.
pub(crate) fn read(reel: &Reel, from_unix_ns: u64) -> Entries {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // On one processor a second thread decompresses no faster.
    let threads = if threads > 1 { threads } else { 0 };
    reel.entries_with(ReadConfig { from_unix_ns, threads })
}

/// The instruments and connections on tapes.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) instruments: BTreeSet<u32>,
    pub(crate) sources: BTreeSet<Source>,
}

/// Finds the instruments and connections on the tapes, or in their first `stretch` only.
pub(crate) async fn contents(
    reel: &Reel,
    from_unix_ns: u64,
    stretch: Option<Duration>,
    output: Output,
    stop: &Stop,
) -> Result<Contents, CliError> {
    let (reel, stop) = (reel.clone(), stop.clone());
    let until = stretch.and_then(|stretch| {
        let first = reel.span().map_or(0, |(from, _)| from).max(from_unix_ns);
        first.checked_add(u64::try_from(stretch.as_nanos()).ok()?)
    });
    let reading = blocking::run("reading the tapes", move || {
        let bar = Bar::bytes(output, reel.len_bytes(), "scanning");
        let mut contents = Contents::default();
        let mut entries = read(&reel, from_unix_ns);
        let mut position = None;
        while let Some(entry) = entries.next() {
            // Damage is reported by the commands that read the whole tape.
            let Ok(entry) = entry else { continue };
            if until.is_some_and(|until| entry.recv_unix_ns() >= until) {
                break;
            }
            if let Some(frame) = entry.frame() {
                contents.sources.insert(entry.received.source);
                contents
                    .instruments
                    .extend(frame.packets().map(|packet| packet.instrument_token()));
            }
            // With each block, which may hold few large records.
            let now = Some(entries.position_bytes());
            if now != position {
                position = now;
                bar.at(entries.position_bytes());
                if stop.is_requested() {
                    break;
                }
            }
        }
        bar.done();
        contents
    });
    reading.await
}
