//! Splits a list's CSV into rows.
//!
//! `csv-core` parses the CSV one line at a time, so that an unclosed quote invalidates its own line
//! and not the rest of the file.

use std::io::BufRead;

use csv_core::{ReadRecordResult, Reader};

use crate::problem::Column;

/// The rows of a file, line by line.
pub(super) struct Records<'a> {
    rest: &'a [u8],
    /// The rest of the current line; a lone carriage return also ends a record.
    line: &'a [u8],
    line_number: u64,
    reader: Reader,
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
    pub(super) bytes: &'a [u8],
    pub(super) ends: &'a [usize],
}

impl<'a> Fields<'a> {
    pub(super) fn get(self, at: usize) -> &'a [u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }
}

impl<'a> Records<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            line: &[],
            line_number: 0,
            reader: Reader::new(),
            fields: Vec::new(),
            ends: vec![0; 2 * Column::ALL.len()],
        }
    }

    /// Advances to the next row that is not an empty line.
    pub(super) fn next(&mut self) -> Option<Record<'_>> {
        while self.line.iter().all(|&byte| matches!(byte, b'\r' | b'\n')) {
            let all = self.rest;
            // Reading a slice cannot fail.
            let len = self.rest.skip_until(b'\n').unwrap_or(all.len());
            if len == 0 {
                return None;
            }
            self.line = &all[..len];
            self.line_number += 1;
        }
        let line = self.line;
        let (fields_len, ends_len) = self.read();
        let fields = ends_len
            .map(|len| Fields { bytes: &self.fields[..fields_len], ends: &self.ends[..len] });
        Some(Record { line, line_number: self.line_number, fields })
    }

    /// Reads one record of the line. Returns the total length of its fields, and their number if it
    /// ends on the line.
    fn read(&mut self) -> (usize, Option<usize>) {
        // Fields are never longer than their input.
        if self.fields.len() < self.line.len() {
            self.fields.resize(self.line.len(), 0);
        }
        let (mut fields_len, mut ends_len) = (0, 0);
        let mut ended = self.line.ends_with(b"\n");
        loop {
            let (result, read, wrote, ends) = self.reader.read_record(
                self.line,
                &mut self.fields[fields_len..],
                &mut self.ends[ends_len..],
            );
            self.line = &self.line[read..];
            fields_len += wrote;
            ends_len += ends;
            match result {
                ReadRecordResult::Record => return (fields_len, Some(ends_len)),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2 + 1, 0),
                // The last line of the file may lack its line end.
                ReadRecordResult::InputEmpty if !ended => {
                    self.line = b"\n";
                    ended = true;
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {
                    self.line = &[];
                    self.reader.reset();
                    return (fields_len, None);
                }
            }
        }
    }
}
