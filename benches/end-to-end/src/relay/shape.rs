//! What one run of the relay, or of the bare loop in its place, looks like.

use clap::{Args, ValueEnum};
use kite_wire::Mode;
use serde::{Deserialize, Serialize};

/// Sockets upstream, as an account has.
pub const UPSTREAMS: u32 = 3;

/// What stands between the feed and its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Reads frames by tokio-tungstenite and writes each to all clients; the baseline.
    Bare,
    /// The relay over a manager, with their defaults.
    Relay,
}

/// The mode in which clients subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// As upstream, so that nothing is cut.
    Full,
    /// Every packet is cut.
    Quote,
    /// Every packet is cut to its last price.
    Ltp,
}

impl Wanted {
    pub fn mode(self) -> Mode {
        match self {
            Self::Full => Mode::Full,
            Self::Quote => Mode::Quote,
            Self::Ltp => Mode::Ltp,
        }
    }
}

/// The feed and its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct Shape {
    /// Instruments of the feed, all in full mode, on three connections.
    #[arg(long, default_value_t = 9_000)]
    pub instruments: u32,
    /// Packets per frame.
    #[arg(long, default_value_t = 100)]
    pub packets: u32,
    /// Packets of each instrument per second.
    #[arg(long, default_value_t = 2)]
    pub speed: u32,
    /// Seconds for which the feed sends.
    #[arg(long, default_value_t = 5)]
    pub seconds: u32,
    /// Clients that read everything.
    #[arg(long, default_value_t = 1)]
    pub clients: u32,
    /// Instruments of each client, which overlap if there are more clients than instruments.
    #[arg(long, default_value_t = 9_000)]
    pub each: u32,
    /// Mode in which the clients subscribe; only the relay cuts.
    #[arg(long, default_value = "full")]
    pub wanted: Wanted,
    /// More clients, which subscribe and then read nothing; for the relay alone.
    #[arg(long, default_value_t = 0)]
    pub stuck: u32,
    /// Threads of what stands between the feed and its clients, as `kite serve --threads`.
    #[arg(long, default_value_t = 1)]
    pub threads: u32,
}

impl Shape {
    /// Returns the instrument tokens of the feed.
    pub fn tokens(&self) -> Vec<u32> {
        (0..self.instruments).map(|n| n << 8 | 1).collect()
    }

    /// Returns the instruments of a client, spread evenly.
    pub fn tokens_of(&self, client: u32) -> Vec<u32> {
        let all = self.tokens();
        let first = u64::from(client) * u64::from(self.instruments) / u64::from(self.sockets());
        all.iter().cycle().skip(first as usize).take(self.each as usize).copied().collect()
    }

    /// Returns the number of clients, with those that read nothing.
    pub fn sockets(&self) -> u32 {
        self.clients + self.stuck
    }

    /// Returns how many ticks the clients should receive.
    pub fn ticks_to_clients(&self) -> u64 {
        let rounds = u64::from(self.speed) * u64::from(self.seconds);
        rounds * u64::from(self.each) * u64::from(self.clients)
    }
}
