//! Accepts connections, does their handshakes and starts a task for each client.

use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kite_manager::OneLine;
use kite_server::tls::{self, TlsAcceptor};
use kite_server::{
    Admission, Admitted, Connection, Door, HandshakeError, Opened, Place, Socket, SocketSlot,
    Throttle, Transport, listener, session,
};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::changes::ClientId;
use crate::client::{ClientContext, ClientTask, PresenceConfig};
use crate::hub::{Joined, ToHub};
use crate::queue::QueueConfig;
use crate::repeats::{Line, Repeats};
use crate::roster::{RelayClient, Roster};
use crate::stats::Figures;

/// Longest message of a client, apart from its instruments.
const MIN_COMMAND_BYTES: usize = 64 * 1024;
/// Ten digits, a comma and a space.
const TOKEN_BYTES: usize = 12;

/// What the operating system takes from the relay without sending it: enough for a link of any
/// speed, because the task writes more as soon as half of it is sent.
const UNSENT_BYTES: u32 = 128 * 1024;

/// How often repeated refusals are looked at.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What the tasks of all sockets share.
#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) admission: Arc<Admission<()>>,
    pub(crate) door: Arc<Door>,
    pub(crate) tls: Option<TlsSetup>,
    pub(crate) roster: Arc<Mutex<Roster>>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) to_hub: UnboundedSender<ToHub>,
    pub(crate) queue: QueueConfig,
    pub(crate) stall: Duration,
    pub(crate) presence: PresenceConfig,
    pub(crate) room: Option<Arc<Notify>>,
    pub(crate) refusals: Refusals,
}

/// Refused handshakes by network, as far as they are to be logged.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Repeats<Option<IpAddr>, Refused>>);

/// A refused handshake.
#[derive(Debug)]
struct Refused {
    cause: Cause,
    peer: Option<SocketAddr>,
}

/// Why a handshake was refused.
#[derive(Debug)]
enum Cause {
    /// Its request, with this HTTP status.
    Status(u16),
    /// Its TLS, for this reason.
    Tls(String),
}

/// The server's certificate and key.
pub(crate) struct TlsSetup(pub(crate) TlsAcceptor);

impl std::fmt::Debug for TlsSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsSetup")
    }
}

/// Accepts connections for ever. Dropping it ends all handshakes; open sockets stay.
pub(crate) async fn run(acceptor: Arc<Acceptor>, listener: TcpListener) {
    tokio::join!(accept(Arc::clone(&acceptor), listener), acceptor.refusals.log_repeats());
}

async fn accept(acceptor: Arc<Acceptor>, listener: TcpListener) {
    let mut handshakes = JoinSet::new();
    loop {
        let place = acceptor.door.place().await;
        let transport = Transport::from(listener::accept(&listener).await);
        handshakes.spawn(Arc::clone(&acceptor).open(place, transport));
        while handshakes.try_join_next().is_some() {}
    }
}

impl Refusals {
    fn note(&self, cause: Cause, peer: Option<SocketAddr>) {
        let network = peer.map(|peer| Throttle::network(peer.ip()));
        let refused = Refused { cause, peer };
        let line = self.0.lock().note(network, refused, Instant::now().into_std());
        line.iter().for_each(Refused::log);
    }

    /// Logs repeated refusals, for ever.
    async fn log_repeats(&self) {
        let mut timer = session::timer(CHECK_EVERY);
        loop {
            let now = timer.tick().await;
            let lines = self.0.lock().take_due(now.into_std());
            lines.iter().for_each(Refused::log);
        }
    }

    /// Logs the repeated refusals that have not been logged.
    pub(crate) fn log_rest(&self) {
        let lines = self.0.lock().take_all();
        lines.iter().for_each(Refused::log);
    }
}

impl Refused {
    fn log(line: &Line<Self>) {
        let Line { count, others, last: Self { cause, peer } } = line;
        match cause {
            Cause::Status(status) => {
                tracing::warn!(count, others, status, ?peer, "client refused");
            }
            Cause::Tls(reason) => {
                let reason = OneLine(reason);
                tracing::warn!(count, others, %reason, ?peer, "client refused: TLS failed");
            }
        }
    }
}

impl Acceptor {
    async fn open(self: Arc<Self>, place: Place, transport: Transport) {
        let peer = transport.peer();
        let ip = peer.map(|peer| peer.ip());
        // No `TCP_USER_TIMEOUT`: Linux counts it from the first time the client's window was shut,
        // and ends a client that reads in bursts.
        if let Err(error) = transport.set_unsent_limit(UNSENT_BYTES) {
            tracing::debug!(%error, ?peer, "socket has the operating system's own limits");
        }
        let enter =
            |admitted: Admitted<'_>| ((), self.roster.lock().get(admitted.name).map(Arc::clone));
        let opened = match &self.tls {
            None => {
                let connection: Box<dyn Connection> = Box::new(transport);
                self.door.open(place, ready(Ok(connection)), ip, &self.admission, enter).await
            }
            Some(TlsSetup(acceptor)) => {
                let connect = tls::accept(acceptor, transport);
                self.door.open(place, connect, ip, &self.admission, enter).await
            }
        };
        match opened {
            Ok(Opened { connection, rest, membership, .. }) => {
                // Admission and roster change together, so that every account is listed.
                if let Some(client) = membership.owned {
                    tracing::info!(
                        id = membership.slot.id(),
                        name = client.name(),
                        ?peer,
                        "client connected"
                    );
                    self.start(connection, rest, membership.slot, client).await;
                }
            }
            Err(HandshakeError::Refused { refusal }) => {
                self.refusals.note(Cause::Status(refusal.status()), peer);
            }
            Err(HandshakeError::Connection { source }) if tls::is_refused(&source) => {
                self.figures.refused_tls.fetch_add(1, Ordering::Relaxed);
                self.refusals.note(Cause::Tls(source.to_string()), peer);
            }
            Err(error) => tracing::debug!(%error, ?peer, "no handshake"),
        }
    }

    async fn start(
        &self,
        connection: Box<dyn Connection>,
        rest: Vec<u8>,
        slot: SocketSlot<()>,
        client: Arc<RelayClient>,
    ) {
        let tokens = client.instrument_limit().saturating_mul(TOKEN_BYTES);
        let max_command = MIN_COMMAND_BYTES.saturating_add(tokens);
        let socket = Socket::with_max_command(connection, rest, max_command).await;
        let (id, name) = (ClientId(slot.id()), client.name().to_owned());
        let (sender, from_hub) = mpsc::unbounded_channel();
        let figures = self.figures.enter(&name, id.0);
        let context = ClientContext {
            id,
            name,
            from_hub,
            to_hub: self.to_hub.clone(),
            queue: self.queue.clone(),
            stall: self.stall,
            presence: self.presence,
            figures: Arc::clone(&figures),
            all_figures: Arc::clone(&self.figures),
            room: self.room.clone(),
        };
        let task = ClientTask::new(socket, context);
        // If the hub has ended, the task ends too.
        let _ = self.to_hub.send(ToHub::Joined(Joined { id, client, sender, figures }));
        tokio::spawn(async move {
            task.run().await;
            drop(slot);
        });
    }
}
