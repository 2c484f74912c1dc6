//! The numbers of a run: the defaults of a connection, scaled from seconds to milliseconds.

use std::time::Duration;

/// Times are longer without optimisation, which makes everything slower.
const DEBUG_FACTOR: u64 = if cfg!(debug_assertions) { 2 } else { 1 };

/// Silence after which a ping is sent; the default is 10 s.
pub(crate) const SILENCE_THRESHOLD: Duration = Duration::from_millis(250 * DEBUG_FACTOR);
/// Time without ticks, despite heartbeats, after which they count as stale; the default is 60 s.
pub(crate) const STALE_AFTER: Duration = Duration::from_millis(400 * DEBUG_FACTOR);
/// Limit for a whole attempt, from DNS lookup to handshake; the default is 30 s. Long enough for a
/// busy machine.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_200);
/// Base of the backoff; the default is 2 s.
pub(crate) const RECONNECT_DELAY: Duration = Duration::from_millis(5);
/// Its cap; the default is 30 s.
pub(crate) const RECONNECT_DELAY_CAP: Duration = Duration::from_millis(50);
/// Time connected after which failures are forgotten; the default is 10 s.
pub(crate) const STABLE_AFTER: Duration = Duration::from_millis(100);
/// Limit for the closing handshake; the default is 2 s.
pub(crate) const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Interval of the server's heartbeats.
pub(crate) const HEARTBEAT_EVERY: Duration = Duration::from_millis(50);
/// Updates per second of each instrument.
pub(crate) const UPDATES_PER_SECOND: f64 = 20.0;
/// Longest delay in a handshake that still succeeds, and in a refusal's body.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_millis(200);

/// Timeout for an effect, a recovery or a comparison; generous for slow machines.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// Interval of polling the simulator's state.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(5);
