//! Clients that flood, send garbage, guess credentials, or take more sockets than they are allowed.

use std::time::Duration;

use fastrand::Rng;
use kite_wire::{Command, Mode};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{Common, PATIENCE, access_token, api_key};
use crate::secrets::MARK;
use crate::socket::{self, BINARY, Handshake, Socket, TEXT};

/// A client that floods commands.
pub(crate) const FLOODS: &str = "hostile-floods";
/// A client that sends garbage.
pub(crate) const GARBLES: &str = "hostile-garbles";
/// A client that opens too many sockets.
pub(crate) const GREEDY: &str = "hostile-greedy";
/// The sockets that it may have.
pub(crate) const GREEDY_SOCKETS: usize = 2;

/// Sends commands as fast as the relay takes them, and reads only what it must to stay.
pub(crate) async fn flood(mut common: Common, seed: u64) {
    let mut random = Rng::with_seed(seed);
    while !common.ended() {
        let Some(mut socket) = common.open_soon(FLOODS, false).await else { return };
        let reads = random.bool();
        let tokens = [&common.plan.fixed[..], &common.plan.others[..10]].concat();
        let commands = [
            Command::Subscribe(&tokens).to_string(),
            Command::Mode(Mode::Full, &tokens[..3]).to_string(),
            Command::Unsubscribe(&tokens).to_string(),
        ];
        let flooding = async {
            loop {
                let command = &commands[random.usize(..commands.len())];
                let sent = timeout(Duration::from_millis(50), socket.text(command)).await;
                common.did("flooded with a command");
                if sent.is_ok_and(|sent| sent.is_err()) {
                    return;
                }
                // A write that was cut short makes the next one garbage, which is as good.
                let reading = timeout(Duration::from_millis(1), socket.next());
                if reads && matches!(reading.await, Ok(Err(_) | Ok(None))) {
                    return;
                }
            }
        };
        // It is over if the relay ends the socket.
        let _ = timeout(Duration::from_secs(3), flooding).await;
        common.rest(Duration::from_millis(200)).await;
    }
}

/// Sends everything that is not a command or not even a frame.
pub(crate) async fn garble(mut common: Common, seed: u64) {
    let mut random = Rng::with_seed(seed);
    while !common.ended() {
        let Some(mut socket) = common.open_soon(GARBLES, false).await else { return };
        for _ in 0..random.usize(1..20) {
            common.did("sent garbage");
            if garbage(&mut socket, &mut random).await.is_err() {
                break;
            }
            // What the relay answers does not matter.
            let _ = timeout(Duration::from_millis(20), socket.next()).await;
        }
        if random.bool() {
            // A socket that the relay has ended cannot be reset.
            let _ = socket.reset();
        }
        half_a_handshake(&common, &mut random).await;
        let pause = Duration::from_millis(random.u64(..300));
        common.rest(pause).await;
    }
}

async fn garbage(socket: &mut Socket, random: &mut Rng) -> std::io::Result<()> {
    let bytes: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
    match random.u32(..10) {
        0 => socket.text(r#"{"a":"subscribe","v":["408065"]}"#).await,
        1 => socket.text(r#"{"a":"mode","v":["fuller",[408065]]}"#).await,
        2 => socket.text(r#"{"a":"subscribe","v":[1e99,-1,4294967296,[]]}"#).await,
        3 => socket.text(&"[".repeat(random.usize(..10_000))).await,
        4 => socket.text("").await,
        5 => socket.send(BINARY, &bytes).await,
        6 => socket.send(TEXT, &bytes).await,
        7 => socket.send(random.u8(..16), &bytes).await,
        8 => socket.raw(&bytes).await,
        // Longer than any command may be.
        _ => socket.send(TEXT, &vec![b' '; 2 << 20]).await,
    }
}

/// Connects without asking for anything, with nonsense, or with half a request.
async fn half_a_handshake(common: &Common, random: &mut Rng) {
    let Ok(mut stream) = socket::connect(common.relay, false).await else {
        return common.wrong(GARBLES, "the relay does not accept");
    };
    let bytes: Vec<u8> = (0..random.usize(1..500)).map(|_| random.u8(..)).collect();
    let request = socket::request("api_key=", "");
    let part = &request.as_bytes()[..random.usize(..request.len())];
    common.did("half a handshake");
    // The relay may have ended it already.
    let _ = match random.u32(..3) {
        0 => Ok(()),
        1 => stream.write_all(&bytes).await,
        _ => stream.write_all(part).await,
    };
    if random.bool() {
        let _ = socket::reset(&stream);
    }
}

/// Tries wrong credentials and wrong requests, and checks how they are refused.
pub(crate) async fn guess(mut common: Common, seed: u64) {
    let mut random = Rng::with_seed(seed);
    let name = "hostile-guesses";
    let (key, token) = (api_key("steady-full"), access_token("steady-full"));
    while !common.ended() {
        let number = random.u32(..);
        let (query, headers, expected) = match random.u32(..5) {
            0 => (format!("api_key={key}&access_token={MARK}-{number}"), "", 403),
            1 => (format!("api_key=none{number}&access_token={token}"), "", 400),
            2 => (format!("api_key={key}"), "", 400),
            3 => (String::new(), "", 400),
            _ => (
                format!("api_key={key}&access_token={token}"),
                "Origin: https://x.example\r\n",
                403,
            ),
        };
        let trying = async {
            let stream = socket::connect(common.relay, false).await?;
            socket::handshake(stream, &socket::request(&query, headers)).await
        };
        match timeout(PATIENCE, trying).await {
            Ok(Ok(Handshake::Refused(status))) if status == expected => {
                *common.notes.lock().refused.entry(status).or_default() += 1;
            }
            other => common.wrong(name, format_args!("{expected} was expected, not {other:?}")),
        }
        let pause = Duration::from_millis(random.u64(..1_000));
        common.rest(pause).await;
    }
}

/// Opens one socket more than allowed.
pub(crate) async fn take_too_many(mut common: Common, seed: u64) {
    let mut random = Rng::with_seed(seed);
    while !common.ended() {
        let mut sockets = Vec::new();
        for _ in 0..GREEDY_SOCKETS {
            let Some(socket) = common.open_soon(GREEDY, false).await else { return };
            sockets.push(socket);
        }
        match common.open(GREEDY, false).await {
            Ok(Handshake::Refused(429)) => common.did("too many sockets"),
            other => common.wrong(GREEDY, format_args!("one socket too many: {other:?}")),
        }
        drop(sockets);
        let pause = Duration::from_millis(random.u64(..1_000));
        common.rest(pause).await;
    }
}
