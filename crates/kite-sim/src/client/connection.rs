//! Turns an accepted connection into a served client, through TLS, the request, and their faults.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kite_server::handshake::{self, Upgrade, discard};
#[cfg(feature = "tls")]
use kite_server::tls;
use kite_server::{Connection, Refusal, Transport};
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use super::Opened;
use super::peer::Peer;
use super::state::{DROP_DEADLINE, SimState};
use crate::fault::Fault;

/// Timeout for a handshake, and for the close of a refused client.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Neither a TLS record nor HTTP.
const GARBAGE: &[u8] = b"\x00\x01garbage, not a handshake\r\n\r\n";

/// Answers the handshake and, if the client is admitted, serves it until it ends.
pub(crate) async fn serve(transport: Transport, state: Arc<SimState>) {
    if let Err(error) = receive(transport, state).await {
        tracing::debug!(%error, "handshake failed");
    }
}

async fn receive(transport: Transport, state: Arc<SimState>) -> io::Result<()> {
    let Some(mut connection) = secure(transport, &state).await? else { return Ok(()) };
    let request = timeout(HANDSHAKE_DEADLINE, handshake::read(&mut connection)).await??;
    let peer = connection.transport().peer();
    let mut strike = None;
    if let Ok(upgrade) = &request.upgrade {
        match state.pending.take(&upgrade.api_key) {
            Some(fault @ Fault::SlowHandshake { delay }) => {
                state.note_fault(fault.kind());
                sleep(delay).await;
            }
            Some(fault) if fault.awaits_handshake() => {
                return apply_fault(fault, connection, upgrade.clone(), &state).await;
            }
            fault => strike = fault,
        }
    }
    match (state.admit(&request.upgrade, peer).await, request.upgrade) {
        (Ok(membership), Ok(upgrade)) => {
            let kick = Arc::clone(&membership.kick);
            // The task drops its socket itself once everything before is sent, unless the client
            // does not read.
            let overdue = async {
                kick.notified().await;
                sleep(DROP_DEADLINE).await;
            };
            let client = async {
                timeout(HANDSHAKE_DEADLINE, handshake::accept(&mut connection, &upgrade)).await??;
                let opened = Opened { connection, rest: request.rest, strike };
                super::run(opened, membership, Arc::clone(&state)).await;
                Ok(())
            };
            tokio::select! {
                () = overdue => Ok(()),
                ended = client => ended,
            }
        }
        (Err(refusal), upgrade) => {
            let is_complete = upgrade.is_ok();
            if let (Some(fault), Ok(upgrade)) = (strike, upgrade) {
                state.pending.put_back(&upgrade.api_key, fault);
            }
            let (client, status) = (Peer(peer), refusal.status());
            let reason = reason(&refusal, is_complete);
            tracing::info!(%client, status, reason, "handshake refused");
            timeout(HANDSHAKE_DEADLINE, refusal.send(&mut connection)).await?
        }
        // No client is admitted without an upgrade.
        (Ok(_), Err(_)) => Ok(()),
    }
}

/// Returns why a handshake is refused, in words that hold nothing of the client's request.
fn reason(refusal: &Refusal, is_complete: bool) -> &'static str {
    let is = |other: &dyn Fn() -> Refusal| *refusal == other();
    if is(&Refusal::no_credentials) && is_complete {
        "unknown api_key"
    } else if is(&Refusal::no_credentials) {
        "api_key or access_token missing"
    } else if is(&Refusal::auth) {
        "the access_token is not that of this api_key"
    } else if is(&Refusal::too_many_sockets) {
        "the api_key has all its sockets open"
    } else if is(&Refusal::malformed) {
        "not a request for a WebSocket, or no / before the query"
    } else {
        "handshakes are refused now"
    }
}

/// Applies a fault to a handshake and ends the connection.
async fn apply_fault(
    fault: Fault,
    mut connection: Box<dyn Connection>,
    upgrade: Upgrade,
    state: &SimState,
) -> io::Result<()> {
    tracing::debug!(fault = fault.kind().name(), "handshake fault");
    state.note_fault(fault.kind());
    match fault {
        Fault::Refuse { refusal, body } => {
            state.admission.count_refused(&refusal);
            body.send(&refusal, &mut connection).await
        }
        Fault::WrongAcceptKey => {
            handshake::accept(&mut connection, &upgrade.with_wrong_key()).await?;
            discard(&mut connection).await
        }
        Fault::HandshakeReset => {
            connection.transport().reset_on_drop();
            Ok(())
        }
        Fault::HandshakeEnd => {
            connection.transport().shutdown().await?;
            discard(connection.transport()).await
        }
        Fault::GarbageTls => {
            connection.write_all(GARBAGE).await?;
            connection.flush().await?;
            connection.shutdown().await?;
            discard(&mut connection).await
        }
        // The other faults leave the request unanswered.
        _ => discard(&mut connection).await,
    }
}

/// Adds TLS to the connection if the simulator uses it; `None` if a fault has ended the connection.
#[cfg(feature = "tls")]
async fn secure(transport: Transport, state: &SimState) -> io::Result<Option<Box<dyn Connection>>> {
    let mut transport = transport;
    let Some(identity) = &state.config.identity else { return Ok(Some(Box::new(transport))) };
    if let Some(fault) = state.pending.take_tls() {
        tracing::debug!(fault = fault.kind().name(), "TLS handshake fault");
        state.note_fault(fault.kind());
        if fault == Fault::GarbageTls {
            transport.write_all(GARBAGE).await?;
            transport.shutdown().await?;
        }
        discard(&mut transport).await?;
        return Ok(None);
    }
    let secured = timeout(HANDSHAKE_DEADLINE, tls::accept(&identity.acceptor, transport)).await??;
    Ok(Some(secured))
}

#[cfg(not(feature = "tls"))]
async fn secure(transport: Transport, _: &SimState) -> io::Result<Option<Box<dyn Connection>>> {
    Ok(Some(Box::new(transport)))
}
