//! Decides whether a start has succeeded.
//!
//! Performs no I/O and reads no clock; the caller passes in the states of the connections.

use std::time::Duration;

use kite_conn::{OpenError, Phase, Status};

use crate::error::StartError;

/// Time that `start` waits beyond `connect_timeout`. Its connections have the same timeout, and
/// their failures should be known before the start fails.
pub(crate) const REPORT_GRACE: Duration = Duration::from_millis(100);

/// Returns the outcome of a start; `None` while it is undecided.
pub(crate) fn judge(
    statuses: &[Status],
    overdue: bool,
    timeout: Duration,
) -> Option<Result<(), StartError>> {
    let connections = statuses.len();
    let live = statuses.iter().filter(|status| status.phase == Phase::Live).count();
    let refused = |status: &&Status| {
        status.phase != Phase::Live
            && (matches!(status.last_failure, Some(OpenError::Refused(_)))
                || status.phase == Phase::Parked)
    };
    if statuses.iter().any(|status| status.phase == Phase::Closed) {
        return Some(Err(StartError::Stopped));
    }
    if live > 0 && (overdue || live + statuses.iter().filter(refused).count() == connections) {
        return Some(Ok(()));
    }
    let parked: Vec<_> = statuses.iter().filter_map(|status| status.parked.as_ref()).collect();
    if let (Some(&reason), true) = (parked.first(), parked.len() == connections) {
        return Some(Err(StartError::Refused { connections, reason: reason.clone() }));
    }
    overdue.then(|| {
        let last_failure = statuses.iter().find_map(|status| status.last_failure.clone());
        Err(StartError::Timeout { connections, timeout, last_failure })
    })
}

#[cfg(test)]
mod tests {
    use kite_conn::ParkReason;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn status(phase: Phase) -> Status {
        let mut status = Status::default();
        status.phase = phase;
        if phase == Phase::Parked {
            status.parked = Some(ParkReason::AttemptsUsedUp { failures: 6, limit: 5, last: None });
        }
        status
    }

    fn judged(phases: &[Phase], overdue: bool) -> Option<Result<(), String>> {
        let statuses: Vec<Status> = phases.iter().copied().map(status).collect();
        judge(&statuses, overdue, TIMEOUT).map(|outcome| outcome.map_err(|error| error.to_string()))
    }

    #[test]
    fn a_start_waits_for_all_but_one_suffices_at_the_deadline() {
        use Phase::{Live, Opening, Waiting};
        assert_eq!(judged(&[Live, Live, Live], false), Some(Ok(())));
        assert_eq!(judged(&[Live, Opening, Live], false), None);
        assert_eq!(judged(&[Live, Waiting, Opening], true), Some(Ok(())));
        let late = "no connection was up within 30s; 2 tried".to_owned();
        assert_eq!(judged(&[Waiting, Opening], true), Some(Err(late)));
    }

    #[test]
    fn a_start_does_not_wait_for_parked_connections() {
        use Phase::{Live, Parked, Waiting};
        assert_eq!(judged(&[Live, Parked], false), Some(Ok(())));
        assert_eq!(judged(&[Parked, Waiting], false), None);
        let refused = "no connection could be opened; 2 tried: gave up after 6 failures in a row \
                       (max_reconnect_attempts 5)";
        assert_eq!(judged(&[Parked, Parked], false), Some(Err(refused.to_owned())));
    }

    #[test]
    fn a_stop_ends_a_start() {
        use Phase::{Closed, Live, Opening};
        let stopped = "stopped while starting".to_owned();
        assert_eq!(judged(&[Opening, Closed], false), Some(Err(stopped.clone())));
        // The live connection sends a close frame first, so it closes later.
        assert_eq!(judged(&[Live, Closed], false), Some(Err(stopped)));
    }

    #[test]
    fn a_late_start_names_the_last_failure() {
        let mut waiting = status(Phase::Waiting);
        waiting.last_failure = Some(OpenError::NoAddress { host: "nowhere".to_owned() });
        let Some(Err(error)) = judge(&[waiting], true, TIMEOUT) else { panic!("it is late") };
        let shown = error.to_string();
        assert_eq!(shown, "no connection was up within 30s; 1 tried: nowhere has no address");
    }
}
