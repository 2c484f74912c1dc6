//! Numbers of bytes as people write them.

/// Reads a number of bytes: `512kB`, `100MB`, `1.5GB`, `64MiB`, or bytes without a unit.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
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
        _ => return Err(WANTED.to_owned()),
    };
    let bytes = number.parse::<f64>().ok().map(|number| number * factor);
    // A tebibyte is more than any file here, and exact in a double.
    let bytes = bytes.filter(|bytes| (1.0..=1e12).contains(bytes)).ok_or(WANTED)?;
    Ok(bytes as u64)
}

const WANTED: &str = "write a size such as 500MB or 1GB";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let read = ["1", "512kB", "100mb", "1.5GB", "64MiB"].map(|text| bytes(text).ok());
        let wanted = [1, 512_000, 100_000_000, 1_500_000_000, 67_108_864].map(Some);
        assert_eq!(read, wanted);
        for text in ["", "0", "MB", "1TB", "-1MB", "1 MB", "NaN"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
