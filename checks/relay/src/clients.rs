//! The clients of a relay, some of which keep the rules and some of which do not.

pub(crate) mod changing;
pub(crate) mod hostile;
pub(crate) mod slow;
pub(crate) mod steady;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::lean::Lean;
use crate::market::Market;
use crate::plan::Plan;
use crate::secrets::MARK;
use crate::socket::{self, Handshake, Socket};

/// Timeout for everything that the relay does promptly, generous for slow machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// What all clients of a relay share.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) plan: Arc<Plan>,
    pub(crate) market: Arc<Market>,
    pub(crate) lean: Arc<Lean>,
    pub(crate) relay: SocketAddr,
    /// True once the clients that come and go are to leave for good.
    pub(crate) ends: watch::Receiver<bool>,
    pub(crate) notes: Arc<Mutex<Notes>>,
}

/// What clients noticed.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// What was wrong.
    pub(crate) wrong: Vec<String>,
    /// Handshakes accepted, by client.
    pub(crate) accepted: BTreeMap<String, u64>,
    /// Handshakes refused, by status.
    pub(crate) refused: BTreeMap<u16, u64>,
    /// How often each thing was done.
    pub(crate) done: BTreeMap<&'static str, u64>,
    /// Packets of sockets whose clients keep the rules, and how many of them were the first of a
    /// new subscription.
    pub(crate) packets: u64,
    pub(crate) snapshots: u64,
    pub(crate) explained: u64,
    /// Steps missing without a gap, by client.
    pub(crate) unexplained: BTreeMap<String, (u64, Vec<String>)>,
}

impl Common {
    pub(crate) fn ended(&self) -> bool {
        *self.ends.borrow()
    }

    pub(crate) fn wrong(&self, name: &str, what: impl std::fmt::Display) {
        let mut notes = self.notes.lock();
        // The first ones show the cause.
        if notes.wrong.len() < 50 {
            notes.wrong.push(format!("{name}: {what}"));
        }
    }

    pub(crate) fn did(&self, what: &'static str) {
        *self.notes.lock().done.entry(what).or_default() += 1;
    }

    /// Opens a socket as a client with right credentials.
    pub(crate) async fn open(&self, name: &str, is_slow: bool) -> io::Result<Handshake> {
        let request = socket::request(&query(name), "");
        let opening = async {
            let stream = socket::connect(self.relay, is_slow).await?;
            socket::handshake(stream, &request).await
        };
        let opened = timeout(PATIENCE, opening).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let mut notes = self.notes.lock();
        match &opened {
            Handshake::Open(_) => *notes.accepted.entry(name.to_owned()).or_default() += 1,
            Handshake::Refused(status) => *notes.refused.entry(*status).or_default() += 1,
        }
        Ok(opened)
    }

    /// Opens a socket as a client that has a free one, or will have one soon: the relay may not have
    /// noticed yet that the client has left.
    pub(crate) async fn open_soon(&self, name: &str, is_slow: bool) -> Option<Socket> {
        let opening = async {
            loop {
                match self.open(name, is_slow).await {
                    Ok(Handshake::Open(socket)) => return Some(*socket),
                    Ok(Handshake::Refused(429)) => sleep(Duration::from_millis(50)).await,
                    Ok(Handshake::Refused(status)) => {
                        self.wrong(name, format_args!("refused with {status}"));
                        return None;
                    }
                    Err(error) => {
                        self.wrong(name, format_args!("no handshake: {error}"));
                        return None;
                    }
                }
            }
        };
        let opened = timeout(PATIENCE, opening).await;
        if opened.is_err() {
            self.wrong(name, "no socket became free");
        }
        opened.ok().flatten()
    }

    /// Sleeps, but not longer than until the end.
    pub(crate) async fn rest(&mut self, time: Duration) {
        // The sender outlives the clients.
        let _ = timeout(time, self.ends.wait_for(|ends| *ends)).await;
    }
}

/// Returns the API key of a client.
pub(crate) fn api_key(name: &str) -> String {
    format!("{name}_key")
}

/// Returns the access token of a client.
pub(crate) fn access_token(name: &str) -> String {
    format!("{MARK}-{name}")
}

fn query(name: &str) -> String {
    format!("api_key={}&access_token={}", api_key(name), access_token(name))
}
