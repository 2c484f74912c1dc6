//! The effects of each fault that a user must see, and those that must not occur.

use kite_conn::{Event, HandshakeError, LossCause, OpenError, OpenStage};
use kite_sim::{Fault, FaultKind, Refusal};
use kite_wire::text::TextMessage;

use crate::recorder::Seen;
use crate::timing::CONNECT_TIMEOUT;

/// How a live socket is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    None,
    /// By an end or a reset.
    Broken,
    /// By a close frame.
    Closed {
        code: u16,
    },
    Protocol,
    TooLarge,
    Silence,
    FeedSilence,
    WriteBlocked,
}

/// How an attempt to open a socket fails.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    Auth {
        status: u16,
        message: String,
    },
    Refused {
        status: u16,
    },
    Timeout(OpenStage),
    WrongAccept,
    /// The handshake broke off.
    Broken,
    Tls,
    /// No listener, or the peer goes away in the middle.
    Away,
}

/// What else is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Effect {
    None,
    Damaged,
    Skipped,
    Unreadable,
    /// A text frame of this type.
    Other {
        kind: String,
    },
    Error {
        message: String,
        is_limit: bool,
    },
    /// The same order, this many times.
    Order {
        id: String,
        times: usize,
    },
    /// This many frames, and nothing else.
    Frames(u64),
    FeedSilent,
    /// Stale ticks, and once healed, ticks again.
    Stale,
}

/// What a connection must show of one fault.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    loss: Loss,
    failure: Option<Failure>,
    /// Minimum and maximum number of failures.
    failures: (usize, usize),
    effect: Effect,
    /// Whether the connection has a token source.
    renews: bool,
}

/// The state of a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not everything has been seen yet.
    Waiting,
    /// The connection is parked, as it should be, and waits for credentials.
    Parked,
    /// Stale ticks were reported, as they should be: time to heal.
    Stale,
    /// Everything required has been seen.
    Kept,
    /// Something was seen that must not be.
    Broken(String),
}

/// Any number of failures, because it depends on the backoff.
const ANY: usize = usize::MAX;

impl Promise {
    /// Returns the promise for a fault; `renews` if the connection has a token source.
    pub(crate) fn of(fault: &Fault, renews: bool) -> Self {
        let quiet = Self {
            loss: Loss::None,
            failure: None,
            failures: (0, 0),
            effect: Effect::None,
            renews,
        };
        let shows = |effect| Self { effect, ..quiet.clone() };
        let loses = |loss| Self { loss, ..quiet.clone() };
        // A fault in the handshake, after a provoked loss.
        let fails = |failure, failures| Self {
            loss: Loss::Broken,
            failure: Some(failure),
            failures,
            ..quiet.clone()
        };
        let once = |failure| fails(failure, (1, 1));
        match fault {
            Fault::Refuse { refusal, .. } if fault.kind() == FaultKind::AuthRefusal => {
                once(Failure::Auth { status: refusal.status(), message: message_in(refusal) })
            }
            Fault::Refuse { refusal, .. } => once(Failure::Refused { status: refusal.status() }),
            Fault::SlowHandshake { delay } if *delay > CONNECT_TIMEOUT => {
                once(Failure::Timeout(OpenStage::Handshake))
            }
            Fault::SlowHandshake { .. } => loses(Loss::Broken),
            Fault::HangingHandshake => once(Failure::Timeout(OpenStage::Handshake)),
            Fault::WrongAcceptKey => once(Failure::WrongAccept),
            Fault::HandshakeReset | Fault::HandshakeEnd => once(Failure::Broken),
            Fault::HangingTls => once(Failure::Timeout(OpenStage::Tls)),
            Fault::GarbageTls => once(Failure::Tls),
            Fault::Reset { .. } | Fault::EndOfStream { .. } => loses(Loss::Broken),
            Fault::HalfOpen | Fault::Stalls => loses(Loss::Silence),
            // A slow frame is not silence, but ticks are stale until it is complete.
            Fault::HeartbeatsOnly | Fault::SlowLink { .. } => shows(Effect::Stale),
            Fault::PongsOnly => Self { effect: Effect::FeedSilent, ..loses(Loss::FeedSilence) },
            Fault::StopsReading => loses(Loss::WriteBlocked),
            Fault::TruncatedFrame { .. } | Fault::LyingCount { .. } => shows(Effect::Damaged),
            Fault::OversizedFrame { .. } => loses(Loss::TooLarge),
            Fault::UnknownPacket { .. } => shows(Effect::Skipped),
            Fault::UnknownText => shows(Effect::Other { kind: "sim_unknown".into() }),
            Fault::UnparsableText => shows(Effect::Unreadable),
            Fault::ErrorText { message } => shows(Effect::Error {
                message: message.to_string(),
                is_limit: *fault == Fault::limit_error(),
            }),
            Fault::Order { data } | Fault::DuplicateOrder { data } => {
                let id = data["order_id"].as_str().unwrap_or_default();
                let times = if matches!(fault, Fault::Order { .. }) { 1 } else { 2 };
                shows(Effect::Order { id: id.into(), times })
            }
            Fault::Close { code, .. } => loses(Loss::Closed { code: *code }),
            Fault::Burst { frames } => shows(Effect::Frames(*frames as u64)),
            Fault::InvalidFrame(_) => loses(Loss::Protocol),
            Fault::LateSlot { .. } => Self {
                loss: Loss::Closed { code: 1_001 },
                ..fails(Failure::Refused { status: 429 }, (1, ANY))
            },
            Fault::Restart { .. } => fails(Failure::Away, (1, ANY)),
            // Unknown kinds promise nothing, so their effects are failures.
            _ => quiet,
        }
    }

