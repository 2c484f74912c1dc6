//! Injects faults into a running simulator and ends them.

use tokio::time::Instant;

use super::Sim;
use crate::client::state::{AcceptorCommand, Control};
use crate::fault::Fault;
use crate::fault::script::FaultScript;

impl Sim {
    /// Injects a fault for an account and returns the number of open sockets that it was sent to.
    ///
    /// - A socket fault strikes every open socket of the account, between two frames and in the
    ///   order of the calls. A later [`Sim::pause`] waits for the ticks it carries.
    /// - A handshake fault is queued for the account's next handshake, as with
    ///   [`Sim::at_next_handshake`].
    /// - A restart strikes the whole server and all accounts.
    ///
    /// A fault counts in [`SimStats::faults`](crate::SimStats::faults) once it takes effect. It has
    /// no effect on a socket that cannot carry it out, because nothing is subscribed or an earlier
    /// fault has silenced the socket.
    pub fn inject(&self, api_key: &str, fault: Fault) -> usize {
        self.state.inject(api_key, fault)
    }

    /// Injects a fault into one socket, identified by the number in its
    /// [`SocketRecord`](crate::SocketRecord), and returns whether it is open. A fault that is not a
    /// socket fault is injected for the socket's account, as with [`Sim::inject`].
    pub fn inject_socket(&self, id: u64, fault: Fault) -> bool {
        self.state.inject_socket(id, fault)
    }

    /// Queues a fault for an account's next handshake, after those already queued. Each handshake
    /// consumes one.
    ///
    /// A socket fault strikes the newly accepted socket after its greeting; if the handshake is
    /// refused, it stays queued for the next. A TLS fault strikes the next TLS connection of any
    /// account, since the account is not known until later.
    pub fn at_next_handshake(&self, api_key: &str, fault: Fault) {
        self.state.pending.at_next(api_key, fault);
    }

    /// Starts a script.
    pub fn play(&self, mut script: FaultScript) {
        script.begin(&self.state.pending);
        self.state.send_to_acceptor(AcceptorCommand::Play(script, Instant::now()));
    }

    /// Heals the account's open sockets, so that they send and read everything again. Frames missed
    /// in the meantime are never sent.
    pub fn heal(&self, api_key: &str) {
        self.state.send_to(|_, key| key == api_key, || Control::Heal);
    }

    /// Ends random faults for good, clears the faults queued for handshakes, and heals all sockets.
    pub fn calm(&self) {
        self.state.calm();
    }
}
