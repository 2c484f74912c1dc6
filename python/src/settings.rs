//! The settings of a feed, checked.

use std::time::Duration;

use kite_conn::{
    Backoff, ConnectionConfig, Credentials, Endpoint, LaneConfig, Proxy, Reconnect, Tls, Transport,
};
use kite_tape::{Recorder, RecorderConfig};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::loopback_tls;

/// The largest frame accepted. The client that programs are written for has no limit; this one
/// bounds what a server can have allocated.
const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// The delays of the client that programs are written for: 1 s, 2.7 s, 7.4 s and so on, as
/// Twisted's `ReconnectingClientFactory` has them.
const DELAY: Duration = Duration::from_secs(1);
const BACKOFF: Backoff = Backoff::Around { factor: std::f64::consts::E, deviation: 0.1196 };

/// The settings of a feed.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) credentials: Credentials,
    pub(crate) connection: ConnectionConfig,
    pub(crate) lane: LaneConfig,
    pub(crate) recorder: Option<Recorder>,
}

/// The settings as passed from Python.
#[derive(FromPyObject)]
pub(crate) struct Arguments {
    root: String,
    query: Vec<(String, String)>,
    reconnect: bool,
    max_delay: f64,
    connect_timeout: f64,
    verify: bool,
    proxy: Option<(String, u16)>,
    slow: String,
    record_to: Option<std::path::PathBuf>,
}

impl Arguments {
    /// Returns the URL of the proxy.
    pub(crate) fn proxy_url(&self) -> Option<String> {
        self.proxy.as_ref().map(|(host, port)| format!("http://{}:{port}", bracketed(host)))
    }
}

impl Settings {
    pub(crate) fn new(credentials: Credentials, arguments: Arguments) -> PyResult<Self> {
        let mut endpoint = Endpoint::parse(&arguments.root).map_err(invalid)?;
        for (name, value) in &arguments.query {
            endpoint = endpoint.with_query(name, value).map_err(invalid)?;
        }
        let transport = Transport {
            connect_timeout: seconds("connect_timeout", arguments.connect_timeout)?,
            tls: tls(&endpoint, arguments.verify)?,
            proxy: arguments.proxy.map(|(host, port)| proxy(&host, port)).transpose()?,
            max_frame_bytes: MAX_FRAME_BYTES,
            ..Transport::default()
        };
        let reconnect = Reconnect {
            delay: DELAY,
            backoff: BACKOFF,
            delay_cap: seconds("reconnect_max_delay", arguments.max_delay)?,
            max_attempts: if arguments.reconnect { usize::MAX } else { 0 },
            ..Reconnect::default()
        };
        let connection =
            ConnectionConfig { endpoint, reconnect, transport, ..ConnectionConfig::default() };
        connection.validate().map_err(invalid)?;
        let recorder = arguments
            .record_to
            .map(|directory| Recorder::start(directory, RecorderConfig::default()))
            .transpose()
            .map_err(|error| PyOSError::new_err(format!("record_to: {error}")))?;
        Ok(Self { credentials, connection, lane: lane(&arguments.slow)?, recorder })
    }
}

fn lane(slow: &str) -> PyResult<LaneConfig> {
    match slow {
        "block" => Ok(LaneConfig::default()),
        "drop_oldest" => Ok(LaneConfig::drop_oldest()),
        "conflate" => Ok(LaneConfig::conflate()),
        other => Err(PyValueError::new_err(format!(
            "slow is {other:?}; it must be \"block\", \"drop_oldest\" or \"conflate\""
        ))),
    }
}

/// Returns the settings of TLS; without verification for a server on this machine only, because
/// anyone on the way could read the access token.
fn tls(endpoint: &Endpoint, verify: bool) -> PyResult<Tls> {
    if verify {
        return Ok(Tls::default());
    }
    if !is_loopback(endpoint.host()) {
        return Err(PyValueError::new_err(format!(
            "disable_ssl_verification would hand the access token to anyone who poses as {}; \
             it is for servers on this machine",
            endpoint.host()
        )));
    }
    loopback_tls::unverified().map_err(invalid)
}

/// Returns whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn proxy(host: &str, port: u16) -> PyResult<Proxy> {
    Proxy::parse(&format!("{}:{port}", bracketed(host))).map_err(invalid)
}

/// Returns a host as it stands before a port.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| PyValueError::new_err(format!("{name} is {value}; it must be seconds")))
}

fn invalid(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