    /// Returns whether a socket is lost.
    pub(crate) fn loses(&self) -> bool {
        self.loss != Loss::None
    }

    /// Compares what was seen since the fault with the promise.
    pub(crate) fn judge(&self, seen: &Seen) -> Standing {
        if let Some(unexpected) = self.unexpected(seen) {
            return Standing::Broken(unexpected);
        }
        let (mut is_up, mut is_parked, mut is_stale) = (true, false, false);
        let (mut losses, mut failures, mut refused) = (0, 0, 0);
        for event in seen.events() {
            match event {
                Event::Down { .. } => (is_up, losses) = (false, losses + 1),
                Event::Up { .. } => is_up = true,
                Event::OpenFailed { .. } => failures += 1,
                Event::Parked(_) => is_parked = true,
                Event::Opening { .. } => is_parked = false,
                Event::Renewing { refused: true, .. } => refused += 1,
                Event::TicksStale { .. } => is_stale = true,
                Event::TicksResumed { .. } => is_stale = false,
                _ => {}
            }
        }
        if is_parked {
            return Standing::Parked;
        }
        if self.effect == Effect::Stale && is_stale {
            return Standing::Stale;
        }
        let renews_on_refusal = matches!(self.failure, Some(Failure::Auth { .. })) && self.renews;
        let is_kept = losses == usize::from(self.loses())
            && failures >= self.failures.0
            && is_up
            && (!renews_on_refusal || refused > 0)
            && self.shown(seen);
        if is_kept { Standing::Kept } else { Standing::Waiting }
    }

    /// Returns whether the effect other than losses and failures has been seen, as often as
    /// required.
    fn shown(&self, seen: &Seen) -> bool {
        let count = |is_it: &dyn Fn(&Event) -> bool| seen.events().filter(|it| is_it(it)).count();
        match &self.effect {
            Effect::None => true,
            Effect::Damaged => seen.damaged == 1,
            Effect::Skipped => seen.skipped == 1,
            Effect::Unreadable => count(&|it| matches!(it, Event::TextUnreadable { .. })) == 1,
            Effect::Other { .. } => count(&|it| self.is_own_text(it)) == 1,
            Effect::Error { is_limit, .. } => {
                let limits = count(&|it| matches!(it, Event::LimitRefused { .. }));
                let least = usize::from(*is_limit && !seen.was_limited);
                count(&|it| self.is_own_text(it)) == 1 && (least..=1).contains(&limits)
            }
            Effect::Order { times, .. } => count(&|it| self.is_own_text(it)) == *times,
            Effect::Frames(frames) => seen.frames >= *frames,
            Effect::FeedSilent => count(&|it| matches!(it, Event::FeedSilent { .. })) == 1,
            Effect::Stale => count(&|it| matches!(it, Event::TicksResumed { .. })) >= 1,
        }
    }

