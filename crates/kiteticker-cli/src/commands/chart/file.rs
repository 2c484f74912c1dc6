//! Writes a chart to a file, which is complete or absent.

use std::path::Path;

use kite_export::{ExportError, Scratch};

use crate::chart::{Chart, picture, png, svg};
use crate::console::paths;
use crate::exit::CliError;

/// The formats of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Svg,
    Png,
}

/// Returns the file and its format, by its name; checks that it may be written.
pub(super) fn checked(to: &Path, overwrites: bool) -> Result<(&Path, Format), CliError> {
    let extension = to.extension().and_then(|it| it.to_str()).map(str::to_ascii_lowercase);
    let format = match extension.as_deref() {
        Some("svg") => Format::Svg,
        Some("png") => Format::Png,
        _ => {
            let to = paths::shown(to);
            let error = CliError::usage(format!("cannot infer the format from the name {to}"));
            return Err(error.help("use the extension .svg or .png"));
        }
    };
    if !overwrites && to.exists() {
        return Err(exists(to));
    }
    Ok((to, format))
}

/// Writes the picture.
pub(super) fn write(
    chart: &Chart<'_>,
    name: &str,
    (to, format): (&Path, Format),
    overwrites: bool,
    scratch: &Scratch,
) -> Result<(), CliError> {
    let shapes = picture::draw(chart, name);
    let cannot = || CliError::unable("cannot write the picture");
    let bytes = match format {
        Format::Svg => svg::document(&shapes).into_bytes(),
        Format::Png => png::file(&shapes).map_err(|error| cannot().because(error))?,
    };
    kite_export::write_file(to, &bytes, overwrites, scratch).map_err(|error| match error {
        ExportError::Exists { path } => exists(&path),
        ExportError::Tape { .. } | ExportError::NoFileName { .. } => {
            CliError::usage("cannot write the picture").because(error)
        }
        error => cannot().because(error),
    })
}

fn exists(to: &Path) -> CliError {
    CliError::unable(format!("{} already exists", paths::shown(to)))
        .help("use --overwrite to replace it, or choose another name")
}
