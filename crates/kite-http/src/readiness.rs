//! Whether the feed is what its readers need, and why not.

use kite_manager::Snapshot;
use serde::Serialize;

use crate::status::RecorderStatus;

/// Whether a connection is live and the recorder can write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Readiness {
    pub(crate) is_ready: bool,
    /// Why it is not; one line each.
    pub(crate) reasons: Vec<String>,
}

impl Readiness {
    pub(crate) fn new(feed: &Snapshot, recorder: Option<&RecorderStatus>) -> Self {
        let mut reasons = Vec::new();
        if feed.live == 0 {
            let failure = feed.connections.iter().find_map(|it| it.failure.as_deref());
            reasons.push(match failure {
                Some(failure) => format!("no connection is live: {failure}"),
                None => "no connection is live".to_owned(),
            });
        }
        if let Some(recorder) = recorder.filter(|recorder| recorder.is_failing) {
            reasons.push(match &recorder.last_error {
                Some(error) => format!("the recorder cannot write: {error}"),
                None => "the recorder cannot write".to_owned(),
            });
        }
        Self { is_ready: reasons.is_empty(), reasons }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kite_manager::ConnectionSnapshot;
    use kite_tape::RecorderStats;

    use super::*;

    fn feed(live: usize, failure: Option<&str>) -> Snapshot {
        let mut connection = ConnectionSnapshot::default();
        connection.failure = failure.map(Into::into);
        let mut feed = Snapshot::default();
        (feed.live, feed.connections) = (live, vec![connection]);
        feed
    }

    fn recorder(is_failing: bool) -> RecorderStatus {
        let mut stats = RecorderStats::default();
        (stats.is_failing, stats.last_error) = (is_failing, Some("No space left".into()));
        RecorderStatus::new(Path::new("/"), stats)
    }

    #[test]
    fn it_is_ready_while_a_connection_is_live_and_the_recorder_can_write() {
        let ready = Readiness { is_ready: true, reasons: Vec::new() };
        assert_eq!(Readiness::new(&feed(1, None), None), ready);
        assert_eq!(Readiness::new(&feed(1, Some("refused")), Some(&recorder(false))), ready);
    }

    #[test]
    fn every_reason_is_listed() {
        let unready = Readiness::new(&feed(0, Some("refused")), Some(&recorder(true)));
        assert!(!unready.is_ready);
        let reasons =
            ["no connection is live: refused", "the recorder cannot write: No space left"];
        assert_eq!(unready.reasons, reasons);
        assert_eq!(Readiness::new(&Snapshot::default(), None).reasons, ["no connection is live"]);
    }
}
