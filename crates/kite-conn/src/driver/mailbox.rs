//! The handles' requests to a connection's task, merged while it waits.
//!
//! A map, not a queue: requests for the same token merge into one, so memory is bounded by the
//! number of instruments, no request waits for room, and none is lost. The lock is held for map
//! operations only, never on the per-frame path.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::task::AtomicWaker;
use kite_wire::Mode;
use parking_lot::{Mutex, MutexGuard};

use crate::credentials::Credentials;
use crate::error::{CapacityError, SubscribeError};
use crate::observe::Handover;

/// The shared side of a connection's requests.
#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    limit: usize,
    filled: AtomicBool,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    desired: BTreeMap<u32, Mode>,
    mail: Mail,
    /// Whether the end was requested.
    closing: bool,
    /// Whether the task is gone.
    ended: bool,
}

/// Requests since the task last collected them.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// Instruments to subscribe in this mode, or to unsubscribe.
    pub(crate) changes: BTreeMap<u32, Option<Mode>>,
    /// What other connections passed on with instruments that are among the changes.
    pub(crate) taken_over: Vec<Handover>,
    /// Credentials that replace the current ones.
    pub(crate) credentials: Option<Credentials>,
    /// Whether to send a ping.
    pub(crate) ping: bool,
    /// Whether to close the connection without waiting for its consumers.
    pub(crate) close: bool,
    /// The deadline by which to close the connection after its consumers have taken everything.
    pub(crate) drain: Option<Instant>,
}

