//! The colours and symbols of the screen, and their substitutes without colour or Unicode.

use ratatui::style::{Color, Modifier, Style};

use crate::watch::chart::Glyphs;
use crate::watch::journal::Weight;
use crate::watch::row::{Direction, Glow};

/// Whether to use colours and Unicode symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    pub(crate) color: bool,
    pub(crate) glyphs: Glyphs,
}

impl Theme {
    fn colored(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    pub(crate) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(crate) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(crate) fn reversed(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(crate) fn good(self) -> Style {
        self.colored(Color::Green)
    }

    pub(crate) fn bad(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn warning(self) -> Style {
        self.colored(Color::Yellow)
    }

    /// Returns the style of a value that rose or fell.
    pub(crate) fn direction(self, direction: Direction) -> Style {
        match direction {
            Direction::Up => self.colored(Color::Green),
            Direction::Down => self.colored(Color::Red),
        }
    }

    /// Returns the style of a price that has just changed.
    pub(crate) fn glow(self, direction: Direction, glow: Glow) -> Style {
        match glow {
            Glow::Fading => self.direction(direction),
            Glow::Bright if !self.color => self.bold(),
            Glow::Bright => {
                let background = if direction == Direction::Up { Color::Green } else { Color::Red };
                Style::new().fg(Color::Black).bg(background)
            }
        }
    }

    pub(crate) fn weight(self, weight: Weight) -> Style {
        match weight {
            Weight::Good => self.good(),
            Weight::Plain => Style::new(),
            Weight::Warning => self.warning(),
            Weight::Bad => self.bad(),
        }
    }

    pub(crate) fn arrow(self, direction: Direction) -> &'static str {
        match (direction, self.glyphs) {
            (Direction::Up, Glyphs::Unicode) => "▲",
            (Direction::Down, Glyphs::Unicode) => "▼",
            (Direction::Up, Glyphs::Ascii) => "^",
            (Direction::Down, Glyphs::Ascii) => "v",
        }
    }

    /// Returns the placeholder of a missing value.
    pub(crate) fn none(self) -> &'static str {
        self.sign("–", "-")
    }

    /// Returns the symbol, or its ASCII substitute.
    pub(crate) fn sign(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => unicode,
            Glyphs::Ascii => ascii,
        }
    }

    /// Replaces characters outside ASCII if the theme is ASCII.
    pub(crate) fn text(self, text: &str) -> String {
        match self.glyphs {
            Glyphs::Unicode => text.to_owned(),
            Glyphs::Ascii => text
                .chars()
                .map(|symbol| match symbol {
                    'µ' => 'u',
                    '–' => '-',
                    symbol if symbol.is_ascii() => symbol,
                    _ => '?',
                })
                .collect(),
        }
    }
}
