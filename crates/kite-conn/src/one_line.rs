//! The display of text from outside: a server's, a proxy's, a certificate's.

use std::fmt::{self, Write};

/// Displays a value on one line, without characters that control a terminal or are invisible.
///
/// Each of these is displayed as a space: control characters, among them line breaks and the escape
/// that begins ANSI and OSC sequences; marks of the writing direction, which make a terminal show a
/// line in another order; line and paragraph separators; characters without a width, and other
/// invisible ones. So a text can neither forge a line of a log nor recolour, retitle or clear a
/// terminal. All texts of these crates that contain something from outside are displayed like this;
/// fields of errors and events have it as it was received.
///
/// ```
/// use kite_conn::OneLine;
///
/// let reason = "bye\n12:00 INFO all is well\u{1b}[2J";
/// assert_eq!(OneLine(reason).to_string(), "bye 12:00 INFO all is well [2J");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct OneLine<T>(pub T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Cleaner(f), "{}", self.0)
    }
}

/// Writes a space in place of each character that must not be displayed.
struct Cleaner<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Cleaner<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (number, part) in text.split(is_hidden).enumerate() {
            if number > 0 {
                self.0.write_str(" ")?;
            }
            self.0.write_str(part)?;
        }
        Ok(())
    }
}

/// Returns whether a character controls a terminal or is invisible: Unicode's categories Cc, Cf, Zl
/// and Zp, and the letters and marks that have no glyph.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_forges_a_line_or_controls_a_terminal() {
        for (text, shown) in [
            ("a\r\nb", "a  b"),
            ("\x1b[31mred\x1b[0m", " [31mred [0m"),
            ("\x1b]0;title\x07", " ]0;title "),
            ("\u{9b}2J", " 2J"),
            ("\u{202e}evil\u{202c}", " evil "),
            ("\u{2066}x\u{2069}\u{200f}\u{61c}", " x   "),
            ("a\u{200b}b\u{feff}c\u{2028}d\u{ad}e", "a b c d e"),
            ("tags\u{e0041}", "tags "),
            ("रुपये ₹5, naïve, 東京 🙂", "रुपये ₹5, naïve, 東京 🙂"),
        ] {
            assert_eq!(OneLine(text).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn only_printable_characters_are_displayed(text in any::<String>()) {
            let shown = OneLine(&text).to_string();
            prop_assert_eq!(shown.chars().count(), text.chars().count());
            for c in shown.chars() {
                prop_assert!(!c.is_control() && !is_hidden(c));
            }
        }
    }
}
