//! Refusals of credentials, refusals that look similar, and token sources.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use kite_conn::{
    Connection, ConnectionConfig, ErrorChain, Event, EventLane, OpenError, ParkReason, Phase,
    Reconnect, Refusal as Refused, Severity, TokenRequest, TokenSource, Transport,
};
use kite_sim::{ACCESS_TOKEN, API_KEY, BodyDelivery, Fault, Refusal, Sim};
use kite_wire::Mode;

use crate::both_ways;
use crate::probe::{Probe, config, connect, credentials, in_time, sim_until};
use crate::story::{expect_events, word};

both_ways![
    kites_refusals_park_however_their_body_is_sent,
    a_source_resumes_automatically_and_receives_the_refusal,
];

const TOMORROW: &str = "token_of_tomorrow";

async fn kites_refusals_park_however_their_body_is_sent() {
    let later = BodyDelivery::Later(Duration::from_millis(40));
    let deliveries = [BodyDelivery::AtOnce, later, BodyDelivery::Chunked];
    let cases = [400, 401, 403].into_iter().flat_map(|status| deliveries.map(|it| (status, it)));
    let each = async |(status, body)| {
        let sim = Sim::builder().greet(false).start().await.unwrap();
        let refusal = Refusal::kite(status, "Invalid auth token.");
        sim.at_next_handshake(API_KEY, Fault::Refuse { refusal: refusal.clone(), body });
        let (connection, probe) = connect(config(&sim));
        connection.subscribe(&[257, 513], Mode::Full).unwrap();
        let failed = format!("failed 1: {status} auth");
        expect_events(&probe, 0, &["opening 1", &failed, "parked: authentication"]).await;
        let status_now = connection.status();
        assert_eq!(status_now.phase, Phase::Parked);
        let Some(ParkReason::Authentication(OpenError::Refused(refused))) = status_now.parked
        else {
            panic!("{status_now:?}");
        };
        assert_eq!((refused.status, refused.body_complete), (status, true));
        assert_eq!(refused.message.as_deref(), Some("Invalid auth token."));
        assert_eq!(refused.body, refusal.body());

        connection.unsubscribe(&[513]);
        connection.subscribe(&[769], Mode::Ltp).unwrap();
        connection.set_credentials(credentials());
        expect_events(&probe, 3, &["opening 1", "up 1"]).await;
        let desired = connection.desired();
        sim_until(&sim, "the subscriptions", |sim| sim.subscriptions() == [desired.clone()]).await;
        assert_eq!(sim.stats().refused[&status], 1, "a refused token is tried once");
        connection.close().await;
    };
    futures_util::stream::iter(cases).for_each_concurrent(None, each).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_statuses_without_kites_complete_json_are_retried_slowly() {
    let html = |status| Refusal::new(status, "<html>no</html>");
    let kite = |status| Refusal::kite(status, "Invalid auth token.");
    let cases = [400, 401, 403].into_iter().flat_map(|status| {
        [
            (html(status), BodyDelivery::AtOnce),
            (html(status), BodyDelivery::Chunked),
            (Refusal::new(status, ""), BodyDelivery::AtOnce),
            (Refusal::new(status, r#"{"status":"success"}"#), BodyDelivery::AtOnce),
            (kite(status), BodyDelivery::Never),
        ]
    });
    let each = async |(refusal, body): (Refusal, BodyDelivery)| {
        let sim = Sim::builder().greet(false).start().await.unwrap();
        let status = refusal.status();
        sim.at_next_handshake(API_KEY, Fault::Refuse { refusal, body });
        let cap = Duration::from_millis(100);
        let (connection, probe) = connect(ConnectionConfig {
            transport: Transport {
                connect_timeout: Duration::from_millis(800),
                ..config(&sim).transport
            },
            reconnect: Reconnect {
                delay: Duration::from_millis(1),
                delay_cap: cap,
                ..config(&sim).reconnect
            },
            ..config(&sim)
        });
        let failed = format!("failed 1: {status}");
        expect_events(&probe, 0, &["opening 1", &failed, "retry 2", "opening 2", "up 1"]).await;
        probe.look(|seen| {
            let Event::OpenFailed { error: OpenError::Refused(refused), .. } = &seen.events[1]
            else {
                panic!("{seen:?}")
            };
            assert_eq!(refused.body_complete, body != BodyDelivery::Never);
            assert_eq!(refused.message, None);
            let Event::Retry { delay, .. } = seen.events[2] else { panic!("{seen:?}") };
            assert!(delay >= cap / 2 && delay <= cap, "{delay:?}");
        });
        connection.close().await;
    };
    futures_util::stream::iter(cases).for_each_concurrent(5, each).await;
}

#[tokio::test]
async fn a_retry_after_from_a_busy_server_is_respected() {
    let a_date = "Fri, 31 Dec 2100 23:59:59 GMT";
    let cases = [(429, "7", 7), (503, "7", 7), (503, "86400", 300), (429, a_date, 300)];
    for (status, retry_after, seconds) in cases {
        let sim = Sim::builder().greet(false).start().await.unwrap();
        sim.refuse_with(Some(Refusal::kite(status, "wait").retry_after(retry_after)));
        let (connection, probe) = connect(config(&sim));
        let failed = format!("failed 1: {status}");
        expect_events(&probe, 0, &["opening 1", &failed, "retry 2"]).await;
        probe.look(|seen| {
            let Event::Retry { delay, .. } = seen.events[2] else { panic!("{seen:?}") };
            assert_eq!(delay, Duration::from_secs(seconds));
            assert_eq!(seen.events[2].severity() == Severity::Warning, seconds == 300);
        });
        in_time("the close", connection.close()).await;
        assert_eq!(sim.stats().refused[&status], 1);
    }
}

/// A source that records its requests, none of which may be made while a socket is open.
struct Source {
    requests: Mutex<Vec<(String, Option<Refused>, Instant)>>,
    sim: Arc<Sim>,
}

impl Source {
    fn new(sim: &Arc<Sim>) -> Arc<Self> {
        Arc::new(Self { requests: Mutex::default(), sim: Arc::clone(sim) })
    }

    fn note(&self, request: &TokenRequest) -> usize {
        assert_eq!(self.sim.stats().connections_open, 0, "called while a socket is open");
        let mut requests = self.requests.lock().unwrap();
        let current = request.current.access_token().expose().to_owned();
        requests.push((current, request.refusal.clone(), Instant::now()));
        requests.len()
    }

    fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn a_source_resumes_automatically_and_receives_the_refusal() {
    let sim = Arc::new(Sim::builder().greet(false).start().await.unwrap());
    let source = Source::new(&sim);
    let requests = Arc::clone(&source);
    let renew = TokenSource::new(move |request: TokenRequest| {
        requests.note(&request);
        let token = if request.refusal.is_some() { TOMORROW } else { ACCESS_TOKEN };
        async move { Ok::<_, std::io::Error>(request.current.with_access_token(token)) }
    });
    let token_source = Some(renew);
    let (connection, probe) = connect(ConnectionConfig { token_source, ..config(&sim) });
    connection.subscribe(&[257, 513], Mode::Full).unwrap();
    probe.until("ticks", |seen| seen.ticks.len() == 2).await;

    sim.set_access_token(API_KEY, TOMORROW);
    sim.close_all(1_001);
    let story = [
        "down 1: close 1001",
        "retry 2",
        "opening 2",
        "failed 2: 403 auth",
        "retry 3",
        "renewing 3, refused",
        "opening 3",
        "up 2",
        "gap 1→2",
    ];
    expect_events(&probe, 2, &story).await;
    let desired = connection.desired();
    sim_until(&sim, "the subscriptions", |sim| sim.subscriptions() == [desired.clone()]).await;
    {
        let requests = source.requests.lock().unwrap();
        let [(refused, Some(refusal), _)] = &requests[..] else { panic!("{requests:?}") };
        assert_eq!(refused, ACCESS_TOKEN);
        assert_eq!(refusal.status, 403);
        assert_eq!(refusal.message.as_deref(), Some("Authentication failed."));
    }

    sim.close_all(1_001);
    let again = ["down 2: close 1001", "retry 4", "opening 4", "up 3"];
    expect_events(&probe, 2 + story.len(), &again).await;
    assert_eq!(source.requests(), 1, "the new credentials were not refused");
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_a_source_after_a_refusal_are_reported_and_retried_with_growing_delays() {
    let sim = Arc::new(Sim::builder().greet(false).start().await.unwrap());
    sim.set_access_token(API_KEY, TOMORROW);
    let source = Source::new(&sim);
    let requests = Arc::clone(&source);
    let token_source = Some(TokenSource::new(move |request: TokenRequest| {
        let number = requests.note(&request);
        assert!(number != 2, "the source panics before there is a future");
        async move {
            match number {
                1 => Err(std::io::Error::other("no network")),
                3 => panic!("the source panics within its future"),
                4 => std::future::pending().await,
                // This one is refused too.
                5 => Ok(request.current.with_access_token("of yesterday")),
                _ => Ok(request.current.with_access_token(TOMORROW)),
            }
        }
    }));
    let (base, cap) = (Duration::from_millis(20), Duration::from_millis(80));
    let (connection, probe) = connect(ConnectionConfig {
        token_source,
        transport: Transport {
            connect_timeout: Duration::from_millis(600),
            ..config(&sim).transport
        },
        reconnect: Reconnect { delay: base, delay_cap: cap, ..config(&sim).reconnect },
        ..config(&sim)
    });
    connection.subscribe(&[257], Mode::Full).unwrap();
    let story = [
        "opening 1",
        "failed 1: 403 auth",
        "retry 2",
        "renewing 2, refused",
        "renewal 2 failed: error",
        "retry 3",
        "renewing 3, refused",
        "renewal 3 failed: panic",
        "retry 4",
        "renewing 4, refused",
        "renewal 4 failed: panic",
        "retry 5",
        "renewing 5, refused",
        "renewal 5 failed: timeout",
        "retry 6",
        "renewing 6, refused",
        "opening 6",
        "failed 6: 403 auth",
        "retry 7",
        "renewing 7, refused",
        "opening 7",
        "up 1",
    ];
    expect_events(&probe, 0, &story).await;
    assert_eq!(connection.stats().errors, 6);
    probe.look(|seen| {
        let delay = |event: &Event| match event {
            Event::Retry { delay, .. } => Some(*delay),
            _ => None,
        };
        let delays: Vec<_> = seen.events.iter().filter_map(delay).collect();
        let requests = source.requests.lock().unwrap();
        // Each request but the first waited for the delay reported after the previous one.
        for (pair, delay) in requests.windows(2).zip(&delays[1..]) {
            assert!(pair[1].2 - pair[0].2 >= *delay, "{delays:?}");
        }
        for (delay, factor) in delays.iter().zip([1, 2, 4, 4, 4, 4]) {
            assert!(*delay <= base * factor, "{delays:?}");
        }
        assert!(requests.iter().all(|(_, refusal, _)| refusal.is_some()));
        assert_eq!(requests[5].0, "of yesterday");
    });
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_the_source_is_called_before_the_first_handshake() {
    let sim = Arc::new(Sim::builder().greet(false).start().await.unwrap());
    let source = Source::new(&sim);
    let requests = Arc::clone(&source);
    let token_source = Some(TokenSource::new(move |request: TokenRequest| {
        let number = requests.note(&request);
        async move {
            match number {
                1 => Err(std::io::Error::other("no network")),
                _ => Ok(request.current.with_access_token(ACCESS_TOKEN)),
            }
        }
    }));
    let (probe, lane) = (Probe::new(), EventLane::default());
    let config = ConnectionConfig { token_source, ..config(&sim) };
    let incomplete = credentials().with_access_token("");
    let connection = Connection::spawn(config, incomplete, probe.sink(), &lane, 0).unwrap();
    let story =
        ["renewing 1", "renewal 1 failed: error", "retry 2", "renewing 2", "opening 2", "up 1"];
    expect_events(&probe, 0, &story).await;
    {
        let requests = source.requests.lock().unwrap();
        assert!(requests.iter().all(|(token, refusal, _)| token.is_empty() && refusal.is_none()));
    }
    assert_eq!(sim.stats().refused, [].into(), "no handshake without a token");
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_not_called_when_sockets_are_lost_without_a_refusal() {
    let sim = Arc::new(Sim::builder().greet(false).updates_per_second(50.0).start().await.unwrap());
    let source = Source::new(&sim);
    let requests = Arc::clone(&source);
    let token_source = Some(TokenSource::new(move |request: TokenRequest| {
        requests.note(&request);
        async move { Ok::<_, std::io::Error>(request.current) }
    }));
    let (connection, probe) = connect(ConnectionConfig { token_source, ..config(&sim) });
    connection.subscribe(&[257], Mode::Full).unwrap();
    for epoch in 1..=4 {
        probe.until("ticks", |seen| seen.epoch == epoch).await;
        let frames = probe.look(|seen| seen.frames);
        probe.until("more ticks", |seen| seen.frames > frames + 5).await;
        sim.close_all(1_001);
    }
    sim.at_next_handshake(API_KEY, Fault::refuse(Refusal::new(502, "<html>")));
    probe.until("ticks", |seen| seen.epoch == 5).await;
    connection.set_credentials(credentials());
    sim.close_all(1_001);
    probe.until("ticks", |seen| seen.epoch == 6).await;
    assert_eq!(source.requests(), 0);
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_set_while_the_source_is_called_are_used_immediately() {
    let sim = Arc::new(Sim::builder().greet(false).start().await.unwrap());
    sim.set_access_token(API_KEY, TOMORROW);
    let token_source = Some(TokenSource::new(|_| {
        std::future::pending::<Result<kite_conn::Credentials, std::io::Error>>()
    }));
    let (connection, probe) = connect(ConnectionConfig { token_source, ..config(&sim) });
    let story = ["opening 1", "failed 1: 403 auth", "retry 2", "renewing 2, refused"];
    expect_events(&probe, 0, &story).await;
    assert_eq!(connection.status().phase, Phase::Renewing);
    connection.set_credentials(credentials().with_access_token(TOMORROW));
    expect_events(&probe, 4, &["opening 2", "up 1"]).await;
    connection.close().await;
}

#[tokio::test]
async fn no_event_contains_an_old_or_new_token_even_if_the_server_echoes_it() {
    const OLD: &str = "0ld-t0ken+of/yesterday";
    const NEW: &str = "n3w-t0ken+of/today";
    let echo = |message: &str| Fault::refuse(Refusal::kite(403, message));
    let html = |body: String| Fault::refuse(Refusal::new(502, body));
    let sim = Sim::builder().greet(false).credentials(API_KEY, NEW).start().await.unwrap();
    sim.at_next_handshake(API_KEY, echo(&format!("{OLD} has expired")));
    sim.at_next_handshake(API_KEY, html(format!("<p>{NEW} instead of {OLD}</p>")));
    sim.at_next_handshake(
        API_KEY,
        html("n3w-t0ken%2Bof%2Ftoday, 0ld-t0ken%2Bof%2Fyesterday".into()),
    );
    sim.at_next_handshake(API_KEY, echo(&format!("{NEW} is not {OLD}")));
    let token_source = Some(TokenSource::new(|request: TokenRequest| async move {
        let requests = format!("{request:?}");
        assert!(!requests.contains("t0ken"), "{requests}");
        Ok::<_, std::io::Error>(request.current.with_access_token(NEW))
    }));
    let (probe, lane) = (Probe::new(), EventLane::default());
    let mut events = lane.subscribe();
    let config = ConnectionConfig { token_source, ..config(&sim) };
    let old = credentials().with_access_token(OLD);
    let connection = Connection::spawn(config, old, probe.sink(), &lane, 0).unwrap();
    connection.subscribe(&[257], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    assert_eq!(sim.stats().refused, [(403, 2), (502, 2)].into());
    connection.close().await;

    let mut shown = format!("{connection:?} {:?} {:?}", connection.status(), connection.stats());
    let mut failures = 0;
    while let Ok(tagged) = events.try_recv() {
        shown += &format!("{tagged:?} {:#?} {}", tagged.event, word(&tagged.event));
        if let Event::OpenFailed { error, .. } = &tagged.event {
            failures += 1;
            let OpenError::Refused(refused) = error else { panic!("{error:?}") };
            shown += &format!("{error} {} {refused} {}", ErrorChain(error), refused.body);
            shown += refused.message.as_deref().unwrap_or_default();
        }
    }
    shown += &probe.look(|seen| format!("{:?}", seen.events));
    assert_eq!(failures, 4);
    assert!(shown.contains("[redacted]"), "{shown}");
    assert!(!shown.contains("t0ken"), "{shown}");
}
