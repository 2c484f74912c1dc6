//! What a run of `kite serve` does, and where that was written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::places::Places;
use super::settings::Settings;
use crate::console::paths;
use crate::exit::CliError;
use crate::feed::tapes;

/// What a run does.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    /// Where the settings were read from, if not from the arguments.
    pub(super) file: Option<SettingsFile>,
    /// Where the keys of that file stand.
    pub(super) places: Places,
    /// Whether only to check that it would start.
    pub(super) is_check: bool,
}

impl Plan {
    /// Checks that tapes can be written to the directory that is named for them.
    ///
    /// # Errors
    /// Returns an error if it is none, or cannot be created or written to.
    pub(super) fn check_record(&self) -> Result<(), CliError> {
        let Some(to) = &self.settings.record else { return Ok(()) };
        tapes::check_directory(("--record", to)).map_err(|it| self.places.at("record.to", it))?;
        tapes::try_directory(to).map_err(|error| {
            let what = match self.places.are_in_a_file() {
                // No value of the file is shown.
                true => "the directory cannot be written to".to_owned(),
                false => format!("--record {} cannot be written to", paths::shown(to)),
            };
            self.places.at("record.to", CliError::unable(what).because(error))
        })
    }
}

/// The file that the settings were read from.
#[derive(Debug)]
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    /// Its keys and their values.
    pub(super) written: BTreeMap<String, String>,
}
