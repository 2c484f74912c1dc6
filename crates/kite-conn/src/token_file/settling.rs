//! Decides when what a file holds is used. No file and no clock here.

use std::time::{Duration, Instant};

use super::TokenFileError;
use crate::credentials::Credentials;

/// The last reads of a file while a token is waited for.
///
/// Something that is written in place may be read half, and half a token looks like a token. So a
/// result counts only once it has been read twice, some time apart, and nothing else in between.
#[derive(Debug)]
pub(super) struct Settling {
    /// The credentials that another token is waited for.
    current: Credentials,
    /// How far two equal reads must be apart.
    apart: Duration,
    /// What was read last, and since when it has been the same.
    last: Option<(Result<Credentials, TokenFileError>, Instant)>,
    has_settled: bool,
}

impl Settling {
    pub(super) fn new(current: Credentials, apart: Duration) -> Self {
        Self { current, apart, last: None, has_settled: false }
    }

    /// Handles a read that was begun `now`; returns the credentials to use, if there are.
    pub(super) fn on_read(
        &mut self,
        now: Instant,
        read: Result<Credentials, TokenFileError>,
    ) -> Option<Credentials> {
        let read = read.and_then(|found| match found.api_key() == self.current.api_key() {
            true => Ok(found),
            false => Err(TokenFileError::OtherKey),
        });
        let since = match &self.last {
            Some((last, since)) if *last == read => *since,
            _ => now,
        };
        self.has_settled = now.saturating_duration_since(since) >= self.apart;
        let (read, _) = self.last.insert((read, since));
        read.as_ref().ok().filter(|found| self.has_settled && **found != self.current).cloned()
    }

    /// Returns why the file cannot be used, if that has settled.
    pub(super) fn problem(&self) -> Option<&TokenFileError> {
        let (read, _) = self.last.as_ref().filter(|_| self.has_settled)?;
        read.as_ref().err()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const APART: Duration = Duration::from_millis(250);

    fn of(token: &str) -> Result<Credentials, TokenFileError> {
        Ok(Credentials::new("key", token))
    }

    /// Feeds reads, each `APART` after the last; returns the token of the first result.
    fn used(reads: &[Result<Credentials, TokenFileError>]) -> Option<String> {
        let mut settling = Settling::new(Credentials::new("key", "old"), APART);
        let start = Instant::now();
        (0..).zip(reads).find_map(|(number, read)| {
            let found = settling.on_read(start + APART * number, read.clone())?;
            Some(found.access_token().expose().to_owned())
        })
    }

    #[test]
    fn a_new_token_is_used_once_it_has_been_read_twice() {
        assert_eq!(used(&[of("old"), of("new")]), None);
        assert_eq!(used(&[of("old"), of("new"), of("new")]).as_deref(), Some("new"));
        assert_eq!(used(&[of("n"), of("ne"), of("new"), of("new")]).as_deref(), Some("new"));
    }

    #[test]
    fn the_current_token_another_key_and_files_without_credentials_are_not_used() {
        let other = || Ok(Credentials::new("another", "new"));
        let half = || Err(TokenFileError::Missing { name: "access_token" });
        for read in [of("old"), other(), half()] {
            assert_eq!(used(&vec![read; 9]), None);
        }
        assert_eq!(used(&[of("new"), half(), of("new")]), None, "it changed in between");
    }

    #[test]
    fn reads_in_quick_succession_count_as_one() {
        let mut settling = Settling::new(Credentials::new("key", "old"), APART);
        let start = Instant::now();
        for ms in 0..250 {
            assert_eq!(settling.on_read(start + Duration::from_millis(ms), of("new")), None);
        }
        assert!(settling.on_read(start + APART, of("new")).is_some());
    }

    #[test]
    fn a_problem_is_known_once_it_lasts_and_ends_with_the_next_good_read() {
        let mut settling = Settling::new(Credentials::new("key", "old"), APART);
        let (start, shared) = (Instant::now(), TokenFileError::Shared { mode: 0o644 });
        settling.on_read(start, Err(shared.clone()));
        assert_eq!(settling.problem(), None);
        settling.on_read(start + APART, Err(shared.clone()));
        assert_eq!(settling.problem(), Some(&shared));
        settling.on_read(start + APART * 2, of("old"));
        assert_eq!(settling.problem(), None);
    }

    proptest! {
        /// However reads, changes and time follow each other, only a token that has stood in the
        /// file for long enough is used, and never the current one.
        #[test]
        fn only_what_lasts_is_used(reads in prop::collection::vec((0_u8..4, 0_u64..400), 0..40)) {
            let mut settling = Settling::new(Credentials::new("key", "t0"), APART);
            let (mut now, mut since, mut last) = (Instant::now(), Instant::now(), None);
            for (token, ms) in reads {
                now += Duration::from_millis(ms);
                if last != Some(token) {
                    (since, last) = (now, Some(token));
                }
                let used = settling.on_read(now, of(&format!("t{token}")));
                let expected = (token > 0 && now - since >= APART)
                    .then(|| Credentials::new("key", format!("t{token}")));
                prop_assert_eq!(used, expected);
            }
        }
    }
}
