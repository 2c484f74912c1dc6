//! Charts drawn with characters: a price over time, and the size of a quantity.

/// The characters that the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Glyphs {
    Unicode,
    Ascii,
}

/// The direction in which a bar grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growth {
    Left,
    Right,
}

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Ordered by apparent height.
const INK: [char; 8] = ['_', '.', '-', '~', '=', '+', '*', '#'];
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Draws the newest points that fit into `width`, scaled from the lowest to the highest and padded
/// on the left.
pub(crate) fn sparkline(
    points: impl DoubleEndedIterator<Item = i32>,
    width: usize,
    glyphs: Glyphs,
) -> String {
    let mut shown: Vec<i32> = points.rev().take(width).collect();
    shown.reverse();
    let steps = match glyphs {
        Glyphs::Unicode => BLOCKS,
        Glyphs::Ascii => INK,
    };
    let lowest = shown.iter().copied().min().unwrap_or_default();
    let span = i64::from(shown.iter().copied().max().unwrap_or_default()) - i64::from(lowest);
    let mut text = " ".repeat(width - shown.len());
    text.extend(shown.iter().map(|&point| {
        let above = i64::from(point) - i64::from(lowest);
        // A constant price is drawn half way up, so that it does not look like a low.
        let step = if span == 0 { 3 } else { above * 7 / span };
        steps[usize::try_from(step).unwrap_or_default().min(7)]
    }));
    text
}

/// Draws a bar of `value` out of `most`, padded to `width`; never empty for a value above zero.
pub(crate) fn bar(value: u32, most: u32, width: usize, growth: Growth, glyphs: Glyphs) -> String {
    // Steps per cell: Unicode has only a half block for the right side.
    let parts = match (glyphs, growth) {
        (Glyphs::Ascii, _) => 1,
        (Glyphs::Unicode, Growth::Left) => 2,
        (Glyphs::Unicode, Growth::Right) => 8,
    };
    let full = width * parts;
    let share = u64::from(value.min(most)) * full as u64 / u64::from(most.max(1));
    let filled = usize::try_from(share).unwrap_or(full).max(usize::from(value > 0 && full > 0));
    let (cells, rest) = (filled / parts, filled % parts);
    let (whole, part) = match (glyphs, growth) {
        (Glyphs::Ascii, _) => ('#', None),
        (Glyphs::Unicode, Growth::Left) => ('█', (rest > 0).then_some('▐')),
        (Glyphs::Unicode, Growth::Right) => {
            ('█', rest.checked_sub(1).and_then(|eighth| EIGHTHS.get(eighth)).copied())
        }
    };
    let mut text: String = std::iter::repeat_n(whole, cells).chain(part).collect();
    let empty = " ".repeat(width - cells - usize::from(part.is_some()));
    match growth {
        Growth::Right => text + &empty,
        Growth::Left => {
            text = text.chars().rev().collect();
            empty + &text
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spark(points: &[i32], width: usize) -> String {
        sparkline(points.iter().copied(), width, Glyphs::Unicode)
    }

    #[test]
    fn a_sparkline_is_scaled_from_its_lowest_to_its_highest_point() {
        assert_eq!(spark(&[1, 2, 3, 4, 5, 6, 7, 8], 8), "▁▂▃▄▅▆▇█");
        assert_eq!(spark(&[10, 0, 10], 3), "█▁█");
        let ascii = sparkline([0, 7, 0].into_iter(), 3, Glyphs::Ascii);
        assert_eq!(ascii, "_#_");
    }

    #[test]
    fn a_sparkline_shows_the_newest_points_at_the_right() {
        assert_eq!(spark(&[99, 0, 5], 2), "▁█");
        assert_eq!(spark(&[0, 5], 4), "  ▁█");
        assert_eq!(spark(&[], 3), "   ");
        assert_eq!(spark(&[1], 0), "");
    }

    #[test]
    fn a_constant_price_is_a_line_half_way_up() {
        assert_eq!(spark(&[5, 5, 5], 3), "▄▄▄");
    }

    #[test]
    fn a_bar_is_its_share_of_the_width() {
        let unicode = |value, growth| bar(value, 8, 4, growth, Glyphs::Unicode);
        assert_eq!(unicode(8, Growth::Right), "████");
        assert_eq!(unicode(3, Growth::Right), "█▌  ");
        assert_eq!(unicode(3, Growth::Left), "  ▐█");
        assert_eq!(unicode(0, Growth::Right), "    ");
        assert_eq!(bar(2, 8, 4, Growth::Left, Glyphs::Ascii), "   #");
    }

    #[test]
    fn the_smallest_quantity_is_still_visible() {
        assert_eq!(bar(1, u32::MAX, 3, Growth::Right, Glyphs::Unicode), "▏  ");
        assert_eq!(bar(1, u32::MAX, 3, Growth::Left, Glyphs::Unicode), "  ▐");
        assert_eq!(bar(1, u32::MAX, 3, Growth::Left, Glyphs::Ascii), "  #");
    }

    proptest! {
        #[test]
        fn charts_have_the_requested_width(
            points in proptest::collection::vec(any::<i32>(), 0..50),
            value in any::<u32>(), most in any::<u32>(),
            width in 0_usize..60,
            ascii in any::<bool>(), left in any::<bool>(),
        ) {
            let glyphs = if ascii { Glyphs::Ascii } else { Glyphs::Unicode };
            let growth = if left { Growth::Left } else { Growth::Right };
            prop_assert_eq!(sparkline(points.into_iter(), width, glyphs).chars().count(), width);
            prop_assert_eq!(bar(value, most, width, growth, glyphs).chars().count(), width);
        }
    }
}
