//! A rectangle of characters with styles.

/// How a character is drawn, without a choice of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Dim,
    Up,
    Down,
    Warning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) symbol: char,
    pub(crate) ink: Ink,
}

/// Characters in lines of the same width. What is drawn outside is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cells {
    width: usize,
    cells: Vec<Cell>,
}

impl Cells {
    /// Creates a blank rectangle.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let blank = Cell { symbol: ' ', ink: Ink::Plain };
        Self { width, cells: vec![blank; width * height] }
    }

    pub(super) fn set(&mut self, x: usize, y: usize, symbol: char, ink: Ink) {
        let is_inside = x < self.width;
        if let Some(cell) = self.cells.get_mut(y * self.width + x).filter(|_| is_inside) {
            *cell = Cell { symbol, ink };
        }
    }

    /// Writes a text to the right of this cell.
    pub(super) fn text(&mut self, x: usize, y: usize, text: &str, ink: Ink) {
        for (at, symbol) in text.chars().enumerate() {
            self.set(x + at, y, symbol, ink);
        }
    }

    /// Iterates over the lines, the top one first.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks(self.width.max(1))
    }

    /// Returns a line as texts of one style each, without the blanks at its end.
    pub(crate) fn texts(line: &[Cell]) -> Vec<(String, Ink)> {
        let end = line.iter().rposition(|cell| cell.symbol != ' ').map_or(0, |at| at + 1);
        let mut texts: Vec<(String, Ink)> = Vec::new();
        for cell in line.iter().take(end) {
            match texts.last_mut() {
                // A blank looks the same in every style.
                Some((text, ink)) if *ink == cell.ink || cell.symbol == ' ' => {
                    text.push(cell.symbol);
                }
                _ => texts.push((cell.symbol.to_string(), cell.ink)),
            }
        }
        texts
    }
}
