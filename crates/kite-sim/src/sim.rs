//! The running simulator, as its user holds it.

mod faults;
#[cfg(feature = "tape")]
mod replay;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use kite_wire::Mode;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::acceptor;
use crate::builder::SimBuilder;
use crate::client::ledger::SocketRecord;
use crate::client::state::{AcceptorCommand, Control, SimState};
use crate::market::{Instrument, Sent};
use crate::replay::Records;
use crate::server::refusal::Refusal;
use crate::server::texts;
use crate::stats::SimStats;

/// Bytes in flight on a connection in memory, in each direction.
const MEMORY_BYTES: usize = 64 * 1_024;

/// A running simulator of Kite's ticker server; dropping it ends it.
///
/// What is told to "every socket" reaches the sockets open at that moment, each in the order of
/// the calls, between two frames. A socket whose client does not read has to be waited for.
pub struct Sim {
    address: SocketAddr,
    state: Arc<SimState>,
    acceptor: Mutex<Option<Acceptor>>,
}

/// The accepting task and how to end it.
struct Acceptor {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Sim {
    /// Sets up a simulator.
    pub fn builder() -> SimBuilder {
        SimBuilder::default()
    }

    pub(crate) fn run(
        listener: TcpListener,
        address: SocketAddr,
        state: Arc<SimState>,
        commands: mpsc::UnboundedReceiver<AcceptorCommand>,
        tape: Option<Records>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let run = acceptor::run(listener, address, Arc::clone(&state), commands, tape, stopped);
        let task = tokio::spawn(run);
        Self { address, state, acceptor: Mutex::new(Some(Acceptor { task, stop })) }
    }

    /// Gives the URL to connect to, without path and query: `ws://127.0.0.1:PORT`, or with TLS
    /// `wss://localhost:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        #[cfg(feature = "tls")]
        if self.state.config.identity.is_some() {
            return format!("wss://localhost:{}", self.address.port());
        }
        format!("ws://{}", self.address)
    }

