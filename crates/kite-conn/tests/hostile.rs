//! A server whose texts forge log lines, control terminals, hide words and echo the access token.
//!
//! A separate program, because the log is captured for the whole process.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

#[path = "live/probe.rs"]
#[expect(dead_code, reason = "the other test program uses all of it")]
mod probe;

use std::error::Error;
use std::io;
use std::sync::Mutex;

use futures_util::SinkExt;
use kite_conn::{
    Connection, ConnectionConfig, Credentials, Endpoint, ErrorChain, Event, EventLane, LossCause,
    ParkReason,
};
use kite_sim::Sim;
use kite_wire::text::TextMessage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use self::probe::{Probe, config, in_time};

const TOKEN: &str = "s3cr3t/t0k3n+of=today";
/// A line break, ANSI, OSC, marks of direction, and characters without a width. Its last line is
/// the one that it forges.
const HOSTILE: &str =
    "\x1b[31m\x1b]0;title\x07\u{9b}2J\u{202e}dab\u{202c}\u{200b}\u{2028}\r\nFORGED";
/// The same as displayed.
const SHOWN: &str = " [31m ]0;title  2J dab     FORGED";

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses one handshake; accepts the next one, sends texts, and closes.
async fn serve(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let body = serde_json::json!({"status": "error", "message": format!("{HOSTILE} {TOKEN}")});
    let answer = format!("HTTP/1.1 502 {TOKEN}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.unwrap();
    drop(stream);

    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let said = format!("{HOSTILE} {TOKEN}");
    for text in [
        serde_json::json!({"type": "error", "data": said}).to_string(),
        serde_json::json!({"type": "error", "data": format!("more than 3000 instruments {said}")})
            .to_string(),
        serde_json::json!({"type": "message", "data": said}).to_string(),
        serde_json::json!({"type": "message", "data": {"a": said}}).to_string(),
        serde_json::json!({"type": "order", "data": {"order_id": said}}).to_string(),
        serde_json::json!({"type": said, "data": said}).to_string(),
        said.clone(),
    ] {
        socket.send(Message::text(text)).await.unwrap();
    }
    let close = CloseFrame { code: 1008.into(), reason: said.into() };
    socket.send(Message::Close(Some(close))).await.unwrap();
    drop(listener);
}

#[track_caller]
fn assert_clean(shown: &str) {
    assert!(!shown.contains("s3cr3t"), "{shown:?}");
    let is_hidden = |c: char| c.is_control() || "\u{202e}\u{202c}\u{200b}\u{2028}".contains(c);
    assert!(!shown.contains(is_hidden), "{shown:?}");
}

fn assert_error_clean(error: &(dyn Error + 'static)) {
    assert_clean(&error.to_string());
    assert_clean(&ErrorChain(error).to_string());
}

#[tokio::test]
async fn a_servers_texts_are_displayed_and_logged_on_one_line_without_the_token() {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(|| Log)
        .init();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("ws://{}", listener.local_addr().unwrap());
    let endpoint = Endpoint::parse(&endpoint).unwrap();
    let sim = Sim::builder().start().await.unwrap();
    let mut config = ConnectionConfig { endpoint, ..config(&sim) };
    config.reconnect.max_attempts = 3;
    let probe = Probe::new();
    let credentials = Credentials::new("key", TOKEN);
    let connection =
        Connection::spawn(config, credentials, probe.sink(), &EventLane::default(), 0).unwrap();
    connection.subscribe(&[256], kite_wire::Mode::Full).unwrap();
    in_time("the server", serve(listener)).await;
    // The port is closed then.
    probe.until("the end", |seen| seen.count(|it| matches!(it, Event::Parked(_))) > 0).await;

    probe.look(|seen| {
        for event in &seen.events {
            assert_clean(&event.to_string());
            assert!(!format!("{event:?} {event:#?}").contains("s3cr3t"), "{event:?}");
            match event {
                Event::OpenFailed { error, .. } => assert_error_clean(error),
                Event::Down { cause, .. } => assert_error_clean(cause),
                Event::Parked(reason) => assert_error_clean(reason),
                _ => {}
            }
        }
        let shown: Vec<String> = seen.events.iter().map(ToString::to_string).collect();
        for expected in [
            format!("server error: {SHOWN} [redacted]"),
            format!("broker: {SHOWN} [redacted]"),
            format!("lost: the server closed with code 1008: {SHOWN} [redacted]"),
        ] {
            assert!(shown.contains(&expected), "{expected} is not in {shown:#?}");
        }
        let refused = "connection attempt 1 failed: the server refused the handshake with status \
                       502: ";
        assert!(shown.contains(&format!("{refused}{SHOWN} [redacted]")), "{shown:#?}");
        assert_eq!(seen.count(|event| matches!(event, Event::LimitRefused { .. })), 1);

        // What was sent is available as it was, but for the token.
        let said = format!("{HOSTILE} [redacted]");
        assert_eq!(
            seen.count(|event| matches!(event, Event::Text { message, .. }
            if **message == TextMessage::Error(said.clone()))),
            1
        );
        assert_eq!(
            seen.count(|event| matches!(event, Event::Down { cause, .. }
            if *cause == LossCause::CloseFrame { code: 1008, reason: said.clone() })),
            1
        );
        assert_eq!(
            seen.count(|event| matches!(event, Event::TextUnreadable { text, .. }
            if text == &said)),
            1
        );
    });
    let status = connection.status();
    assert!(matches!(status.parked, Some(ParkReason::AttemptsUsedUp { .. })), "{status:?}");
    assert!(!format!("{status:?}").contains("s3cr3t"));
    in_time("the close", connection.close()).await;

    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    assert!(log.contains("code 1008") && log.contains("status 502"), "{log}");
    for line in log.lines() {
        assert_clean(line);
        assert!(!line.starts_with("FORGED"), "{line}");
    }
}