    /// Returns what was seen but must not be.
    fn unexpected(&self, seen: &Seen) -> Option<String> {
        let (mut losses, mut failures) = (0, 0);
        for event in seen.events() {
            let is_expected = match event {
                Event::Down { cause, .. } => {
                    losses += 1;
                    losses == 1 && self.is_own_loss(cause)
                }
                Event::OpenFailed { error, .. } => {
                    failures += 1;
                    failures <= self.failures.1 && self.is_own_failure(error)
                }
                Event::Parked(_) => {
                    matches!(self.failure, Some(Failure::Auth { .. })) && !self.renews
                }
                Event::FeedSilent { .. } => self.effect == Effect::FeedSilent,
                Event::LimitRefused { .. } => {
                    matches!(self.effect, Effect::Error { is_limit: true, .. })
                }
                Event::FrameDamaged { .. } => self.effect == Effect::Damaged,
                Event::PacketsSkipped { .. } => self.effect == Effect::Skipped,
                Event::TextUnreadable { .. } => self.effect == Effect::Unreadable,
                Event::Text { message, .. } => {
                    let is_greeting =
                        matches!(message.kind(), Some("instruments_meta" | "app_code"));
                    is_greeting || self.is_own_text(event)
                }
                Event::Renewing { .. } | Event::RenewalFailed { .. } => self.renews,
                Event::DeliveryFailed | Event::Closed { .. } => false,
                Event::Opening { .. }
                | Event::Up { .. }
                | Event::Gap(_)
                | Event::Retry { .. }
                | Event::TicksStale { .. }
                | Event::TicksResumed { .. }
                | Event::ClockStepped { .. } => true,
                // A sleeping machine and unknown events have nothing to do with the fault.
                _ => false,
            };
            if !is_expected {
                return Some(format!("{event:?} was reported, which this fault does not promise"));
            }
        }
        if seen.damaged > u64::from(self.effect == Effect::Damaged) {
            return Some(format!("{} damaged frames were delivered", seen.damaged));
        }
        if seen.skipped > u64::from(self.effect == Effect::Skipped) {
            return Some(format!("{} unknown packets were delivered", seen.skipped));
        }
        None
    }

    fn is_own_loss(&self, cause: &LossCause) -> bool {
        match (self.loss, cause) {
            // A handshake is forced in several ways.
            (Loss::Broken, LossCause::CloseFrame { code: 1_001, .. }) => true,
            (Loss::Broken, LossCause::Eof | LossCause::Io(_))
            | (Loss::Protocol, LossCause::Protocol(_))
            | (Loss::TooLarge, LossCause::FrameTooLarge { .. })
            | (Loss::Silence, LossCause::Silence { .. })
            | (Loss::FeedSilence, LossCause::FeedSilence { .. })
            | (Loss::WriteBlocked, LossCause::WriteBlocked { .. }) => true,
            (Loss::Closed { code }, LossCause::CloseFrame { code: found, .. }) => code == *found,
            _ => false,
        }
    }

