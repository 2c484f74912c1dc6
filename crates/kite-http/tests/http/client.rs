//! A client that sends exactly the bytes it is given.

use std::net::SocketAddr;

use kite_http::HttpServer;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::in_time;

/// A response of HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The lines after the first, in lower case up to the colon.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Self { status, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| &**value)
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Sends bytes and returns everything until the server ends the connection.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may end a connection whose request it has not read.
        let _ = stream.write_all(bytes).await;
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    };
    in_time("the end of the connection", exchange).await
}

/// Asks as a program on the same machine does.
pub(crate) async fn get(http: &HttpServer, path: &str) -> Answer {
    get_with(http, path, "").await
}

/// Asks with further headers, each with its line end.
pub(crate) async fn get_with(http: &HttpServer, path: &str, headers: &str) -> Answer {
    let address = http.address();
    request(address, &format!("GET {path}"), &format!("Host: {address}\r\n{headers}")).await
}

/// Sends a request with these headers and the one that ends the connection.
pub(crate) async fn request(address: SocketAddr, line: &str, headers: &str) -> Answer {
    let text = format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    Answer::parse(&exchange(address, text.as_bytes()).await)
}
