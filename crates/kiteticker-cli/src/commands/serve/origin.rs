//! Origins of web pages, as given to `--origin`.

use kite_server::{Origin, OriginError};

/// Parses an origin as browsers send it.
pub(super) fn parse(text: &str) -> Result<Origin, OriginError> {
    text.parse()
}
