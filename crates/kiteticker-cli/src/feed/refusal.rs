//! What the user can do about a server that refuses a handshake.

use kite_conn::OpenError;

/// Returns the advice if the account has no free socket. `fewer` is a number of connections that
/// the command could open instead, if it has the choice.
pub(crate) fn advice(error: &OpenError, fewer: Option<usize>) -> Option<String> {
    let OpenError::Refused(refusal) = error else { return None };
    let or = fewer.map(|count| format!(", or use --connections {count}")).unwrap_or_default();
    (refusal.status == 429).then(|| {
        format!(
            "other programs hold the account's sockets, or have closed them a moment ago: close \
             those programs{or}"
        )
    })
}
