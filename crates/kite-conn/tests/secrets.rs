//! The access token is never printed or logged, by this crate or its dependencies.
//!
//! A separate program, because the log is captured for the whole process, at every level.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

#[path = "live/probe.rs"]
#[expect(dead_code, reason = "the other test program uses all of it")]
mod probe;

use std::io;
use std::sync::{Mutex, MutexGuard};

use kite_conn::{Connection, ConnectionConfig, Credentials, Endpoint, Event, EventLane};
use kite_sim::{API_KEY, Refusal, Sim};
use kite_wire::Mode;

use self::probe::{Probe, config, in_time, sim_until};

/// Raw and percent-encoded it has the same middle.
const TOKEN: &str = "a+/=s3cr3t=/+z";
const ENCODED: &str = "a%2B%2F%3Ds3cr3t%3D%2F%2Bz";
const MARK: &str = "s3cr3t";
/// A value of the endpoint's query as in the URL; its middle is the mark too.
const QUERY: &str = "q%2Fs3cr3t+9";

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log: MutexGuard<'_, Vec<u8>> = LOG.lock().unwrap();
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that an application can print of a connection and its events.
#[derive(Default)]
struct Printed(String);

impl Printed {
    fn note(&mut self, shown: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{shown:?}\n{shown:#?}\n"));
    }

    fn note_error(&mut self, error: &dyn std::error::Error) {
        self.note(&error);
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.0.push_str(&format!("{error}\n"));
            cause = error.source();
        }
    }

    fn note_events(&mut self, probe: &Probe) {
        probe.look(|seen| {
            for event in &seen.events {
                self.note(event);
                match event {
                    Event::OpenFailed { error, .. } => self.note_error(error),
                    Event::Parked(reason) => self.note_error(reason),
                    Event::Down { cause, .. } => self.note_error(cause),
                    _ => {}
                }
            }
        });
    }

    fn note_connection(&mut self, connection: &Connection) {
        self.note(connection);
        self.note(&connection.status());
        self.note(&connection.watch());
        self.note(&connection.stats());
    }
}

#[tokio::test]
async fn the_access_token_is_never_printed_or_logged() {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(|| Log)
        .init();

    let mut printed = Printed::default();
    let sim = Sim::builder().credentials(API_KEY, TOKEN).start().await.unwrap();
    let credentials = Credentials::new(API_KEY, TOKEN);
    let echo =
        format!(r#"{{"status":"error","message":"bad {TOKEN} or {ENCODED}","data":"{TOKEN}"}}"#);
    sim.refuse_with(Some(Refusal::new(403, echo)));
    let (probe, lane) = (Probe::new(), EventLane::default());
    let config = config(&sim);
    printed.note(&(&config, &credentials));
    let connection =
        Connection::spawn(config.clone(), credentials.clone(), probe.sink(), &lane, 0).unwrap();
    // Not yet received by the connection's task.
    connection.set_credentials(credentials.clone());
    printed.note_connection(&connection);
    probe.until("a park", |seen| seen.count(|e| matches!(e, Event::Parked(_))) > 0).await;
    printed.note_connection(&connection);

    // A proxy that echoes the endpoint's query, raw and decoded.
    {
        let endpoint = format!("{}/?user_id=AB1234&enctoken={QUERY}", sim.endpoint());
        let config =
            ConnectionConfig { endpoint: Endpoint::parse(&endpoint).unwrap(), ..config.clone() };
        let page = format!("<html>/?user_id=AB1234&enctoken={QUERY}, q/s3cr3t+9</html>");
        sim.refuse_with(Some(Refusal::new(502, page)));
        let probe = Probe::new();
        printed.note(&config);
        let connection =
            Connection::spawn(config, credentials.clone(), probe.sink(), &lane, 2).unwrap();
        let failed = |event: &Event| matches!(event, Event::OpenFailed { .. });
        probe.until("a refusal", |seen| seen.count(failed) > 0).await;
        printed.note_connection(&connection);
        in_time("the close", connection.close()).await;
        printed.note_events(&probe);
    }

    // A proxy's page and a redirect that echo the request.
    for status in [400, 302, 502] {
        let page = format!("<html>/?api_key={API_KEY}&access_token={ENCODED} {TOKEN}</html>");
        sim.refuse_with(Some(Refusal::new(status, page)));
        let tries = sim.stats().refused.get(&status).copied().unwrap_or_default();
        connection.set_credentials(credentials.clone());
        sim_until(&sim, "a refusal", |sim| sim.stats().refused.get(&status) > Some(&tries)).await;
    }
    sim.refuse_with(None);
    probe.until("the connection", |seen| seen.count(|e| matches!(e, Event::Up { .. })) > 0).await;
    connection.subscribe(&[256, 257], Mode::Full).unwrap();
    probe.until("ticks", |seen| seen.ticks.len() == 2).await;
    sim.drop_all();
    probe.until("ticks again", |seen| seen.epoch == 2).await;
    sim.close_all(1_001);
    probe.until("ticks again", |seen| seen.epoch == 3).await;
    printed.note_connection(&connection);
    in_time("the close", connection.close()).await;
    printed.note_events(&probe);

    // A server without TLS, and an address without a server.
    let tls = format!("wss://{}", sim.addr());
    let absent = {
        let other = Sim::builder().start().await.unwrap();
        other.stop().await;
        other.endpoint()
    };
    for endpoint in [tls, absent] {
        let endpoint = Endpoint::parse(&endpoint).unwrap();
        let probe = Probe::new();
        let config = ConnectionConfig { endpoint, ..config.clone() };
        let connection =
            Connection::spawn(config, credentials.clone(), probe.sink(), &lane, 1).unwrap();
        probe
            .until("failures", |seen| seen.count(|e| matches!(e, Event::OpenFailed { .. })) > 1)
            .await;
        printed.note_connection(&connection);
        in_time("the close", connection.close()).await;
        printed.note_events(&probe);
    }

    let log = String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned();
    // The capture works, because it has lines of this crate and of its dependencies.
    for line in ["up conn=", "lost: ", "parked: ", "tungstenite", "rustls"] {
        assert!(log.contains(line), "{line} is missing");
    }
    assert!(printed.0.contains("[redacted]") && printed.0.contains("403"));
    for (name, text) in [("printed", &printed.0), ("logged", &log)] {
        if let Some(line) = text.lines().find(|line| line.contains(MARK)) {
            panic!("{name}: {line}");
        }
    }
}
