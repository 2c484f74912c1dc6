//! Our merged stream beside an HTTP server that shows it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use kite_http::HttpServer;
use kite_manager::{Manager, Mode};

use crate::Failure;
use crate::clients::{self, Run};

/// Time between two scrapes, which is also how long the server uses a sample.
const EVERY: Duration = Duration::from_secs(1);

/// Creates a manager that is subscribed to what it is sent. With several connections a part of that
/// arrives on another connection than the one that subscribed it, which costs both rows the same.
pub fn subscribed(run: &Run) -> Result<Manager, Failure> {
    let manager = clients::manager(run.port, run.load.connections)?;
    let (connections, instruments) = (run.load.connections as u32, run.load.instruments);
    let tokens: Vec<u32> = (0..connections * instruments).map(|number| number << 8 | 1).collect();
    manager.subscribe(&tokens, Mode::Full)?;
    Ok(manager)
}

/// Starts a server of a manager and, if it is to be scraped, a thread that does so each second.
pub fn serve(manager: &Manager, is_scraped: bool) -> Result<HttpServer, Failure> {
    let http = HttpServer::builder(manager).listen("127.0.0.1:0".parse()?).start()?;
    let address = http.address();
    if is_scraped {
        thread::spawn(move || {
            loop {
                for path in ["/metrics", "/api/status"] {
                    if scrape(address, path).is_err() {
                        return;
                    }
                }
                thread::sleep(EVERY);
            }
        });
    }
    Ok(http)
}

fn scrape(address: SocketAddr, path: &str) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200") {
        return Err(format!("{path}: {answer}").into());
    }
    Ok(())
}
