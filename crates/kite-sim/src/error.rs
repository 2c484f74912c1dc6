//! The error of starting a simulator.

use std::io;
use std::net::SocketAddr;

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The port could not be opened.
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for any free one")]
    Bind {
        /// The address to listen on.
        address: SocketAddr,
        /// The operating system's error.
        r#source: io::Error,
    },
    /// The rate of updates is out of range.
    #[error("{asked} updates per second and instrument requested; the range is 0 to {most}")]
    UpdatesPerSecond {
        /// The requested rate.
        asked: f64,
        /// The highest rate possible.
        most: f64,
    },
    /// The speed of a replay is out of range.
    #[error(
        "replay at {asked} times the recorded speed requested; the range is 0.001 to 1,000,000"
    )]
    ReplaySpeed {
        /// The requested speed.
        asked: f64,
    },
    /// The start of a tape could not be read.
    #[error("reading the tape up to the replay's start failed: {reason}")]
    ReplayStart {
        /// Why reading failed.
        reason: String,
    },
    /// The interval between heartbeats is zero.
    #[error("heartbeat interval is 0 s: set a longer interval, or disable heartbeats")]
    HeartbeatEvery,
    /// The certificate could not be created.
    #[cfg(feature = "tls")]
    #[error("cannot create a certificate for TLS: {source}")]
    Tls {
        /// The certificate library's error.
        r#source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use error_chain::assert_chain;

    use super::*;

    #[test]
    fn every_error_names_its_cause_once() {
        let io = || io::Error::other("the system's words");
        for error in [
            SimError::Bind { address: ([127, 0, 0, 1], 80).into(), source: io() },
            SimError::UpdatesPerSecond { asked: -1.0, most: 1.0 },
            SimError::ReplaySpeed { asked: -1.0 },
            SimError::ReplayStart { reason: "end".into() },
            SimError::HeartbeatEvery,
            #[cfg(feature = "tls")]
            SimError::Tls { source: Box::new(io()) },
        ] {
            let cause: Option<&dyn Error> = match &error {
                SimError::Bind { source, .. } => Some(source),
                #[cfg(feature = "tls")]
                SimError::Tls { source } => Some(source.as_ref()),
                SimError::UpdatesPerSecond { .. }
                | SimError::ReplaySpeed { .. }
                | SimError::ReplayStart { .. }
                | SimError::HeartbeatEvery => None,
            };
            assert_chain(&error, cause);
        }
    }
}