impl Mailbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            limit,
            filled: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn post(&self, fill: impl FnOnce(&mut Mail)) {
        let mut state = self.lock();
        if !state.ended {
            fill(&mut state.mail);
            drop(state);
            self.announce();
        }
    }

    fn announce(&self) {
        self.filled.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Sets each instrument's mode, or removes it. All or nothing.
    pub(crate) fn apply(
        &self,
        changes: impl Iterator<Item = (u32, Option<Mode>)>,
    ) -> Result<(), SubscribeError> {
        self.post_changes(changes, None)
    }

    /// Adds instruments that another connection handed over. All or nothing.
    pub(crate) fn take_over(
        &self,
        instruments: impl Iterator<Item = (u32, Mode)>,
        handover: Handover,
    ) -> Result<(), SubscribeError> {
        self.post_changes(instruments.map(|(token, mode)| (token, Some(mode))), Some(handover))
    }

    fn post_changes(
        &self,
        changes: impl Iterator<Item = (u32, Option<Mode>)>,
        handover: Option<Handover>,
    ) -> Result<(), SubscribeError> {
        // The iterator is the caller's code, which may be slow, or use this mailbox. Of several
        // requests for a token the last one counts.
        let changes: BTreeMap<u32, Option<Mode>> = changes.collect();
        let mut guard = self.lock();
        let State { desired, mail, ended, .. } = &mut *guard;
        if *ended {
            return Err(SubscribeError::Closed);
        }
        let (mut added, mut removed) = (0, 0);
        for (token, mode) in &changes {
            match (desired.contains_key(token), mode) {
                (false, Some(_)) => added += 1,
                (true, None) => removed += 1,
                _ => {}
            }
        }
        let had = desired.len();
        if added > removed && had + added - removed > self.limit {
            return Err(SubscribeError::Capacity(CapacityError {
                asked: added - removed,
                free: self.limit.saturating_sub(had),
                limit: self.limit,
            }));
        }
        for (token, mode) in changes {
            let before = match mode {
                Some(mode) => desired.insert(token, mode),
                None => desired.remove(&token),
            };
            if before != mode {
                mail.changes.insert(token, mode);
            }
        }
        mail.taken_over.extend(handover);
        drop(guard);
        self.announce();
        Ok(())
    }

    pub(crate) fn desired(&self) -> BTreeMap<u32, Mode> {
        self.lock().desired.clone()
    }

    pub(crate) fn set_credentials(&self, credentials: Credentials) {
        self.post(|mail| mail.credentials = Some(credentials));
    }

    pub(crate) fn ping(&self) {
        self.post(|mail| mail.ping = true);
    }

    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.post(|mail| mail.close = true);
    }

    /// Requests a drain. Of several deadlines the earliest counts.
    pub(crate) fn drain(&self, deadline: Instant) {
        self.lock().closing = true;
        self.post(|mail| mail.drain = mail.drain.into_iter().chain([deadline]).min());
    }

    /// Returns whether the end was requested.
    pub(crate) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Rejects further requests and drops those not collected, because the task is gone. The
    /// desired set can still be read.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.mail = Mail::default();
    }

    /// Returns whether there is mail.
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Ready if there is mail; otherwise registers the waker.
    pub(crate) fn poll_filled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_filled() {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        // Mail posted between the check and the registration woke no task.
        if self.is_filled() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes the mail.
    pub(crate) fn collect(&self) -> Option<Mail> {
        self.filled.swap(false, Ordering::Acquire).then(|| std::mem::take(&mut self.lock().mail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_a_token_merge_into_the_last() {
        let mailbox = Mailbox::new(10);
        for mode in [Some(Mode::Ltp), None, Some(Mode::Full)] {
            mailbox.apply([(7, mode)].into_iter()).unwrap();
        }
        let mail = mailbox.collect().unwrap();
        assert_eq!(mail.changes, BTreeMap::from([(7, Some(Mode::Full))]));
        assert!(mailbox.collect().is_none());
        assert_eq!(mailbox.desired(), BTreeMap::from([(7, Mode::Full)]));
    }

    #[test]
    fn a_request_above_the_limit_changes_nothing_and_reports_the_room() {
        let mailbox = Mailbox::new(3);
        mailbox.apply([1, 2].map(|token| (token, Some(Mode::Quote))).into_iter()).unwrap();
        mailbox.collect();
        let result = mailbox.apply([2, 3, 4].map(|token| (token, Some(Mode::Full))).into_iter());
        let room = CapacityError { asked: 2, free: 1, limit: 3 };
        assert_eq!(result, Err(SubscribeError::Capacity(room)));
        assert!(mailbox.collect().is_none());
        assert_eq!(mailbox.desired().values().copied().max(), Some(Mode::Quote));
    }

    #[test]
    fn a_request_may_be_computed_from_the_desired_state() {
        let mailbox = Mailbox::new(3);
        mailbox.apply([(1, Some(Mode::Ltp))].into_iter()).unwrap();
        let upgraded = [1, 2].into_iter().map(|token| {
            let known = mailbox.desired().contains_key(&token);
            (token, known.then_some(Mode::Full))
        });
        mailbox.apply(upgraded).unwrap();
        assert_eq!(mailbox.desired(), BTreeMap::from([(1, Mode::Full)]));
    }

    #[test]
    fn a_full_mailbox_still_accepts_exchanges_and_modes() {
        let mailbox = Mailbox::new(2);
        mailbox.apply([1, 2].map(|token| (token, Some(Mode::Ltp))).into_iter()).unwrap();
        mailbox.apply([(3, Some(Mode::Ltp)), (1, None)].into_iter()).unwrap();
        mailbox.apply([(3, Some(Mode::Full))].into_iter()).unwrap();
        assert_eq!(mailbox.desired(), BTreeMap::from([(2, Mode::Ltp), (3, Mode::Full)]));
        let mail = mailbox.collect().unwrap();
        let expected = [(1, None), (2, Some(Mode::Ltp)), (3, Some(Mode::Full))];
        assert_eq!(mail.changes, BTreeMap::from(expected));
    }

    #[test]
    fn a_request_that_changes_nothing_is_not_passed_on() {
        let mailbox = Mailbox::new(2);
        mailbox.apply([(1, Some(Mode::Ltp))].into_iter()).unwrap();
        mailbox.collect();
        mailbox.apply([(1, Some(Mode::Ltp)), (9, None)].into_iter()).unwrap();
        assert!(mailbox.collect().is_none_or(|mail| mail.changes.is_empty()));
        mailbox.apply([(1, Some(Mode::Full)), (1, Some(Mode::Ltp))].into_iter()).unwrap();
        assert!(mailbox.collect().is_none_or(|mail| mail.changes.is_empty()));
    }

    #[test]
    fn an_instrument_requested_twice_counts_once() {
        let mailbox = Mailbox::new(2);
        let twice = [(1, Some(Mode::Ltp)), (2, Some(Mode::Ltp)), (1, Some(Mode::Full))];
        mailbox.apply(twice.into_iter()).unwrap();
        let exchanged = [(3, Some(Mode::Ltp)), (3, None), (2, None), (2, Some(Mode::Quote))];
        mailbox.apply(exchanged.into_iter()).unwrap();
        assert_eq!(mailbox.desired(), BTreeMap::from([(1, Mode::Full), (2, Mode::Quote)]));
    }

    #[test]
    fn of_several_drains_the_earliest_deadline_counts() {
        let mailbox = Mailbox::new(1);
        let now = Instant::now();
        let after = |seconds| now + std::time::Duration::from_secs(seconds);
        assert!(!mailbox.is_closing());
        for seconds in [9, 4, 6] {
            mailbox.drain(after(seconds));
        }
        assert_eq!(mailbox.collect().unwrap().drain, Some(after(4)));
        assert!(mailbox.is_closing());
    }

    #[test]
    fn an_ended_mailbox_keeps_no_requests() {
        let mailbox = Mailbox::new(3);
        mailbox.apply([(1, Some(Mode::Ltp))].into_iter()).unwrap();
        mailbox.end();
        let result = mailbox.apply([(2, Some(Mode::Ltp))].into_iter());
        assert_eq!(result, Err(SubscribeError::Closed));
        mailbox.set_credentials(Credentials::new("key", "token"));
        mailbox.ping();
        mailbox.close();
        assert_eq!(mailbox.desired(), BTreeMap::from([(1, Mode::Ltp)]));
        let mail = mailbox.collect().unwrap_or_default();
        assert!(mail.changes.is_empty() && mail.credentials.is_none() && !mail.ping && !mail.close);
    }
}
