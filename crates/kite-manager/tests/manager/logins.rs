//! Token sources: how often an account logs in, and which credentials its connections use.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kite_manager::{
    Credentials, Manager, ManagerBuilder, Phase, Reconnect, TokenFile, TokenRequest, TokenSource,
};
use kite_sim::{Fault, Refusal, Sim, universe};
use kite_wire::Mode;
use tokio::sync::Notify;

use crate::stage::{builder, in_time, key, live, name, sim, until};

/// A login page: each login invalidates the token of the one before.
#[derive(Debug, Clone)]
struct Logins {
    sim: Arc<Sim>,
    count: Arc<AtomicUsize>,
    pending: Arc<AtomicUsize>,
}

impl Logins {
    fn new(sim: &Arc<Sim>) -> Self {
        Self { sim: Arc::clone(sim), count: Arc::default(), pending: Arc::default() }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    async fn login(&self, request: TokenRequest) -> io::Result<Credentials> {
        let number = self.begin();
        // Long enough for the other connections to come and wait.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let token = format!("login {number}");
        self.sim.set_access_token(request.current.api_key(), token.clone());
        self.pending.fetch_sub(1, Ordering::SeqCst);
        Ok(request.current.with_access_token(token))
    }

    fn begin(&self) -> usize {
        assert_eq!(self.pending.fetch_add(1, Ordering::SeqCst), 0, "one question at a time");
        self.count.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Returns a source that logs in each time it is asked.
    fn source(&self) -> TokenSource {
        let own = self.clone();
        TokenSource::new(move |request| {
            let own = own.clone();
            async move { own.login(request).await }
        })
    }
}

fn with_source(builder: ManagerBuilder, source: TokenSource) -> Manager {
    let manager = builder.connection(|it| it.token_source = Some(source)).build().unwrap();
    manager.subscribe(&universe(30), Mode::Quote).unwrap();
    manager
}

fn phases(manager: &Manager) -> Vec<Phase> {
    manager.snapshot().connections.iter().map(|it| it.phase).collect()
}

fn losses(manager: &Manager) -> u64 {
    manager.snapshot().connections.iter().map(|it| it.figures.losses.values().sum::<u64>()).sum()
}

async fn all_live_again(manager: &Manager, lost: u64) {
    until("the losses", || losses(manager) == lost).await;
    in_time("all live", manager.wait_until_live(Duration::from_secs(30))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_costs_one_login_and_a_plain_drop_none() {
    let sim = Arc::new(sim(1, |it| it).await);
    let logins = Logins::new(&sim);
    let manager = with_source(builder(&sim, 1), logins.source());
    in_time("start", manager.start()).await.unwrap();
    assert_eq!((live(&manager.snapshot()), logins.count()), (3, 0));

    sim.set_access_token(key(0), "of tomorrow");
    sim.close_all(1_001);
    all_live_again(&manager, 3).await;
    assert_eq!(logins.count(), 1);
    sim.drop_all();
    all_live_again(&manager, 6).await;
    assert_eq!(logins.count(), 1, "nothing has expired");

    let refused = sim.stats().refused;
    in_time("stop", manager.stop()).await;
    in_time("start", manager.start()).await.unwrap();
    assert_eq!((sim.stats().refused, logins.count()), (refused, 1), "the next run uses it too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_an_account_logs_in_once_before_its_first_handshake() {
    let sim = Arc::new(sim(1, |it| it).await);
    let logins = Logins::new(&sim);
    let incomplete = Credentials::new(key(0), "");
    let manager = with_source(builder(&sim, 0).account(name(0), incomplete), logins.source());
    in_time("start", manager.start()).await.unwrap();
    assert_eq!((live(&manager.snapshot()), logins.count()), (3, 1));
    assert!(sim.stats().refused.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_place_logs_in_once_too() {
    let sim = Arc::new(sim(1, |it| it).await);
    let logins = Logins::new(&sim);
    let incomplete = Credentials::new(key(0), "");
    let manager = with_source(builder(&sim, 0).account(name(0), incomplete), logins.source());
    let mut stream = manager.start_in_place().unwrap();
    let reading = tokio::spawn(async move { while stream.recv().await.is_some() {} });
    in_time("all live", manager.wait_until_live(Duration::from_secs(30))).await.unwrap();
    assert_eq!(logins.count(), 1);
    in_time("stop", manager.stop()).await;
    in_time("the end", reading).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_token_in_a_file_reaches_all_connections_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = TokenFile::new(directory.path().join("credentials"));
    let write = |token: &str| {
        let new = tempfile::NamedTempFile::new_in(directory.path()).unwrap();
        let text = format!("api_key = {}\naccess_token = {token}\n", key(0));
        std::fs::write(new.path(), text).unwrap();
        new.persist(file.path()).unwrap();
    };
    let sim = Arc::new(sim(1, |it| it).await);
    let manager = with_source(builder(&sim, 1), file.source());
    in_time("start", manager.start()).await.unwrap();

    sim.set_access_token(key(0), "of tomorrow");
    sim.close_all(1_001);
    let are_renewing = || phases(&manager) == [Phase::Renewing; 3];
    until("the refusals", || sim.stats().refused == [(403, 3)].into() && are_renewing()).await;
    for tries in 1..5 {
        write(&format!("wrong {tries}"));
        let refused = 3 + 3 * tries;
        until("more refusals", || sim.stats().refused == [(403, refused)].into()).await;
        until("the next wait", are_renewing).await;
    }
    write("of tomorrow");
    all_live_again(&manager, 3).await;
    assert_eq!(sim.stats().refused, [(403, 15)].into());
    in_time("stop", manager.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_wakes_a_connection_from_a_long_delay() {
    let sim = Arc::new(sim(1, |it| it).await);
    let logins = Logins::new(&sim);
    sim.set_access_token(key(0), "of tomorrow");
    let busy = Refusal::new(503, "").retry_after("300");
    sim.at_next_handshake(&key(0), Fault::refuse(busy));
    let manager = with_source(builder(&sim, 1), logins.source());
    in_time("start", manager.start()).await.unwrap();
    in_time("all live", manager.wait_until_live(Duration::from_secs(30))).await.unwrap();
    assert_eq!((sim.stats().refused[&503], logins.count()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_a_source_are_shared_too() {
    let sim = Arc::new(sim(1, |it| it).await);
    let logins = Logins::new(&sim);
    let own = logins.clone();
    let source = TokenSource::new(move |request: TokenRequest| {
        let own = own.clone();
        async move {
            match own.count() {
                0 => {
                    own.begin();
                    own.pending.fetch_sub(1, Ordering::SeqCst);
                    panic!("the source panics")
                }
                1 => {
                    own.begin();
                    own.pending.fetch_sub(1, Ordering::SeqCst);
                    pending().await
                }
                _ => own.login(request).await,
            }
        }
    });
    let builder = builder(&sim, 1).connection(|it| {
        it.transport.connect_timeout = Duration::from_secs(1);
        // A failure counts for so long.
        it.reconnect = Reconnect { delay_cap: Duration::from_secs(60), ..it.reconnect };
    });
    let manager = with_source(builder, source);
    in_time("start", manager.start()).await.unwrap();
    sim.set_access_token(key(0), "of tomorrow");
    sim.close_all(1_001);
    all_live_again(&manager, 3).await;
    assert_eq!(logins.count(), 3, "a panic, a timeout, a login");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_set_while_the_source_is_asked_replaces_its_answer() {
    let sim = Arc::new(sim(1, |it| it).await);
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (is_asked, may_answer) = (Arc::clone(&asked), Arc::clone(&answer));
    let source = TokenSource::new(move |request: TokenRequest| {
        let (is_asked, may_answer) = (Arc::clone(&is_asked), Arc::clone(&may_answer));
        async move {
            is_asked.notify_one();
            may_answer.notified().await;
            Ok::<_, io::Error>(request.current.with_access_token("too late"))
        }
    });
    let incomplete = Credentials::new(key(0), "");
    let manager = with_source(builder(&sim, 0).account(name(0), incomplete), source);
    let starting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.start().await }
    });
    in_time("the question", asked.notified()).await;
    sim.set_access_token(key(0), "by hand");
    manager.set_access_token("by hand");
    answer.notify_waiters();
    in_time("start", starting).await.unwrap().unwrap();
    assert_eq!(live(&manager.snapshot()), 3);
    sim.drop_all();
    all_live_again(&manager, 3).await;
    assert!(sim.stats().refused.is_empty(), "the source's answer was never used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_source_does_not_answer_does_not_delay_another() {
    let sim = Arc::new(sim(2, |it| it).await);
    let logins = Logins::new(&sim);
    let own = logins.clone();
    let source = TokenSource::new(move |request: TokenRequest| {
        let own = own.clone();
        async move {
            if request.current.api_key() == key(0) {
                return pending().await;
            }
            own.login(request).await
        }
    });
    let incomplete = |account| (name(account), Credentials::new(key(account), ""));
    let both = [0, 1].map(incomplete).into_iter();
    let builder =
        both.fold(builder(&sim, 0), |it, (name, credentials)| it.account(name, credentials));
    let manager = with_source(builder, source);
    let starting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.start().await }
    });
    until("the second account", || phases(&manager).get(3..) == Some(&[Phase::Live; 3])).await;
    assert_eq!(phases(&manager)[..3], [Phase::Renewing; 3]);
    in_time("stop", manager.stop()).await;
    in_time("start", starting).await.unwrap().unwrap_err();
    assert_eq!(logins.count(), 1);
}
