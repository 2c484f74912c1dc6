//! The headers of messages with ticks.

use std::str::FromStr;

use kite_manager::{AccountId, MAX_CONNECTIONS, OneLine};

use crate::subject::{is_name, number};

/// The names of the headers.
pub mod names {
    /// The publisher's term.
    pub const TERM: &str = "Kite-Term";
    /// The account.
    pub const ACCOUNT: &str = "Kite-Account";
    /// The connection's number within the account, from 0.
    pub const CONNECTION: &str = "Kite-Connection";
    /// The number of the socket on its connection, from 1.
    pub const EPOCH: &str = "Kite-Epoch";
    /// The number of the frame on its connection.
    pub const SEQUENCE: &str = "Kite-Seq";
    /// When the frame was read from the socket, in nanoseconds since the Unix epoch.
    pub const TIME: &str = "Kite-Time";
    /// The packet's place in its frame, from 0.
    pub const INDEX: &str = "Kite-Index";
    /// The number of packets in the frame.
    pub const COUNT: &str = "Kite-Count";
    /// The packet's number among those of its instrument on its connection, from 1.
    pub const TICK: &str = "Kite-Tick";
    /// In answers to requests for newest packets: the number of each packet, as in [`TICK`],
    /// separated by commas.
    pub const TICKS: &str = "Kite-Ticks";
    /// In answers of several messages: the number of this one, from 0.
    pub const PART: &str = "Kite-Part";
    /// In answers of several messages: how many there are.
    pub const PARTS: &str = "Kite-Parts";
    /// In an answer without packets: what is wrong with the request.
    pub const ERROR: &str = "Kite-Error";
}

/// Where a message comes from and which place it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The publisher's term. A publisher that takes over an account has a higher one.
    pub term: u64,
    /// The account.
    pub account: AccountId,
    /// The connection's number within the account, from 0.
    pub connection: usize,
    /// The number of the socket on its connection, from 1.
    pub epoch: u32,
    /// The number of the frame among those of this connection that were published in this term,
    /// from 1, without gaps, across all its sockets.
    pub sequence: u64,
    /// When the frame was read from the socket, in nanoseconds since the Unix epoch, by the
    /// publisher's clock.
    pub received_unix_ns: u64,
    /// The packet's place; `None` if the message is a whole frame.
    pub packet: Option<PacketPlace>,
}

/// The place of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketPlace {
    /// Its place in the frame, from 0.
    pub index: u16,
    /// The number of packets in the frame.
    pub count: u16,
    /// The packet's number among those of its instrument that were published on this connection in
    /// this term, from 1, without gaps. Consumers of any choice of instruments find by it what they missed.
    pub tick: u64,
}

/// Why the headers of a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A header is missing.
    #[error("the header {name} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A header has a value that no publisher writes.
    #[error("the header {name} is {:?}", OneLine(value).to_string())]
    Invalid {
        /// Its name.
        name: &'static str,
        /// The value.
        value: String,
    },
}

impl Headers {
    /// Calls `insert` with the name and value of each header.
    pub fn write(&self, mut insert: impl FnMut(&'static str, String)) {
        insert(names::TERM, self.term.to_string());
        insert(names::ACCOUNT, self.account.as_str().to_owned());
        insert(names::CONNECTION, self.connection.to_string());
        insert(names::EPOCH, self.epoch.to_string());
        insert(names::SEQUENCE, self.sequence.to_string());
        insert(names::TIME, self.received_unix_ns.to_string());
        if let Some(packet) = &self.packet {
            packet.write(insert);
        }
    }

    /// Reads headers, where `get` returns the value of a name. A message without any of
    /// `Kite-Index`, `Kite-Count` and `Kite-Tick` is a whole frame.
    ///
    /// # Errors
    /// Returns [`HeaderError`] if a header is missing, or has a value that no publisher writes.
    pub fn read<'a>(get: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, HeaderError> {
        let name = names::ACCOUNT;
        let account = get(name).ok_or(HeaderError::Missing { name })?;
        if !is_name(account) {
            return Err(HeaderError::Invalid { name, value: account.to_owned() });
        }
        let is_packet =
            [names::INDEX, names::COUNT, names::TICK].iter().any(|name| get(name).is_some());
        Ok(Self {
            term: read(&get, names::TERM, |_| true)?,
            account: AccountId::from(account),
            connection: read(&get, names::CONNECTION, |&it| it < MAX_CONNECTIONS)?,
            epoch: read(&get, names::EPOCH, |&it| it > 0)?,
            sequence: read(&get, names::SEQUENCE, |&it| it > 0)?,
            received_unix_ns: read(&get, names::TIME, |_| true)?,
            packet: if is_packet { Some(PacketPlace::read(&get)?) } else { None },
        })
    }
}

