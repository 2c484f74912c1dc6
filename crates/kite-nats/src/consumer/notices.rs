//! Reads the JSON of events and gaps.

use std::sync::Arc;

use kite_manager::{
    AccountId, Event, Gap, LossCause, LossKind, MAX_CONNECTIONS, ManagerEvent, Missed, Mode,
    Severity, Stamp, VolumeMissed,
};
use serde_json::Value;

/// What a message reports.
#[derive(Debug)]
pub(super) enum Notice {
    /// An event of a connection.
    Connection(usize, Event),
    /// Another event.
    Manager(ManagerEvent),
    /// Frames and ticks of a connection that the publisher dropped.
    Dropped { connection: usize, frames: u64, ticks: u64 },
}

/// A member is missing, or has a value that no publisher writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{member} is missing or not readable")]
pub(super) struct Unreadable {
    pub(super) member: &'static str,
}

/// A gap whose instruments arrive in several messages.
#[derive(Debug)]
pub(super) struct Parts {
    connection: usize,
    next: u64,
    gap: Gap,
}

/// Reads an event.
pub(super) fn event(account: &AccountId, value: &Value) -> Result<Notice, Unreadable> {
    let name = text(value, "event")?;
    Ok(match name {
        "up" => {
            let (epoch, instruments) = (epoch(value, "epoch")?, number(value, "instruments")?);
            Notice::Connection(
                connection(value)?,
                Event::Up { epoch, instruments: instruments as usize },
            )
        }
        "down" => {
            let kind = LossKind::from_name(text(value, "cause")?);
            let kind = kind.ok_or(Unreadable { member: "cause" })?;
            let cause = LossCause::Reported { kind, text: text(value, "why")?.to_owned() };
            let last_heard = stamp(number(value, "last_heard_unix_ns")?);
            let epoch = epoch(value, "epoch")?;
            Notice::Connection(connection(value)?, Event::Down { epoch, cause, last_heard })
        }
        "clock_stepped" => {
            let by_ns = value["by_ns"].as_i64().ok_or(Unreadable { member: "by_ns" })?;
            Notice::Connection(connection(value)?, Event::ClockStepped { by_ns })
        }
        "dark" => {
            let tokens = value["tokens"].as_array().ok_or(Unreadable { member: "tokens" })?;
            let tokens = tokens.iter().map(|it| token(it).ok_or(Unreadable { member: "tokens" }));
            let tokens = tokens.collect::<Result<Vec<u32>, _>>()?.into();
            let (account, connection) = (account.clone(), connection(value)?);
            Notice::Manager(ManagerEvent::Dark { account, connection, tokens })
        }
        name => {
            let connection = value.get("connection").map(|_| connection(value)).transpose()?;
            let (severity, text) = (severity(value)?, text(value, "text")?);
            Notice::Manager(reported(account, connection, name, severity, text))
        }
    })
}

/// Reads a gap. Returns nothing if further parts of it follow.
pub(super) fn gap(
    account: &AccountId,
    value: &Value,
    parts: &mut Option<Parts>,
) -> Result<Option<Notice>, Unreadable> {
    Ok(match text(value, "reason")? {
        "disconnected" => {
            let found = disconnected(value, parts.take())?;
            if number(value, "part")? + 1 < number(value, "parts")? {
                *parts = Some(found);
                return Ok(None);
            }
            Some(Notice::Connection(found.connection, Event::Gap(Arc::new(found.gap))))
        }
        "dropped" => {
            let (frames, ticks) = (number(value, "frames")?, number(value, "ticks")?);
            Some(Notice::Dropped { connection: connection(value)?, frames, ticks })
        }
        "unconfirmed" => {
            let messages = number(value, "at_most_messages")?;
            let text =
                format!("the publisher lost its socket: at most {messages} messages are missing");
            Some(Notice::Manager(reported(account, None, "unconfirmed", Severity::Warning, &text)))
        }
        _ => return Err(Unreadable { member: "reason" }),
    })
}

/// Adds a part to a gap, or starts one.
fn disconnected(value: &Value, before: Option<Parts>) -> Result<Parts, Unreadable> {
    let (connection, part) = (connection(value)?, number(value, "part")?);
    let mut found = match before.filter(|it| (it.connection, it.next) == (connection, part)) {
        Some(before) => before,
        None if part == 0 => Parts { connection, next: 0, gap: read_gap(value)? },
        // An earlier part has not arrived.
        None => return Err(Unreadable { member: "part" }),
    };
    found.next += 1;
    let instruments = value["instruments"].as_array();
    for instrument in instruments.ok_or(Unreadable { member: "instruments" })? {
        found.gap.instruments.push(missed(instrument)?);
    }
    Ok(found)
}

