//! Clients that join, ask for other instruments all the time, and leave in every way.

use std::io;
use std::time::Duration;

use fastrand::Rng;
use kite_wire::{CommandKind, Mode};

use super::Common;
use crate::reader::Reader;
use crate::socket::Socket;

/// Instruments of a client that is allowed few.
pub(crate) const FEW: usize = 12;

/// The changing clients and how many instruments each is allowed.
pub(crate) const ALL: &[(&str, usize)] = &[
    ("changing-a", 3_000),
    ("changing-b", 3_000),
    ("changing-c", 3_000),
    ("changing-orders", 3_000),
    ("changing-few", FEW),
];

/// Most time from ticks to the message of the gap before them, which is sent once every instrument
/// has ticked again.
const GAP_WITHIN: Duration = Duration::from_secs(5);

/// Most sockets that have vanished at a time, with the present one as many as are allowed.
const VANISHED: usize = 2;

/// Joins and leaves until the end.
pub(crate) async fn run(mut common: Common, name: &'static str, limit: usize, seed: u64) {
    let mut random = Rng::with_seed(seed);
    let mut vanished = Vec::new();
    while !common.ended() {
        let Some(socket) = common.open_soon(name, false).await else { return };
        let mut reader = Reader::new(name, &common, socket);
        let stayed = stay(&mut reader, &common, limit, &mut random).await;
        if let Err(error) = stayed {
            common.wrong(name, format_args!("its socket failed: {error}"));
        } else if reader.closed.is_some() {
            common.wrong(name, format_args!("closed with {:?}", reader.closed));
        }
        leave(reader, &common, &mut vanished, &mut random).await;
        let pause = Duration::from_millis(random.u64(..400));
        common.rest(pause).await;
    }
}

/// Sends commands and reads for a while.
async fn stay(
    reader: &mut Reader,
    common: &Common,
    limit: usize,
    random: &mut Rng,
) -> io::Result<()> {
    // The marker first, so that no later one is too many.
    reader.command(CommandKind::Mode(Mode::Ltp), &[common.plan.marker]).await?;
    reader.until_applied().await?;
    let commands = random.usize(1..30);
    for _ in 0..commands {
        if common.ended() || reader.closed.is_some() {
            break;
        }
        let (kind, tokens) = command(reader, common, random);
        let added = tokens.iter().filter(|token| reader.book.mode(**token).is_none()).count();
        let is_too_many = kind != CommandKind::Unsubscribe && reader.book.len() + added > limit;
        reader.command(kind, &tokens).await?;
        reader.until_applied().await?;
        match reader.refusal {
            Some(refused) if refused == limit && is_too_many => common.did("refused: socket full"),
            Some(refused) if refused == common.plan.capacity() && !is_too_many => {
                common.did("refused: accounts full");
            }
            None if !is_too_many => common.did("command applied"),
            other => reader.wrong(format_args!(
                "{added} more instruments than {} of {limit} were answered with {other:?}",
                reader.book.len()
            )),
        }
        if random.bool() {
            reader.read_for(Duration::from_millis(random.u64(..500))).await?;
        }
    }
    Ok(())
}

/// Draws a command.
fn command(reader: &Reader, common: &Common, random: &mut Rng) -> (CommandKind, Vec<u32>) {
    let plan = &common.plan;
    let kind = match random.u32(..10) {
        0..=2 => CommandKind::Subscribe,
        3..=6 => CommandKind::Mode(Mode::ALL[random.usize(..Mode::ALL.len())]),
        _ => CommandKind::Unsubscribe,
    };
    let pool = match (kind, random.u32(..3)) {
        (CommandKind::Unsubscribe, _) => reader.book.tokens(),
        (_, 0) => plan.others.clone(),
        (_, 1) => plan.fixed.clone(),
        (_, _) => [&plan.fixed[..], &plan.others].concat(),
    };
    let mut tokens: Vec<u32> = pool.into_iter().filter(|token| *token != plan.marker).collect();
    random.shuffle(&mut tokens);
    tokens.truncate(random.usize(1..25));
    (kind, tokens)
}

/// Leaves in one of the ways in which a program may.
async fn leave(mut reader: Reader, common: &Common, vanished: &mut Vec<Socket>, random: &mut Rng) {
    match random.u32(..4) {
        0 => {
            common.did("left: closed");
            if reader.socket.close().await.is_err() {
                return reader.wrong("its close frame was not taken");
            }
            let is_open = reader.read_for(super::PATIENCE).await;
            if !matches!(is_open, Ok(false)) || reader.closed != Some(Some(1_000)) {
                reader.wrong(format_args!("its close frame was answered with {:?}", reader.closed));
            }
            reader.finish(GAP_WITHIN);
        }
        1 => {
            common.did("left: dropped");
            reader.finish(GAP_WITHIN);
        }
        2 => {
            common.did("left: reset");
            // A socket that has ended already cannot be reset.
            let _ = reader.finish(GAP_WITHIN).1.reset();
        }
        _ => {
            common.did("left: vanished");
            vanished.push(reader.finish(GAP_WITHIN).1);
            while vanished.len() > VANISHED {
                // The relay may have reset it already.
                let _ = vanished.remove(0).reset();
            }
        }
    }
}
