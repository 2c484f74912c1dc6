//! A web server on loopback that serves instrument lists.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// Serves these responses, one a request; further requests are not answered.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    serving: JoinHandle<Vec<String>>,
}

impl Server {
    pub(crate) fn start(responses: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/instruments", listener.local_addr().expect("an address"));
        let serving = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for response in responses {
                let (mut socket, _) = listener.accept().expect("a connection");
                let request = read(&socket);
                // The connection of `requests`, after the last request.
                if request.is_empty() {
                    break;
                }
                requests.push(request);
                socket.write_all(response.as_bytes()).expect("a response");
            }
            requests
        });
        Self { url, serving }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops the server and returns the heads of the requests.
    pub(crate) fn requests(self) -> Vec<String> {
        let address = self.url.split('/').nth(2).expect("an address");
        // Fails if all responses have been sent.
        drop(TcpStream::connect(address));
        self.serving.join().expect("the server ends")
    }

    pub(crate) fn ok(list: &str) -> String {
        response("200 OK", "", list)
    }

    pub(crate) fn status(status: &str) -> String {
        response(status, "", "")
    }

    pub(crate) fn redirect(url: &str) -> String {
        response("302 Found", &format!("Location: {url}\r\n"), "")
    }
}

fn read(socket: &TcpStream) -> String {
    let lines = BufReader::new(socket).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}
