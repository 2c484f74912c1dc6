//! Parses and formats sizes in bytes.

/// Parses a size: `512kB`, `100MB`, `1.5GB`, `64MiB`, or bytes without a unit.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let number_len = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(number_len);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(EXPECTED.to_owned()),
    };
    let bytes = number.parse::<f64>().ok().map(|number| number * factor);
    // A terabyte is more than any file here, and exact in a double.
    let bytes = bytes.filter(|bytes| (0.0..=1e12).contains(bytes)).ok_or(EXPECTED)?;
    Ok(bytes as u64)
}

/// Formats a size in decimal units: `512 B`, `1.5 MB`, `75.0 GB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1_000 {
        return format!("{number} B");
    }
    let (mut value, mut unit) = (number as f64 / 1e3, 0);
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

const EXPECTED: &str = "expected a size such as 500MB or 1GB";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let read = ["0", "1", "512kB", "100mb", "1.5GB", "64MiB"].map(|text| parse(text).ok());
        let expected = [0, 1, 512_000, 100_000_000, 1_500_000_000, 67_108_864].map(Some);
        assert_eq!(read, expected);
        for text in ["", "MB", "1TB", "-1MB", "1 MB", "NaN"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_have_units() {
        let shown = [0, 999, 1_000, 999_949, 999_950, 75_000_000_000].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "75.0 GB"]);
    }
}
