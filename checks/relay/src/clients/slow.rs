//! Clients that stop reading for some time, or for ever.

use std::time::Duration;

use fastrand::Rng;
use kite_wire::{CommandKind, Mode};

use super::Common;
use crate::reader::{Reader, Received};

/// How long the relay lets a client take no byte.
pub(crate) const STALL: Duration = Duration::from_secs(5);

/// Most time from ticks to the message of the gap before them, for a client that stalls between
/// them.
const GAP_WITHIN: Duration = Duration::from_secs(15);

/// A slow client that never takes so long that it is reset, and reads to the end.
pub(crate) const TO_THE_END: &str = "slow-to-the-end";
/// A slow client that is reset now and then, and comes back.
pub(crate) const AT_TIMES: &str = "slow-at-times";
/// A client that never reads.
pub(crate) const NEVER: &str = "slow-never";

/// What a slow client received that read to the end.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) received: Received,
    /// Sockets it needed.
    pub(crate) sockets: u64,
}

/// Subscribes, stalls and reads until the relay stops; comes back if its socket is ended before.
/// `None` if it could not, because the relay is about to stop.
pub(crate) async fn to_the_end(common: Common, seed: u64) -> Option<Slow> {
    let mut random = Rng::with_seed(seed);
    let mut sockets = 0;
    loop {
        let socket = common.open_soon(TO_THE_END, true).await?;
        sockets += 1;
        let mut reader = Reader::new(TO_THE_END, &common, socket);
        let full = reader.command(CommandKind::Mode(Mode::Full), &common.plan.fixed[1..]).await;
        let mut is_open = full.is_ok();
        while is_open && !common.ended() {
            common.did("stalled");
            tokio::time::sleep(STALL.mul_f64(0.6 + 0.3 * random.f64())).await;
            let reading = Duration::from_millis(random.u64(100..800));
            is_open = matches!(reader.read_for(reading).await, Ok(true));
        }
        // Everything that is left.
        while is_open {
            is_open = matches!(reader.read().await, Ok(true));
            if reader.closed.is_some() {
                // The relay may have ended the socket already.
                let _ = reader.socket.close().await;
            }
        }
        let closed = reader.closed;
        let (received, _) = reader.finish(GAP_WITHIN);
        if common.ended() && closed == Some(Some(1_001)) {
            return Some(Slow { received, sockets });
        }
        if closed.is_some_and(|code| code != Some(1_008)) {
            common.wrong(TO_THE_END, format_args!("closed with {closed:?}"));
        }
        if common.ended() {
            return None;
        }
    }
}

/// Stalls, sometimes for so long that the relay ends the socket, and comes back.
pub(crate) async fn at_times(mut common: Common, seed: u64) {
    let mut random = Rng::with_seed(seed);
    while !common.ended() {
        let Some(socket) = common.open_soon(AT_TIMES, true).await else { return };
        let mut reader = Reader::new(AT_TIMES, &common, socket);
        let full = reader.command(CommandKind::Mode(Mode::Full), &common.plan.fixed[1..]).await;
        let mut is_open = full.is_ok();
        while is_open && !common.ended() {
            common.did("stalled");
            let stall = STALL.mul_f64(1.4 * random.f64());
            common.rest(stall).await;
            let reading = Duration::from_millis(random.u64(..500));
            is_open = matches!(reader.read_for(reading).await, Ok(true));
        }
        reader.finish(GAP_WITHIN);
    }
}

/// Never reads anything, and comes back once the relay has ended the socket.
pub(crate) async fn never(mut common: Common) {
    while !common.ended() {
        let Some(mut socket) = common.open_soon(NEVER, true).await else { return };
        let text = kite_wire::Command::Mode(Mode::Full, &common.plan.fixed).to_string();
        if socket.text(&text).await.is_err() {
            continue;
        }
        common.did("never read");
        while !common.ended() && socket.ping().await.is_ok() {
            common.rest(Duration::from_millis(300)).await;
        }
    }
}
