//! How old the access token is, and when it dies.

use std::fs;
use std::time::SystemTime;

use super::check::Finding;
use crate::feed::credentials::Origin;
use crate::format::times::{self, SECOND_NS};
use crate::session::lifetime;

/// Judges credentials by where they came from. The age of a token in a variable is not known.
pub(super) fn finding(origin: &Origin) -> Finding {
    let text = format!("from {origin}");
    let Origin::File(path) = origin else { return Finding::ok(text) };
    match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(written) => judge(&text, written, SystemTime::now()),
        // A pipe has no time.
        Err(_) => Finding::ok(text),
    }
}

fn judge(text: &str, written: SystemTime, now: SystemTime) -> Finding {
    let dies = times::ist(lifetime::dies_at(written) * SECOND_NS);
    let (at, age) = (format!("{} {}", dies.date(), dies.clock()), lifetime::age(written, now));
    let text = format!("{text}, written {} ago; the token", times::span(age));
    match lifetime::has_died(written, now) {
        false => Finding::ok(format!("{text} expires {at} in India")),
        true => Finding::warn(format!("{text} expired {at} in India"), "run kite login"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::check::Outcome;
    use super::*;

    #[test]
    fn a_token_of_yesterday_is_a_warning() {
        // 2026-12-01 06:00 in India.
        let six = UNIX_EPOCH + Duration::from_secs(1_796_085_000);
        let hour = Duration::from_secs(3_600);
        let fresh = judge("from x", six + hour, six + 2 * hour);
        let text = "from x, written 1 h 00 min ago; the token expires 2026-12-02 06:00:00 in India";
        assert_eq!(fresh, Finding::ok(text));
        let old = judge("from x", six - hour, six + hour);
        assert_eq!(old.outcome, Outcome::Warn);
        assert!(old.text.contains("the token expired 2026-12-01 06:00:00"), "{old:?}");
        assert_eq!(old.advice.as_deref(), Some("run kite login"));
    }
}
