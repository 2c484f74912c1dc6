//! Lists of operations on a session, decoded from bytes, for the fuzzer and the replay of its
//! corpus.
//!
//! The [`Rig`] checks the rules at every step.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kite_wire::Mode;

use super::model::{Rig, Settings, Socket};
use super::{Input, Renews};
use crate::config::{Liveness, Reconnect, TokenSourceError};
use crate::observe::LossCause;
use crate::transport::{HandshakeError, OpenError, Refusal};

const SECOND: Duration = Duration::from_secs(1);

/// An input, or a stretch of time without one.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Pass(Duration),
    SetMode(u32, Option<Mode>),
    Opened,
    OpenFailed(u16, bool),
    Unreachable,
    Misconfigured,
    Lost,
    CredentialsChanged,
    WriteBlocked(bool),
    WriteProgressed,
    ReadingPaused(bool),
    Broken,
    Message,
    Progress,
    Frame(bool),
    Pong,
    Ping,
    Renewed,
    RenewalFailed,
    LimitRefused,
    Suspended(Duration),
    Close,
    Drain(Duration),
    Drained,
}

impl Op {
    /// Reads an operation: a byte for its kind, then its values.
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut next = || {
            let (&first, rest) = bytes.split_first()?;
            *bytes = rest;
            Some(first)
        };
        Some(match next()? % 20 {
            0 => Self::Pass(Duration::from_millis(100) * u32::from(next()?)),
            1 => {
                let value = next()?;
                let mode = match value >> 6 {
                    0 => None,
                    1 => Some(Mode::Ltp),
                    2 => Some(Mode::Quote),
                    _ => Some(Mode::Full),
                };
                Self::SetMode(u32::from(value & 0x3f), mode)
            }
            2 | 3 => Self::Opened,
            4 => {
                let value = next()?;
                let status = [400, 401, 403, 404, 429, 500, 502, 301][usize::from(value % 8)];
                Self::OpenFailed(status, value & 0x80 != 0)
            }
            5 => Self::Unreachable,
            6 => Self::Misconfigured,
            7 => Self::Lost,
            8 => Self::CredentialsChanged,
            9 => Self::WriteBlocked(next()? % 2 == 0),
            10 => Self::WriteProgressed,
            11 => match next()? {
                0xf0.. => Self::Broken,
                value => Self::ReadingPaused(value % 2 == 0),
            },
            12 => Self::Message,
            13 => match next()? {
                0xf0.. => Self::Progress,
                value => Self::Frame(value % 2 == 0),
            },
            14 => Self::Pong,
            15 => Self::Ping,
            16 => Self::Renewed,
            17 => Self::RenewalFailed,
            18 => Self::LimitRefused,
            _ => match next()? {
                0 => Self::Close,
                254 => Self::Drain(Duration::from_millis(100) * u32::from(next()?)),
                255 => Self::Drained,
                seconds => Self::Suspended(SECOND * 16 * u32::from(seconds)),
            },
        })
    }

    pub(super) fn apply(self, rig: &mut Rig) {
        let was_live = rig.session.is_live();
        match self {
            Self::Pass(time) => {
                rig.after(time);
            }
            // Requests arrive in batches; the session settles at the next other operation.
            Self::SetMode(token, mode) => rig.set_mode(token, mode),
            Self::Opened => {
                rig.on(Input::Opened);
            }
            Self::OpenFailed(status, json) => {
                let error = refused(status, json.then_some("m"), Some(5 * SECOND));
                rig.on(Input::OpenFailed(error));
            }
            Self::Unreachable => {
                rig.on(Input::OpenFailed(unreachable()));
            }
            Self::Misconfigured => {
                rig.on(Input::OpenFailed(misconfigured()));
            }
            Self::Lost => {
                let transcript = rig.on(Input::Lost(LossCause::Eof));
                assert_eq!(was_live, transcript.iter().any(|line| line.starts_with("down")));
            }
            Self::CredentialsChanged => {
                rig.on(Input::CredentialsChanged);
            }
            Self::WriteBlocked(blocked) if was_live => {
                rig.on(Input::WriteBlocked(blocked));
            }
            Self::WriteProgressed => {
                rig.on(Input::WriteProgressed);
            }
            Self::Broken => {
                rig.on(Input::Broken(LossCause::Io(io::ErrorKind::ConnectionReset)));
            }
            Self::ReadingPaused(paused) => {
                rig.on(Input::ReadingPaused(paused));
            }
            Self::WriteBlocked(_) | Self::Message => {
                rig.read(true);
                rig.session.on_message(rig.now);
            }
            Self::Progress => {
                rig.read(false);
                rig.session.on_progress(rig.now);
            }
            Self::Frame(has_ticks) => {
                rig.read(true);
                rig.session.on_frame(rig.now, has_ticks);
                rig.settle();
            }
            Self::Pong => {
                rig.read(true);
                let payload = rig.ping;
                rig.session.on_pong(rig.now, &payload);
            }
            Self::Ping => {
                rig.on(Input::Ping);
            }
            Self::Renewed => {
                rig.on(Input::Renewed);
            }
            Self::RenewalFailed => {
                rig.on(no_token());
            }
            Self::LimitRefused => {
                rig.on(Input::ServerError("more than 3000 instruments".to_owned()));
            }
            Self::Suspended(slept) => {
                rig.on(Input::Suspended(slept));
            }
            Self::Close => {
                rig.on(Input::Close);
            }
            Self::Drain(time) => {
                rig.on(Input::Drain(rig.now + time));
            }
            Self::Drained => {
                rig.on(Input::Drained);
            }
        }
    }
}

/// Runs a session through the operations that the bytes encode, and to its end.
pub(crate) fn run(mut bytes: &[u8]) {
    let mut next = || {
        let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
        bytes = rest;
        *first
    };
    let (seed, settings) = (next(), next());
    let max_attempts = match settings & 3 {
        0 => usize::MAX,
        attempts => usize::from(attempts),
    };
    let settings = Settings {
        reconnect: Reconnect { max_attempts, jitter_seed: seed.into(), ..Default::default() },
        liveness: Liveness::default(),
        renews: match settings & 20 {
            4 => Renews::AfterDelay,
            20 => Renews::Promptly,
            _ => Renews::Never,
        },
        has_token: settings & 8 == 0,
    };
    let mut rig = Rig::new(settings);
    rig.settle();
    while let Some(op) = Op::read(&mut bytes) {
        op.apply(&mut rig);
    }
    end(&mut rig);
}

/// Ends the session, which must be possible in every state.
pub(super) fn end(rig: &mut Rig) {
    rig.on(Input::Close);
    rig.after(2 * SECOND);
    assert!(rig.done);
    assert_eq!(rig.socket, Socket::None);
}

pub(super) fn refused(
    status: u16,
    message: Option<&str>,
    retry_after: Option<Duration>,
) -> OpenError {
    OpenError::Refused(Refusal {
        status,
        message: message.map(str::to_owned),
        body: message.unwrap_or("<html>").to_owned(),
        body_complete: true,
        retry_after,
    })
}

pub(super) fn unreachable() -> OpenError {
    OpenError::Dns {
        host: "h.example".to_owned(),
        source: Arc::new(io::Error::from(io::ErrorKind::NotFound)),
    }
}

pub(super) fn misconfigured() -> OpenError {
    OpenError::Handshake(HandshakeError::ReservedHeader { name: "host".to_owned() })
}

pub(super) fn no_token() -> Input {
    let error = io::Error::from(io::ErrorKind::NotFound);
    Input::RenewalFailed(TokenSourceError::Failed(Arc::new(error)))
}