fn read_gap(value: &Value) -> Result<Gap, Unreadable> {
    let at = |member| number(value, member).map(stamp);
    let mut gap = Gap::new(at("last_heard_unix_ns")?, at("lost_unix_ns")?, at("up_unix_ns")?);
    gap.lost_epoch = epoch(value, "lost_epoch")?;
    gap.epoch = epoch(value, "epoch")?;
    gap.moved_from = value["moved_from"].as_u64().map(|it| it as usize);
    gap.resumed = value["resumed_unix_ns"].as_u64().map(stamp);
    Ok(gap)
}

fn missed(value: &Value) -> Result<Missed, Unreadable> {
    let unreadable = Unreadable { member: "instruments" };
    let volume = match (value["volume"].as_u64(), value["unknown"].as_str()) {
        (Some(volume), _) => VolumeMissed::Known(u32::try_from(volume).map_err(|_| unreadable)?),
        (None, Some("not_carried")) => VolumeMissed::NotCarried,
        (None, Some("never_seen")) => VolumeMissed::NeverSeen,
        (None, Some("not_back")) => VolumeMissed::NotBack,
        (None, Some("unsubscribed")) => VolumeMissed::Unsubscribed,
        (None, Some("unknown_day")) => VolumeMissed::UnknownDay,
        (None, Some("other_day")) => VolumeMissed::OtherDay,
        (None, Some("fell")) => VolumeMissed::Fell,
        _ => VolumeMissed::NotTracked,
    };
    let mode = match value["mode"].as_str() {
        Some("ltp") => Mode::Ltp,
        Some("quote") => Mode::Quote,
        Some("full") => Mode::Full,
        _ => return Err(unreadable),
    };
    Ok(Missed::new(token(&value["token"]).ok_or(unreadable)?, mode, volume))
}

/// Returns an event of the publisher, or of the way from it.
pub(super) fn reported(
    account: &AccountId,
    connection: Option<usize>,
    name: &str,
    severity: Severity,
    text: &str,
) -> ManagerEvent {
    let (account, name, text) = (account.clone(), name.to_owned(), text.to_owned());
    ManagerEvent::Reported { account, connection, name, severity, text }
}

/// Converts a time of day of the publisher to a stamp of this process, by the clock's offset now. A
/// time before the start of this process becomes that start.
pub(super) fn stamp(unix_ns: u64) -> Stamp {
    let now = Stamp::now();
    let age = i128::from(now.to_unix_ns()) - i128::from(unix_ns);
    let nanos = (i128::from(now.as_nanos()) - age).max(1);
    Stamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn text<'a>(value: &'a Value, member: &'static str) -> Result<&'a str, Unreadable> {
    value[member].as_str().ok_or(Unreadable { member })
}

fn number(value: &Value, member: &'static str) -> Result<u64, Unreadable> {
    value[member].as_u64().ok_or(Unreadable { member })
}

fn epoch(value: &Value, member: &'static str) -> Result<u32, Unreadable> {
    u32::try_from(number(value, member)?).map_err(|_| Unreadable { member })
}

fn token(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|token| u32::try_from(token).ok())
}

fn connection(value: &Value) -> Result<usize, Unreadable> {
    let connection = value["connection"].as_u64().filter(|&it| it < MAX_CONNECTIONS as u64);
    connection.map(|it| it as usize).ok_or(Unreadable { member: "connection" })
}

