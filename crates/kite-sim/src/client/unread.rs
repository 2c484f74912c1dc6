//! What a client has left unread, as far as the operating system says.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// The state of a connection of which neither side has ended its stream, as Linux writes it.
const ESTABLISHED: &str = "01";

/// Returns about how many bytes wait for the client at `peer` in the buffers of its connection, on
/// both sides if it is on this machine; those just received count on both. `None` if this is not known: the connection has ended, or the
/// system is not Linux.
pub(super) fn bytes(local: SocketAddr, peer: SocketAddr) -> Option<u64> {
    find(&std::fs::read_to_string("/proc/net/tcp").ok()?, local, peer)
}

/// Finds both sides of a connection in the table of the proc file system (`man 5 proc`).
fn find(table: &str, local: SocketAddr, peer: SocketAddr) -> Option<u64> {
    let rows = || table.lines().filter_map(Row::parse);
    let ours = rows().find(|row| (row.local, row.remote) == (local, peer))?;
    let theirs = rows().find(|row| (row.local, row.remote) == (peer, local));
    // The end of the stream counts as a byte.
    let waiting = ours.sending + theirs.map_or(0, |row| row.received);
    Some(if ours.is_ended { waiting.saturating_sub(1) } else { waiting })
}

/// A connection of the table.
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    /// Whether this side has ended its stream.
    is_ended: bool,
    /// Bytes that the other side's system has not acknowledged.
    sending: u64,
    /// Bytes that the program has not read.
    received: u64,
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
        let is_ended = words.next()? != ESTABLISHED;
        let (sending, received) = words.next()?.split_once(':')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Self {
            local,
            remote,
            is_ended,
            sending: number(sending)?,
            received: number(received)?,
        })
    }
}

/// Parses an address such as `0100007F:1F90`, whose first part is in the machine's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let host = Ipv4Addr::from(u32::from_str_radix(host, 16).ok()?.to_ne_bytes());
    Some(SocketAddrV4::new(host, u16::from_str_radix(port, 16).ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn both_sides_of_a_connection_are_added_and_the_end_of_the_stream_is_not() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 0100007F:1F90 0100007F:C350 04 00000101:00000007 01:00000000 00000000     0
   2: 0100007F:C350 0100007F:1F90 08 00000003:00000200 00:00000000 00000000     0
   3: 0100007F:1F90 0100007F:C351 01 00000010:00000000 00:00000000 00000000     0
";
        let local = SocketAddr::from(([127, 0, 0, 1], 8_080));
        let unread = |port| find(table, local, ([127, 0, 0, 1], port).into());
        assert_eq!([50_000, 50_001, 50_002].map(unread), [Some(0x300), Some(0x10), None]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_program_leaves_unread_is_counted() {
        use std::io::Write as _;
        use std::net::{TcpListener, TcpStream};

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, peer) = listener.accept().unwrap();
        server.write_all(&[0; 1_000]).unwrap();
        let local = listener.local_addr().unwrap();
        // What is not acknowledged yet counts on both sides.
        assert!(bytes(local, peer).is_some_and(|bytes| (1_000..=2_000).contains(&bytes)));
        drop(client);
    }
}
