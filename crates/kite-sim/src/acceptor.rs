//! The task that accepts connections, runs scripts and restarts the server.

use std::sync::Arc;
use std::time::Duration;

use kite_server::Transport;
use kite_server::listener::{ReservedPort, accept};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::client::connection;
use crate::client::state::{AcceptorCommand, Control, Finish, SimState};
use crate::fault::FaultFamily;
use crate::fault::script::{Act, FaultScript};
use crate::replay::{self, Records};
use crate::time::FOREVER;

/// Accepts connections until stopped, then ends all of them.
pub(crate) async fn run(
    listener: TcpListener,
    state: Arc<SimState>,
    commands: mpsc::UnboundedReceiver<AcceptorCommand>,
    tape: Option<Records>,
    mut stopped: oneshot::Receiver<()>,
) {
    let (clients, players) = (JoinSet::new(), JoinSet::new());
    let mut acceptor = Acceptor { state, clients, players, commands };
    if let (Some(fanout), Some(tape)) = (acceptor.state.fanout.clone(), tape) {
        let (flow, changes) = (acceptor.state.flow.clone(), acceptor.state.changes.clone());
        acceptor.players.spawn(replay::run(tape, fanout, flow, changes));
    }
    let finish = tokio::select! {
        _ = &mut stopped => None,
        finish = acceptor.run(listener) => Some(finish),
    };
    match finish {
        Some(finish) => {
            tokio::select! {
                _ = stopped => {}
                () = acceptor.finish(finish) => {}
            }
            // The records of the clients that are still there say so.
            acceptor.state.ledger.note_unread(acceptor.state.address);
        }
        None => acceptor.state.empty().await,
    }
    acceptor.clients.shutdown().await;
    acceptor.players.shutdown().await;
}

struct Acceptor {
    state: Arc<SimState>,
    clients: JoinSet<()>,
    /// Scripts and the replay.
    players: JoinSet<()>,
    commands: mpsc::UnboundedReceiver<AcceptorCommand>,
}

impl Acceptor {
    /// Accepts connections until the server is to finish.
    async fn run(&mut self, mut listener: TcpListener) -> Finish {
        loop {
            tokio::select! {
                stream = accept(&listener) => self.serve(stream.into()),
                Some(command) = self.commands.recv() => match command {
                    AcceptorCommand::Serve(stream) => self.serve(stream.into()),
                    AcceptorCommand::Play(script, begun) => self.play(script, begun),
                    AcceptorCommand::Restart(down) => {
                        drop(listener);
                        match self.restart(down).await {
                            Ok(again) => listener = again,
                            Err(finish) => return finish,
                        }
                    }
                    AcceptorCommand::Finish(finish) => return finish,
                },
                Some(_) = self.clients.join_next() => {}
                Some(_) = self.players.join_next() => {}
            }
        }
    }

    fn serve(&mut self, transport: Transport) {
        self.clients.spawn(connection::serve(transport, Arc::clone(&self.state)));
    }

    fn play(&mut self, script: FaultScript, begun: Instant) {
        self.players.spawn(play(script, begun, Arc::clone(&self.state)));
    }

    /// Closes every socket and waits until the clients have read everything.
    async fn finish(&mut self, Finish { reason, linger }: Finish) {
        self.players.shutdown().await;
        self.state.finish(&reason);
        // A client past the deadline is not waited for.
        let _ = timeout(linger, self.state.admission.until_left()).await;
    }

    /// Drops every socket, refuses connections for a while and then listens again.
    ///
    /// # Errors
    /// Returns the request to finish that arrived meanwhile.
    async fn restart(&mut self, down: Duration) -> Result<TcpListener, Finish> {
        let port = ReservedPort::new(self.state.address).await;
        self.state.empty().await;
        self.clients.shutdown().await;
        let mut is_down = std::pin::pin!(sleep(down));
        loop {
            tokio::select! {
                () = &mut is_down => break,
                Some(command) = self.commands.recv() => match command {
                    // The server is already down.
                    AcceptorCommand::Serve(_) | AcceptorCommand::Restart(_) => {}
                    AcceptorCommand::Play(script, begun) => self.play(script, begun),
                    AcceptorCommand::Finish(finish) => return Err(finish),
                },
            }
        }
        Ok(port.listen().await)
    }
}

/// Runs a script's timed actions; its handshake faults are already queued.
async fn play(script: FaultScript, begun: Instant, state: Arc<SimState>) {
    let (api_key, timed) = script.into_timed();
    for (time, act) in timed {
        sleep_until(begun + time.min(FOREVER)).await;
        match act {
            Act::Strike(fault) => {
                let kind = fault.kind();
                let struck = state.inject(&api_key, fault);
                if struck == 0 && kind.family() == FaultFamily::Socket {
                    state.counters.missed_faults.add(kind);
                    state.changes.notify();
                }
            }
            Act::Heal => {
                state.send_to(|_, key| key == api_key, || Control::Heal);
            }
        }
    }
}
