//! The numbers of a run: the defaults of a connection, scaled from seconds to milliseconds.

use std::time::Duration;

/// Without optimisation everything takes longer, and is given more time.
const SLOWNESS: u64 = if cfg!(debug_assertions) { 2 } else { 1 };

/// Silence that sends a ping; the default is 10 s.
pub(crate) const SILENCE_THRESHOLD: Duration = Duration::from_millis(250 * SLOWNESS);
/// Ticks missing for so long, while heartbeats come, are told; the default is 60 s.
pub(crate) const STALE_AFTER: Duration = Duration::from_millis(400 * SLOWNESS);
/// For everything from the look-up to the handshake; the default is 30 s. Long enough that a
/// machine busy with other things does not run into it.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_200);
/// Base of the backoff; the default is 2 s.
pub(crate) const RECONNECT_DELAY: Duration = Duration::from_millis(5);
/// Its cap; the default is 30 s.
pub(crate) const RECONNECT_DELAY_CAP: Duration = Duration::from_millis(50);
/// After which failures are forgotten; the default is 10 s.
pub(crate) const STABLE_AFTER: Duration = Duration::from_millis(100);
/// For the closing handshake; the default is 2 s.
pub(crate) const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Between two heartbeats of the server.
pub(crate) const HEARTBEAT_EVERY: Duration = Duration::from_millis(50);
/// Updates of each instrument.
pub(crate) const UPDATES_PER_SECOND: f64 = 20.0;
/// Longest delay within a handshake that still succeeds, and of a refusal's body.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_millis(200);

/// How long an effect, a recovery or a proof may take before the promise counts as broken: far
/// beyond anything that a slow machine does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what only the server knows.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(5);
