//! A replay as clients see it, over connections in memory and with the clock paused.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails ends the test")]

mod seek;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use kite_wire::tape::{Received, RecordKind, Source};
use kite_wire::{Command, Frame, FrameEncoder, Mode, PacketKind};
use tokio::io::DuplexStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::reader::{Read, Record, Records, Tape};
use crate::market::Instrument;
use crate::{ACCESS_TOKEN, API_KEY, Fault, Replay, Sim, SimBuilder, SocketEnd, Speed, Start};

const A: u32 = 408_065;
const B: u32 = 884_737;
const INDEX: u32 = 256_265;
const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
/// When the tape starts.
const NINE: u64 = 1_754_279_100 * S;
/// Prefix of the text frame up to which a client reads.
const END: &str = "end of replay";
const DEADLINE: Duration = Duration::from_secs(3_600);

/// A tape in memory.
struct Memory(Vec<Read>);

impl Tape for Memory {
    fn span(&self) -> Option<(u64, u64)> {
        let at = || self.0.iter().flatten().map(|record| record.received.recv_unix_ns);
        Some((at().min()?, at().max()?))
    }

    fn seek(&self, unix_ns: u64) -> Records {
        let is_before = move |read: &Read| {
            read.as_ref().is_ok_and(|record| record.received.recv_unix_ns < unix_ns)
        };
        Box::new(self.0.clone().into_iter().skip_while(is_before))
    }
}

const FIRST: Source = Source { account: 0, connection: 0 };
const SECOND: Source = Source { account: 0, connection: 1 };

/// A record this long after the tape's start.
fn record(after_ms: u64, source: Source, kind: RecordKind, payload: impl Into<Bytes>) -> Read {
    let received = Received { recv_unix_ns: NINE + after_ms * MS, source };
    Ok(Record { received, kind, payload: payload.into() })
}

fn binary(after_ms: u64, payload: impl Into<Bytes>) -> Read {
    record(after_ms, FIRST, RecordKind::Binary, payload)
}

fn text(after_ms: u64, source: Source, payload: &'static str) -> Read {
    record(after_ms, source, RecordKind::Text, payload)
}

/// Returns a frame of these instruments in full mode, after this many steps of each.
fn frame(tokens: &[u32], steps: u64) -> Bytes {
    in_mode(tokens, steps, Mode::Full)
}

fn in_mode(tokens: &[u32], steps: u64, mode: Mode) -> Bytes {
    let mut buffer = [0; 1_024];
    let mut encoder = FrameEncoder::new(&mut buffer).unwrap();
    for &token in tokens {
        let mut instrument = Instrument::new(1, token, 0);
        (0..steps).for_each(|_| instrument.advance());
        encoder.push(&instrument.tick(mode)).unwrap();
    }
    Bytes::copy_from_slice(encoder.finish())
}

/// A frame of two instruments every 500 ms, its number in steps.
fn steady(count: u64) -> Vec<Read> {
    (0..count).map(|step| binary(500 * step, frame(&[A, B], step))).collect()
}

fn quiet(replay: Replay) -> SimBuilder {
    Sim::builder().no_heartbeats().greet(false).replay(replay)
}

fn of(reads: Vec<Read>) -> Replay {
    Replay::of(Memory(reads))
}

struct Client {
    socket: WebSocketStream<DuplexStream>,
}

impl Client {
    async fn connect(sim: &Sim) -> Self {
        let url = format!("ws://memory/?api_key={API_KEY}&access_token={ACCESS_TOKEN}");
        let (socket, _) = client_async(url, sim.connect()).await.unwrap();
        Self { socket }
    }

    /// Connects and subscribes in a mode; the simulator has obeyed when this returns.
    async fn subscribed(sim: &Sim, mode: Mode, tokens: &[u32]) -> Self {
        let mut client = Self::connect(sim).await;
        client.say(sim, Command::Mode(mode, tokens)).await;
        client
    }

    async fn say(&mut self, sim: &Sim, command: Command<'_>) {
        let obeyed = sim.stats().commands_received + 1;
        self.socket.send(Message::text(command.to_string())).await.unwrap();
        timeout(DEADLINE, sim.wait_until(|sim| sim.stats().commands_received == obeyed))
            .await
            .unwrap();
    }

