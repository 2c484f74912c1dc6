//! Ctrl-C, SIGTERM and SIGHUP: the first requests a clean stop, the second exits immediately.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use kite_export::Scratch;
use tokio::sync::watch;

use crate::exit::{CliError, Status};

/// The user's request to stop the command. Cheap to clone.
///
/// Before [`Stop::listen`] a signal ends the process as usual, because there is nothing to finish
/// yet and a shell resets the terminal after an interrupted prompt.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    request: watch::Sender<bool>,
    scratch: Scratch,
    cleanup: Arc<Mutex<()>>,
    /// Whether SIGHUP means something else.
    spares_hang_ups: Arc<AtomicBool>,
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self {
            request: watch::Sender::new(false),
            scratch: Scratch::new(),
            cleanup: Arc::default(),
            spares_hang_ups: Arc::default(),
        }
    }

    /// Starts to handle the signals; after that the first no longer ends the process.
    pub(crate) fn listen(&self) -> Result<(), CliError> {
        let cannot = |error| CliError::unable("cannot listen for signals").because(error);
        let spares_hang_ups = self.spares_hang_ups.load(Ordering::Relaxed);
        let mut signals = Signals::new(spares_hang_ups).map_err(cannot)?;
        let (request, scratch) = (self.request.clone(), self.scratch.clone());
        let cleanup = Arc::clone(&self.cleanup);
        tokio::spawn(async move {
            signals.next().await;
            request.send_replace(true);
            signals.next().await;
            scratch.discard();
            // Work that removes its own files after the first signal needs only a moment.
            let _cleanup = cleanup.lock();
            std::process::exit(Status::Interrupted as i32);
        });
        Ok(())
    }

    /// Takes SIGHUP for another use: it is no longer a request to stop. Must be called before
    /// [`Stop::listen`].
    pub(crate) fn take_hang_ups(&self) -> Result<HangUps, CliError> {
        self.spares_hang_ups.store(true, Ordering::Relaxed);
        HangUps::new().map_err(|error| CliError::unable("cannot listen for SIGHUP").because(error))
    }

    /// Returns where the temporary files of exports are known, so that a second signal removes them.
    pub(crate) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Keeps a second signal from ending the process until the guard is dropped: for work that stops
    /// soon after the first and then removes its own files.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.cleanup.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the request to stop; returns immediately if it has been made.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn requested(&self) {
        let mut receiver = self.request.subscribe();
        let mut request = pin!(receiver.wait_for(|&requested| requested));
        poll_fn(|cx| {
            // Tasks are woken one after the other: the value is there before this one is.
            if self.is_requested() {
                return Poll::Ready(());
            }
            // The only error is a closed channel, and this clone keeps it open.
            request.as_mut().poll(cx).map(drop)
        })
        .await;
    }

    /// Runs work until it is done or a stop is requested; `None` if it was not done. Work that waits
    /// for the stop itself may still return without another await. A download or a look-up that is
    /// dropped may go on in the background, and the command does not wait for it.
    ///
    /// # Cancel safety
    /// As cancel safe as the work.
    pub(crate) async fn until_done<T>(
        &self,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<Option<T>, CliError> {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done.map(Some),
            () = self.requested() => {}
        }
        // Work that returns on a stop may have been polled just before the request.
        match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            Poll::Ready(done) => done.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// Requests a stop, as a signal does.
    pub(crate) fn request(&self) {
        self.request.send_replace(true);
    }

    /// Returns whether the user requested a stop; for code outside async tasks.
    pub(crate) fn is_requested(&self) -> bool {
        *self.request.borrow()
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` if the process was started to survive the end of its terminal, as by `nohup`.
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new(spares_hang_ups: bool) -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let stops_on_hang_up = !spares_hang_ups && !ignores_hang_up();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: stops_on_hang_up.then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    async fn next(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => drop(hang_up.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hang_up => {}
        }
    }
}

/// SIGHUP, where there is one. Several before the next one is taken count as one.
#[derive(Debug)]
pub(crate) struct HangUps {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl HangUps {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signal: signal(SignalKind::hangup())? })
    }

    /// Waits for the next one.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) {
        if self.signal.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
impl HangUps {
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Never ends.
    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}

/// Returns whether the process ignores SIGHUP, on Linux; elsewhere it is not known.
#[cfg(unix)]
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The lowest bit is signal 1, which is SIGHUP.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new(_: bool) -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_was_polled_just_before_a_stop_returns_on_it() {
        let stop = Stop::new();
        let mut polls = 0;
        let work = poll_fn(|_| {
            polls += 1;
            if polls == 1 {
                stop.request();
                return Poll::Pending;
            }
            Poll::Ready(Err::<(), _>(CliError::unable("never reached")))
        });
        assert!(stop.until_done(work).await.is_err(), "the error of the work was lost");
    }

    #[tokio::test]
    async fn work_that_goes_on_ends_with_a_stop() {
        let stop = Stop::new();
        stop.request();
        let done = stop.until_done(std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(done, Ok(None)));
    }
}
