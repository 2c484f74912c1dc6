//! Tape files replayed over real sockets.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kite_sim::{API_KEY, Chain, MAX_INSTRUMENTS, Replay, Sim, SimBuilder, Speed, Start, universe};
use kite_tape::{PackConfig, Reel, TapeFile};
use kite_wire::tape::{BlockBuffer, CODEC_COLUMNS, Received, RecordKind, Source, TapeHeader};
use kite_wire::{Command, Frame, FrameEncoder, Mode, Tick};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, DEADLINE, ticks, until};

const NINE: u64 = 1_754_279_100_000_000_000;
const SOURCE: Source = Source { account: 0, connection: 2 };

/// A frame of some of the instruments, each in full mode, with its number in all fields.
fn frame(tokens: &[u32], number: u8) -> Bytes {
    let mut buffer = vec![0; 2 + tokens.len() * 186];
    let mut encoder = FrameEncoder::new(&mut buffer).unwrap();
    for &token in tokens {
        let mut packet = [number; 184];
        packet[..4].copy_from_slice(&token.to_be_bytes());
        let length = if token & 0xff == 9 { 32 } else { 184 };
        encoder.push_bytes(&packet[..length]).unwrap();
    }
    let length = encoder.finish().len();
    buffer.truncate(length);
    buffer.into()
}

/// Returns what a subscription in this mode receives of a frame.
fn in_mode(frame: &[u8], mode: Mode) -> Vec<Tick> {
    let packets = Frame::walk(frame).packets();
    let cut = |bytes: &[u8]| {
        let length = match (mode, bytes.len()) {
            (Mode::Ltp, _) => 8,
            (Mode::Quote, 184) => 44,
            (Mode::Quote, 32) => 28,
            (_, length) => length,
        };
        Tick::from(kite_wire::Packet::from_bytes(&bytes[..length]).unwrap())
    };
    packets.map(|packet| cut(packet.as_bytes())).collect()
}

/// Writes a tape of blocks of ten records, one every millisecond; returns the offset of each block.
fn write(path: &Path, records: &[(RecordKind, Bytes)]) -> Vec<usize> {
    let header = TapeHeader { created_unix_ns: NINE, tape_id: 7, metadata: b"{}" };
    let mut file = vec![0; header.encoded_len()];
    header.encode(&mut file).unwrap();
    let mut blocks = Vec::new();
    for (number, chunk) in records.chunks(10).enumerate() {
        blocks.push(file.len());
        let bytes: usize = chunk.iter().map(|(_, payload)| payload.len() + 64).sum();
        let mut buffer = vec![0; bytes + 256];
        let mut block = BlockBuffer::new(&mut buffer, 7, number as u32).unwrap();
        for (index, (kind, payload)) in chunk.iter().enumerate() {
            let recv_unix_ns = NINE + (number * 10 + index) as u64 * 1_000_000;
            block.push(Received { recv_unix_ns, source: SOURCE }, *kind, payload).unwrap();
        }
        file.extend_from_slice(block.finish());
    }
    std::fs::write(path, file).unwrap();
    blocks
}

fn binary(frames: impl IntoIterator<Item = Bytes>) -> Vec<(RecordKind, Bytes)> {
    frames.into_iter().map(|frame| (RecordKind::Binary, frame)).collect()
}

struct Day {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Day {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("day.ktape");
        Self { _directory: directory, path }
    }

    fn replay(&self) -> Replay {
        Replay::new(Reel::open([&self.path]).unwrap())
    }
}

fn quiet(replay: Replay) -> SimBuilder {
    Sim::builder().no_heartbeats().greet(false).replay(replay)
}

async fn obeyed(sim: &Sim, count: u64) {
    until(sim, |sim| sim.stats().commands_received == count).await;
}

#[tokio::test]
async fn sockets_in_three_modes_receive_a_recorded_day() {
    let day = Day::new();
    let tokens = universe(MAX_INSTRUMENTS);
    let frames: Vec<Bytes> = (0..40).map(|number| frame(&tokens, number)).collect();
    write(&day.path, &binary(frames.clone()));
    let replay = day.replay().speed(Speed::AsRead).start(Start::Sockets(3));
    let sim = quiet(replay).start().await.unwrap();
    let mut clients = BTreeMap::new();
    for (index, mode) in Mode::ALL.into_iter().enumerate() {
        let mut client = Client::connect(&sim).await;
        client.say(Command::Mode(mode, &tokens)).await;
        obeyed(&sim, index as u64 + 1).await;
        clients.insert(mode, client);
    }
    let reading = clients.into_iter().map(|(mode, mut client)| {
        let frames = frames.clone();
        async move {
            let mut chain = Chain::default();
            for recorded in &frames {
                let got = client.binary().await;
                chain.add(&got);
                assert_eq!(ticks(&got), in_mode(recorded, mode), "{mode}");
                assert_eq!(mode == Mode::Full, got == *recorded);
            }
            chain
        }
    });
    let chains = futures_util::future::join_all(reading).await;
    timeout(DEADLINE, sim.replay_finished()).await.unwrap();
    let sent: Vec<_> = sim.sockets(API_KEY).iter().map(kite_sim::SocketRecord::chain).collect();
    assert_eq!(chains, sent);
    let progress = sim.replay().unwrap();
    assert_eq!((progress.frames, progress.ticks), (40, 120_000));
    assert_eq!((progress.frames_sent, progress.ticks_sent), (120, 360_000));
}

