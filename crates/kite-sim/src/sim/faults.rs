//! How the user of the simulator gives faults and takes them back.

use tokio::time::Instant;

use super::Sim;
use crate::client::state::{AcceptorCommand, Control};
use crate::fault::Fault;
use crate::fault::script::FaultScript;

impl Sim {
    /// Gives a fault to an account; gives the number of open sockets it was told to.
    ///
    /// - A fault of sockets strikes every open socket of the account, between two frames and in the
    ///   order of the calls; a [`Sim::pause`] afterwards waits for the ticks it carries.
    /// - A fault of the handshake awaits the account's next, as by [`Sim::at_next_handshake`].
    /// - A restart strikes the whole server, all accounts.
    ///
    /// A fault counts in [`SimStats::faults`](crate::SimStats::faults) once it takes effect. It does
    /// not where it needs what a socket lacks: ticks where nothing is subscribed, a voice where an
    /// earlier fault took it.
    pub fn inject(&self, api_key: &str, fault: Fault) -> usize {
        self.state.inject(api_key, fault)
    }

    /// Gives a fault to one socket, by the number in its
    /// [`SocketRecord`](crate::SocketRecord); says whether it is open. What is not a fault of
    /// sockets is given as by [`Sim::inject`].
    pub fn inject_socket(&self, id: u64, fault: Fault) -> bool {
        self.state.inject_socket(id, fault)
    }

    /// Has a fault await an account's next handshake, behind those that wait already: each
    /// handshake takes one.
    ///
    /// A fault of sockets strikes the socket just accepted, after its greeting; where the handshake
    /// is refused, it awaits the next. A fault of TLS strikes the next TLS connection of whichever
    /// account, since the account shows only afterwards.
    pub fn at_next_handshake(&self, api_key: &str, fault: Fault) {
        self.state.pending.at_next(api_key, fault);
    }

    /// Runs a script from now on.
    pub fn play(&self, mut script: FaultScript) {
        script.begin(&self.state.pending);
        self.state.tell_acceptor(AcceptorCommand::Play(script, Instant::now()));
    }

    /// Makes the account's open sockets whole again: they say and read everything. What was missed
    /// in the meantime is never sent.
    pub fn heal(&self, api_key: &str) {
        self.state.tell(|_, key| key == api_key, || Control::Heal);
    }

    /// Ends faults by chance for good, forgets what awaits handshakes, and heals all sockets.
    pub fn calm(&self) {
        self.state.calm();
    }
}
