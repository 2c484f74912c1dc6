//! Compares the relay with a bare loop in its place.
//!
//! The feed and the clients are processes of their own, so that only the CPU time and memory of
//! what is between them is counted. Both sides run in turn within each round.

mod feed;
mod measured;
mod readers;
mod rounds;
mod shape;

use clap::{Subcommand, ValueEnum};

pub use rounds::{Comparison, Suite};
use shape::{Shape, Side};

use crate::Failure;

/// A process of a run.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// The feed.
    Feed {
        #[command(flatten)]
        shape: Shape,
    },
    /// The relay or the bare loop.
    Measured {
        #[arg(long)]
        side: Side,
        #[arg(long)]
        port: u16,
        #[command(flatten)]
        shape: Shape,
    },
    /// The clients.
    Readers {
        #[arg(long)]
        port: u16,
        #[command(flatten)]
        shape: Shape,
    },
}

impl Role {
    /// Runs the process until its parent is done.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Feed { shape } => feed::serve(shape),
            Self::Measured { side, port, shape } => measured::run(side, shape, port),
            Self::Readers { port, shape } => readers::run(shape, port),
        }
    }
}

/// Returns the name of a value on the command line.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