fn severity(value: &Value) -> Result<Severity, Unreadable> {
    Ok(match text(value, "severity")? {
        "detail" => Severity::Detail,
        "notice" => Severity::Notice,
        "recovery" => Severity::Recovery,
        "warning" => Severity::Warning,
        "error" => Severity::Error,
        _ => return Err(Unreadable { member: "severity" }),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::json;

    fn mine() -> AccountId {
        AccountId::from("mine")
    }

    /// Reads an event as it is published.
    fn through(event_sent: &ManagerEvent) -> Notice {
        let (_, value) = json::event(event_sent).unwrap();
        event(&mine(), &value).unwrap()
    }

    #[test]
    fn a_gap_reads_back_from_all_its_parts() {
        let now = Stamp::now();
        let at = |ms| Stamp::at(now.to_instant() + Duration::from_millis(ms));
        let mut sent = Gap::new(at(1), at(2), at(3));
        (sent.lost_epoch, sent.epoch, sent.moved_from, sent.resumed) = (4, 5, Some(2), Some(at(4)));
        let volumes = [
            VolumeMissed::Known(7),
            VolumeMissed::NotCarried,
            VolumeMissed::NeverSeen,
            VolumeMissed::NotBack,
            VolumeMissed::Unsubscribed,
            VolumeMissed::UnknownDay,
            VolumeMissed::OtherDay,
            VolumeMissed::Fell,
            VolumeMissed::NotTracked,
        ];
        let missed = |token: u32| Missed::new(token, Mode::Quote, volumes[token as usize % 9]);
        sent.instruments = (1..=1_500).map(missed).collect();
        let mut parts = None;
        let published = json::gap(1, &sent);
        assert!(gap(&mine(), &published[0], &mut parts).unwrap().is_none());
        let read = gap(&mine(), &published[1], &mut parts).unwrap();
        let Some(Notice::Connection(1, Event::Gap(read))) = read else { panic!("{read:?}") };
        // Stamps differ by the time between two readings of the clocks.
        let near = |a: Stamp, b: Stamp| a.since(b).max(b.since(a)) < Duration::from_millis(100);
        assert!(near(read.last_heard, sent.last_heard) && near(read.up, sent.up));
        assert!(near(read.resumed.unwrap(), sent.resumed.unwrap()));
        assert_eq!((read.lost_epoch, read.epoch, read.moved_from), (4, 5, Some(2)));
        assert_eq!(read.instruments, sent.instruments);
        let late = gap(&mine(), &published[1], &mut parts);
        assert_eq!(late.unwrap_err(), Unreadable { member: "part" }, "its first part is missing");
    }

    #[test]
    fn events_read_back_with_their_values_or_their_words() {
        let dark = ManagerEvent::Dark { account: mine(), connection: 2, tokens: [5, 6].into() };
        let Notice::Manager(ManagerEvent::Dark { connection: 2, tokens, .. }) = through(&dark)
        else {
            panic!("another event")
        };
        assert_eq!(*tokens, [5, 6]);
        let Notice::Manager(lagged) = through(&ManagerEvent::Lagged { missed: 4 }) else {
            panic!("another event")
        };
        assert_eq!(
            (lagged.to_string().as_str(), lagged.severity()),
            ("events missed: 4", Severity::Warning)
        );
    }

    #[test]
    fn members_that_are_missing_or_wrong_are_named() {
        let wrong = [
            ("event", json!({})),
            ("epoch", json!({"event": "up", "connection": 0, "epoch": -1, "instruments": 1})),
            ("connection", json!({"event": "up", "connection": 3, "epoch": 1, "instruments": 1})),
            ("cause", json!({"event": "down", "connection": 0, "epoch": 1, "cause": "bored"})),
            ("tokens", json!({"event": "dark", "connection": 0, "tokens": [4294967296_u64]})),
            ("severity", json!({"event": "other", "severity": "dreadful", "text": "x"})),
            (
                "connection",
                json!({"event": "other", "connection": "0", "severity": "error", "text": "x"}),
            ),
        ];
        for (member, value) in wrong {
            assert_eq!(event(&mine(), &value).unwrap_err(), Unreadable { member }, "{value}");
        }
        for (member, value) in [
            ("reason", json!({"reason": "none"})),
            ("ticks", json!({"reason": "dropped", "connection": 0, "frames": 1})),
            ("part", json!({"reason": "disconnected", "connection": 0})),
        ] {
            assert_eq!(
                gap(&mine(), &value, &mut None).unwrap_err(),
                Unreadable { member },
                "{value}"
            );
        }
    }

    #[test]
    fn a_time_of_day_keeps_its_distance_from_now() {
        let now = Stamp::now();
        let found = stamp(now.to_unix_ns() + 5_000_000_000);
        assert!(found.since(now).abs_diff(Duration::from_secs(5)) < Duration::from_millis(100));
        assert_eq!(stamp(0), Stamp::from_nanos(1), "before the start of the process");
    }
}
