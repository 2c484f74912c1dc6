//! Wakes Python code that waits for something native, through a pair of sockets.
//!
//! A thread waits with `select.poll`, which a signal ends, and an event loop watches the file
//! descriptor like that of any socket. The thread that rings writes one byte and never attaches to
//! the interpreter.

use std::io::{self, Read, Write};
#[cfg(unix)]
use std::os::unix::net::UnixStream as Socket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

#[cfg(not(unix))]
use std::net::TcpStream as Socket;

/// A file descriptor that is readable once it was rung.
#[derive(Debug)]
pub(crate) struct Bell {
    waiting: Socket,
    ringing: Socket,
    /// Whether it was rung since it was last hushed. Further rings write nothing.
    rung: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let (waiting, ringing) = pair()?;
        waiting.set_nonblocking(true)?;
        ringing.set_nonblocking(true)?;
        Ok(Arc::new(Self { waiting, ringing, rung: AtomicBool::new(false) }))
    }

    /// Returns the number of the file descriptor that becomes readable.
    #[cfg(unix)]
    pub(crate) fn fileno(&self) -> i64 {
        use std::os::fd::AsRawFd;
        self.waiting.as_raw_fd().into()
    }

    /// Returns the number of the socket that becomes readable.
    #[cfg(windows)]
    pub(crate) fn fileno(&self) -> i64 {
        use std::os::windows::io::AsRawSocket;
        i64::try_from(self.waiting.as_raw_socket()).unwrap_or(-1)
    }

    /// Makes it unreadable. What was rung for must be looked at after this call, not before it, so
    /// that no ring is lost.
    pub(crate) fn hush(&self) {
        self.rung.store(false, Ordering::SeqCst);
        let mut bytes = [0; 16];
        while matches!((&self.waiting).read(&mut bytes), Ok(read) if read == bytes.len()) {}
    }

    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // If the buffer of the socket is full, it is readable already.
            let _ = (&self.ringing).write(&[1]);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(unix)]
fn pair() -> io::Result<(Socket, Socket)> {
    Socket::pair()
}

/// Connects two sockets by loopback, and makes sure that no other program came between.
#[cfg(not(unix))]
fn pair() -> io::Result<(Socket, Socket)> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    let ringing = Socket::connect(listener.local_addr()?)?;
    loop {
        let (waiting, peer) = listener.accept()?;
        if peer == ringing.local_addr()? {
            ringing.set_nodelay(true)?;
            return Ok((waiting, ringing));
        }
    }
}
