//! The handle to a running simulator.

mod faults;
#[cfg(feature = "login")]
mod login;
#[cfg(feature = "tape")]
mod replay;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kite_server::{Refusal, texts};
use kite_wire::Mode;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::acceptor;
use crate::builder::SimBuilder;
use crate::client::ledger::SocketRecord;
use crate::client::state::{AcceptorCommand, Control, Finish, SimState};
use crate::market::{Instrument, Sent};
use crate::replay::Records;
use crate::stats::SimStats;

/// Bytes in flight on a connection in memory, in each direction.
const MEMORY_BYTES: usize = 64 * 1_024;

/// A running simulator of Kite's ticker server. Dropping it stops the simulator immediately. Unlike
/// with [`Sim::stop`], the last messages may not arrive then.
///
/// A method that acts on "every socket" reaches the sockets open at the time of the call, each
/// between two frames and in the order of the calls. A socket whose client does not read is reached
/// once the client reads.
pub struct Sim {
    state: Arc<SimState>,
    acceptor: AbortHandle,
    /// Stops the accepting task; `None` once used.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    #[cfg(feature = "login")]
    login: Option<crate::login::LoginServer>,
    /// Closed when the accepting task has ended.
    ended: watch::Receiver<()>,
}

impl Sim {
    /// Returns a builder for a simulator.
    pub fn builder() -> SimBuilder {
        SimBuilder::default()
    }

    pub(crate) fn run(
        listener: TcpListener,
        state: Arc<SimState>,
        commands: mpsc::UnboundedReceiver<AcceptorCommand>,
        tape: Option<Records>,
    ) -> Self {
        let ((stop, stopped), (running, ended)) = (oneshot::channel(), watch::channel(()));
        let run = acceptor::run(listener, Arc::clone(&state), commands, tape, stopped);
        let task = tokio::spawn(async move {
            run.await;
            drop(running);
        });
        let stop = Mutex::new(Some(stop));
        Self {
            state,
            acceptor: task.abort_handle(),
            stop,
            #[cfg(feature = "login")]
            login: None,
            ended,
        }
    }

