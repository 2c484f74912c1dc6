//! Names of files as results and messages show them.
//!
//! On one line and recognisable, which blanks in place of characters are not. JSON has the name as it
//! is, if it is text.

use std::fmt::{self, Display, Write as _};
use std::path::Path;

use serde_json::Value;

use super::clean;

/// Displays a path on one line. Characters that [`OneLine`](kite_conn::OneLine) hides and bytes that
/// are not UTF-8 are escaped: `\n`, `\u{1b}`, `\xff`.
pub(crate) fn shown(path: &Path) -> Shown<'_> {
    Shown(path)
}

/// Returns a path for a JSON result: as it is, or as it is shown if it is not UTF-8. It must be a
/// value of one of [`KEYS`].
pub(crate) fn json(path: &Path) -> Value {
    path.to_str().map_or_else(|| shown(path).to_string().into(), Into::into)
}

/// The keys of paths in JSON results.
pub(super) const KEYS: [&str; 3] = ["path", "files", "files_missing"];

/// A path on one line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a>(&'a Path);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_os_str().as_encoded_bytes().utf8_chunks() {
            for symbol in chunk.valid().chars() {
                match clean::is_hidden(symbol) {
                    true => write!(f, "{}", symbol.escape_default())?,
                    false => f.write_char(symbol)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_on_one_line_and_is_recognisable() {
        for (path, text) in [
            ("tapes/kite-2026-11-23.ktape", "tapes/kite-2026-11-23.ktape"),
            ("t\u{1b}[31m\nx\t", "t\\u{1b}[31m\\nx\\t"),
            ("\u{202e}\u{9b}\u{fe0f}", "\\u{202e}\\u{9b}\\u{fe0f}"),
            ("₹ ä\\n", "₹ ä\\n"),
        ] {
            assert_eq!(shown(Path::new(path)).to_string(), text);
            assert_eq!(json(Path::new(path)), path);
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_escaped() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;

        let path = Path::new(OsStr::from_bytes(b"a\xff\xe2\x82b"));
        assert_eq!(shown(path).to_string(), "a\\xff\\xe2\\x82b");
        assert_eq!(json(path), "a\\xff\\xe2\\x82b");
    }
}
