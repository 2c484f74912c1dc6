//! Divides the screen.

use ratatui::layout::Rect;

/// Lines of the panel of the selected instrument: a title, headings, five levels of depth.
const DETAIL_LINES: u16 = 7;
/// Lines of the panel with a chart.
const CHART_LINES: u16 = 13;
/// From this height on, the panel is shown unless it was closed.
const ROOMY_LINES: u16 = 20;
/// From this width on, the panel is shown unless it was closed.
const ROOMY_COLUMNS: u16 = 60;
/// Lines that an open panel leaves to the table.
const LEFT_LINES: u16 = 2;
/// Lines that the events leave to the table.
const TABLE_LINES: u16 = 5;

/// Whether the panel of the selected instrument is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Panel {
    /// If there is room for it.
    #[default]
    Fitting,
    Open,
    Closed,
}

/// What the panel shows beside the details.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Content {
    #[default]
    Depth,
    /// The bars of the day.
    Chart,
}

impl Content {
    fn lines(self) -> u16 {
        match self {
            Self::Depth => DETAIL_LINES,
            Self::Chart => CHART_LINES,
        }
    }
}

/// The areas of the screen. Parts that do not fit have a height of 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) header: Rect,
    /// The headings of the columns if there is room, and below them the rows.
    pub(crate) table: Rect,
    pub(crate) detail: Rect,
    pub(crate) events: Rect,
    pub(crate) keys: Rect,
}

impl Page {
    /// Divides a screen of any size. The header, which shows every socket, comes first.
    pub(crate) fn of(area: Rect, panel: Panel, content: Content) -> Self {
        let header = match area.height {
            12.. => 3,
            lines => lines.min(1),
        };
        let keys = u16::from(area.height >= 6);
        let rest = area.height - header - keys;
        let is_roomy = area.height >= ROOMY_LINES && area.width >= ROOMY_COLUMNS;
        let detail = match panel {
            Panel::Open => content.lines().min(rest.saturating_sub(LEFT_LINES)),
            Panel::Fitting if is_roomy => content.lines(),
            Panel::Fitting | Panel::Closed => 0,
        };
        // Includes the title line.
        let events = match area.height {
            0..14 => 0,
            14..28 => 3,
            28..45 => 5,
            _ => 8,
        };
        let events = if rest - detail >= events + TABLE_LINES { events } else { 0 };
        let table = rest - detail - events;
        let mut y = area.y;
        let mut take = |height| {
            let part = Rect { y, height, ..area };
            y += height;
            part
        };
        Self {
            header: take(header),
            table: take(table),
            detail: take(detail),
            events: take(events),
            keys: take(keys),
        }
    }

    /// Returns whether the headings of the columns are shown.
    pub(crate) fn has_heads(&self) -> bool {
        self.table.height > 1
    }

    /// Returns the number of rows that the table shows at once.
    pub(crate) fn rows(&self) -> usize {
        usize::from(self.table.height - u16::from(self.has_heads()))
    }

    /// Returns the line of a prompt: that of the keys, else the last one.
    pub(crate) fn prompt(&self) -> Rect {
        let last = (self.keys.y + self.keys.height).saturating_sub(1).max(self.header.y);
        Rect { y: last, height: 1, ..self.keys }
    }

    /// Returns the area of an overlay, which leaves the header visible.
    pub(crate) fn below_header(&self) -> Rect {
        let y = self.header.y + self.header.height;
        Rect { y, height: self.keys.y + self.keys.height - y, ..self.header }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANELS: [Panel; 3] = [Panel::Fitting, Panel::Open, Panel::Closed];
    const CONTENTS: [Content; 2] = [Content::Depth, Content::Chart];

    #[test]
    fn every_line_of_the_screen_belongs_to_one_part_and_the_header_is_always_there() {
        for (width, height) in [1, 20, 40, 60, 80, 200]
            .into_iter()
            .flat_map(|width| (1..100).map(move |height| (width, height)))
        {
            for (panel, content) in PANELS.into_iter().flat_map(|it| CONTENTS.map(|at| (it, at))) {
                let area = Rect { x: 0, y: 0, width, height };
                let page = Page::of(area, panel, content);
                let parts = [page.header, page.table, page.detail, page.events, page.keys];
                let mut y = 0;
                for part in parts {
                    assert_eq!((part.y, part.width), (y, width));
                    y += part.height;
                }
                assert_eq!(y, height);
                assert!(page.header.height > 0, "{width}x{height}");
                assert!(page.rows() > 0 || height < 2, "{width}x{height} {panel:?}");
                assert!(page.prompt().y < height);
            }
        }
    }

    #[test]
    fn the_panel_is_shown_where_there_is_room_or_where_it_was_opened() {
        let of = |width, height, panel, content| {
            Page::of(Rect { x: 0, y: 0, width, height }, panel, content).detail.height
        };
        let detail = |width, height, panel| of(width, height, panel, Content::Depth);
        assert_eq!(PANELS.map(|panel| detail(80, 24, panel)), [7, 7, 0]);
        assert_eq!(PANELS.map(|panel| detail(40, 10, panel)), [0, 6, 0]);
        assert_eq!(PANELS.map(|panel| detail(20, 5, panel)), [0, 2, 0]);
        let chart = |panel| of(80, 24, panel, Content::Chart);
        assert_eq!(PANELS.map(chart), [13, 13, 0], "a chart is higher");
    }
}
