//! How counts and lines of text are written.

use std::fmt;

/// Writes a count and its noun: "1 byte", "2 bytes".
pub(super) fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// Writes a space in the place of each control character.
pub(super) struct OneLine<'a, 'b>(pub(super) &'a mut fmt::Formatter<'b>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (number, part) in text.split(char::is_control).enumerate() {
            if number > 0 {
                self.0.write_str(" ")?;
            }
            self.0.write_str(part)?;
        }
        Ok(())
    }
}
