//! A browser that reads the event stream of the page.

use std::net::SocketAddr;

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::stage::in_time;

/// Bytes that the operating system takes for a browser that does not read.
const RECEIVE_BUFFER: usize = 4 * 1024;

/// An open event stream.
#[derive(Debug)]
pub(crate) struct Browser {
    stream: BufReader<TcpStream>,
    /// The status of the response.
    pub(crate) status: u16,
    /// What was read of events that have not ended.
    rest: String,
}

impl Browser {
    /// Opens the event stream with this query and reads the head of the response.
    pub(crate) async fn open(address: SocketAddr, query: &str) -> Self {
        Self::open_with(address, query, "").await
    }

    /// Opens it with further headers, each with its line end.
    pub(crate) async fn open_with(address: SocketAddr, query: &str, headers: &str) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP));
        let socket = socket.unwrap();
        socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
        socket.connect(&address.into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut stream = BufReader::new(TcpStream::from_std(socket.into()).unwrap());
        let request = format!("GET /events?{query} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = in_time("the head", stream.read_line(&mut head)).await.unwrap();
            assert!(read > 0, "the connection ended: {head}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { stream, status, rest: String::new() }
    }

    /// Returns the next event; `None` if the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (name, data) = event.split_once('\n').unwrap();
                let name = name.strip_prefix("event: ").unwrap().to_owned();
                let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                self.rest = rest.to_owned();
                return Some((name, data));
            }
            let chunk = in_time("an event", self.chunk()).await?;
            self.rest.push_str(&chunk);
        }
    }

    /// Reads to the next event of this name for which `holds`.
    pub(crate) async fn until(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let reading = async {
            loop {
                let (found, data) = self.next().await.expect("the stream has ended");
                if found == name && holds(&data) {
                    return data;
                }
            }
        };
        in_time(name, reading).await
    }

    /// Reads a chunk of the transfer encoding.
    async fn chunk(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.ok()?;
        let length = usize::from_str_radix(line.trim_end(), 16).ok().filter(|it| *it > 0)?;
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk).await.ok()?;
        chunk.truncate(length);
        Some(String::from_utf8(chunk).unwrap())
    }
}
