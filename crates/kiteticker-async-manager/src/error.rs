//! Turns typed errors into the `String` of the published signatures.

use std::error::Error;

use kite_conn::ErrorChain;

/// Describes what failed and why: "operation: error: cause".
pub(crate) fn describe(operation: &str, error: &dyn Error) -> String {
    format!("{operation}: {}", ErrorChain(error))
}
