//! The client's task in memory, with the clock paused.

use futures_util::{SinkExt, StreamExt};
use kite_server::Transport;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as ClientMessage;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::ending::GOING_AWAY;
use super::*;
use crate::queue::SlowClients;

/// Bytes that the client's side takes without reading.
const ROOM: usize = 4 * 1024;

struct Stage {
    client: WebSocketStream<DuplexStream>,
    to_client: UnboundedSender<ToClient>,
    from_client: UnboundedReceiver<ToHub>,
    figures: Arc<Figures>,
    task: JoinHandle<()>,
}

impl Stage {
    async fn new() -> Self {
        Self::with(ROOM, QueueConfig::default()).await
    }

    async fn with(room: usize, queue: QueueConfig) -> Self {
        let (client, server) = tokio::io::duplex(room);
        let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let socket = Socket::new(Transport::from(server), Vec::new()).await;
        let (to_client, from_hub) = mpsc::unbounded_channel();
        let (to_hub, from_client) = mpsc::unbounded_channel();
        let figures = Arc::<Figures>::default();
        let context = ClientContext {
            id: ClientId(1),
            name: "one".into(),
            from_hub,
            to_hub,
            queue,
            stall: Duration::from_secs(60),
            presence: PresenceConfig::default(),
            figures: figures.enter("one", 1),
            all_figures: Arc::clone(&figures),
            room: None,
        };
        let task = tokio::spawn(ClientTask::new(socket, context).run());
        Self { client, to_client, from_client, figures, task }
    }