    async fn message(&mut self) -> Message {
        timeout(DEADLINE, self.socket.next()).await.expect("no message arrived").unwrap().unwrap()
    }

    async fn binary(&mut self) -> Bytes {
        match self.message().await {
            Message::Binary(frame) => frame,
            other => panic!("expected a binary frame, not {other:?}"),
        }
    }

    /// Reads to the end of the replay, and up to a text frame that the test sends after it.
    async fn all(&mut self, sim: &Sim) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut finished = std::pin::pin!(timeout(DEADLINE, sim.replay_finished()));
        loop {
            tokio::select! {
                message = self.message() => messages.push(message),
                ended = &mut finished => break ended.expect("the replay never ends"),
            }
        }
        // It is sent to every socket, so another client may read it among its own messages.
        let end = Message::text(format!("{END} {}", sim.stats().texts_sent));
        sim.send_text(end.to_text().unwrap());
        while messages.last() != Some(&end) {
            messages.push(self.message().await);
        }
        let is_end = |message: &Message| message.to_text().is_ok_and(|text| text.starts_with(END));
        messages.retain(|message| !is_end(message));
        messages
    }
}

fn frames(messages: Vec<Message>) -> Vec<Bytes> {
    messages.into_iter().filter(Message::is_binary).map(Message::into_data).collect()
}

fn kinds(frame: &[u8]) -> Vec<(u32, PacketKind)> {
    let packets = Frame::walk(frame).packets();
    packets.map(|packet| (packet.instrument_token(), packet.kind())).collect()
}

