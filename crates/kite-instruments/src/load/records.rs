//! Splits a list's CSV into rows.
//!
//! A row is a line, so that an unclosed quote invalidates its own line and not the rest of the file.

use kite_wire::plain::trimmed_bytes;

/// The rows of a file, line by line. A line ends with LF, CR or both.
pub(super) struct Records<'a> {
    rest: &'a [u8],
    line_number: u64,
    fields: Vec<u8>,
    ends: Vec<usize>,
}

/// One row: its fields, or an unclosed quote.
pub(super) struct Record<'a> {
    pub(super) line: &'a [u8],
    pub(super) line_number: u64,
    /// `None` if a quoted field does not end on the line.
    pub(super) fields: Option<Fields<'a>>,
}

#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    ends: &'a [usize],
}

impl<'a> Fields<'a> {
    /// Returns a field without the blanks around it.
    pub(super) fn get(self, at: usize) -> &'a [u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        trimmed_bytes(&self.bytes[start..self.ends[at]])
    }

    pub(super) fn len(self) -> usize {
        self.ends.len()
    }
}

impl<'a> Records<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest, line_number: 0, fields: Vec::new(), ends: Vec::new() }
    }

    /// Advances to the next row that is not a blank line.
    pub(super) fn next(&mut self) -> Option<Record<'_>> {
        let mut line: &[u8] = &[];
        while line.trim_ascii().is_empty() {
            if self.rest.is_empty() {
                return None;
            }
            let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
            let end = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
            let rest = &self.rest[end..];
            line = &self.rest[..end];
            self.rest = &rest[rest.len().min(if rest.starts_with(b"\r\n") { 2 } else { 1 })..];
            self.line_number += 1;
        }
        let is_whole = split(line, &mut self.fields, &mut self.ends);
        let fields = is_whole.then_some(Fields { bytes: &self.fields, ends: &self.ends });
        Some(Record { line, line_number: self.line_number, fields })
    }
}

/// Splits a line into fields, of which blanks before and after quotes are no part. Returns `false`
/// if a quoted field does not end on the line.
fn split(line: &[u8], fields: &mut Vec<u8>, ends: &mut Vec<usize>) -> bool {
    fields.clear();
    ends.clear();
    let mut rest = Some(line);
    while let Some(mut field) = rest {
        if let Some(quoted) = field.trim_ascii_start().strip_prefix(b"\"") {
            let Some(after) = unquote(quoted, fields) else { return false };
            // Text after the closing quote is a part of the field.
            field = after.trim_ascii_start();
        }
        let len = field.iter().position(|&byte| byte == b',').unwrap_or(field.len());
        fields.extend_from_slice(&field[..len]);
        rest = field.get(len + 1..);
        ends.push(fields.len());
    }
    true
}

/// Appends a quoted field and returns the text after its closing quote. Two quotes stand for one.
fn unquote<'a>(mut quoted: &'a [u8], field: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let len = quoted.iter().position(|&byte| byte == b'"')?;
        let after = &quoted[len + 1..];
        if !after.starts_with(b"\"") {
            field.extend_from_slice(&quoted[..len]);
            return Some(after);
        }
        field.extend_from_slice(&quoted[..=len]);
        quoted = &after[1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Option<Vec<String>> {
        let mut records = Records::new(line.as_bytes());
        let fields = records.next()?.fields?;
        let text = |at| String::from_utf8_lossy(fields.get(at)).into_owned();
        Some((0..fields.len()).map(text).collect())
    }

    #[test]
    fn fields_are_split_at_commas_outside_quotes_and_blanks_are_removed() {
        for (line, expected) in [
            ("a,b", &["a", "b"][..]),
            (",", &["", ""]),
            (" a b ,\tc\t", &["a b", "c"]),
            ("\"a, \"\"b\"\"\",c", &["a, \"b\"", "c"]),
            ("x, \"a, b\" ,c", &["x", "a, b", "c"]),
            ("\" a \",\"\"", &["a", ""]),
            ("\"a\"b,c\"d\"", &["ab", "c\"d\""]),
            ("a,", &["a", ""]),
        ] {
            assert_eq!(fields(line).unwrap(), expected, "{line:?}");
        }
        for open in ["\"", "a,\"b", "\"a\"\"", "\"a,b"] {
            assert_eq!(fields(open), None, "{open:?}");
        }
    }

    #[test]
    fn lines_end_with_line_feeds_carriage_returns_or_both() {
        let mut records = Records::new(b"\n\ra\r\n\r\nb\rc\n\"d\ne");
        let mut lines = Vec::new();
        while let Some(record) = records.next() {
            lines.push((record.line_number, record.line.to_vec(), record.fields.is_some()));
        }
        let line = |number, text: &str, is_whole| (number, text.as_bytes().to_vec(), is_whole);
        assert_eq!(
            lines,
            [
                line(3, "a", true),
                line(5, "b", true),
                line(6, "c", true),
                line(7, "\"d", false),
                line(8, "e", true)
            ]
        );
    }
}