    fn send(&self, bytes: usize, packets: u16) {
        self.to_client.send(ToClient::Frame(vec![1; bytes].into(), packets)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_sent_each_second_unless_the_hub_withholds_them() {
    let mut stage = Stage::new().await;
    let start = Instant::now();
    for second in 1..=5 {
        let message = stage.client.next().await.unwrap().unwrap();
        assert_eq!(message, ClientMessage::Binary(HEARTBEAT));
        assert_eq!(start.elapsed().as_secs(), second);
    }
    stage.to_client.send(ToClient::Heartbeats(false)).unwrap();
    let next = tokio::time::timeout(Duration::from_secs(20), stage.client.next());
    assert!(next.await.is_err());
    stage.to_client.send(ToClient::Heartbeats(true)).unwrap();
    stage.client.next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_byte_for_a_minute_is_dropped() {
    let mut stage = Stage::new().await;
    let start = Instant::now();
    stage.send(2 * ROOM, 7);
    stage.send(10, 2);
    assert!(matches!(stage.from_client.recv().await, Some(ToHub::Left { .. })));
    assert_eq!(start.elapsed().as_secs(), 60);
    stage.task.await.unwrap();
    let stats = stage.figures.stats([].into());
    let one = &stats.clients[0];
    assert_eq!((one.stalled, one.sockets, one.waiting()), (1, 0, 0));
    assert_eq!((one.queued, one.out), (9, 9));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_dropped_although_the_system_takes_its_heartbeats() {
    let mut stage = Stage::new().await;
    let start = Instant::now();
    // There is room for all heartbeats of the time, and for the ping.
    assert!(matches!(stage.from_client.recv().await, Some(ToHub::Left { .. })));
    assert_eq!(start.elapsed().as_secs(), 90);
    let pings =
        stage.client.filter(|it| std::future::ready(matches!(it, Ok(ClientMessage::Ping(_)))));
    assert_eq!(pings.count().await, 1);
    assert_eq!(stage.figures.stats([].into()).clients[0].stalled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_stays_although_it_sends_nothing_by_itself() {
    for has_heartbeats in [true, false] {
        let mut stage = Stage::new().await;
        stage.to_client.send(ToClient::Heartbeats(has_heartbeats)).unwrap();
        let start = Instant::now();
        // Reading answers pings.
        while start.elapsed() < Duration::from_secs(1_000) {
            let next = tokio::time::timeout(Duration::from_secs(45), stage.client.next()).await;
            next.unwrap().unwrap().unwrap();
        }
        assert!(stage.from_client.try_recv().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_command_is_read_once_the_hub_has_applied_the_last() {
    let mut stage = Stage::new().await;
    for text in ["first", "second"] {
        stage.client.send(ClientMessage::text(text)).await.unwrap();
    }
    let Some(ToHub::Command { text, .. }) = stage.from_client.recv().await else { panic!() };
    assert_eq!(text.as_str(), "first");
    let second = tokio::time::timeout(Duration::from_secs(1), stage.from_client.recv());
    assert!(second.await.is_err());
    stage.to_client.send(ToClient::Applied).unwrap();
    let Some(ToHub::Command { text, .. }) = stage.from_client.recv().await else { panic!() };
    assert_eq!(text.as_str(), "second");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_too_much_is_read_later() {
    let Stage { client, to_client, mut from_client, .. } = Stage::new().await;
    let (mut writer, mut reader) = client.split();
    tokio::spawn(async move { while reader.next().await.is_some() {} });
    tokio::spawn(async move { while writer.send(ClientMessage::text("x")).await.is_ok() {} });
    let start = Instant::now();
    let mut commands = 0;
    while start.elapsed() < Duration::from_secs(10) {
        assert!(matches!(from_client.recv().await, Some(ToHub::Command { .. })));
        to_client.send(ToClient::Applied).unwrap();
        commands += 1;
    }
    // The burst, and 511 a second.
    assert!((6_000..8_000).contains(&commands), "{commands}");
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_is_sent_before_the_socket_is_closed() {
    let mut stage = Stage::new().await;
    let deadline = Instant::now() + Duration::from_secs(10);
    for _ in 0..100 {
        stage.send(ROOM, 1);
    }
    stage.to_client.send(ToClient::Close(Closing::Stopping(deadline))).unwrap();
    let mut frames = 0;
    let closed = loop {
        match stage.client.next().await.unwrap().unwrap() {
            ClientMessage::Binary(frame) => frames += usize::from(frame.len() == ROOM),
            other => break other,
        }
    };
    assert_eq!(frames, 100);
    let ClientMessage::Close(Some(frame)) = closed else { panic!("{closed:?}") };
    assert_eq!(u16::from(frame.code), GOING_AWAY);
    assert!(stage.client.next().await.is_none());
    stage.task.await.unwrap();
    assert_eq!(stage.figures.cut_off(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_dropped_at_the_deadline() {
    let stage = Stage::new().await;
    let start = Instant::now();
    for _ in 0..100 {
        stage.send(ROOM, 1);
    }
    let deadline = start + Duration::from_secs(10);
    stage.to_client.send(ToClient::Close(Closing::Stopping(deadline))).unwrap();
    // Too late.
    stage.send(ROOM, 1);
    stage.task.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(stage.figures.cut_off(), 1);
    let one = &stage.figures.stats([].into()).clients[0];
    assert_eq!((one.queued, one.waiting()), (101, 0));
    assert!(one.unsent > 50 && one.dropped == 0, "{one:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_read_what_is_written_until_the_deadline() {
    for (reads_after_s, cut_off) in [(9, 0), (11, 1)] {
        let mut stage = Stage::new().await;
        let deadline = Instant::now() + Duration::from_secs(10);
        stage.send(100, 1);
        stage.to_client.send(ToClient::Close(Closing::Stopping(deadline))).unwrap();
        tokio::time::sleep(Duration::from_secs(reads_after_s)).await;
        // Official clients send pings, which must not end a connection that is still read.
        let ping = stage.client.send(ClientMessage::Ping(Bytes::new())).await;
        assert_eq!(ping.is_ok(), cut_off == 0, "after {reads_after_s} s");
        while let Some(Ok(_)) = stage.client.next().await {}
        stage.task.await.unwrap();
        assert_eq!(stage.figures.cut_off(), cut_off, "after {reads_after_s} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_aborted_task_is_accounted_for() {
    let mut stage = Stage::new().await;
    for _ in 0..100 {
        stage.send(ROOM, 1);
    }
    tokio::task::yield_now().await;
    stage.task.abort();
    assert!(matches!(stage.from_client.recv().await, Some(ToHub::Left { .. })));
    assert!(matches!(stage.from_client.recv().await, Some(ToHub::Ended)));
    let one = &stage.figures.stats([].into()).clients[0];
    assert_eq!((one.queued, one.waiting(), one.sockets), (100, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn no_command_is_read_while_the_snapshot_of_the_last_one_waits() {
    let mut stage = Stage::new().await;
    stage.to_client.send(ToClient::Snapshot(vec![1; 32 * ROOM].into(), 1)).unwrap();
    stage.to_client.send(ToClient::Snapshot(vec![2; 32 * ROOM].into(), 1)).unwrap();
    tokio::task::yield_now().await;
    stage.client.send(ClientMessage::text("command")).await.unwrap();
    let command = tokio::time::timeout(Duration::from_secs(30), stage.from_client.recv());
    assert!(command.await.is_err());
    for value in [1, 2] {
        let is_snapshot = |it: &ClientMessage| it.len() > 1;
        let snapshot = loop {
            let message = stage.client.next().await.unwrap().unwrap();
            if is_snapshot(&message) {
                break message;
            }
        };
        assert_eq!(snapshot.into_data()[0], value);
    }
    assert!(matches!(stage.from_client.recv().await, Some(ToHub::Command { .. })));
}

/// Memory that frames are read into.
struct Block {
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &[1; 128 * 1024]
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_keeps_few_blocks_of_the_feed_alive() {
    let stage = Stage::new().await;
    stage.send(2 * ROOM, 1);
    let alive = Arc::new(());
    for _ in 0..100 {
        let block = Bytes::from_owner(Block { _alive: Arc::clone(&alive) });
        stage.to_client.send(ToClient::Frame(block.slice(..200), 1)).unwrap();
        drop(block);
        tokio::task::yield_now().await;
    }
    let blocks = Arc::strong_count(&alive) - 1;
    assert!((1..=10).contains(&blocks), "{blocks}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_too_slow_is_reset_unless_it_reads_to_the_close_frame_within_ten_seconds()
{
    for (reads_after_s, code) in [(9, Some(1_008)), (11, None)] {
        let queue = QueueConfig {
            policy: SlowClients::Disconnect,
            bytes: 4 * ROOM,
            ..QueueConfig::default()
        };
        let mut stage = Stage::with(ROOM, queue).await;
        // Fills what the client's side takes without reading.
        stage.send(2 * ROOM, 1);
        while stage.figures.stats([].into()).clients[0].out == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            stage.send(ROOM, 1);
        }
        assert!(matches!(stage.from_client.recv().await, Some(ToHub::Left { .. })));
        tokio::time::sleep(Duration::from_secs(reads_after_s)).await;
        let (mut frames, mut closed) = (0, None);
        while let Some(Ok(message)) = stage.client.next().await {
            match message {
                ClientMessage::Close(frame) => closed = frame.map(|frame| frame.code.into()),
                message => frames += usize::from(message.len() >= ROOM),
            }
        }
        stage.task.await.unwrap();
        assert_eq!(closed, code, "after {reads_after_s} s");
        let one = &stage.figures.stats([].into()).clients[0];
        assert_eq!((one.too_slow, one.sockets), (1, 0));
        // What was handed over arrives before the close frame.
        assert!(code.is_none() || frames as u64 == one.out, "{frames} of {one:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_does_not_make_a_client_slow_that_takes_it() {
    let queue = QueueConfig { policy: SlowClients::Disconnect, ..QueueConfig::default() };
    let mut stage = Stage::with(16 << 20, queue).await;
    for _ in 0..1_000 {
        stage.send(10_000, 1);
    }
    let mut frames = 0;
    while frames < 1_000 {
        frames += usize::from(stage.client.next().await.unwrap().unwrap().len() == 10_000);
    }
    assert_eq!(stage.figures.stats([].into()).clients[0].out, 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_command_is_read_as_soon_as_the_snapshot_before_it_is_sent() {
    let mut stage = Stage::new().await;
    stage.client.send(ClientMessage::text("subscribe")).await.unwrap();
    assert!(matches!(stage.from_client.recv().await, Some(ToHub::Command { .. })));
    stage.to_client.send(ToClient::Snapshot(vec![1; 100].into(), 1)).unwrap();
    stage.to_client.send(ToClient::Applied).unwrap();
    stage.client.next().await.unwrap().unwrap();
    let start = Instant::now();
    stage.client.send(ClientMessage::text("mode")).await.unwrap();
    assert!(matches!(stage.from_client.recv().await, Some(ToHub::Command { .. })));
    assert_eq!(start.elapsed(), Duration::ZERO);
}