#[tokio::test(start_paused = true)]
async fn two_clients_receive_their_instruments_in_their_modes() {
    let reads = vec![binary(0, frame(&[A, INDEX], 1)), binary(500, frame(&[B], 1))];
    let replay = of(reads).start(Start::Sockets(2));
    let sim = quiet(replay).start().await.unwrap();
    let mut one = Client::subscribed(&sim, Mode::Full, &[A, B, INDEX]).await;
    let mut two = Client::subscribed(&sim, Mode::Quote, &[A]).await;
    two.say(&sim, Command::Mode(Mode::Ltp, &[INDEX])).await;
    assert_eq!(frames(one.all(&sim).await), [frame(&[A, INDEX], 1), frame(&[B], 1)]);
    let [cut] = frames(two.all(&sim).await).try_into().unwrap();
    assert_eq!(kinds(&cut), [(A, PacketKind::Quote), (INDEX, PacketKind::Ltp)]);

    let progress = sim.replay().unwrap();
    assert_eq!((progress.begun, progress.finished), (true, true));
    assert_eq!((progress.records, progress.frames, progress.ticks), (2, 2, 3));
    assert_eq!((progress.frames_sent, progress.ticks_sent), (3, 5));
    assert_eq!(progress.position_unix_ns, Some(NINE + 500 * MS));
    assert_eq!(progress.span_unix_ns, Some((NINE, NINE + 500 * MS)));
    // The ledger's proof also holds for a replay.
    let records = sim.sockets(API_KEY);
    assert_eq!(records.iter().map(|record| record.ticks).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(sim.sent()[&A].ticks, 2);
}

#[tokio::test(start_paused = true)]
async fn a_leaner_packet_is_sent_as_recorded_and_counted() {
    let reads = vec![binary(0, in_mode(&[A], 1, Mode::Quote)), binary(1, frame(&[A], 2))];
    let sim = quiet(of(reads)).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
    let got = frames(client.all(&sim).await);
    assert_eq!(got, [in_mode(&[A], 1, Mode::Quote), frame(&[A], 2)]);
    assert_eq!(sim.replay().unwrap().leaner_packets, 1);
}

#[tokio::test(start_paused = true)]
async fn packets_of_too_many_instruments_for_snapshots_are_sent_and_counted() {
    let tokens: Vec<u32> = (1_000_001..=1_131_072).collect();
    let last_prices = |tokens: &[u32]| {
        let packet = |token: &u32| [&[0, 8][..], &token.to_be_bytes(), &[0, 1, 0, 0]].concat();
        let count = (tokens.len() as u16).to_be_bytes();
        [count.to_vec(), tokens.iter().flat_map(packet).collect()].concat()
    };
    let frames_of_others = tokens.chunks(2_048).map(|tokens| binary(0, last_prices(tokens)));
    let mut reads: Vec<Read> = frames_of_others.collect();
    reads.push(binary(1, frame(&[A], 2)));
    let sim = quiet(of(reads)).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
    assert_eq!(frames(client.all(&sim).await), [frame(&[A], 2)]);
    assert_eq!(sim.replay().unwrap().packets_not_kept, 1);
}

#[tokio::test(start_paused = true)]
async fn intervals_between_frames_scale_with_the_speed() {
    for (times, expected) in
        [(1.0, [0, 800, 800, 2_400]), (4.0, [0, 200, 200, 600]), (0.5, [0, 1_600, 1_600, 4_800])]
    {
        let reads = [0, 800, 800, 2_400].map(|at| binary(at, frame(&[A], at % 7)));
        let sim = quiet(of(reads.into()).speed(Speed::Times(times))).start().await.unwrap();
        let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
        client.binary().await;
        let (begun, mut at) = (Instant::now(), vec![0]);
        for _ in 0..3 {
            client.binary().await;
            at.push(begun.elapsed().as_millis());
        }
        assert_eq!(at, expected, "{times}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_stops_the_tape_and_loses_nothing() {
    let sim = quiet(of(steady(4))).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    assert_eq!(client.binary().await, frame(&[A, B], 0));
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(200)).await;
    sim.pause().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    sim.resume();
    for step in 1..4 {
        assert_eq!(client.binary().await, frame(&[A, B], step));
        assert_eq!(begun.elapsed().as_millis(), u128::from(60_000 + 500 * step));
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_subscriber_receives_a_snapshot_and_what_follows() {
    let mut reads = steady(3);
    reads.push(binary(4_000, frame(&[A], 9)));
    let sim = quiet(of(reads)).start().await.unwrap();
    let mut early = Client::subscribed(&sim, Mode::Ltp, &[B]).await;
    for _ in 0..3 {
        early.binary().await;
    }
    let mut late = Client::subscribed(&sim, Mode::Quote, &[B, A, INDEX]).await;
    // The index has not been on the tape yet.
    assert_eq!(late.binary().await, in_mode(&[A, B], 2, Mode::Quote));
    assert_eq!(late.binary().await, in_mode(&[A], 9, Mode::Quote));
    assert!(early.all(&sim).await.is_empty());
    // After the end of the tape its last state is still available.
    late.say(&sim, Command::Mode(Mode::Full, &[B])).await;
    assert!(late.message().await.is_text());
    assert_eq!(late.binary().await, frame(&[B], 2));
}

#[tokio::test(start_paused = true)]
async fn a_replay_from_a_time_has_snapshots_from_before_it() {
    let from = NINE + 1_000 * MS;
    for (look_back, known) in [(Duration::from_millis(600), true), (Duration::ZERO, false)] {
        let replay = of(steady(4)).from(from).look_back(look_back).until(NINE + 1_500 * MS);
        let sim = quiet(replay).start().await.unwrap();
        let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
        let got = frames(client.all(&sim).await);
        let snapshot = known.then(|| frame(&[A], 1));
        assert_eq!(got, snapshot.into_iter().chain([frame(&[A], 2)]).collect::<Vec<_>>());
        assert_eq!(sim.replay().unwrap().position_unix_ns, Some(from));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_receives_every_frame_in_order() {
    let sim = quiet(of(steady(2_000)).speed(Speed::AsRead)).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    for step in 0..2_000 {
        if step % 100 == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(client.binary().await, frame(&[A, B], step));
    }
    assert!(client.all(&sim).await.is_empty());
}

/// Returns a frame of one instrument, its number as the last price, cut to this many bytes.
fn numbered(number: u32, length: u8) -> Bytes {
    let mut packet = vec![0; length.into()];
    packet[..4].copy_from_slice(&A.to_be_bytes());
    packet[4..8].copy_from_slice(&number.to_be_bytes());
    [&[0, 1, 0, length], &packet[..]].concat().into()
}

#[tokio::test(start_paused = true)]
async fn a_command_takes_effect_between_two_records_of_the_tape() {
    const COUNT: u32 = 8_000;
    let reads = (0..COUNT).map(|number| binary(0, numbered(number, 184)));
    let sim = quiet(of(reads.collect()).speed(Speed::AsRead)).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Ltp, &[A]).await;
    // More than fits in the connection, so frames wait for the client to read.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let command = Command::Mode(Mode::Full, &[A]).to_string();
    client.socket.send(Message::text(command)).await.unwrap();
    let got = frames(client.all(&sim).await);
    let before = got.iter().take_while(|frame| frame.len() == 12).count() as u32;
    assert!((1_000..COUNT - 1).contains(&before), "{before}");
    // All before in the old mode, a snapshot of the last of them, all after it in the new one.
    let old = (0..before).map(|number| numbered(number, 8));
    let new = (before - 1..COUNT).map(|number| numbered(number, 184));
    assert!(got.into_iter().eq(old.chain(new)));
}

#[tokio::test(start_paused = true)]
async fn at_full_speed_the_tape_waits_for_a_client_to_return() {
    let sim = quiet(of(steady(500)).speed(Speed::AsRead)).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    client.binary().await;
    drop(client);
    sim.wait_until(|sim| sim.stats().connections_open == 0).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let left_at = sim.replay().unwrap();
    assert!(!left_at.finished && left_at.records < 500, "{left_at:?}");
    let mut client = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    let got = frames(client.all(&sim).await);
    // A snapshot, then all that follows.
    let expected = (left_at.records - 1..500).map(|step| frame(&[A, B], step));
    assert_eq!(got, expected.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_replay_sends_the_same_bytes_every_time() {
    async fn run(speed: Speed) -> Vec<Vec<Message>> {
        let mut reads = steady(300);
        reads.insert(20, text(9_990, FIRST, r#"{"type":"order","data":{"order_id":"1"}}"#));
        let sim = quiet(of(reads).speed(speed).start(Start::Sockets(3))).start().await.unwrap();
        let mut clients = Vec::new();
        for mode in Mode::ALL {
            clients.push(Client::subscribed(&sim, mode, &[A, B]).await);
        }
        clients[0].say(&sim, Command::Unsubscribe(&[B])).await;
        let all = clients.iter_mut().map(|client| async {
            let mut messages = Vec::new();
            while messages.len() < 301 {
                messages.push(client.message().await);
            }
            messages
        });
        futures_util::future::join_all(all).await
    }
    let once = run(Speed::AsRead).await;
    assert_eq!(once.iter().map(Vec::len).collect::<Vec<_>>(), [301; 3]);
    assert_eq!(run(Speed::AsRead).await, once);
    // The speed changes when frames are sent, not their bytes.
    assert_eq!(run(Speed::Times(3.0)).await, once);
}

#[tokio::test(start_paused = true)]
async fn texts_reach_every_socket_once() {
    let order = r#"{"type":"order","data":{"order_id":"7"}}"#;
    let reads = vec![
        text(0, FIRST, r#"{"type":"instruments_meta","data":{"count":1}}"#),
        text(1, FIRST, r#"{"type":"app_code","timestamp":"2025-08-04T13:50:28+05:30"}"#),
        text(2, FIRST, order),
        text(40, SECOND, order),
        record(50, FIRST, RecordKind::Event, r#"{"up":1}"#),
        record(60, FIRST, RecordKind::Text, Bytes::from_static(&[0xff])),
        text(90, SECOND, "no JSON"),
    ];
    let replay = of(reads).start(Start::Sockets(2));
    let sim = quiet(replay).start().await.unwrap();
    let mut one = Client::subscribed(&sim, Mode::Ltp, &[A]).await;
    let mut two = Client::subscribed(&sim, Mode::Ltp, &[B]).await;
    let expected = [Message::text(order), Message::text("no JSON")];
    assert_eq!([two.message().await, two.message().await], expected);
    assert_eq!(one.all(&sim).await, expected);
    let progress = sim.replay().unwrap();
    assert_eq!((progress.texts, progress.repeated_texts), (6, 1));
    assert_eq!((progress.greetings, progress.unreadable_texts), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn damage_is_counted_and_skipped() {
    let good = frame(&[A, B], 3);
    // The second packet is cut.
    let cut = good.slice(..good.len() - 1);
    let unknown = [&[0, 1, 0, 5][..], &[0; 5]].concat();
    let reads = vec![
        Err("block 1".to_owned()),
        binary(0, cut),
        Err("block 2".to_owned()),
        binary(1, unknown),
        record(1, FIRST, RecordKind::Gap, vec![0; 32]),
        binary(2, good.clone()),
    ];
    let sim = quiet(of(reads)).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    assert_eq!(frames(client.all(&sim).await), [frame(&[A], 3), good]);
    let progress = sim.replay().unwrap();
    assert_eq!((progress.damages, progress.last_damage.as_deref()), (2, Some("block 2")));
    assert_eq!((progress.damaged_frames, progress.unknown_packets), (1, 1));
    assert_eq!((progress.records, progress.gaps), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_continue_after_the_end_of_the_tape() {
    let reads = vec![binary(0, frame(&[A], 1)), binary(700, Bytes::from_static(&[7]))];
    let builder = Sim::builder().greet(false).replay(of(reads));
    let sim = builder.start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
    assert_eq!(client.binary().await, frame(&[A], 1));
    timeout(DEADLINE, sim.replay_finished()).await.unwrap();
    let begun = Instant::now();
    for _ in 0..60 {
        // The simulator's own, not the recorded one.
        assert_eq!(client.binary().await, [0].as_slice());
    }
    let s = begun.elapsed().as_secs_f64();
    assert!((59.0..=60.0).contains(&s), "{s}");
}

#[tokio::test(start_paused = true)]
async fn a_verbatim_replay_is_one_connection_byte_for_byte() {
    let damaged = frame(&[A, B], 3).slice(..200);
    let meta = r#"{"type":"instruments_meta","data":{"count":1}}"#;
    let reads = vec![
        text(0, FIRST, meta),
        binary(1, Bytes::from_static(&[7])),
        record(2, SECOND, RecordKind::Binary, frame(&[B], 8)),
        binary(3, damaged.clone()),
        binary(4, frame(&[A], 4)),
        text(5, SECOND, meta),
        binary(6, Bytes::from_static(&[])),
    ];
    let first = [
        Message::text(meta),
        Message::binary(vec![7]),
        Message::binary(damaged),
        Message::binary(frame(&[A], 4)),
        Message::binary(vec![]),
    ];
    let second = [Message::binary(frame(&[B], 8)), Message::text(meta)];
    let replay = of(reads).verbatim([FIRST, SECOND]).start(Start::OnRequest);
    let sim = quiet(replay).start().await.unwrap();
    // The first socket subscribes to nothing, the second to another instrument than was recorded.
    let mut one = Client::connect(&sim).await;
    let mut two = Client::subscribed(&sim, Mode::Ltp, &[A]).await;
    sim.begin_replay();
    assert_eq!(one.all(&sim).await, first);
    assert_eq!(two.all(&sim).await, second);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_of_a_verbatim_replay_are_the_recorded_ones_while_it_runs() {
    let reads = (0..5).map(|beat| binary(1_300 * beat, Bytes::from_static(&[7])));
    let replay = of(reads.collect()).verbatim([FIRST]).start(Start::OnRequest);
    let sim = Sim::builder().greet(false).replay(replay).start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    let mut beats = Vec::new();
    for _ in 0..2 {
        beats.push(client.binary().await[0]);
    }
    sim.begin_replay();
    for _ in 0..7 {
        beats.push(client.binary().await[0]);
    }
    assert_eq!(beats, [0, 0, 7, 7, 7, 7, 7, 0, 0]);
    assert_eq!(sim.stats().heartbeats_sent, 9);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_reconnects_receives_its_recorded_connection_again() {
    let reads = (0..20).flat_map(|step| {
        [FIRST, SECOND].map(|source| {
            let token = if source == FIRST { A } else { B };
            record(step * 1_000, source, RecordKind::Binary, frame(&[token], step))
        })
    });
    let replay = of(reads.collect()).verbatim([FIRST, SECOND]).start(Start::Sockets(2));
    let sim = quiet(replay).start().await.unwrap();
    let mut one = Client::connect(&sim).await;
    let mut two = Client::connect(&sim).await;
    assert_eq!(one.binary().await, frame(&[A], 0));
    drop(one);
    sim.wait_until(|sim| sim.stats().connections_open == 1).await;
    let mut one = Client::connect(&sim).await;
    assert_eq!(kinds(&one.binary().await), [(A, PacketKind::Full)]);
    assert_eq!(two.binary().await, frame(&[B], 0));
}

#[tokio::test(start_paused = true)]
async fn a_replay_starts_when_it_is_configured_to() {
    // A client that subscribes and then sets a mode receives no frame in the mode in between.
    let sim = quiet(of(steady(1))).start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    client.say(&sim, Command::Subscribe(&[A, B])).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.say(&sim, Command::Mode(Mode::Full, &[A, B])).await;
    assert_eq!(frames(client.all(&sim).await), [frame(&[A, B], 0)]);

    let sim = quiet(of(steady(1)).start(Start::OnRequest)).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!sim.replay().unwrap().begun);
    sim.begin_replay();
    assert_eq!(client.binary().await, frame(&[A, B], 0));

    let sim = quiet(of(steady(3)).start(Start::AtOnce)).start().await.unwrap();
    timeout(DEADLINE, sim.replay_finished()).await.unwrap();
    assert_eq!(sim.replay().unwrap().frames, 3);
}

#[tokio::test(start_paused = true)]
async fn only_the_chosen_connections_are_replayed() {
    let reads = vec![
        binary(0, frame(&[A], 1)),
        record(1, SECOND, RecordKind::Binary, frame(&[A], 1)),
        text(2, FIRST, "first"),
        record(3, Source::RECORDER, RecordKind::Gap, vec![0; kite_wire::tape::Gap::LEN]),
    ];
    let sim = quiet(of(reads).only([SECOND])).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
    assert_eq!(client.all(&sim).await, [Message::binary(frame(&[A], 1))]);
    let progress = sim.replay().unwrap();
    assert_eq!((progress.records, progress.gaps), (2, 1), "the recorder's gaps concern all");
}

#[tokio::test(start_paused = true)]
async fn faults_work_over_a_replay() {
    let sim = quiet(of(steady(400))).start().await.unwrap();
    let mut silent = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    silent.binary().await;
    sim.inject(API_KEY, Fault::TruncatedFrame { cut: 1 });
    let damaged = silent.binary().await;
    assert!(Frame::walk(&damaged).fault().is_some(), "{damaged:?}");
    sim.inject(API_KEY, Fault::HalfOpen);
    // A silent socket does not hold up the others.
    let mut other = Client::subscribed(&sim, Mode::Full, &[A]).await;
    for _ in 0..100 {
        other.binary().await;
    }
    sim.inject(API_KEY, Fault::Reset { at: 0 });
    sim.wait_until(|sim| sim.stats().connections_open == 0).await;
    let ends: Vec<_> = sim.sockets(API_KEY).iter().map(|record| record.end).collect();
    assert_eq!(ends, [Some(SocketEnd::Reset); 2]);
    timeout(DEADLINE, sim.replay_finished()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_never_reads_is_dropped_and_the_others_go_on() {
    let sim = quiet(of(steady(2_000)).speed(Speed::AsRead).start(Start::Sockets(2)));
    let sim = sim.start().await.unwrap();
    let _stuck = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    let mut reading = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    for step in 0..2_000 {
        assert_eq!(reading.binary().await, frame(&[A, B], step));
    }
    assert_eq!(sim.sockets(API_KEY)[0].end, Some(SocketEnd::ClientStuck));
}

#[tokio::test(start_paused = true)]
async fn a_speed_out_of_range_is_rejected() {
    for times in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = quiet(of(steady(1)).speed(Speed::Times(times))).start().await.unwrap_err();
        assert!(error.to_string().contains("times the recorded speed"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_tape_ends_immediately() {
    let sim = quiet(of(Vec::new()).start(Start::AtOnce)).start().await.unwrap();
    timeout(DEADLINE, sim.replay_finished()).await.unwrap();
    assert_eq!(sim.replay().unwrap().span_unix_ns, None);
}
