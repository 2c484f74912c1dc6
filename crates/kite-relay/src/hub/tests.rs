//! The hub with a manager that is not started, whose connections are therefore down, and clients
//! without sockets, so that the clock can be paused.

use kite_manager::{Credentials, Stamp};
use kite_wire::{Command, Mode};
use tokio::sync::mpsc;

use super::*;
use crate::losses::Heartbeats;
use crate::wishes::WishesConfig;

const ONE: u32 = 408_065;

struct Stage {
    manager: Manager,
    to_hub: UnboundedSender<ToHub>,
    control: UnboundedSender<Control>,
    roster: Arc<Mutex<Roster>>,
    hub: tokio::task::JoinHandle<()>,
}

impl Stage {
    fn new(heartbeats: Heartbeats) -> Self {
        let manager = Manager::builder().account("mine", Credentials::new("key", "token"));
        let manager = manager.connections(1).build().unwrap();
        let now = Instant::now().into_std();
        let (to_hub, from_clients) = mpsc::unbounded_channel();
        let (control, controls) = mpsc::unbounded_channel();
        let roster = Arc::<Mutex<Roster>>::default();
        roster.lock().set(vec![RelayClient::new("one", Credentials::new("one", "token"))]);
        let hub = start(HubContext {
            manager: manager.clone(),
            stream: StreamConfig::default(),
            wishes: Wishes::new(WishesConfig::default(), [], now).unwrap(),
            losses: Losses::new(1, heartbeats, now, Stamp::now()),
            roster: Arc::clone(&roster),
            figures: Arc::default(),
            from_clients,
            controls,
            block: None,
        });
        let hub = tokio::spawn(hub.unwrap());
        Self { manager, to_hub, control, roster, hub }
    }

    fn join(&self, id: u64) -> UnboundedReceiver<ToClient> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let client = Arc::clone(self.roster.lock().get("one").unwrap());
        let joined = Joined { id: ClientId(id), client, sender, figures: Arc::default() };
        self.to_hub.send(ToHub::Joined(joined)).unwrap();
        receiver
    }

    fn command(&self, id: u64, command: Command<'_>) {
        let text = command.to_string().into();
        self.to_hub.send(ToHub::Command { id: ClientId(id), text }).unwrap();
    }
}

/// Waits for the next message of a kind, and returns how much time has passed.
async fn next(
    client: &mut UnboundedReceiver<ToClient>,
    is_wanted: impl Fn(&ToClient) -> bool,
) -> Duration {
    let start = Instant::now();
    while !is_wanted(&client.recv().await.unwrap()) {}
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_reported_after_a_second_and_withholds_heartbeats_after_five() {
    let stage = Stage::new(Heartbeats::WhileFed);
    let (mut one, mut idle) = (stage.join(1), stage.join(2));
    stage.command(1, Command::Mode(Mode::Full, &[ONE]));
    let error = next(&mut one, |it| matches!(it, ToClient::Text(_))).await;
    assert_eq!(error, Duration::from_secs(1));
    let silence = next(&mut one, |it| matches!(it, ToClient::Heartbeats(false))).await;
    assert_eq!(error + silence, Duration::from_secs(5));
    // Without instruments it misses nothing.
    assert!(idle.try_recv().is_err());
    stage.command(1, Command::Unsubscribe(&[ONE]));
    next(&mut one, |it| matches!(it, ToClient::Heartbeats(true))).await;
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_never_withheld_if_so_configured() {
    let stage = Stage::new(Heartbeats::Always);
    let mut one = stage.join(1);
    stage.command(1, Command::Subscribe(&[ONE]));
    next(&mut one, |it| matches!(it, ToClient::Text(_))).await;
    let wanted = next(&mut one, |it| matches!(it, ToClient::Heartbeats(_)));
    tokio::time::timeout(Duration::from_secs(60), wanted).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_subscribe_and_the_mode_after_it_are_one_request_upstream() {
    let stage = Stage::new(Heartbeats::WhileFed);
    let mut one = stage.join(1);
    stage.command(1, Command::Subscribe(&[ONE]));
    next(&mut one, |it| matches!(it, ToClient::Applied)).await;
    assert!(stage.manager.distribution()[0].is_empty());
    stage.command(1, Command::Mode(Mode::Full, &[ONE]));
    next(&mut one, |it| matches!(it, ToClient::Applied)).await;
    assert_eq!(stage.manager.distribution(), [[(ONE, Mode::Full)].into()]);
    // What the last client has left is kept for 30 s.
    stage.to_hub.send(ToHub::Left { id: ClientId(1) }).unwrap();
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(stage.manager.distribution(), [[(ONE, Mode::Full)].into()]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(stage.manager.distribution()[0].is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_ends_once_the_tasks_of_all_clients_have() {
    let stage = Stage::new(Heartbeats::WhileFed);
    // Whether or not the hub sees them in this order.
    let mut one = stage.join(1);
    drop(stage.control);
    next(&mut one, |it| matches!(it, ToClient::Close(Closing::Stopping(_)))).await;
    // Too late to be served.
    let mut late = {
        let (sender, receiver) = mpsc::unbounded_channel();
        let client = Arc::clone(stage.roster.lock().get("one").unwrap());
        let joined = Joined { id: ClientId(2), client, sender, figures: Arc::default() };
        stage.to_hub.send(ToHub::Joined(joined)).unwrap();
        receiver
    };
    next(&mut late, |it| matches!(it, ToClient::Close(Closing::Stopping(_)))).await;
    for id in [1, 2] {
        assert!(!stage.hub.is_finished());
        stage.to_hub.send(ToHub::Left { id: ClientId(id) }).unwrap();
        stage.to_hub.send(ToHub::Ended).unwrap();
    }
    stage.hub.await.unwrap();
}
