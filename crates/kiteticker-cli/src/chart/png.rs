//! Writes shapes as PNG, with the letters of Noto Sans Mono (SIL Open Font License 1.1).

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};
use png::{BitDepth, ColorType, Encoder, EncodingError};

use super::picture::{HEIGHT, LETTER, Paint, Shape, WIDTH};

/// Returns the file.
///
/// # Errors
/// Returns the encoder's error.
pub(crate) fn file(shapes: &[Shape]) -> Result<Vec<u8>, EncodingError> {
    let mut canvas = Canvas { pixels: vec![0xff; WIDTH * HEIGHT * 3] };
    for shape in shapes {
        match shape {
            Shape::Rect { x, y, width, height, paint } => {
                for y in *y..y + height {
                    (*x..x + width).for_each(|x| canvas.blend(x, y, *paint, 0xff));
                }
            }
            Shape::Text { x, y, text, paint } => {
                for (at, symbol) in text.chars().enumerate() {
                    canvas.letter(x + at * LETTER, *y, symbol, *paint);
                }
            }
        }
    }
    let mut file = Vec::new();
    // Both fit: they are the constants above.
    let mut encoder = Encoder::new(&mut file, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&canvas.pixels)?;
    writer.finish()?;
    Ok(file)
}

/// Red, green and blue of each pixel.
struct Canvas {
    pixels: Vec<u8>,
}

impl Canvas {
    /// Paints a pixel, 255 for the whole of it. Ignores those outside.
    fn blend(&mut self, x: usize, y: usize, paint: Paint, coverage: u8) {
        if x >= WIDTH {
            return;
        }
        let at = (y * WIDTH + x) * 3;
        let Some(pixel) = self.pixels.get_mut(at..at + 3) else { return };
        for (under, over) in pixel.iter_mut().zip(paint.rgb()) {
            let coverage = u32::from(coverage);
            let mixed = u32::from(*under) * (255 - coverage) + u32::from(over) * coverage;
            *under = u8::try_from(mixed / 255).unwrap_or(u8::MAX);
        }
    }

    /// Paints a letter; a question mark for one that the font lacks.
    fn letter(&mut self, x: usize, y: usize, symbol: char, paint: Paint) {
        let raster = |symbol| get_raster(symbol, FontWeight::Regular, RasterHeight::Size20);
        let Some(letter) = raster(symbol).or_else(|| raster('?')) else { return };
        for (row, line) in letter.rows().enumerate() {
            for (column, coverage) in line.iter().enumerate() {
                self.blend(x + column, y + row, paint, *coverage);
            }
        }
    }
}
