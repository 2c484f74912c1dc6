//! JSON lines: one object per row, with every column as a key, so that readers that infer the
//! columns from the first rows find all of them.

use kite_wire::{Price, UnixSeconds};

use super::cells::{Cells, Clock, push_number, push_price};
use crate::column::Column;
use crate::settings::TimeFormat;

pub(super) struct JsonCells {
    out: Vec<u8>,
    clock: Clock,
    prices_as_text: bool,
    /// For each column, `"name":` with a comma before it.
    keys: Vec<Vec<u8>>,
    /// The column of the next cell.
    next: usize,
    /// Where the row starts.
    start: usize,
}

impl JsonCells {
    pub(super) fn new(columns: &[Column], times: TimeFormat, prices_as_text: bool) -> Self {
        let keys = columns.iter().map(|column| format!(",\"{}\":", column.name).into_bytes());
        let (out, clock) = (Vec::new(), Clock::new(times));
        Self { out, clock, prices_as_text, keys: keys.collect(), next: 0, start: 0 }
    }

    /// Writes the key of the next cell and, if its value is missing, a null; else returns the value.
    #[inline]
    fn key<T>(&mut self, value: Option<T>) -> Option<T> {
        let key = self.keys.get(self.next)?;
        self.next += 1;
        self.out.extend_from_slice(key);
        if value.is_none() {
            self.out.extend_from_slice(b"null");
        }
        value
    }

    fn quoted(&mut self, is_text: bool, write: impl FnOnce(&mut Vec<u8>, &mut Clock)) {
        if is_text {
            self.out.push(b'"');
        }
        write(&mut self.out, &mut self.clock);
        if is_text {
            self.out.push(b'"');
        }
    }
}

impl Cells for JsonCells {
    fn begin(&mut self) {
        self.next = 0;
        self.start = self.out.len();
    }

    fn end(&mut self) {
        // The brace replaces the comma of the first key.
        if let Some(comma) = self.out.get_mut(self.start) {
            *comma = b'{';
        }
        self.out.extend_from_slice(b"}\n");
    }

    fn nanoseconds(&mut self, unix_ns: Option<u64>) {
        if let Some(unix_ns) = self.key(unix_ns) {
            let is_text = self.clock.is_text();
            self.quoted(is_text, |out, clock| clock.push_nanoseconds(out, unix_ns));
        }
    }

    fn seconds(&mut self, seconds: Option<UnixSeconds>) {
        if let Some(seconds) = self.key(seconds) {
            let is_text = self.clock.is_text();
            self.quoted(is_text, |out, clock| clock.push_seconds(out, seconds));
        }
    }

    fn number(&mut self, number: Option<u64>) {
        if let Some(number) = self.key(number) {
            push_number(&mut self.out, number);
        }
    }

    fn price(&mut self, price: Option<Price>) {
        if let Some(price) = self.key(price) {
            self.quoted(self.prices_as_text, |out, _| push_price(out, price));
        }
    }

    fn text(&mut self, text: Option<&str>) {
        if let Some(text) = self.key(text) {
            push_text(&mut self.out, text);
        }
    }

    fn rows(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_parses_back(text in "(\\PC|[\\x00-\\x7f]){0,40}") {
            let mut out = Vec::new();
            push_text(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn every_key_is_written_also_for_nulls() {
        let columns = &crate::event_columns()[..4];
        let mut cells = JsonCells::new(columns, TimeFormat::default(), false);
        for kind in [Some("gap"), None] {
            cells.begin();
            cells.nanoseconds(None);
            cells.number(Some(1));
            cells.number(None);
            cells.text(kind);
            cells.end();
        }
        assert_eq!(
            String::from_utf8(cells.take()).unwrap(),
            "{\"recv_time\":null,\"account\":1,\"connection\":null,\"kind\":\"gap\"}\n\
             {\"recv_time\":null,\"account\":1,\"connection\":null,\"kind\":null}\n"
        );
    }
}