#[tokio::test]
async fn damage_of_a_tape_is_reported_and_the_replay_continues_after_it() {
    let day = Day::new();
    let frames: Vec<Bytes> = (0..50).map(|number| frame(&[408_065], number)).collect();
    let blocks = write(&day.path, &binary(frames.clone()));
    let mut file = std::fs::read(&day.path).unwrap();
    // Within the payloads of the second block's last record and the fourth's.
    for block in [blocks[2], blocks[4]] {
        file[block - 40] ^= 0x55;
    }
    std::fs::write(&day.path, file).unwrap();
    let sim = quiet(day.replay().speed(Speed::AsRead)).start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    client.say(Command::Mode(Mode::Full, &[408_065])).await;
    for number in (0..50).filter(|number| ![19, 39].contains(number)) {
        assert_eq!(client.binary().await, frames[number], "{number}");
    }
    timeout(DEADLINE, sim.replay_finished()).await.unwrap();
    let progress = sim.replay().unwrap();
    assert_eq!((progress.frames, progress.damages), (48, 2));
    let reported = progress.last_damage.unwrap();
    assert!(reported.contains("day.ktape") && reported.contains("damaged at byte"), "{reported}");
}

#[tokio::test]
async fn a_verbatim_replay_of_a_file_is_what_was_recorded() {
    let day = Day::new();
    let mut records = binary([frame(&[1 << 8 | 1], 1), Bytes::from_static(&[9])]);
    records.push((RecordKind::Text, Bytes::from_static(br#"{"type":"message","data":"hello"}"#)));
    records.extend(binary([frame(&[408_065, 884_737], 2).slice(..100), Bytes::new()]));
    write(&day.path, &records);
    is_sent_verbatim(&day, &records).await;
}

#[tokio::test]
async fn a_packed_tape_is_replayed_byte_for_byte() {
    let day = Day::new();
    let mut records = Vec::new();
    for number in 0..100 {
        records.extend(binary([frame(&[408_065, 884_737], number), Bytes::from_static(&[9])]));
        records.push((RecordKind::Text, Bytes::from_static(br#"{"type":"message"}"#)));
        records.extend(binary([frame(&[408_065, 884_737], number).slice(..100), Bytes::new()]));
    }
    write(&day.path, &records);
    let mut go_on = |_| ControlFlow::Continue(());
    kite_tape::pack(&day.path, &day.path, &PackConfig::default(), &mut go_on).unwrap();
    let file = TapeFile::open(&day.path).unwrap();
    assert!(file.tape().blocks().all(|it| it.unwrap().codec() == CODEC_COLUMNS));
    is_sent_verbatim(&day, &records).await;
}

async fn is_sent_verbatim(day: &Day, records: &[(RecordKind, Bytes)]) {
    let replay = day.replay().verbatim([SOURCE]).start(Start::OnRequest);
    let sim = quiet(replay).start().await.unwrap();
    let mut clients = [Client::connect(&sim).await, Client::connect(&sim).await];
    // Subscriptions do not matter, and no snapshot is sent for them.
    clients[1].say(Command::Subscribe(&[408_065])).await;
    obeyed(&sim, 1).await;
    sim.begin_replay();
    for client in &mut clients {
        for (kind, payload) in records {
            let expected = match kind {
                RecordKind::Text => Message::text(std::str::from_utf8(payload).unwrap()),
                _ => Message::Binary(payload.clone()),
            };
            assert_eq!(client.message().await, expected);
        }
    }
}

#[tokio::test]
async fn a_replay_starts_at_a_time_of_the_tape() {
    let day = Day::new();
    let frames: Vec<Bytes> = (0..50).map(|number| frame(&[408_065], number)).collect();
    write(&day.path, &binary(frames.clone()));
    let replay = day.replay().from(NINE + 25_500_000).speed(Speed::AsRead);
    let sim = quiet(replay).start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    client.say(Command::Subscribe(&[408_065])).await;
    // The snapshot of the stretch before, then the frames that follow.
    for recorded in &frames[25..] {
        assert_eq!(ticks(&client.binary().await), in_mode(recorded, Mode::Quote));
    }
    timeout(DEADLINE, sim.replay_finished()).await.unwrap();
    assert_eq!(sim.replay().unwrap().frames, 24);
}

#[tokio::test]
async fn a_tape_cut_by_a_crash_is_replayed_to_the_cut() {
    let day = Day::new();
    let frames: Vec<Bytes> = (0..30).map(|number| frame(&[408_065], number)).collect();
    let blocks = write(&day.path, &binary(frames.clone()));
    let mut file = std::fs::read(&day.path).unwrap();
    // Within the fourth record of the last block.
    let record = (blocks[2] - blocks[1]) / 10;
    file.truncate(blocks[2] + 4 * record);
    std::fs::write(&day.path, file).unwrap();
    let sim = quiet(day.replay().speed(Speed::AsRead)).start().await.unwrap();
    let mut client = Client::connect(&sim).await;
    client.say(Command::Mode(Mode::Full, &[408_065])).await;
    timeout(DEADLINE, sim.replay_finished()).await.unwrap();
    let progress = sim.replay().unwrap();
    assert!((23..=24).contains(&progress.frames), "{progress:?}");
    for recorded in frames.iter().take(progress.frames as usize) {
        assert_eq!(client.binary().await, *recorded);
    }
}
