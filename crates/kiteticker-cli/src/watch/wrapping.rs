//! Wraps texts that are wider than their place.

use ratatui::text::Span;

/// Wraps a text at spaces; a word that is wider than the width fills the lines.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width || columns(word) > width => {
                line.push(' ');
            }
            _ => lines.push(String::new()),
        }
        for symbol in word.chars() {
            match lines.last_mut() {
                Some(line) if line.is_empty() || columns(&format!("{line}{symbol}")) <= width => {
                    line.push(symbol);
                }
                _ => lines.push(symbol.to_string()),
            }
        }
    }
    // A space before a word that was continued on the next line.
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

/// Wraps a text to a number of lines; a text that needs more ends with this sign.
pub(super) fn wrapped_to(text: &str, width: usize, most: usize, sign: &str) -> Vec<String> {
    let mut lines = wrapped(text, width);
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            while columns(last) + columns(sign) > width && last.pop().is_some() {}
            last.push_str(sign);
        }
    }
    lines
}

fn columns(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_wrapped_at_spaces_and_only_words_too_wide_are_broken() {
        assert_eq!(wrapped("it is ABCDE", 5), ["it is", "ABCDE"]);
        assert_eq!(wrapped("it is ABCDEF", 5), ["it is", "ABCDE", "F"]);
        assert_eq!(wrapped("is the market open?", 13), ["is the market", "open?"]);
        assert_eq!(wrapped("is NIFTY26D0126000PE", 10), ["is NIFTY26", "D0126000PE"]);
        assert_eq!(wrapped("全角 名", 4), ["全角", "名"]);
        assert_eq!(wrapped("全角", 1), ["全", "角"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn a_text_that_needs_more_lines_is_marked() {
        assert_eq!(wrapped_to("one two three", 5, 3, "…"), ["one", "two", "three"]);
        assert_eq!(wrapped_to("one two three", 5, 2, "…"), ["one", "two…"]);
        assert_eq!(wrapped_to("abcdef", 5, 1, "…"), ["abcd…"]);
        assert!(wrapped_to("abc", 5, 0, "…").is_empty());
    }
}
