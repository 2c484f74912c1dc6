//! A client that asks for instruments once and reads until the relay stops.

use std::time::Duration;

use kite_wire::{CommandKind, Mode};
use tokio::time::Instant;

use super::Common;
use crate::reader::{Reader, Received};

/// What a steady client received.
#[derive(Debug)]
pub(crate) struct Steady {
    pub(crate) name: &'static str,
    pub(crate) received: Received,
    /// When its commands were applied.
    pub(crate) since: Instant,
    pub(crate) until: Instant,
}

/// The mode in which a client asks for an instrument, by its position in the fixed list.
type ModeAt = fn(usize) -> Option<Mode>;

/// The steady clients.
pub(crate) const ALL: &[(&str, ModeAt)] = &[
    ("steady-full", |_| Some(Mode::Full)),
    ("steady-full-too-orders", |_| Some(Mode::Full)),
    ("steady-ltp", |_| Some(Mode::Ltp)),
    ("steady-mixed-orders", |at| {
        [Some(Mode::Ltp), Some(Mode::Quote), Some(Mode::Full), None][at % 4]
    }),
    ("steady-few", |at| (at < 4).then_some(Mode::Quote)),
];

/// Reads until the relay ends the socket.
pub(crate) async fn run(
    common: Common,
    name: &'static str,
    mode: ModeAt,
    ready: tokio::sync::oneshot::Sender<()>,
) -> Option<Steady> {
    let socket = common.open_soon(name, false).await?;
    let mut reader = Reader::new(name, &common, socket);
    reader.are_values_known = false;
    // The marker is not one of them, because its mode changes.
    let fixed = common.plan.fixed.iter().enumerate().skip(1);
    let in_mode = |wanted| {
        let all = fixed.clone().filter(move |(at, _)| mode(*at) == Some(wanted));
        all.map(|(_, &token)| token).collect::<Vec<_>>()
    };
    for wanted in Mode::ALL {
        let tokens = in_mode(wanted);
        if tokens.is_empty() {
            continue;
        }
        let sent = reader.command(CommandKind::Mode(wanted), &tokens).await;
        if let Err(error) = sent.and(reader.until_applied().await) {
            common.wrong(name, format_args!("not subscribed: {error}"));
            return None;
        }
    }
    let since = Instant::now();
    let mut ready = Some(ready);
    loop {
        if reader.book.has_all()
            && let Some(ready) = ready.take()
        {
            // The receiver is gone only if the run was given up.
            let _ = ready.send(());
        }
        match reader.read().await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                common.wrong(name, format_args!("its socket failed: {error}"));
                break;
            }
        }
        // The answer to the close frame.
        if reader.closed.is_some()
            && let Err(error) = reader.socket.close().await
        {
            common.wrong(name, format_args!("no answer to the close frame: {error}"));
        }
    }
    if reader.closed != Some(Some(1_001)) {
        common.wrong(name, format_args!("closed with {:?}", reader.closed));
    }
    let (received, _) = reader.finish(Duration::ZERO);
    Some(Steady { name, received, since, until: Instant::now() })
}
