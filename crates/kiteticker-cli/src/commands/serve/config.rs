//! `kite serve --config`: the settings of a run in a TOML file.
//!
//! Everything that is wrong with a file is found in one reading, and named by line and key. Paths
//! are relative to the file.

mod document;
mod feed;
mod files;
mod http;
mod keys;
mod nats;
mod problems;
mod relay;
#[cfg(test)]
mod tests;
mod written;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use self::document::Document;
use self::feed::path;
use self::files::Files;
use self::problems::{Problem, Problems};
use super::args::MAX_THREADS;
use super::places::Places;
use super::settings::{DEFAULT_REPORT_EVERY, Settings};
use crate::console::paths;
use crate::exit::CliError;
use crate::feed::deadline;
use crate::format::times::{self, Moment, now_unix_ns};
use crate::plain_text;

/// The settings of a file.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) settings: Settings,
    /// The keys of the file and their values.
    pub(super) written: BTreeMap<String, String>,
    pub(super) places: Places,
}

/// Keys whose values are tried only at the start, as section and key.
const TRIED: [(&str, &str, &str); 3] = [
    ("record.to", "record", "to"),
    ("relay.listen", "relay", "listen"),
    ("http.listen", "http", "listen"),
];

/// Reads the settings of a file, and looks at the files that it names. Blocks.
///
/// # Errors
/// Returns an error if the file cannot be read, or what is wrong with it. If that is more than one
/// thing, each is passed to `show`.
pub(super) fn load(file: &Path, show: impl FnMut(CliError)) -> Result<Config, CliError> {
    let text = File::open(file).and_then(plain_text::read).map_err(|error| {
        let what = format!("cannot read {}", paths::shown(file));
        match error.kind() {
            // That is what the file says.
            ErrorKind::InvalidData => CliError::usage(what).because(error),
            _ => CliError::unable(what).because(error),
        }
    })?;
    read(file, &text, now_unix_ns()).map_err(|problems| {
        let shown = paths::shown(file).to_string();
        problems::error(problems, &shown, show)
    })
}

/// Reads the settings of a text, which is that of `file`, at a time.
///
/// # Errors
/// Returns everything that is wrong with it, by line.
fn read(file: &Path, text: &str, now_unix_ns: u64) -> Result<Config, Vec<Problem>> {
    let problems = Problems::default();
    let document = Document::parse(text, &problems);
    if problems.has_any() {
        // What is not understood may miss what the rest needs.
        return Err(problems.sorted());
    }
    let mut files = Files::new(file, &problems);
    let mut root = document.root(&problems);
    let lasts = root.parsed("for", times::positive_duration);
    let until = root.parsed("until", str::parse::<Moment>);
    let report_every = root.parsed("report_every", times::positive_duration);
    let threads = root.number("threads", 1..=MAX_THREADS).map(|it| it.value);
    let feed = feed::read(root.section("feed"), &mut files);
    let mut record = root.section("record");
    let to = record.parsed("to", path);
    let pack = record.flag("pack").is_some_and(|it| it.value);
    if record.is_there() {
        record.require("to");
    }
    if let Some(to) = &to
        && files.resolve(&to.value).metadata().is_ok_and(|it| !it.is_dir())
    {
        record.wrong(to.line, "to", "is not a directory");
    }
    record.finish();
    let line = until.as_ref().map_or(1, |it| it.line);
    let source = feed::settings(feed.source, lasts, until);
    if let (Some(until), false) = (source.until, source.is_replay())
        && let Err(error) = deadline::ahead(until, now_unix_ns)
    {
        root.wrong(line, "until", error);
    }
    let relay = relay::read(root.section("relay"), &mut files, source.is_replay());
    let http = http::read(root.section("http"), &mut files);
    let nats = nats::read(root.section("nats"), &mut files);
    if let Some(nats) = &nats
        && let Err(error) = nats.check(source.accounts())
    {
        let line = document.line_of("nats", "url").unwrap_or(1);
        problems.add_error(line, "nats", error.status(), &error);
    }
    root.finish();
    let settings = Settings {
        feed: source,
        instruments: feed.instruments,
        connections: feed.connections,
        threads,
        relay,
        http,
        nats,
        sockets: feed.sockets,
        record: to.map(|it| files.resolve(&it.value)),
        pack,
        report_every: report_every
            .map_or(DEFAULT_REPORT_EVERY, |it: document::At<Duration>| it.value),
        json: false,
    };
    if problems.has_any() {
        return Err(problems.sorted());
    }
    let lines = TRIED.into_iter().filter_map(|(whole, section, key)| {
        document.line_of(section, key).map(|line| (whole, line))
    });
    let places = Places::new(paths::shown(file).to_string(), lines.collect());
    Ok(Config { settings, written: written::keys(document.table()), places })
}
