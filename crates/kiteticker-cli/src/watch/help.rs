//! The text of the help, wrapped to the width of the screen.

use crate::watch::wrapping::wrapped;

/// Width of the keys.
const KEYS: usize = 17;
/// From this width on, an explanation is beside its keys.
const BESIDE: usize = 44;

/// Keys or words, and what they do or mean.
const HELP: [(&str, &str); 32] = [
    ("up, down, j, k", "select an instrument; the mouse does so too"),
    ("PgUp, PgDn, g, G", "a page up, a page down, first, last"),
    ("wheel", "scroll"),
    ("Enter", "open or close the panel of the selected one"),
    ("c", "draw the day of the selected one, or show its depth again"),
    ("s, <, >", "sort by the next or previous column"),
    ("1 to 9", "sort by symbol, last, change, volume, bid, ask, open, high, low"),
    ("click a heading", "sort by it; again reverses the order"),
    ("0, r", "sort as listed; reverse the order"),
    ("/", "filter by name or token"),
    ("a", "add an instrument by symbol or token"),
    ("d, x", "remove and unsubscribe the selected one"),
    ("m", "change its mode: ltp, quote, full"),
    ("w", "open a saved watch list"),
    ("W", "save the instruments as a watch list"),
    ("space", "pause the display, or the tape of a replay"),
    ("left, right", "replay: a minute back or forward"),
    ("[, ]", "replay: ten minutes back or forward"),
    ("-, +", "replay: slower, faster"),
    ("Esc", "close what is open: help, list, prompt, filter, panel"),
    ("Ctrl-U, Ctrl-W", "in a prompt: erase the text, or its last word"),
    ("Ctrl-Z", "suspend; fg continues"),
    ("q, Ctrl-C", "quit"),
    ("", ""),
    ("1+ 2~ 3! 4?", "sockets on a narrow screen: live, being opened, stopped, silent"),
    ("lag", "ticks replaced before they were drawn"),
    ("gaps", "times that a connection missed ticks"),
    ("p50, p99", "latency from socket read to delivery"),
    ("drawn", "longest time from receipt to screen"),
    ("exch", "the exchange timestamp, or its delay"),
    ("OI", "open interest of contracts"),
    ("Shift", "hold it to select text with the mouse"),
];

/// A line of the help: keys and an explanation, of which either may be empty.
pub(crate) type HelpLine = (&'static str, String);

/// Returns the lines for a width.
pub(crate) fn lines(width: usize) -> Vec<HelpLine> {
    let is_beside = width >= BESIDE;
    let room = if is_beside { width - KEYS - 1 } else { width }.max(1);
    let mut lines = Vec::new();
    for (keys, what) in HELP {
        let mut wrapped = wrapped(what, room).into_iter();
        if is_beside || keys.is_empty() {
            lines.push((keys, wrapped.next().unwrap_or_default()));
        } else {
            lines.push((keys, String::new()));
        }
        lines.extend(wrapped.map(|text| ("", text)));
    }
    lines
}

/// Returns the width of the keys beside which explanations stand; 0 if they are below them.
pub(crate) fn keys_width(width: usize) -> usize {
    if width >= BESIDE { KEYS + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_of_the_help_are_in_its_lines_at_any_width() {
        for width in [12, 16, 36, 43, 44, 60, 100] {
            let lines = lines(width);
            let text: Vec<&str> =
                lines.iter().flat_map(|(_, text)| text.split_whitespace()).collect();
            let all: Vec<&str> =
                HELP.iter().flat_map(|(_, text)| text.split_whitespace()).collect();
            assert_eq!(text, all, "{width}");
            let keys: Vec<&str> =
                lines.iter().map(|(keys, _)| *keys).filter(|it| !it.is_empty()).collect();
            assert_eq!(keys.len(), HELP.iter().filter(|(keys, _)| !keys.is_empty()).count());
            let room = width - keys_width(width);
            assert!(width < 16 || lines.iter().all(|(_, text)| text.len() <= room), "{width}");
        }
    }
}
