//! The recording beside a relay.

use std::path::Path;

use kite_tape::{Recorder, RecorderConfig};
use kite_wire::Mode;
use serde_json::json;

use super::settings::Settings;
use crate::console::output::Output;
use crate::console::paths;
use crate::exit::CliError;
use crate::feed::{Feed, LiveFeed};
use crate::format::numbers;
use crate::instruments::names::Names;
use crate::recording;
use crate::recording::daily::{self, DailyNames};
use crate::recording::notes::Notes;

/// A recording that is to start.
#[derive(Debug)]
pub(super) struct Tape<'a> {
    to: &'a Path,
    pack: bool,
    names: Names,
    /// The feed whose instruments Kite's list of each day names.
    of_lists: Option<LiveFeed>,
}

/// A recording that runs.
#[derive(Debug)]
pub(super) struct RunningTape {
    pub(super) recorder: Recorder,
    pub(super) notes: Notes,
    _daily: Option<DailyNames>,
}

impl<'a> Tape<'a> {
    /// Returns the recording, if there is to be one.
    pub(super) async fn prepare(
        settings: &'a Settings,
        feed: &Feed,
        names: Names,
    ) -> Result<Option<Self>, CliError> {
        let Some(to) = settings.record.as_deref() else { return Ok(None) };
        if let Feed::Replay(replay) = feed
            && let prefix = RecorderConfig::default().prefix
            && let Some(file) = recording::replayed_tape(to, &prefix, replay).await?
        {
            let file = paths::shown(&file);
            let error = format!("--record would add to {file}, which is replayed");
            return Err(CliError::usage(error).help("choose another directory"));
        }
        let is_list_given = settings.instruments.instruments_file.is_some();
        let pack = settings.pack;
        Ok(Some(Self { to, pack, names, of_lists: daily::listed_by_kite(feed, is_list_given) }))
    }

    /// Starts to record. `fixed` are the instruments that are subscribed from the start.
    pub(super) fn start(
        self,
        title: &str,
        fixed: &[(u32, Mode)],
        output: Output,
    ) -> Result<RunningTape, CliError> {
        let metadata = json!({
            "recorder": concat!("kite ", env!("CARGO_PKG_VERSION")),
            "feed": title,
            "instruments": fixed.len(),
        });
        let config = RecorderConfig {
            metadata: metadata.to_string().into_bytes(),
            pack: self.pack,
            ..RecorderConfig::default()
        };
        let to = paths::shown(self.to);
        let recorder = Recorder::start(self.to, config)
            .map_err(|error| CliError::unable(format!("cannot record to {to}")).because(error))?;
        output.note(format_args!("recording to {to}"));
        let notes = Notes::new(recorder.clone(), self.names);
        let daily = self.of_lists.map(|live| DailyNames::start(notes.clone(), live, output));
        Ok(RunningTape { recorder, notes, _daily: daily })
    }
}

impl RunningTape {
    /// Returns the recorder, to be finished.
    pub(super) fn end(self, output: Output) -> Recorder {
        let left_out = self.notes.left_out();
        if left_out > 0 {
            let times = numbers::counted(left_out, "instrument");
            output
                .warn(format_args!("{times} recorded without a name: clients asked for too many"));
        }
        self.recorder
    }
}
