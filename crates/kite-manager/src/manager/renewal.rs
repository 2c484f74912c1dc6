//! Asks an account's token source once for all connections of the account.
//!
//! Each login invalidates the token before it, so connections that asked on their own would
//! invalidate each other's answers.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use kite_conn::{Credentials, TokenRequest, TokenSource, TokenSourceError};

use super::{Account, Core};

type Answer = Result<Credentials, TokenSourceError>;

/// A question to the token source. The connections that wait for its answer drive it; it is
/// cancelled when none is left.
type Question = Shared<Asking>;
type WeakQuestion = WeakShared<Asking>;
type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The token source of an account in one run.
#[derive(Debug, Clone)]
pub(crate) struct AccountSource {
    core: Weak<Core>,
    /// The account's index.
    account: usize,
    source: TokenSource,
    /// Time the source has to answer.
    limit: Duration,
}

impl AccountSource {
    pub(crate) fn new(
        core: &Arc<Core>,
        account: usize,
        source: TokenSource,
        limit: Duration,
    ) -> Self {
        Self { core: Arc::downgrade(core), account, source, limit }
    }

    /// Returns the source for a connection of the account.
    pub(crate) fn of(&self, connection: usize) -> TokenSource {
        let own = self.clone();
        let answer = move |request| own.clone().answer(connection, request);
        match self.source.waits() {
            true => TokenSource::waiting(answer),
            false => TokenSource::new(answer),
        }
    }

    async fn answer(self, connection: usize, request: TokenRequest) -> Answer {
        let reply = self.on_account(|account| {
            let (now, known) = (now(), &account.credentials);
            let ask = |number| self.question(number, request.clone());
            account.renewal.on_request(now, connection, known, &request, ask)
        });
        match reply {
            Some(Reply::Answered(answer)) => answer,
            Some(Reply::Pending(question)) => question.await,
            // The manager is gone, so its connections are closing.
            None => pending().await,
        }
    }

    fn question(&self, number: u64, request: TokenRequest) -> Question {
        let own = self.clone();
        let question = async move {
            let answer = own.source.ask(request, own.limit).await;
            let accepted = own.on_account(|account| account.on_answer(now(), number, &answer));
            accepted.unwrap_or(answer)
        };
        question.boxed().shared()
    }

    fn on_account<R>(&self, f: impl FnOnce(&mut Account) -> R) -> Option<R> {
        let core = self.core.upgrade()?;
        let mut control = core.lock();
        control.accounts.get_mut(self.account).map(f)
    }
}

/// The questions of an account to its token source.
#[derive(Debug)]
pub(crate) struct Renewal {
    /// Time for which a failure is passed to connections that have not received it.
    failure_lasts: Duration,
    /// Number of the last question.
    number: u64,
    /// The last question, unless it was answered with credentials.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    question: WeakQuestion,
    /// When it failed, and why.
    failure: Option<(Instant, TokenSourceError)>,
    /// The connections that wait for the answer or have received it.
    connections: Vec<usize>,
}

/// The reply to a connection that needs credentials.
#[derive(Debug)]
enum Reply {
    Answered(Answer),
    Pending(Question),
}

impl Renewal {
    /// Creates the state; a failure counts for `failure_lasts`, the longest delay of a connection.
    pub(crate) fn new(failure_lasts: Duration) -> Self {
        Self { failure_lasts, number: 0, asked: None }
    }

    /// Replies to a connection that needs other credentials than those in `request`, while the
    /// account has `known`. Creates a question with `ask`, which receives its number, only if there
    /// is no answer yet and none is pending.
    fn on_request(
        &mut self,
        now: Instant,
        connection: usize,
        known: &Credentials,
        request: &TokenRequest,
        ask: impl FnOnce(u64) -> Question,
    ) -> Reply {
        if let Some(asked) = &mut self.asked
            && asked.failure.is_none()
            && let Some(question) = asked.question.upgrade()
        {
            asked.connections.push(connection);
            return Reply::Pending(question);
        }
        if *known != request.current && !known.access_token().expose().is_empty() {
            return Reply::Answered(Ok(known.clone()));
        }
        // Otherwise each connection would repeat the failed login with its own delays.
        if let Some(asked) = &mut self.asked
            && let Some((at, error)) = &asked.failure
            && now.saturating_duration_since(*at) < self.failure_lasts
            && !asked.connections.contains(&connection)
        {
            asked.connections.push(connection);
            return Reply::Answered(Err(error.clone()));
        }
        self.number += 1;
        let question = ask(self.number);
        // The question was just created and is not finished.
        let weak = question.downgrade();
        self.asked =
            weak.map(|weak| Asked { question: weak, failure: None, connections: vec![connection] });
        Reply::Pending(question)
    }

