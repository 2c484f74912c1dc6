//! Texts in less room than they need.

use ratatui::text::Span;

/// Shortens a text to a width in the middle, since contracts differ at the end: `NIF…24000CE`. The sign
/// stands for what is left out.
pub(crate) fn shortened(text: &str, width: usize, sign: &str) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let Some(room) = width.checked_sub(1) else { return String::new() };
    let (to_start, mut start, mut end) = (room / 3, String::new(), String::new());
    for symbol in text.chars() {
        if Span::raw(format!("{start}{symbol}")).width() > to_start {
            break;
        }
        start.push(symbol);
    }
    for symbol in text.chars().rev() {
        if Span::raw(format!("{start}{symbol}{end}")).width() > room {
            break;
        }
        end.insert(0, symbol);
    }
    format!("{start}{sign}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_left_out() {
        assert_eq!(shortened("NFO:NIFTY26DEC24000CE", 12, "…"), "NFO…C24000CE");
        assert_eq!(shortened("NSE:INFY", 8, "…"), "NSE:INFY");
        assert_eq!(shortened("NSE:INFY", 0, "…"), "");
    }
}
