//! What was published of one account: the numbers of its messages, and its newest packets.
//!
//! No I/O here.

use std::fmt::Write as _;

use async_nats::Subject;
use bytes::Bytes;
use kite_manager::{AccountId, MAX_CONNECTIONS};
use kite_wire::{FrameBuilder, FullPacket, Packet, TokenMap};

use crate::subject::{SubjectError, Subjects};

/// The numbers and newest packets of one account.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) account: AccountId,
    pub(crate) subjects: Subjects,
    connections: [Connection; MAX_CONNECTIONS],
    rows: Vec<Row>,
    /// Counts the packets, so that the newer of two rows can be found.
    packets: u64,
}

/// What was published of one connection.
#[derive(Debug, Default)]
struct Connection {
    frames: u64,
    row_by_token: TokenMap<u32>,
}

/// The newest packet of an instrument on one connection. A copy, because a share of the frame would
/// keep the whole memory alive that it was read into.
#[derive(Debug)]
struct Row {
    connection: usize,
    token: u32,
    subject: Subject,
    /// The packet's number among those of its instrument on this connection.
    tick: u64,
    /// Its number among all packets of the account.
    order: u64,
    len: u8,
    bytes: [u8; FullPacket::LEN],
}

/// A part of the answer to a request for newest packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The connection on which its packets were received.
    pub(crate) connection: usize,
    /// The number of each packet, separated by commas.
    pub(crate) ticks: String,
    /// The packets.
    pub(crate) frame: Bytes,
}

impl Book {
    pub(crate) fn new(prefix: &str, account: &AccountId) -> Result<Self, SubjectError> {
        Ok(Self {
            account: account.clone(),
            subjects: Subjects::new(prefix, account)?,
            connections: Default::default(),
            rows: Vec::new(),
            packets: 0,
        })
    }

    /// Returns the number of a frame with ticks.
    pub(crate) fn on_frame(&mut self, connection: usize) -> u64 {
        let frames = &mut self.connections[connection].frames;
        *frames += 1;
        *frames
    }

    /// Takes over a packet; returns the subject of its instrument and the packet's number.
    pub(crate) fn on_packet(&mut self, connection: usize, packet: Packet<'_>) -> (&Subject, u64) {
        let token = packet.instrument_token();
        let of = &mut self.connections[connection];
        let at = of.row(token).unwrap_or_else(|| {
            let row = self.rows.len();
            of.row_by_token.insert(token, row as u32);
            self.rows.push(Row::new(connection, token, self.subjects.tick(token).into()));
            row
        });
        self.packets += 1;
        let row = &mut self.rows[at];
        row.set(packet, self.packets);
        (&row.subject, row.tick)
    }

    /// Returns the newest packets of these instruments, or of all if there is none, in parts of at
    /// most `bytes` bytes. Each has packets of one connection. At least one part, even if it is
    /// empty.
    pub(crate) fn newest(&self, tokens: &[u32], bytes: usize) -> Vec<Part> {
        let of = |&token: &u32| self.connections.iter().filter_map(move |it| it.row(token));
        let mut rows: Vec<&Row> = match tokens {
            [] => self.rows.iter().collect(),
            tokens => tokens.iter().flat_map(of).map(|row| &self.rows[row]).collect(),
        };
        rows.retain(|row| self.is_newest(row));
        rows.sort_unstable_by_key(|row| (row.connection, row.token));
        rows.dedup_by_key(|row| row.token);
        let mut parts = Vec::new();
        for rows in rows.chunk_by(|a, b| a.connection == b.connection) {
            push_parts(&mut parts, rows, bytes);
        }
        if parts.is_empty() {
            push_part(&mut parts, 0, FrameBuilder::new(), String::new());
        }
        parts
    }

    /// Returns whether no other connection has received a newer packet of the instrument.
    fn is_newest(&self, row: &Row) -> bool {
        let rows = self.connections.iter().filter_map(|it| it.row(row.token));
        rows.map(|other| self.rows[other].order).max() == Some(row.order)
    }
}

impl Connection {
    fn row(&self, token: u32) -> Option<usize> {
        self.row_by_token.get(token).map(|&row| row as usize)
    }
}

impl Row {
    fn new(connection: usize, token: u32, subject: Subject) -> Self {
        let (tick, order, len, bytes) = (0, 0, 0, [0; FullPacket::LEN]);
        Self { connection, token, subject, tick, order, len, bytes }
    }

    fn set(&mut self, packet: Packet<'_>, order: u64) {
        self.tick += 1;
        self.order = order;
        let packet = packet.as_bytes();
        // The longest layout has 184 bytes.
        self.len = packet.len() as u8;
        self.bytes[..packet.len()].copy_from_slice(packet);
    }

    fn packet(&self) -> Option<Packet<'_>> {
        Packet::from_bytes(&self.bytes[..usize::from(self.len)]).ok()
    }
}

