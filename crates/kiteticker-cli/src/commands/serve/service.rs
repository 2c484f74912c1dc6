//! What systemd is notified of: that the relay is ready, reads its settings, is alive, or stops.
//!
//! Without systemd, or outside Linux, nothing is sent.

use std::time::Duration;

use kite_conn::OneLine;
use kite_relay::Relay;
use tokio::time::{MissedTickBehavior, interval};

/// Interval of the status line.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Longer status lines are cut.
const LONGEST_STATUS: usize = 512;

/// The supervisor of the process, if there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    /// Whether there is one.
    is_there: bool,
    /// Within which time systemd has to be notified that the process is alive.
    watchdog: Option<Duration>,
}

impl Service {
    /// Finds the supervisor in the environment.
    pub(super) fn new() -> Self {
        let is_there = cfg!(target_os = "linux") && std::env::var_os("NOTIFY_SOCKET").is_some();
        Self { is_there, watchdog: system::watchdog().filter(|_| is_there) }
    }

    /// Notifies that clients can connect.
    pub(super) fn ready(self) {
        system::ready();
    }

    /// Notifies that the settings are read again, which [`Service::ready`] ends.
    pub(super) fn reloading(self) {
        system::reloading();
    }

    /// Notifies that the relay stops.
    pub(super) fn stopping(self) {
        system::stopping();
    }

    /// Sends the status line that `line` returns, and that the process is alive as long as the relay
    /// responds. It is to be polled by the loop that follows the relay, so that neither of the two
    /// can hang unnoticed.
    ///
    /// # Cancel safety
    /// Never ends, and must not be dropped and called again.
    pub(super) async fn attend(self, relay: &Relay, line: impl Fn() -> String) {
        let alive = async {
            let Some(within) = self.watchdog else { return std::future::pending().await };
            let mut every = interval((within / 3).max(Duration::from_millis(1)));
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                if relay.responds().await {
                    system::alive();
                }
            }
        };
        let status = async {
            if !self.is_there {
                return std::future::pending().await;
            }
            let mut every = interval(STATUS_EVERY);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                let line = OneLine(line()).to_string();
                system::status(&line.chars().take(LONGEST_STATUS).collect::<String>());
            }
        };
        tokio::join!(alive, status);
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::time::Duration;

    use sd_notify::{NotifyState, notify};

    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }

    pub(super) fn ready() {
        send(&[NotifyState::Ready]);
    }

    pub(super) fn reloading() {
        // The time is for `Type=notify-reload`.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            send(&[NotifyState::Reloading, now]);
        }
    }

    pub(super) fn stopping() {
        send(&[NotifyState::Stopping]);
    }

    pub(super) fn alive() {
        send(&[NotifyState::Watchdog]);
    }

    pub(super) fn status(text: &str) {
        send(&[NotifyState::Status(text)]);
    }

    fn send(state: &[NotifyState<'_>]) {
        // A supervisor that cannot be notified acts by itself.
        let _ = notify(state);
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::Duration;

    pub(super) fn watchdog() -> Option<Duration> {
        None
    }

    pub(super) fn ready() {}
    pub(super) fn reloading() {}
    pub(super) fn stopping() {}
    pub(super) fn alive() {}
    pub(super) fn status(_: &str) {}
}
