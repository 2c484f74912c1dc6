//! Where the lines go: drawn over each other on a terminal, one after the other elsewhere.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write};

use crate::view::Style;

/// Writes blocks of lines.
#[derive(Debug)]
pub(crate) struct Screen<W> {
    out: W,
    in_place: bool,
    /// Lines of the block that the next one replaces.
    drawn: usize,
}

/// Says whether standard output is a terminal that can be drawn on and may be.
pub(crate) fn is_in_place() -> bool {
    can_draw(
        io::stdout().is_terminal(),
        std::env::var_os("NO_COLOR").as_deref(),
        std::env::var_os("TERM").as_deref(),
    )
}

fn can_draw(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    // By its convention an empty NO_COLOR counts as not set.
    is_terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

impl<W: Write> Screen<W> {
    pub(crate) fn new(out: W, in_place: bool) -> Self {
        Self { out, in_place, drawn: 0 }
    }

    pub(crate) fn style(&self) -> Style {
        if self.in_place { Style::Colour } else { Style::Plain }
    }

    /// Shows a block of lines, on a terminal in place of the one before.
    pub(crate) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let mut text = String::new();
        if self.in_place {
            // One write, told as one update: no flicker. Without automatic wrapping, since on a
            // terminal too narrow a line would take two and the way back up be too short.
            text.push_str("\x1b[?2026h\x1b[?7l\r");
            if self.drawn > 0 {
                text.push_str(&format!("\x1b[{}A", self.drawn));
            }
            lines.iter().for_each(|line| text.extend([line, "\x1b[K\n"]));
            text.push_str("\x1b[J\x1b[?7h\x1b[?2026l");
            self.drawn = lines.len();
        } else {
            lines.iter().for_each(|line| text.extend([line, "\n"]));
        }
        self.write(&text)
    }

    /// Shows lines that stay, below what has been drawn.
    pub(crate) fn say(&mut self, lines: &[String]) -> io::Result<()> {
        self.drawn = 0;
        // A terminal has echoed the keys of an interrupt.
        let mut text = String::from(if self.in_place { "\r\x1b[K" } else { "" });
        lines.iter().for_each(|line| text.extend([line, "\n"]));
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(in_place: bool) -> String {
        let mut screen = Screen::new(Vec::new(), in_place);
        for block in [["a", "b"], ["c", "d"]] {
            screen.draw(&block.map(str::to_owned)).unwrap();
        }
        screen.say(&["end".to_owned()]).unwrap();
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn a_terminal_gets_each_block_over_the_one_before() {
        let text = written(true);
        let blocks: Vec<&str> = text.split_inclusive("\x1b[?2026l").collect();
        assert_eq!(blocks.len(), 3);
        assert!(!blocks[0].contains('A'), "nothing to go up over");
        assert!(blocks[1].contains("\r\x1b[2Ac\x1b[K\nd\x1b[K\n\x1b[J"), "{:?}", blocks[1]);
        assert_eq!(blocks[2], "\r\x1b[Kend\n");
    }

    #[test]
    fn elsewhere_lines_are_plain() {
        assert_eq!(written(false), "a\nb\nc\nd\nend\n");
    }

    #[test]
    fn only_a_capable_terminal_is_drawn_on() {
        let os = OsStr::new;
        assert!(can_draw(true, None, Some(os("xterm-256color"))));
        assert!(can_draw(true, Some(os("")), None));
        assert!(!can_draw(false, None, Some(os("xterm-256color"))));
        assert!(!can_draw(true, Some(os("1")), Some(os("xterm-256color"))));
        assert!(!can_draw(true, None, Some(os("dumb"))));
    }
}
