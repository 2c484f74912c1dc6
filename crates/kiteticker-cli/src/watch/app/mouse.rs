//! Mouse handling.

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use crate::watch::app::{App, Focus};
use crate::watch::columns::{column_at, columns};

/// Lines that a step of the wheel scrolls.
const WHEEL: usize = 3;

impl App {
    /// Handles the mouse: a click selects a row, or sorts by a heading; the wheel scrolls.
    pub(crate) fn on_mouse(&mut self, mouse: MouseEvent) {
        match mouse.kind {
            MouseEventKind::ScrollUp => self.on_wheel(false),
            MouseEventKind::ScrollDown => self.on_wheel(true),
            MouseEventKind::Down(MouseButton::Left) => {
                self.on_click(Position { x: mouse.column, y: mouse.row });
            }
            _ => return,
        }
        self.redraw.request();
    }

    fn on_wheel(&mut self, is_down: bool) {
        match &mut self.focus {
            Focus::Table | Focus::Filter => self.table.scroll(is_down, WHEEL),
            &mut Focus::Help { top } => {
                let to = if is_down { top + WHEEL } else { top.saturating_sub(WHEEL) };
                self.focus = Focus::Help { top: self.help_top(to) };
            }
            Focus::Choose(choice) => {
                let last = choice.names.len().saturating_sub(1);
                let chosen = choice.chosen;
                choice.chosen =
                    if is_down { (chosen + 1).min(last) } else { chosen.saturating_sub(1) };
            }
            Focus::Add(_) | Focus::Save(_) => {}
        }
    }

    fn on_click(&mut self, at: Position) {
        let page = self.page();
        // A click does not reach through what is open over the table.
        if !matches!(self.focus, Focus::Table | Focus::Filter) || !page.table.contains(at) {
            return;
        }
        let line = usize::from(at.y - page.table.y);
        let Some(row) = line.checked_sub(usize::from(page.has_heads())) else {
            // The first character of a line marks the selected row.
            let columns = columns(page.table.width.saturating_sub(1), self.table.contents());
            let column = at.x.checked_sub(1).and_then(|x| column_at(&columns, x));
            if let Some(key) = column.and_then(|column| column.key()) {
                self.table.order_by(|sort| sort.choose(key), self.moment.now);
            }
            return;
        };
        let row = self.table.top + row;
        if row < self.table.order.len() {
            self.table.select(row);
        }
    }
}
