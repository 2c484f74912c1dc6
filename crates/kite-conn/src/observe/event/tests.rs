use std::io;

use super::super::gap::{Missed, VolumeMissed};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn text(json: &'static str) -> Event {
    let message = Arc::new(TextMessage::parse(json).unwrap());
    Event::Text { text: Bytes::from_static(json.as_bytes()), message, received: Stamp::now() }
}

fn dns() -> OpenError {
    let source = Arc::new(io::Error::from(io::ErrorKind::TimedOut));
    OpenError::Dns { host: "ws.kite.trade".to_owned(), source }
}

fn gap(volumes: &[VolumeMissed], resumed: Option<Duration>) -> Event {
    let start = Stamp::now();
    let missed = |(token, &volume)| Missed { token, mode: kite_wire::Mode::Full, volume };
    Event::Gap(Arc::new(Gap {
        lost_epoch: 1,
        epoch: 2,
        moved_from: (volumes.len() == 3).then_some(1),
        last_heard: start,
        lost: start,
        up: start,
        resumed: resumed.map(|after| Stamp::at(start.to_instant() + after)),
        instruments: (1..).zip(volumes).map(missed).collect(),
    }))
}

/// Every event with its name, severity and text.
fn all() -> Vec<(Event, &'static str, Severity, &'static str)> {
    use Severity::{Detail, Error, Notice, Recovery, Warning};
    use VolumeMissed::{Known, NotBack};
    let received = Stamp::now();
    let (silence, slept) = (MINUTE, MINUTE * 90);
    let fault = FrameFault::TruncatedLength { index: 1, declared: 2, offset: 12 };
    let unreadable = TextMessage::parse("[1]").unwrap_err();
    vec![
        (Event::Opening { attempt: 1 }, "opening", Detail, "opening a socket, attempt 1"),
        (Event::Up { epoch: 1, instruments: 3 }, "up", Notice, "up"),
        (Event::Up { epoch: 2, instruments: 3 }, "up", Recovery, "up again"),
        (
            Event::Down { epoch: 1, cause: LossCause::Eof, last_heard: received },
            "down",
            Error,
            "lost: the server ended the stream without a close frame",
        ),
        (
            gap(&[Known(1_200), Known(34)], Some(Duration::from_millis(2_540))),
            "gap",
            Warning,
            "gap: no ticks from 2 instruments for 2.5s, missed volume 1,234",
        ),
        (
            gap(&[Known(0), NotBack], Some(Duration::from_secs(5))),
            "gap",
            Warning,
            "gap: no ticks from 2 instruments for 5.0s, missed volume 0",
        ),
        (gap(&[NotBack], None), "gap", Warning, "gap: no ticks from 1 instrument yet"),
        (gap(&[], None), "gap", Notice, "gap: no instruments were subscribed"),
        (
            gap(&[Known(5), Known(6), NotBack], Some(Duration::from_secs(5))),
            "gap",
            Warning,
            "gap: no ticks from 3 instruments for 5.0s, moved from connection 2, missed volume 11",
        ),
        (
            Event::OpenFailed { attempt: 3, error: dns() },
            "open_failed",
            Error,
            "connection attempt 3 failed: looking up ws.kite.trade failed: timed out",
        ),
        (Event::Retry { attempt: 4, delay: MINUTE / 40 }, "retry", Detail, "attempt 4 in 1.5s"),
        (Event::Retry { attempt: 2, delay: MINUTE * 5 }, "retry", Warning, "attempt 2 in 300.0s"),
        (
            Event::Renewing { attempt: 2, refused: false },
            "renewing",
            Detail,
            "asking for credentials",
        ),
        (
            Event::Renewing { attempt: 2, refused: true },
            "renewing",
            Detail,
            "asking for new credentials; the current ones were refused",
        ),
        (
            Event::RenewalFailed { attempt: 2, error: TokenSourceError::Panicked },
            "renewal_failed",
            Error,
            "no new credentials: the token source panicked",
        ),
        (
            Event::Parked(ParkReason::Configuration(dns())),
            "parked",
            Error,
            "parked: cannot connect with this configuration: looking up ws.kite.trade failed: \
             timed out",
        ),
        (
            Event::FeedSilent { silence, grace: Duration::ZERO },
            "feed_silent",
            Warning,
            "the path works, but no tick or heartbeat was received for 60.0s",
        ),
        (
            Event::TicksStale { silence, instruments: 3 },
            "ticks_stale",
            Warning,
            "no ticks from 3 instruments for 60.0s; is the market open?",
        ),
        (Event::TicksResumed { silence }, "ticks_resumed", Recovery, "ticks resumed after 60.0s"),
        (Event::Suspended { slept }, "suspended", Warning, "the machine slept for 5400.0s"),
        (
            Event::ClockStepped { by_ns: -5_400_000_000_000 },
            "clock_stepped",
            Warning,
            "the wall clock was set back by 5400.0s",
        ),
        (
            Event::ClockStepped { by_ns: 700_000_000 },
            "clock_stepped",
            Warning,
            "the wall clock was set forward by 700.0ms",
        ),
        (
            Event::LimitRefused { message: "too many".to_owned(), instruments: 1 },
            "limit_refused",
            Error,
            "1 instrument rejected: too many",
        ),
        (
            Event::DeliveryFailed,
            "delivery_failed",
            Error,
            "the sink panicked; closing the connection",
        ),
        (Event::Closed { clean: true }, "closed", Detail, "closed"),
        (
            Event::Closed { clean: false },
            "closed",
            Notice,
            "closed; what the server sent last may be missing",
        ),
        (
            Event::FrameDamaged { fault, bytes_left: 1, suppressed: 1 },
            "frame_damaged",
            Error,
            "frame ends at byte 12 within the length of packet 1, with 2 packets declared, 1 byte cut off, and 1 more damaged frame",
        ),
        (
            Event::PacketsSkipped { length: 40, packets: 2, suppressed: 5 },
            "packets_skipped",
            Error,
            "2 packets of unknown length (40 bytes) skipped, and 5 more such frames",
        ),
        (
            Event::NotSubscribed { token: 5 },
            "not_subscribed",
            Warning,
            "ticks of instruments that are not subscribed arrive, the first of 5",
        ),
        (
            Event::TextUnreadable {
                text: Bytes::new(),
                error: unreadable,
                received,
                suppressed: 0,
            },
            "text_unreadable",
            Warning,
            "text frame unreadable: text frame of 3 bytes holds an array instead of a JSON object",
        ),
        (text(r#"{"type":"error","data":"too much"}"#), "text", Error, "server error: too much"),
        (text(r#"{"type":"message","data":"hello"}"#), "text", Notice, "broker: hello"),
        (text(r#"{"type":"message","data":{"a":1}}"#), "text", Notice, r#"broker: {"a":1}"#),
        (text(r#"{"type":"order","data":{}}"#), "text", Detail, "an order update"),
        (text(r#"{"type":"order","data":1}"#), "text", Detail, "an unreadable order update"),
        (text(r#"{"type":"app_code"}"#), "text", Detail, "text frame of type app_code"),
        (text(r#"{"data":1}"#), "text", Detail, "text frame without a type"),
    ]
}

#[test]
fn every_event_has_its_name_severity_and_text() {
    for (event, name, severity, words) in all() {
        assert_eq!(event.to_string(), words);
        assert_eq!((event.name(), event.severity()), (name, severity), "{words}");
    }
}

#[test]
fn server_text_stays_on_one_line_and_cannot_control_a_terminal() {
    let message = "no\r\n\x1b[2Jroom".to_owned();
    let refused = Event::LimitRefused { message, instruments: 2 };
    assert_eq!(refused.to_string(), "2 instruments rejected: no   [2Jroom");
    let cause = LossCause::CloseFrame { code: 1001, reason: "\u{9b}1mbye\n".to_owned() };
    let lost = Event::Down { epoch: 1, cause, last_heard: Stamp::now() };
    assert_eq!(lost.to_string(), "lost: the server closed with code 1001:  1mbye ");
}

#[test]
fn the_text_of_a_failed_renewal_leaves_out_the_applications_error() {
    let error = TokenSourceError::Failed(Arc::from(
        Box::<dyn std::error::Error + Send + Sync>::from("s3cr3t"),
    ));
    let failed = Event::RenewalFailed { attempt: 1, error };
    assert_eq!(failed.to_string(), "no new credentials: the token source failed");
}
