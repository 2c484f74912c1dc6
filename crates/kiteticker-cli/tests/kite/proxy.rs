//! An HTTP proxy with `CONNECT`, for tests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Connects clients to the servers they name, or refuses them; serves until the tests end.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy that answers each request with this status; with 200 it connects.
    pub(crate) fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(&client, status, &seen));
            }
        });
        Self { address, requests }
    }

    /// Returns the heads of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

/// Returns `None` if the client or the server is gone.
fn serve(client: &TcpStream, status: u16, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = String::new();
    // A byte at a time, so that nothing of what follows is read.
    let mut lines = BufReader::with_capacity(1, client);
    while lines.read_line(&mut head).ok()? > 2 {}
    let target = head.split(' ').nth(1)?.to_owned();
    seen.lock().expect("not poisoned").push(head);
    write!(&mut &*client, "HTTP/1.1 {status} Answer\r\n").ok()?;
    if status != 200 {
        (&mut &*client).write_all(b"Content-Length: 0\r\n\r\n").ok()?;
        // Until the client hangs up, since a close with bytes unread would be a reset.
        (&mut &*client).read_to_end(&mut Vec::new()).ok()?;
        return Some(());
    }
    (&mut &*client).write_all(b"\r\n").ok()?;
    let server = TcpStream::connect(target).ok()?;
    let (from, to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || {
        let _ = copy(&mut &from, &mut &to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = copy(&mut &server, &mut &*client);
    client.shutdown(Shutdown::Write).ok()
}