    /// Gives the certificate that a client has to trust, in DER; `None` without TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn certificate_der(&self) -> Option<&[u8]> {
        self.state.config.identity.as_ref().map(|identity| identity.certificate.as_ref())
    }

    /// Opens a connection in memory: gives the client's end, which is served like an accepted TCP
    /// connection. It ends at once while the simulator restarts or once it has stopped.
    ///
    /// With Tokio's clock paused, hours of a simulated market take seconds this way; use a rate of
    /// at most one update per second then, so that little happens between.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(MEMORY_BYTES);
        self.state.tell_acceptor(AcceptorCommand::Serve(server));
        client
    }

    /// Gives the address the simulator listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Gives the counters.
    #[must_use]
    pub fn stats(&self) -> SimStats {
        self.state.stats()
    }

    /// Gives what was sent of each instrument over all sockets since the start.
    ///
    /// A packet counts once its frame was handed to the operating system whole. So after sockets
    /// were dropped, the last frames of each may be counted and yet never arrive: compare over a
    /// time in which no socket is lost, after [`Sim::pause`].
    #[must_use]
    pub fn sent(&self) -> BTreeMap<u32, Sent> {
        self.state.exchange.sent()
    }

    /// Gives what each open socket is subscribed to, in order of connecting.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<BTreeMap<u32, Mode>> {
        self.state.books().iter().map(|book| book.lock().modes()).collect()
    }

    /// Stops updates, and returns once no frame of the market is being written any more.
    ///
    /// Snapshots after a subscribe, [`Sim::tick_now`] and heartbeats go on. A client that does not
    /// read keeps its frame in the writing, and this call waiting, until it reads or is dropped.
    ///
    /// # Cancel safety
    /// Cancel safe: updates are stopped from the first poll on.
    pub async fn pause(&self) {
        self.state.flow.set_paused(true);
        self.state.flow.until_quiet().await;
    }

    /// Lets updates flow again; what would have come while paused is never sent.
    pub fn resume(&self) {
        self.state.flow.set_paused(false);
    }

    /// Drops every socket without a close frame. Their slots are free at once.
    pub fn drop_all(&self) {
        self.state.admission.kick_all();
    }

    /// Sends every socket a close frame; TCP ends when the client has answered, after five seconds
    /// at the latest. Their slots are free at once.
    pub fn close_all(&self, code: u16) {
        self.state.close_all(code);
    }

    /// Makes every open socket half-open, or whole again: nothing is sent any more, no heartbeat,
    /// tick, text, pong or close, while TCP stays and what the client says is read and obeyed.
    ///
    /// Sockets opened later are whole. What is missed in the meantime is never sent.
    pub fn go_silent(&self, is_silent: bool) {
        self.state.tell_all(|| if is_silent { Control::Mute } else { Control::Heal });
    }

    /// Refuses all new handshakes, or lets them in again (`None`). Open sockets stay.
    pub fn refuse_with(&self, refusal: Option<Refusal>) {
        self.state.admission.refuse_with(refusal);
    }

    /// Renews an account's access token, or adds an account: the old token is refused from now on,
    /// sockets opened with it stay.
    pub fn set_access_token(&self, api_key: impl Into<String>, access_token: impl Into<String>) {
        self.state.admission.set_token(api_key.into(), access_token.into());
    }

    /// Voids an account's access token: new handshakes get a 403, open sockets stay.
    pub fn revoke_token(&self, api_key: &str) {
        self.state.admission.revoke_token(api_key);
    }

    /// Sends a text frame to every socket, as it is.
    pub fn send_text(&self, text: &str) {
        let text: Arc<str> = text.into();
        self.state.tell_all(|| Control::Text(Arc::clone(&text)));
    }

    /// Sends an order update with this payload to every socket, of whichever account.
    pub fn send_order(&self, data: serde_json::Value) {
        self.send_text(&texts::order(&data));
    }

    /// Sends a binary frame to every socket, as it is. It does not count in [`Sim::sent`].
    pub fn send_binary(&self, frame: impl Into<Bytes>) {
        let frame = frame.into();
        self.state.tell_all(|| Control::Binary(frame.clone()));
    }

    /// Sends one update of each of these instruments to the sockets that have them, also while
    /// paused; a [`Sim::pause`] afterwards waits for it.
    pub fn tick_now(&self, tokens: &[u32]) {
        let tokens: Arc<[u32]> = tokens.into();
        self.state.tell_all(|| Control::Tick(Arc::clone(&tokens), self.state.flow.begin()));
    }

    /// Moves instruments by this many steps each, unseen: nothing is sent of them. Sockets that hold
    /// one go on from where it stands then, and miss what they had not yet been sent.
    pub fn advance_market(&self, tokens: &[u32], steps: u64) {
        self.state.exchange.advance(tokens, steps);
    }

    /// Begins the next trading day for all instruments: volume starts anew, and the exchange's clock
    /// stands a day later. Unseen, as in [`Sim::advance_market`].
    pub fn next_day(&self) {
        self.state.exchange.next_day();
    }

    /// Gives the newest state of an instrument that any socket has been sent or the market has moved
    /// to unseen.
    #[must_use]
    pub fn instrument(&self, token: u32) -> Instrument {
        self.state.exchange.newest(token)
    }

    /// Gives the records of an account's sockets, open and ended, in order of acceptance.
    ///
    /// A frame shows here just after it was handed to the operating system: a client may have it a
    /// moment earlier. Compare after [`Sim::pause`], or once the socket has ended.
    #[must_use]
    pub fn sockets(&self, api_key: &str) -> Vec<SocketRecord> {
        self.state.ledger.records(api_key)
    }

    /// Forgets an account's sockets that have ended: a record takes eight bytes for each frame.
    pub fn forget_ended(&self, api_key: &str) {
        self.state.ledger.forget_ended(api_key);
    }

    /// Waits until a condition holds, which is looked at whenever something has happened on a
    /// socket. For ever, if it never holds: put a timeout around it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_until(&self, mut holds: impl FnMut(&Self) -> bool) {
        self.state.changes.until(|| holds(self)).await;
    }

    /// Stops listening, drops all sockets and returns once every task has ended. Counters remain.
    ///
    /// # Cancel safety
    /// Cancel safe: cancelled, the rest happens without being waited for.
    pub async fn stop(&self) {
        let acceptor = self.acceptor.lock().take();
        if let Some(Acceptor { task, stop }) = acceptor {
            // A task that has ended already needs no telling, and no waiting.
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if let Some(acceptor) = self.acceptor.lock().take() {
            // Its set of clients goes with it.
            acceptor.task.abort();
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("address", &self.address).finish_non_exhaustive()
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
