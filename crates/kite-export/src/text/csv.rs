//! CSV as RFC 4180 describes it. A null is an empty cell; an empty string is `""`.

use kite_wire::{Price, UnixSeconds};

use super::cells::{Cells, Clock, push_number, push_price};
use crate::column::Column;
use crate::settings::TimeFormat;

pub(super) struct CsvCells {
    out: Vec<u8>,
    clock: Clock,
    crlf: bool,
}

impl CsvCells {
    pub(super) fn new(times: TimeFormat, crlf: bool) -> Self {
        Self { out: Vec::new(), clock: Clock::new(times), crlf }
    }
}

/// Returns the header row.
pub(super) fn header(columns: &[Column], crlf: bool) -> Vec<u8> {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_ref()).collect();
    let mut header = names.join(",").into_bytes();
    push_line_end(&mut header, crlf);
    header
}

fn push_line_end(out: &mut Vec<u8>, crlf: bool) {
    out.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
}

impl Cells for CsvCells {
    fn begin(&mut self) {}

    fn end(&mut self) {
        // The comma after the last cell.
        self.out.pop();
        push_line_end(&mut self.out, self.crlf);
    }

    fn nanoseconds(&mut self, unix_ns: Option<u64>) {
        if let Some(unix_ns) = unix_ns {
            self.clock.push_nanoseconds(&mut self.out, unix_ns);
        }
        self.out.push(b',');
    }

    fn seconds(&mut self, seconds: Option<UnixSeconds>) {
        if let Some(seconds) = seconds {
            self.clock.push_seconds(&mut self.out, seconds);
        }
        self.out.push(b',');
    }

    fn number(&mut self, number: Option<u64>) {
        if let Some(number) = number {
            push_number(&mut self.out, number);
        }
        self.out.push(b',');
    }

    fn price(&mut self, price: Option<Price>) {
        if let Some(price) = price {
            push_price(&mut self.out, price);
        }
        self.out.push(b',');
    }

    fn text(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            push_text(&mut self.out, text);
        }
        self.out.push(b',');
    }

    fn rows(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    let is_plain = !text.is_empty() && !text.bytes().any(|byte| b",\"\r\n".contains(&byte));
    if is_plain {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_if_necessary() {
        let cell = |text| {
            let mut out = Vec::new();
            push_text(&mut out, text);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(cell("NSE:M&M"), "NSE:M&M");
        assert_eq!(cell(""), "\"\"");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("say \"x\"\r\n"), "\"say \"\"x\"\"\r\n\"");
    }

    #[test]
    fn nulls_are_empty_and_lines_end_as_configured() {
        for (crlf, line) in [(false, ",1,\n"), (true, ",1,\r\n")] {
            let mut cells = CsvCells::new(TimeFormat::default(), crlf);
            cells.begin();
            cells.nanoseconds(None);
            cells.number(Some(1));
            cells.price(None);
            cells.end();
            assert_eq!(cells.take(), line.as_bytes());
        }
    }
}