    /// Returns the URL to connect to, without path and query: `ws://127.0.0.1:PORT`, or with TLS
    /// `wss://localhost:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        #[cfg(feature = "tls")]
        if self.state.config.identity.is_some() {
            return format!("wss://localhost:{}", self.state.address.port());
        }
        format!("ws://{}", self.state.address)
    }

    /// Returns the certificate that a client must trust, in DER form; `None` without TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn certificate_der(&self) -> Option<&[u8]> {
        self.state.config.identity.as_ref().map(|identity| identity.certificate.as_ref())
    }

    /// Opens a connection in memory and returns the client's end. The simulator serves it like an
    /// accepted TCP connection. While the simulator restarts, and after it has stopped, the
    /// connection ends immediately.
    ///
    /// With Tokio's clock paused, hours of a simulated market pass in seconds. Use at most one
    /// update per second then: up to that rate all instruments share a frame.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(MEMORY_BYTES);
        self.state.send_to_acceptor(AcceptorCommand::Serve(server));
        client
    }

    /// Returns the address the simulator listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.state.address
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> SimStats {
        self.state.stats()
    }

    /// Returns totals of the packets sent per instrument, across all sockets since the start.
    ///
    /// A packet counts once its whole frame was handed to the operating system. The last frames of
    /// a dropped socket may therefore be counted and never arrive. Compare after [`Sim::pause`],
    /// over a period in which no socket is lost.
    #[must_use]
    pub fn sent(&self) -> BTreeMap<u32, Sent> {
        self.state.exchange.sent()
    }

    /// Returns the subscriptions of each open socket, in order of connecting.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<BTreeMap<u32, Mode>> {
        self.state.books().iter().map(|book| book.lock().modes()).collect()
    }

    /// Stops updates and returns once no market frame is being written.
    ///
    /// Snapshots after a subscribe, [`Sim::tick_now`] and heartbeats continue. A client that does
    /// not read blocks this call until it reads or is dropped.
    ///
    /// # Cancel safety
    /// Cancel safe. Updates stop with the first poll.
    pub async fn pause(&self) {
        self.state.flow.set_paused(true);
        self.state.flow.until_quiet().await;
    }

    /// Resumes updates. Updates that were due while paused are never sent.
    pub fn resume(&self) {
        self.state.flow.set_paused(false);
    }

    /// Drops every socket without a close frame, after everything that was sent to it before. The
    /// slots are free immediately. A client that leaves earlier frames unread is dropped after a
    /// second, in the middle of a frame if necessary.
    pub fn drop_all(&self) {
        self.state.drop_all();
    }

    /// Sends a close frame to every socket. TCP ends when the client has answered, after five
    /// seconds at the latest. The slots are free immediately.
    pub fn close_all(&self, code: u16) {
        self.state.close_all(code);
    }

    /// Makes every open socket half-open, or heals it. A half-open socket sends nothing (no
    /// heartbeat, tick, text, pong or close frame), but TCP stays up and the client's messages are
    /// read and obeyed.
    ///
    /// Sockets opened later are not affected. Frames missed in the meantime are never sent.
    pub fn go_silent(&self, is_silent: bool) {
        self.state.send_to_all(|| if is_silent { Control::Mute } else { Control::Heal });
    }

    /// Refuses all new handshakes; `None` accepts them again. Open sockets stay.
    pub fn refuse_with(&self, refusal: Option<Refusal>) {
        self.state.admission.refuse_with(refusal);
    }

    /// Replaces an account's access token, or adds an account. New handshakes with the old token
    /// are refused; sockets opened with it stay.
    pub fn set_access_token(&self, api_key: impl Into<String>, access_token: impl Into<String>) {
        self.state.admission.set_token(api_key.into(), access_token.into());
    }

    /// Revokes an account's access token: new handshakes receive a 403, open sockets stay.
    pub fn revoke_token(&self, api_key: &str) {
        self.state.admission.revoke_token(api_key);
    }

    /// Sends a text frame to every socket, unchanged.
    pub fn send_text(&self, text: &str) {
        let text: Arc<str> = text.into();
        self.state.send_to_all(|| Control::Text(Arc::clone(&text)));
    }

    /// Sends an order update with this payload to every socket of every account.
    pub fn send_order(&self, data: serde_json::Value) {
        self.send_text(&texts::order(&data));
    }

    /// Sends a binary frame to every socket, unchanged. It does not count in [`Sim::sent`].
    pub fn send_binary(&self, frame: impl Into<Bytes>) {
        let frame = frame.into();
        self.state.send_to_all(|| Control::Binary(frame.clone()));
    }

    /// Sends one update of each of these instruments to the sockets subscribed to them, even while
    /// paused. A later [`Sim::pause`] waits for it.
    pub fn tick_now(&self, tokens: &[u32]) {
        let tokens: Arc<[u32]> = tokens.into();
        self.state.send_to_all(|| Control::Tick(Arc::clone(&tokens), self.state.flow.begin()));
    }

    /// Moves each of these instruments by this many steps without sending anything. Sockets
    /// subscribed to one continue from its new state and never receive the steps in between.
    pub fn advance_market(&self, tokens: &[u32], steps: u64) {
        self.state.exchange.advance(tokens, steps);
    }

    /// Starts the next trading day for all instruments: volume restarts, and the exchange's clock
    /// moves one day ahead. Nothing is sent, as with [`Sim::advance_market`].
    pub fn next_day(&self) {
        self.state.exchange.next_day();
    }

    /// Returns the newest state of an instrument, which is the latest sent on any socket or the one
    /// set by [`Sim::advance_market`] or [`Sim::next_day`].
    #[must_use]
    pub fn instrument(&self, token: u32) -> Instrument {
        self.state.exchange.newest(token)
    }

    /// Returns the records of an account's sockets, open and ended, in order of acceptance.
    ///
    /// A frame is recorded just after it was handed to the operating system, so a client may
    /// receive it slightly earlier. Compare after [`Sim::pause`], or once the socket has ended.
    #[must_use]
    pub fn sockets(&self, api_key: &str) -> Vec<SocketRecord> {
        self.state.ledger.records(api_key)
    }

    /// Drops the records of an account's ended sockets. A record takes eight bytes per frame.
    pub fn forget_ended(&self, api_key: &str) {
        self.state.ledger.forget_ended(api_key);
    }

    /// Waits until a condition holds. The condition is checked whenever something has happened on a
    /// socket. If it never holds, this never returns, so wrap it in a timeout.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_until(&self, mut holds: impl FnMut(&Self) -> bool) {
        self.state.changes.until(|| holds(self)).await;
    }

    /// Stops listening, drops all sockets as [`Sim::drop_all`] does, and returns once every task
    /// has ended. Counters remain.
    ///
    /// # Cancel safety
    /// Cancel safe. If cancelled, the shutdown continues in the background.
    pub async fn stop(&self) {
        #[cfg(feature = "login")]
        self.stop_login();
        if let Some(stop) = self.stop.lock().take() {
            // Sending fails only if the task has already ended.
            let _ = stop.send(());
        }
        self.until_ended().await;
    }

    /// Ends the simulator so that no client loses what was sent to it: stops updates and the
    /// replay, refuses new sockets, sends every client a close frame with code 1001 and this
    /// `reason` (at most 123 bytes), ends the stream, and reads on until the client has closed its
    /// side, for at most `linger`. Returns the records of [`Sim::unfinished`].
    ///
    /// The operating system resets a connection that is closed with unread bytes, such as pings and
    /// commands, and the client then loses everything that it has not read. The official clients
    /// take up to 10 s to react to a close frame. [`Sim::stop`] ends the wait.
    ///
    /// # Cancel safety
    /// Cancel safe. If cancelled, the end continues in the background.
    pub async fn finish(&self, reason: &str, linger: Duration) -> Vec<SocketRecord> {
        let finish = Finish { reason: reason.into(), linger };
        self.state.send_to_acceptor(AcceptorCommand::Finish(finish));
        self.until_ended().await;
        self.unfinished()
    }

    /// Returns the records of the sockets of all accounts whose clients have not read everything
    /// ([`SocketRecord::is_unfinished`]), in order of acceptance.
    #[must_use]
    pub fn unfinished(&self) -> Vec<SocketRecord> {
        self.state.ledger.unfinished()
    }

    /// Waits until the accepting task has ended.
    async fn until_ended(&self) {
        // Nothing is ever sent, so this returns when the task drops its end.
        let _ = self.ended.clone().changed().await;
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // Aborting the task drops its clients.
        self.acceptor.abort();
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("address", &self.state.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_simulator_can_be_shared_between_tasks() {
        let sim = Arc::new(Sim::builder().start().await.unwrap());
        let waiter = Arc::clone(&sim);
        let waiting = tokio::spawn(async move {
            waiter.wait_until(|sim| sim.endpoint().starts_with("ws://127.0.0.1:")).await;
        });
        waiting.await.unwrap();
        assert_eq!(sim.stats(), SimStats::default());
    }
}
