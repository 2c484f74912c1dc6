//! Writes shapes as SVG.

use std::fmt::Write as _;

use super::picture::{HEIGHT, LETTER, Paint, Shape, WIDTH};

/// Size of the font whose letters have [`LETTER`] pixels, and where its letters stand in a line.
const FONT_PX: usize = 15;
const BASELINE: usize = 15;

/// Returns the document. Its font is the reader's; the width of each text is stated, so that another
/// font does not move it.
pub(crate) fn document(shapes: &[Shape]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\" shape-rendering=\"crispEdges\" font-size=\"{FONT_PX}\" \
         font-family=\"'Noto Sans Mono','DejaVu Sans Mono',Menlo,Consolas,monospace\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for shape in shapes {
        add(&mut svg, shape);
    }
    svg + "</svg>\n"
}

fn add(svg: &mut String, shape: &Shape) {
    // Writing to a string cannot fail.
    let _ = match shape {
        Shape::Rect { x, y, width, height, paint } => writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{}\"/>",
            color(*paint)
        ),
        Shape::Text { x, y, text, paint } => writeln!(
            svg,
            "<text x=\"{x}\" y=\"{}\" textLength=\"{}\" fill=\"{}\" xml:space=\"preserve\">{}</text>",
            y + BASELINE,
            text.chars().count() * LETTER,
            color(*paint),
            escaped(text)
        ),
    };
}

fn color(paint: Paint) -> String {
    let [red, green, blue] = paint.rgb();
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Returns a text as XML has it, without characters that it cannot have.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            symbol if symbol.is_control() || matches!(symbol, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('?');
            }
            symbol => escaped.push(symbol),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_element() {
        let text = "M&M <b>\u{1b}\u{0}".to_owned();
        let svg = document(&[Shape::Text { x: 1, y: 2, text, paint: Paint::Text }]);
        assert!(svg.contains(">M&amp;M &lt;b&gt;??</text>"), "{svg}");
    }
}
