//! Numbers of things, for texts.

/// Returns a number of things, such as "1 tick" or "2 ticks".
pub(crate) fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}
