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
pub struct Bell {
    waiting: Socket,
    ringing: Socket,
    /// Whether it was rung since it was last hushed. Further rings write nothing.
    rung: AtomicBool,
}

impl Bell {
    /// Creates a bell.
    ///
    /// # Errors
    /// Returns an error if there are too many open files.
    pub fn new() -> io::Result<Arc<Self>> {
        let (waiting, ringing) = pair()?;
        waiting.set_nonblocking(true)?;
        ringing.set_nonblocking(true)?;
        Ok(Arc::new(Self { waiting, ringing, rung: AtomicBool::new(false) }))
    }

    /// Returns the number of the file descriptor that becomes readable.
    #[cfg(unix)]
    pub fn fileno(&self) -> i64 {
        use std::os::fd::AsRawFd;
        self.waiting.as_raw_fd().into()
    }

    /// Returns the number of the socket that becomes readable.
    #[cfg(windows)]
    pub fn fileno(&self) -> i64 {
        use std::os::windows::io::AsRawSocket;
        i64::try_from(self.waiting.as_raw_socket()).unwrap_or(-1)
    }

    /// Makes it unreadable. What was rung for must be looked at after this call, not before it, so
    /// that no ring is lost.
    pub fn hush(&self) {
        let mut bytes = [0; 16];
        while matches!((&self.waiting).read(&mut bytes), Ok(read) if read == bytes.len()) {}
        // After the bytes were read. Otherwise the byte of a ring in between would be among them,
        // and all further rings would write nothing.
        self.rung.swap(false, Ordering::SeqCst);
    }

    /// Makes it readable.
    pub fn ring(&self) {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Waits as a program does, but for a time after which it must have been rung.
    fn wait(bell: &Bell) {
        bell.waiting.set_nonblocking(false).unwrap();
        bell.waiting.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let read = (&bell.waiting).read(&mut [0; 1]);
        bell.waiting.set_nonblocking(true).unwrap();
        assert_eq!(read.unwrap(), 1, "the ring was lost");
    }

    #[test]
    fn no_ring_is_lost_while_the_waiting_end_hushes() {
        const ROUNDS: u32 = 2_000;
        const RINGS: u32 = 50;
        let bell = Bell::new().unwrap();
        let (rung, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let ringing = thread::spawn({
            let (bell, rung, seen) = (Arc::clone(&bell), Arc::clone(&rung), Arc::clone(&seen));
            move || {
                for round in 0..ROUNDS {
                    // Some of these rings come while the first is hushed.
                    for _ in 0..RINGS {
                        rung.fetch_add(1, Ordering::Relaxed);
                        bell.ring();
                        (0..round % 97).for_each(|_| std::hint::spin_loop());
                    }
                    while seen.load(Ordering::Relaxed) < rung.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                }
            }
        });
        while seen.load(Ordering::Relaxed) < RINGS * ROUNDS {
            wait(&bell);
            bell.hush();
            seen.store(rung.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        ringing.join().unwrap();
    }

    #[test]
    fn a_bell_is_rung_by_a_waker_and_silent_once_hushed() {
        let bell = Bell::new().unwrap();
        assert!((&bell.waiting).read(&mut [0; 1]).is_err());
        std::task::Waker::from(Arc::clone(&bell)).wake_by_ref();
        bell.ring();
        bell.hush();
        assert!((&bell.waiting).read(&mut [0; 1]).is_err(), "two rings are one");
        bell.ring();
        wait(&bell);
    }
}
