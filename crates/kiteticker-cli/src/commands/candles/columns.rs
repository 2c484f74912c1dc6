//! The columns of tables of bars, and which of them fit into a width.

/// The columns with their headings, in the order shown; the flags follow.
pub(super) const HEADINGS: [&str; 9] =
    ["start", "open", "high", "low", "close", "volume", "oi", "missed", "missed volume"];

/// Blanks between two columns.
pub(super) const GAP: usize = 2;

/// Width of the longest flag, which is left to the flags before less important columns are shown.
const FLAG: usize = 13;

/// A column, or the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// By the index of its heading.
    Column(usize),
    Flags,
}

/// In order of priority: if the width does not suffice, the last ones are omitted first.
const WORTH: [&[Part]; 8] = [
    &[Part::Column(0), Part::Column(4)],
    &[Part::Column(5)],
    &[Part::Flags],
    &[Part::Column(2), Part::Column(3)],
    &[Part::Column(1)],
    &[Part::Column(7)],
    &[Part::Column(6)],
    &[Part::Column(8)],
];

/// What a table shows in its width.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// The columns by the index of their heading, in the order shown, with their widths.
    pub(super) columns: Vec<(usize, usize)>,
    /// The width left for flags.
    pub(super) flags: usize,
}

impl Layout {
    /// Chooses from columns of these widths, those of width 0 left out, with this many characters for
    /// flags at most.
    pub(super) fn new(widths: &[usize; 9], flags: usize, width: usize) -> Self {
        let (mut left, mut columns, mut reserved) = (width, Vec::new(), 0);
        for parts in WORTH {
            let wide = |part: &Part| match *part {
                Part::Column(at) => (at, widths[at]),
                Part::Flags => (HEADINGS.len(), flags.min(FLAG)),
            };
            let shown: Vec<_> = parts.iter().map(wide).filter(|(_, width)| *width > 0).collect();
            let between = shown.len() - usize::from(columns.is_empty() && !shown.is_empty());
            let needed = shown.iter().map(|(_, width)| width).sum::<usize>() + between * GAP;
            // The start and the close are cut rather than left out.
            if needed > left && !columns.is_empty() {
                break;
            }
            left = left.saturating_sub(needed);
            if parts.contains(&Part::Flags) {
                reserved = flags.min(FLAG);
            } else {
                columns.extend(shown);
            }
        }
        columns.sort_unstable();
        Self { columns, flags: if reserved > 0 { reserved + left } else { 0 } }
    }

    /// Returns a row of these cells, without its flags, at most as long as the width.
    pub(super) fn row<T: AsRef<str>>(&self, cells: &[T; 9], width: usize) -> String {
        let cell = |(at, width): &(usize, usize)| format!("{:>width$}", cells[*at].as_ref());
        let row = self.columns.iter().map(cell).collect::<Vec<_>>().join("  ");
        row.chars().take(width).collect()
    }
}

/// Returns as many remarks as fit into the width, and the number of others: `late +2`.
pub(super) fn remarks(all: &[&str], width: usize) -> String {
    (0..=all.len())
        .rev()
        .map(|shown| match (shown, all.len() - shown) {
            (_, 0) => all.join(" "),
            (0, more) => format!("+{more}"),
            (_, more) => format!("{} +{more}", all[..shown].join(" ")),
        })
        .find(|text| text.len() <= width)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: [usize; 9] = [5, 8, 8, 8, 8, 7, 0, 6, 13];

    fn shown(width: usize) -> (Vec<&'static str>, usize) {
        let layout = Layout::new(&SHARE, 24, width);
        (layout.columns.iter().map(|(at, _)| HEADINGS[*at]).collect(), layout.flags)
    }

    #[test]
    fn the_usual_widths_show_what_matters_most() {
        assert_eq!(shown(20), (vec!["start", "close"], 0));
        assert_eq!(shown(40), (vec!["start", "close", "volume"], 14));
        let usual = vec!["start", "open", "high", "low", "close", "volume", "missed"];
        assert_eq!(shown(79), (usual, 15));
        let wide =
            vec!["start", "open", "high", "low", "close", "volume", "missed", "missed volume"];
        assert_eq!(shown(200).0, wide);
    }

    #[test]
    fn no_row_is_longer_than_the_width() {
        let cells = ["09:15", "1", "2", "3", "1,507.05", "5", "", "30.0 s", "15"];
        let flags = ["partial_start", "gap", "by_arrival"];
        for width in 1..200 {
            let layout = Layout::new(&SHARE, 28, width);
            let row = layout.row(&cells, width).chars().count();
            let flags = remarks(&flags, layout.flags).len();
            assert!(row + if flags > 0 { GAP + flags } else { 0 } <= width, "{width}: {layout:?}");
        }
    }

    #[test]
    fn remarks_that_do_not_fit_are_counted() {
        let all = ["gap", "late", "by_arrival"];
        for (width, text) in
            [(19, "gap late by_arrival"), (18, "gap late +1"), (8, "gap +2"), (2, "+3"), (1, "")]
        {
            assert_eq!(remarks(&all, width), text);
        }
    }
}
