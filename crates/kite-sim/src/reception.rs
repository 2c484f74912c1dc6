//! From an accepted connection to a served client: TLS, the request, and what goes wrong there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use crate::fault::{BodyDelivery, Fault};
use crate::handshake::{self, Upgrade, discard};
use crate::server::Shared;
use crate::socket;
use crate::wire::{Transport, Wire};

/// How long a handshake may take, and a refused client may take to close.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Neither a TLS record nor HTTP.
const GARBAGE: &[u8] = b"\x00\x01garbage, not a handshake\r\n\r\n";

/// Answers the handshake and, if the client is let in, serves it to its end.
pub(crate) async fn serve(transport: Transport, shared: Arc<Shared>) {
    if let Err(error) = receive(transport, shared).await {
        tracing::debug!(%error, "handshake failed");
    }
}

async fn receive(transport: Transport, shared: Arc<Shared>) -> io::Result<()> {
    let Some(mut wire) = secure(transport, &shared).await? else { return Ok(()) };
    let request = timeout(HANDSHAKE_DEADLINE, handshake::read(&mut wire)).await??;
    let mut strike = None;
    if let Ok(upgrade) = &request.upgrade {
        match shared.take_handshake_fault(&upgrade.api_key) {
            Some(fault @ Fault::SlowHandshake { delay }) => {
                shared.note_fault(fault.kind());
                sleep(delay).await;
            }
            Some(fault) if fault.awaits_handshake() => {
                return spoil(fault, wire, upgrade.clone(), &shared).await;
            }
            fault => strike = fault,
        }
    }
    match (shared.admit(&request.upgrade).await, request.upgrade) {
        (Ok(membership), Ok(upgrade)) => {
            let kick = Arc::clone(&membership.kick);
            let client = async {
                timeout(HANDSHAKE_DEADLINE, handshake::accept(&mut wire, &upgrade)).await??;
                let opened = socket::Opened { wire, rest: request.rest, upgrade, strike };
                socket::run(opened, membership, Arc::clone(&shared)).await;
                Ok(())
            };
            tokio::select! {
                () = kick.notified() => Ok(()),
                ended = client => ended,
            }
        }
        (Err(refusal), upgrade) => {
            if let (Some(fault), Ok(upgrade)) = (strike, upgrade) {
                shared.put_back(&upgrade.api_key, fault);
            }
            tracing::debug!(status = refusal.status(), "handshake refused");
            let answered = refusal.give(&mut wire, BodyDelivery::AtOnce);
            timeout(HANDSHAKE_DEADLINE, answered).await?
        }
        // Nobody is let in without an upgrade.
        (Ok(_), Err(_)) => Ok(()),
    }
}

/// Does to a handshake what a fault says, to its end.
async fn spoil(
    fault: Fault,
    mut wire: Box<dyn Wire>,
    upgrade: Upgrade,
    shared: &Shared,
) -> io::Result<()> {
    tracing::debug!(fault = fault.kind().name(), "handshake spoilt");
    shared.note_fault(fault.kind());
    match fault {
        Fault::Refuse { refusal, body } => {
            shared.count_refused(&refusal);
            refusal.give(&mut wire, body).await
        }
        Fault::WrongAcceptKey => {
            handshake::accept(&mut wire, &upgrade.with_wrong_key()).await?;
            discard(&mut wire).await
        }
        Fault::HandshakeReset => {
            wire.transport().reset_on_drop();
            Ok(())
        }
        Fault::HandshakeEnd => {
            wire.transport().shutdown().await?;
            discard(wire.transport()).await
        }
        Fault::GarbageTls => {
            wire.write_all(GARBAGE).await?;
            wire.flush().await?;
            wire.shutdown().await?;
            discard(&mut wire).await
        }
        // The client hears nothing, which is all that is left for a handshake to suffer.
        _ => discard(&mut wire).await,
    }
}

/// Makes the connection secure where the simulator is; `None` where a fault has ended it.
#[cfg(feature = "tls")]
async fn secure(transport: Transport, shared: &Shared) -> io::Result<Option<Box<dyn Wire>>> {
    let mut transport = transport;
    let Some(identity) = &shared.config.identity else { return Ok(Some(Box::new(transport))) };
    if let Some(fault) = shared.take_tls_fault() {
        tracing::debug!(fault = fault.kind().name(), "TLS handshake spoilt");
        shared.note_fault(fault.kind());
        if fault == Fault::GarbageTls {
            transport.write_all(GARBAGE).await?;
            transport.shutdown().await?;
        }
        discard(&mut transport).await?;
        return Ok(None);
    }
    let stream = timeout(HANDSHAKE_DEADLINE, identity.acceptor.accept(transport)).await??;
    Ok(Some(Box::new(stream)))
}

#[cfg(not(feature = "tls"))]
async fn secure(transport: Transport, _: &Shared) -> io::Result<Option<Box<dyn Wire>>> {
    Ok(Some(Box::new(transport)))
}
