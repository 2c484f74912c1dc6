//! Events as short strings, so that tests compare them exactly.

use std::collections::BTreeMap;
use std::sync::Arc;

use kite_conn::{Event, Gap, HandshakeError, LossCause, OpenError, ParkReason, TokenSourceError};
use kite_sim::{API_KEY, Sim};
use kite_wire::Mode;
use kite_wire::text::TextMessage;

use crate::probe::{Probe, Received, Seen};

/// Returns `count` instruments, alternating between the three modes.
pub(crate) fn mixed(count: usize) -> BTreeMap<u32, Mode> {
    kite_sim::universe(count).into_iter().zip(Mode::ALL.into_iter().cycle()).collect()
}

/// Returns the changes that subscribe `modes`.
pub(crate) fn changes(modes: &BTreeMap<u32, Mode>) -> impl Iterator<Item = (u32, Option<Mode>)> {
    modes.iter().map(|(&token, &mode)| (token, Some(mode)))
}

/// Returns a short description of an event.
pub(crate) fn word(event: &Event) -> String {
    match event {
        Event::Opening { attempt } => format!("opening {attempt}"),
        Event::Up { epoch, .. } => format!("up {epoch}"),
        Event::Down { epoch, cause, .. } => format!("down {epoch}: {}", cause_word(cause)),
        Event::Gap(gap) => format!("gap {}→{}", gap.lost_epoch, gap.epoch),
        Event::OpenFailed { attempt, error } => format!("failed {attempt}: {}", error_word(error)),
        Event::Retry { attempt, .. } => format!("retry {attempt}"),
        Event::Renewing { attempt, refused: false } => format!("renewing {attempt}"),
        Event::Renewing { attempt, refused: true } => format!("renewing {attempt}, refused"),
        Event::RenewalFailed { attempt, error } => {
            let why = match error {
                TokenSourceError::Failed(_) => "error",
                TokenSourceError::Timeout { .. } => "timeout",
                TokenSourceError::Panicked => "panic",
                other => panic!("{other:?}"),
            };
            format!("renewal {attempt} failed: {why}")
        }
        Event::Parked(ParkReason::Authentication(_)) => "parked: authentication".into(),
        Event::Parked(ParkReason::AttemptsUsedUp { failures, .. }) => {
            format!("parked: {failures} failures")
        }
        Event::Parked(ParkReason::Configuration(_)) => "parked: configuration".into(),
        Event::FeedSilent { .. } => "feed silent".into(),
        Event::TicksStale { .. } => "stale".into(),
        Event::TicksResumed { .. } => "resumed".into(),
        Event::LimitRefused { instruments, .. } => format!("limit refused {instruments}"),
        Event::DeliveryFailed => "delivery failed".into(),
        Event::Closed { .. } => "closed".into(),
        Event::FrameDamaged { .. } => "damaged".into(),
        Event::PacketsSkipped { packets, .. } => format!("skipped {packets}"),
        Event::TextUnreadable { .. } => "unreadable text".into(),
        Event::Text { message, .. } => match &**message {
            TextMessage::Order(_) => "order".into(),
            TextMessage::Error(_) => "error text".into(),
            other => format!("text {}", other.kind().unwrap_or_default()),
        },
        other => format!("{other:?}"),
    }
}

fn cause_word(cause: &LossCause) -> String {
    match cause {
        LossCause::Eof => "eof".into(),
        LossCause::Io(kind) => format!("{kind:?}"),
        LossCause::CloseFrame { code, .. } => format!("close {code}"),
        LossCause::Protocol(_) => "protocol".into(),
        LossCause::FrameTooLarge { .. } => "too large".into(),
        LossCause::Silence { .. } => "silence".into(),
        LossCause::FeedSilence { .. } => "feed silence".into(),
        LossCause::WriteBlocked { .. } => "write blocked".into(),
        other => panic!("{other:?}"),
    }
}

fn error_word(error: &OpenError) -> String {
    match error {
        OpenError::Connect { .. } => "connect".into(),
        OpenError::Refused(refusal) if error.is_auth() => format!("{} auth", refusal.status),
        OpenError::Refused(refusal) => refusal.status.to_string(),
        OpenError::Timeout { stage, .. } => format!("timeout of {stage}"),
        OpenError::Handshake(source) => handshake_word(source).into(),
        OpenError::Tls { fault, .. } => format!("tls: {fault}"),
        OpenError::Proxy { source, .. } => format!("proxy {}", handshake_word(source)),
        OpenError::ProxyRefused { refusal, .. } => format!("proxy {}", refusal.status),
        other => panic!("{other:?}"),
    }
}

fn handshake_word(error: &HandshakeError) -> &'static str {
    match error {
        HandshakeError::Io { .. } => "broken handshake",
        HandshakeError::Closed { .. } => "ended handshake",
        HandshakeError::NotHttp => "not http",
        HandshakeError::WrongAccept => "wrong accept key",
        other => panic!("{other:?}"),
    }
}

/// Returns the descriptions of all events that a sink received.
pub(crate) fn story(seen: &Seen) -> Vec<String> {
    seen.events.iter().map(word).collect()
}

/// Waits for as many events as expected after the first `from`, and compares them.
#[track_caller]
pub(crate) fn expect_events(
    probe: &Arc<Probe>,
    from: usize,
    expected: &[&str],
) -> impl Future<Output = ()> {
    let probe = Arc::clone(probe);
    let expected: Vec<String> = expected.iter().map(|&word| word.to_owned()).collect();
    async move {
        let enough = |seen: &Seen| seen.events.len() >= from + expected.len();
        probe.until(&format!("{expected:?}"), enough).await;
        let events = probe.look(|seen| story(seen)[from..from + expected.len()].to_vec());
        assert_eq!(events, expected);
    }
}

pub(crate) fn gaps(seen: &Seen) -> Vec<Arc<Gap>> {
    let gap = |event: &Event| match event {
        Event::Gap(gap) => Some(Arc::clone(gap)),
        _ => None,
    };
    seen.events.iter().filter_map(gap).collect()
}

/// Asserts that every socket delivered the beginning of what the simulator sent on it, in order and
/// without repetition, and that the last one delivered all of it. With `strays`, the simulator
/// counts some sockets that the client had already abandoned.
pub(crate) fn assert_nothing_twice(name: &str, sim: &Sim, seen: &Seen, strays: bool) {
    let records = sim.sockets(API_KEY);
    if !strays {
        let epochs = seen.events.iter().filter(|event| matches!(event, Event::Up { .. })).count();
        assert_eq!(records.len(), epochs, "{name}: {records:?}");
    }
    let mut left = records.iter();
    for (epoch, Received { frames, chain }) in &seen.sockets {
        let mut found = left.by_ref().filter(|record| record.has_prefix(*frames, *chain));
        assert!(found.next().is_some(), "{name}: socket {epoch}: {records:?}, {seen:?}");
    }
    let (last, received) = (records.last().unwrap(), seen.sockets.values().next_back().unwrap());
    assert_eq!((last.frames(), last.chain()), (received.frames, received.chain), "{name}");
}