/// Appends parts with the packets of these rows, which are of one connection.
fn push_parts(parts: &mut Vec<Part>, rows: &[&Row], bytes: usize) {
    let connection = rows.first().map_or(0, |row| row.connection);
    let (mut frame, mut ticks, mut used) = (FrameBuilder::new(), String::new(), 0);
    for row in rows {
        let Some(packet) = row.packet() else { continue };
        let number = row.tick.to_string();
        let needed = 2 + packet.as_bytes().len() + number.len() + 1;
        if used + needed > bytes && frame.packets() > 0 {
            push_part(parts, connection, std::mem::take(&mut frame), std::mem::take(&mut ticks));
            used = 0;
        }
        // Fails only at 65,535 packets, more than an account has instruments.
        if frame.push(packet).is_err() {
            continue;
        }
        let comma = if ticks.is_empty() { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(ticks, "{comma}{number}");
        used += needed;
    }
    if frame.packets() > 0 {
        push_part(parts, connection, frame, ticks);
    }
}

fn push_part(parts: &mut Vec<Part>, connection: usize, frame: FrameBuilder, ticks: String) {
    parts.push(Part { connection, ticks, frame: frame.finish().into() });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kite_wire::Frame;
    use proptest::prelude::*;

    use super::*;

    fn packet(token: u32, price: u8) -> [u8; 8] {
        let mut packet = [0, 0, 0, 0, 0, 0, 0, price];
        packet[..4].copy_from_slice(&token.to_be_bytes());
        packet
    }

    fn put(book: &mut Book, connection: usize, token: u32, price: u8) -> u64 {
        let bytes = packet(token, price);
        let (subject, tick) = book.on_packet(connection, Packet::from_bytes(&bytes).unwrap());
        assert!(subject.ends_with(&format!(".{token}")), "{subject}");
        tick
    }

    fn book() -> Book {
        Book::new("kite", &AccountId::default()).unwrap()
    }

    /// The newest packets by token: connection, number and price.
    fn read(parts: &[Part]) -> BTreeMap<u32, (usize, u64, u8)> {
        let mut found = BTreeMap::new();
        for part in parts {
            let frame = Frame::walk(&part.frame);
            assert_eq!((frame.fault(), frame.skipped()), (None, 0));
            let ticks: Vec<u64> = match part.ticks.as_str() {
                "" => Vec::new(),
                ticks => ticks.split(',').map(|it| it.parse().unwrap()).collect(),
            };
            assert_eq!(ticks.len(), frame.packets().len());
            for (packet, tick) in frame.packets().zip(ticks) {
                let value = (part.connection, tick, packet.as_bytes()[7]);
                assert_eq!(found.insert(packet.instrument_token(), value), None, "once");
            }
        }
        found
    }

    #[test]
    fn a_request_is_answered_from_the_connection_that_received_the_instrument_last() {
        let mut book = book();
        assert_eq!(put(&mut book, 0, 408_065, 1), 1);
        assert_eq!(put(&mut book, 0, 408_065, 2), 2);
        assert_eq!(put(&mut book, 0, 256_265, 3), 1);
        assert_eq!(put(&mut book, 1, 408_065, 4), 1, "its numbers are those of a connection");
        let parts = book.newest(&[], 1_000);
        let expected = BTreeMap::from([(408_065, (1, 1, 4)), (256_265, (0, 1, 3))]);
        assert_eq!(read(&parts), expected);
        assert_eq!(put(&mut book, 0, 408_065, 5), 3, "and go on after a move back");
        let parts = book.newest(&[408_065, 408_065, 738_561], 1_000);
        assert_eq!(read(&parts), BTreeMap::from([(408_065, (0, 3, 5))]));
        let none = book.newest(&[738_561], 1_000);
        assert_eq!((none.len(), &none[0].frame[..]), (1, &[0, 0][..]), "an empty answer");
        assert_eq!((book.on_frame(0), book.on_frame(1), book.on_frame(0)), (1, 1, 2));
    }

    proptest! {
        #[test]
        fn an_answer_has_each_instrument_once_in_parts_below_the_limit(
            puts in prop::collection::vec((0..MAX_CONNECTIONS, 1..30_u32, any::<u8>()), 0..200),
            asked in prop::collection::vec(1..40_u32, 0..20),
            bytes in 20..200_usize,
        ) {
            let mut book = book();
            let mut model: BTreeMap<u32, (usize, u64, u8)> = BTreeMap::new();
            let mut numbers: BTreeMap<(usize, u32), u64> = BTreeMap::new();
            for (connection, token, price) in puts {
                let number = numbers.entry((connection, token)).or_default();
                *number += 1;
                prop_assert_eq!(put(&mut book, connection, token, price), *number);
                model.insert(token, (connection, *number, price));
            }
            model.retain(|token, _| asked.is_empty() || asked.contains(token));
            let parts = book.newest(&asked, bytes);
            prop_assert_eq!(read(&parts), model);
            // The packet count of a frame is not part of the limit.
            let size = |part: &Part| part.frame.len() - 2 + part.ticks.len();
            prop_assert!(parts.iter().all(|part| size(part) <= bytes));
        }
    }
}