impl PacketPlace {
    /// Calls `insert` with the name and value of each header.
    pub(crate) fn write(&self, mut insert: impl FnMut(&'static str, String)) {
        insert(names::INDEX, self.index.to_string());
        insert(names::COUNT, self.count.to_string());
        insert(names::TICK, self.tick.to_string());
    }

    fn read<'a>(get: &impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, HeaderError> {
        let count = read(get, names::COUNT, |_| true)?;
        Ok(Self {
            count,
            index: read(get, names::INDEX, |&it| it < count)?,
            tick: read(get, names::TICK, |&it| it > 0)?,
        })
    }
}

/// Reads a number that satisfies `is_valid`.
fn read<'a, N: FromStr + ToString>(
    get: &impl Fn(&'static str) -> Option<&'a str>,
    name: &'static str,
    is_valid: impl FnOnce(&N) -> bool,
) -> Result<N, HeaderError> {
    let value = get(name).ok_or(HeaderError::Missing { name })?;
    let invalid = || HeaderError::Invalid { name, value: value.to_owned() };
    number(value).filter(is_valid).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn written(headers: &Headers) -> BTreeMap<&'static str, String> {
        let mut written = BTreeMap::new();
        headers.write(|name, value| assert_eq!(written.insert(name, value), None));
        written
    }

    fn read_from(written: &BTreeMap<&'static str, String>) -> Result<Headers, HeaderError> {
        Headers::read(|name| written.get(name).map(String::as_str))
    }

    fn headers() -> impl Strategy<Value = Headers> {
        let packet = (1_u16.., any::<u16>(), 1_u64..)
            .prop_map(|(count, index, tick)| PacketPlace { index: index % count, count, tick });
        let packet = prop::option::of(packet);
        let place = (any::<u64>(), 0..MAX_CONNECTIONS, 1_u32.., 1_u64.., any::<u64>());
        ("[A-Za-z0-9_-]{1,12}", place, packet).prop_map(|(account, place, packet)| {
            let (term, connection, epoch, sequence, received_unix_ns) = place;
            let account = AccountId::from(account);
            Headers { term, account, connection, epoch, sequence, received_unix_ns, packet }
        })
    }

    proptest! {
        #[test]
        fn headers_read_back(headers in headers()) {
            prop_assert_eq!(read_from(&written(&headers)), Ok(headers));
        }

        #[test]
        fn a_header_that_is_missing_or_no_number_is_named(
            headers in headers(),
            at in any::<prop::sample::Index>(),
            value in "\\PC{0,12}",
        ) {
            let written = written(&headers);
            let name = *at.get(&written.keys().copied().collect::<Vec<_>>());
            let mut less = written.clone();
            less.remove(name);
            prop_assert_eq!(read_from(&less), Err(HeaderError::Missing { name }));
            let mut other = written;
            other.insert(name, value.clone());
            match read_from(&other) {
                Err(HeaderError::Invalid { name: named, value: found }) => {
                    // An index is checked against the count.
                    let is_index = named == names::INDEX && name == names::COUNT;
                    prop_assert!(is_index || (named == name && found == value));
                }
                other => prop_assert!(
                    other.is_ok() && (name == names::ACCOUNT || number::<u64>(&value).is_some())
                ),
            }
        }
    }

    #[test]
    fn values_that_no_publisher_writes_are_refused() {
        let packet = Some(PacketPlace { index: 0, count: 2, tick: 1 });
        let account = AccountId::default();
        let headers = Headers {
            term: 9,
            account,
            connection: 0,
            epoch: 1,
            sequence: 1,
            received_unix_ns: 1_764_500_000_000_000_000,
            packet,
        };
        for (name, value) in [
            (names::ACCOUNT, ""),
            (names::ACCOUNT, "a.b"),
            (names::TERM, "-1"),
            (names::TERM, "18446744073709551616"),
            (names::CONNECTION, "3"),
            (names::EPOCH, "0"),
            (names::SEQUENCE, "0"),
            (names::SEQUENCE, "01"),
            (names::TIME, "1.5"),
            (names::INDEX, "2"),
            (names::TICK, "0"),
        ] {
            let mut written = written(&headers);
            written.insert(name, value.to_owned());
            let error = HeaderError::Invalid { name, value: value.to_owned() };
            assert_eq!(read_from(&written), Err(error.clone()));
            assert_eq!(error.to_string(), format!("the header {name} is {value:?}"));
        }
        let forged = HeaderError::Invalid { name: names::TERM, value: "1\r\nx\u{1b}[2J".into() };
        assert!(!forged.to_string().contains(char::is_control), "{forged}");
    }
}