    /// Records the answer to a question; returns false if the question was cancelled.
    pub(crate) fn on_answer(&mut self, now: Instant, number: u64, answer: &Answer) -> bool {
        let Some(asked) = self.asked.as_mut().filter(|_| number == self.number) else {
            return false;
        };
        match answer {
            Ok(_) => self.asked = None,
            Err(error) => asked.failure = Some((now, error.clone())),
        }
        true
    }

    /// Discards the current question; its answer will be ignored.
    pub(crate) fn cancel(&mut self) {
        self.asked = None;
    }
}

fn now() -> Instant {
    // Tokio's clock, so that tests may pause it.
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const LASTS: Duration = Duration::from_secs(30);

    fn credentials(token: &str) -> Credentials {
        Credentials::new("key", token)
    }

    /// An account whose connections request credentials, and the number of its questions.
    struct Rig {
        renewal: Renewal,
        known: Credentials,
        now: Instant,
        asked: u64,
    }

    impl Rig {
        fn new(token: &str) -> Self {
            let (renewal, known) = (Renewal::new(LASTS), credentials(token));
            Self { renewal, known, now: Instant::now(), asked: 0 }
        }

        fn request(&mut self, connection: usize, refused: &str) -> Reply {
            let request = TokenRequest::new(credentials(refused), None);
            self.renewal.on_request(self.now, connection, &self.known, &request, |number| {
                self.asked = number;
                pending().boxed().shared()
            })
        }

        fn fail(&mut self) {
            let error = TokenSourceError::Failed(Arc::new(io::Error::other("no network")));
            assert!(self.renewal.on_answer(self.now, self.asked, &Err(error)));
        }
    }

    #[test]
    fn connections_wait_for_the_same_question_and_newer_credentials_need_none() {
        let mut rig = Rig::new("a");
        let waiting = [0, 1, 2].map(|connection| rig.request(connection, "a"));
        assert!(waiting.iter().all(|reply| matches!(reply, Reply::Pending(_))));
        assert_eq!(rig.asked, 1);
        assert!(rig.renewal.on_answer(rig.now, 1, &Ok(credentials("b"))));
        rig.known = credentials("b");
        let reply = rig.request(1, "a");
        assert!(matches!(reply, Reply::Answered(Ok(newer)) if newer == rig.known));
        assert_eq!(rig.asked, 1);
        drop(rig.request(1, "b"));
        assert_eq!(rig.asked, 2, "the newer ones were refused too");
    }

    #[test]
    fn a_question_that_no_connection_waits_for_is_asked_again() {
        let mut rig = Rig::new("");
        let (first, second) = (rig.request(0, ""), rig.request(1, ""));
        drop(first);
        let third = rig.request(2, "");
        assert_eq!(rig.asked, 1, "connection 1 still waits");
        drop((second, third));
        let _fourth = rig.request(0, "");
        assert_eq!(rig.asked, 2);
    }

    #[test]
    fn each_connection_receives_a_failure_once_before_the_question_is_asked_again() {
        let mut rig = Rig::new("a");
        let (first, second) = (rig.request(0, "a"), rig.request(1, "a"));
        rig.fail();
        assert!(matches!(rig.request(2, "a"), Reply::Answered(Err(_))));
        // Connection 1 has not dropped the finished question yet.
        let again = rig.request(0, "a");
        assert!(matches!(again, Reply::Pending(_)));
        assert_eq!(rig.asked, 2);
        drop((first, second, again));
        let _pending = rig.request(0, "a");
        rig.fail();
        rig.now += LASTS;
        let _late = rig.request(2, "a");
        assert_eq!(rig.asked, 4, "the failure is too old");
    }

    #[test]
    fn the_answer_of_a_cancelled_question_is_ignored() {
        let mut rig = Rig::new("a");
        let _waiting = rig.request(0, "a");
        rig.renewal.cancel();
        assert!(!rig.renewal.on_answer(rig.now, 1, &Ok(credentials("b"))));
        let _next = rig.request(0, "a");
        assert_eq!(rig.asked, 2);
        assert!(!rig.renewal.on_answer(rig.now, 1, &Ok(credentials("b"))));
    }
}