    fn is_own_failure(&self, error: &OpenError) -> bool {
        match (&self.failure, error) {
            (Some(Failure::Auth { status, message }), OpenError::Refused(refusal)) => {
                error.is_auth()
                    && refusal.status == *status
                    && refusal.message.as_ref() == Some(message)
                    && refusal.body_complete
            }
            (Some(Failure::Refused { status }), OpenError::Refused(refusal)) => {
                !error.is_auth() && refusal.status == *status
            }
            (Some(Failure::Timeout(stage)), OpenError::Timeout { stage: found, .. }) => {
                stage == found
            }
            (Some(Failure::WrongAccept), OpenError::Handshake(HandshakeError::WrongAccept)) => true,
            (
                Some(Failure::Broken),
                OpenError::Handshake(HandshakeError::Io { .. } | HandshakeError::Closed { .. }),
            ) => true,
            (Some(Failure::Tls), OpenError::Tls { .. }) => true,
            (
                Some(Failure::Away),
                OpenError::Connect { .. }
                | OpenError::Tls { .. }
                | OpenError::Handshake(HandshakeError::Io { .. } | HandshakeError::Closed { .. }),
            ) => true,
            _ => false,
        }
    }

    fn is_own_text(&self, event: &Event) -> bool {
        let Event::Text { message, .. } = event else { return false };
        match (&self.effect, &**message) {
            (Effect::Other { kind }, TextMessage::Other { kind: found, .. }) => {
                found.as_ref() == Some(kind)
            }
            (Effect::Error { message, .. }, TextMessage::Error(found)) => message == found,
            (Effect::Order { id, .. }, TextMessage::Order(order)) => {
                order.order_id.as_deref() == Some(id)
            }
            _ => false,
        }
    }
}

/// Returns the message of Kite's JSON error.
fn message_in(refusal: &Refusal) -> String {
    let body: Result<serde_json::Value, _> = serde_json::from_str(refusal.body());
    body.ok().and_then(|body| Some(body["message"].as_str()?.to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kite_conn::Stamp;

    use super::*;

    fn down(cause: LossCause) -> Event {
        Event::Down { epoch: 1, cause, last_heard: Stamp::now() }
    }

    fn silence() -> Event {
        down(LossCause::Silence { silence: Duration::from_millis(500) })
    }

    fn up() -> Event {
        Event::Up { epoch: 2, instruments: 1 }
    }

    fn judge(fault: &Fault, events: impl IntoIterator<Item = Event>) -> Standing {
        Promise::of(fault, false).judge(&Seen::of(events))
    }

    #[test]
    fn a_promised_loss_is_kept_once_the_next_socket_is_up() {
        assert_eq!(judge(&Fault::HalfOpen, []), Standing::Waiting);
        assert_eq!(judge(&Fault::HalfOpen, [silence()]), Standing::Waiting);
        assert_eq!(judge(&Fault::HalfOpen, [silence(), up()]), Standing::Kept);
    }

    #[test]
    fn what_is_not_promised_breaks_the_promise() {
        let is_broken =
            |fault: &Fault, events: Vec<Event>| matches!(judge(fault, events), Standing::Broken(_));
        assert!(is_broken(&Fault::HalfOpen, vec![down(LossCause::Eof)]), "another cause");
        assert!(is_broken(&Fault::HalfOpen, vec![silence(), up(), silence()]), "a second loss");
        assert!(is_broken(&Fault::UnknownText, vec![silence()]), "a loss");
        assert!(is_broken(&Fault::HalfOpen, vec![Event::Closed { clean: true }]), "the end");
        let limit = Event::LimitRefused { message: "limit".into(), instruments: 1 };
        assert!(is_broken(&Fault::UnknownText, vec![limit]), "a limit");
    }

    #[test]
    fn stale_ticks_are_healed_before_the_promise_is_kept() {
        let silence = Duration::from_millis(400);
        let stale = || Event::TicksStale { silence, instruments: 1 };
        assert_eq!(judge(&Fault::HeartbeatsOnly, [stale()]), Standing::Stale);
        let resumed = Event::TicksResumed { silence };
        assert_eq!(judge(&Fault::HeartbeatsOnly, [stale(), resumed]), Standing::Kept);
    }

    #[test]
    fn a_burst_must_arrive_completely() {
        let promise = Promise::of(&Fault::Burst { frames: 3 }, false);
        let mut seen = Seen::of([]);
        seen.frames = 2;
        assert_eq!(promise.judge(&seen), Standing::Waiting);
        seen.frames = 3;
        assert_eq!(promise.judge(&seen), Standing::Kept);
    }
}
