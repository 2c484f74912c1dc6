//! The names of keys in messages.

use kite_conn::OneLine;

/// Longer keys are cut where they are shown.
const LONGEST_KEY: usize = 40;

/// Returns how a list of tables is written, if the key is that of one.
pub(super) fn list_of(key: &str) -> Option<&'static str> {
    match key {
        "client" => Some("each client is written [[relay.client]]"),
        "account" => Some("each account is written [[feed.account]]"),
        _ => None,
    }
}

/// Returns the name of a key that stands at a byte, with its section: that of the last header before
/// it, or of the header that it stands in.
pub(super) fn whole_key(text: &str, at: usize, key: &str) -> String {
    let key = shown_key(key);
    let until = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let mut lines = text[..until].lines().rev();
    if let Some(header) = lines.next().and_then(header) {
        return shown_key(header);
    }
    match lines.find_map(header) {
        Some(section) => format!("{}.{key}", shown_key(section)),
        None => key,
    }
}

/// Returns a key on one line, cut if it is long.
pub(super) fn shown_key(key: &str) -> String {
    let shown = OneLine(key).to_string();
    match shown.char_indices().nth(LONGEST_KEY) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// Returns the known key that was probably meant.
pub(super) fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    if key.len() > 2 * LONGEST_KEY {
        return None;
    }
    let key = key.to_ascii_lowercase().replace('-', "_");
    let distance = |known: &str| strsim::osa_distance(&key, known);
    let near = known.iter().copied().min_by_key(|known| distance(known))?;
    (distance(near) <= 1.max(near.len() / 3)).then_some(near)
}

/// Returns what the header of a section names.
fn header(line: &str) -> Option<&str> {
    let line = line.split('#').next()?.trim();
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    let name = name.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(name).trim();
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (!name.is_empty() && name.chars().all(is_bare)).then_some(name)
}
