//! The access token appears in no `Debug` output, error, message or log line of any level.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kite_sim::{API_KEY, Fault, Refusal, Sim};
use kiteticker_async_manager::{
    ApiCredentials, KiteTickerAsync, KiteTickerManager, KiteTickerManagerBuilder, Mode,
    MultiApiKiteTickerManager, MultiApiKiteTickerManagerBuilder, TickerMessage,
};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tracing_subscriber::filter::LevelFilter;

/// Must be escaped in a URL, so it has more than one spelling.
const TOKEN: &str = "s3cr3tA/s3cr3tB+s3cr3tC=";
const NEW_TOKEN: &str = "s3cr3tD/s3cr3tE";
/// Occurs in every part of both tokens, in any spelling.
const TRACE: &str = "s3cr3t";

/// The beginning of a line that a server's text forges.
const FORGED: &str = "FORGED";

/// Collects log lines.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Starts collecting the process's log lines of every level.
    fn install() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        subscriber.init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Everything shown so far.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn add(&mut self, value: &impl Debug) {
        self.0.push(format!("{value:?}"));
        self.0.push(format!("{value:#?}"));
    }

    /// Adds everything that a channel currently holds.
    fn add_channel(&mut self, channel: &mut Receiver<TickerMessage>) {
        while let Ok(message) = channel.try_recv() {
            self.0.push(serde_json::to_string(&message).unwrap());
            self.add(&message);
        }
    }

    fn assert_clean(&self, what: &str) {
        for text in &self.0 {
            assert!(!text.contains(TRACE), "{what}: {text}");
        }
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(output) = tokio::time::timeout(Duration::from_secs(20), future).await else {
        panic!("timed out waiting for {what}")
    };
    output
}

fn builder(sim: &Sim) -> KiteTickerManagerBuilder {
    KiteTickerManagerBuilder::new(API_KEY, TOKEN)
        .endpoint(sim.endpoint())
        .reconnect_delay(Duration::from_millis(10))
}

/// Returns a refusal that echoes a token.
fn echo(status: u16, token: &str) -> Refusal {
    let body = format!(r#"{{"status":"error","message":"bad token {token}","data":"{token}"}}"#);
    Refusal::new(status, body)
}

/// Adds all output of a manager.
async fn show(shown: &mut Shown, manager: &KiteTickerManager) {
    shown.add(manager);
    shown.add(manager.typed());
    shown.add(&manager.typed().config());
    shown.add(&manager.typed().snapshot());
    shown.add(&manager.get_stats().await);
    shown.add(&manager.get_health().await);
    shown.add(&manager.get_processor_stats().await);
}

async fn refused_starts(shown: &mut Shown, sim: &Sim) {
    for status in [403, 400, 429, 503] {
        sim.refuse_with(Some(echo(status, TOKEN)));
        let mut manager = builder(sim).connection_timeout(Duration::from_millis(200)).build();
        let mut events = manager.typed().events();
        let mut channels = manager.get_all_channels();
        let error = within("the refusal", manager.start()).await.unwrap_err();
        assert!(error.contains(&status.to_string()), "{error}");
        // The refusal's message is shown with the token redacted.
        assert!(error.contains("bad token [redacted]"), "{error}");
        shown.0.push(error);
        show(shown, &manager).await;
        while let Ok(event) = events.try_recv() {
            shown.add(&event);
        }
        for (_, channel) in &mut channels {
            shown.add_channel(channel);
        }
    }
    // An HTML page with the token both plain and percent-encoded.
    let encoded = "s3cr3tA%2Fs3cr3tB%2Bs3cr3tC%3D";
    let page = format!("<html>/?api_key=x&amp;access_token={encoded} and {TOKEN}</html>");
    sim.refuse_with(Some(Refusal::new(400, page)));
    let mut manager = builder(sim).connection_timeout(Duration::from_millis(200)).build();
    shown.0.push(within("the refusal", manager.start()).await.unwrap_err());
    show(shown, &manager).await;
    sim.refuse_with(None);
}

async fn bad_endpoints(shown: &mut Shown) {
    for endpoint in [
        format!("wss://ws.kite.trade/?access_token={TOKEN}"),
        format!("wss://user:{TRACE}@ws.kite.trade"),
        format!("access_token={TRACE}"),
        format!("ws://192.0.2.1/?x={TRACE}"),
        format!("wss://api_key=a&access_token={TRACE}"),
    ] {
        let builder = KiteTickerManagerBuilder::new(API_KEY, TOKEN).endpoint(endpoint);
        let mut manager = builder.build();
        shown.add(&manager);
        shown.0.push(within("the refusal", manager.start()).await.unwrap_err());
    }
}

fn is_parked(manager: &KiteTickerManager) -> bool {
    let connections = manager.typed().snapshot().connections;
    connections
        .iter()
        .all(|connection| connection.phase == kiteticker_async_manager::kite_conn::Phase::Parked)
}

async fn a_run_with_losses(shown: &mut Shown, sim: &Sim) {
    let mut manager = builder(sim).build();
    let mut events = manager.typed().events();
    let mut channels = manager.get_all_channels();
    within("the start", manager.start()).await.unwrap();
    manager.subscribe_symbols(&[408_065, 884_737], Some(Mode::Full)).await.unwrap();
    let subscribed = |sim: &Sim| sim.subscriptions().iter().map(|it| it.len()).sum::<usize>() == 2;
    within("the subscriptions", sim.wait_until(subscribed)).await;
    show(shown, &manager).await;
    let error = manager.subscribe_symbols(&kite_sim::universe(9_001), None).await.unwrap_err();
    shown.0.push(error);
    sim.send_text("no json");
    // Texts that echo the token, control a terminal and forge a line.
    let said = format!("\u{1b}]0;title\u{7}\u{202e}\r\n{FORGED} {TOKEN}");
    sim.inject(API_KEY, Fault::ErrorText { message: said.clone().into() });
    for frame in [
        json!({"type": "error", "data": [said]}),
        json!({"type": "order", "data": said}),
        json!({"type": "message", "data": said}),
    ] {
        sim.send_text(&frame.to_string());
    }
    sim.send_binary(vec![0, 9, 0]);

    sim.drop_all();
    let again = |sim: &Sim| sim.stats().connections_open == 3 && subscribed(sim);
    within("the reconnect", sim.wait_until(again)).await;
    show(shown, &manager).await;

    // The token expires and the server echoes it; a new one is refused and echoed, then accepted.
    for token in [TOKEN, NEW_TOKEN] {
        let refused = |sim: &Sim| sim.stats().refused.get(&403).copied().unwrap_or_default();
        let before = refused(sim);
        sim.refuse_with(Some(echo(403, token)));
        if token == TOKEN {
            sim.drop_all()
        } else {
            manager.set_access_token(NEW_TOKEN)
        }
        within("refusals", sim.wait_until(|sim| refused(sim) >= before + 3)).await;
        let parked = async {
            while !is_parked(&manager) {
                let event = events.recv().await.unwrap();
                shown.add(&event);
            }
        };
        within("the parking", parked).await;
        show(shown, &manager).await;
    }
    sim.refuse_with(None);
    sim.set_access_token(API_KEY, NEW_TOKEN);
    manager.set_access_token(NEW_TOKEN);
    within("the reconnect", sim.wait_until(again)).await;
    show(shown, &manager).await;
    within("the stop", manager.stop()).await.unwrap();
    show(shown, &manager).await;
    let mut echoes = 0;
    for (_, channel) in &mut channels {
        while let Ok(message) = channel.try_recv() {
            let (TickerMessage::Error(text) | TickerMessage::OrderPostback(Err(text))) = &message
            else {
                shown.add(&message);
                continue;
            };
            assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
            echoes += usize::from(text.contains(FORGED));
            shown.0.push(text.clone());
        }
    }
    assert_eq!(echoes, 3 * 3, "each of three texts on three connections");
    while let Ok(event) = events.try_recv() {
        shown.add(&event);
    }
}

async fn a_single_connection(shown: &mut Shown, sim: &Sim) {
    sim.set_access_token(API_KEY, TOKEN);
    let endpoint = sim.endpoint();
    let connecting = KiteTickerAsync::connect_to(&endpoint, API_KEY, TOKEN, false);
    let mut client = within("the connection", connecting).await.unwrap();
    let subscriber = client.subscribe(&[408_065], None).await.unwrap();
    shown.add(&client);
    shown.add(&subscriber);
    shown.add(&client.subscribe_full_raw());
    within("the close", client.close()).await.unwrap();
    shown.add(&client);
    sim.refuse_with(Some(echo(401, TOKEN)));
    let connecting = KiteTickerAsync::connect_to(&endpoint, API_KEY, TOKEN, false);
    shown.0.push(within("the refusal", connecting).await.unwrap_err());
    sim.refuse_with(None);
}

const OTHER_KEY: &str = "longerkeyofanother";

fn accounts(sim: &Sim) -> MultiApiKiteTickerManagerBuilder {
    MultiApiKiteTickerManager::builder()
        .endpoint(sim.endpoint())
        .connection(|connection| connection.reconnect.delay = Duration::from_millis(10))
        .add_api_key("mine", API_KEY, TOKEN)
        .add_api_key("hers", OTHER_KEY, NEW_TOKEN)
}

async fn show_accounts(shown: &mut Shown, manager: &MultiApiKiteTickerManager) {
    shown.add(manager);
    shown.add(manager.typed());
    shown.add(&manager.typed().snapshot());
    shown.add(&manager.get_stats().await);
    shown.add(&manager.get_api_stats("mine").await);
    shown.add(&manager.get_api_stats("unknown").await);
    shown.add(&manager.get_symbol_distribution());
}

async fn several_accounts(shown: &mut Shown, sim: &Sim) {
    let credentials = ApiCredentials::new(OTHER_KEY, TOKEN);
    shown.add(&credentials);
    shown.add(&Some(credentials));
    assert!(shown.0.last().unwrap().contains("long…"), "at most four characters of a key");
    shown.add(&accounts(sim));
    // Two accounts with one api_key, then accounts that are refused with an echo of their token.
    let mut twice = accounts(sim).add_api_key("again", API_KEY, TOKEN).build();
    shown.0.push(within("the refusal", twice.start()).await.unwrap_err());
    show_accounts(shown, &twice).await;
    sim.set_access_token(API_KEY, TOKEN);
    sim.set_access_token(OTHER_KEY, NEW_TOKEN);
    let refuse = |api_key: &str, token: &str| {
        for _ in 0..3 {
            sim.at_next_handshake(api_key, Fault::refuse(echo(403, token)));
        }
    };
    refuse(API_KEY, TOKEN);
    refuse(OTHER_KEY, NEW_TOKEN);
    let mut manager = accounts(sim).build();
    let mut unified = manager.get_unified_channel();
    let error = within("the refusal", manager.start()).await.unwrap_err();
    assert!(error.contains("bad token [redacted]"), "{error}");
    shown.0.push(error);
    show_accounts(shown, &manager).await;
    refuse(OTHER_KEY, NEW_TOKEN);
    within("the start", manager.start()).await.unwrap();
    show_accounts(shown, &manager).await;
    manager.set_access_token("hers", NEW_TOKEN).unwrap();
    shown.0.push(manager.set_access_token("unknown", NEW_TOKEN).unwrap_err());
    within("six sockets", sim.wait_until(|sim| sim.stats().connections_open == 6)).await;
    within("the stop", manager.stop()).await.unwrap();
    show_accounts(shown, &manager).await;
    let before = shown.0.len();
    while let Ok((api, message)) = unified.try_recv() {
        shown.add(&api);
        shown.0.push(serde_json::to_string(&message).unwrap());
        shown.add(&message);
    }
    assert!(shown.0.len() > before, "the channel must report the refused account");
    for text in &shown.0 {
        assert!(!text.contains(OTHER_KEY), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_access_token_never_appears_in_output() {
    let log = Log::install();
    let builder_of_sim = Sim::builder().credentials(API_KEY, TOKEN).updates_per_second(20.0);
    let sim = builder_of_sim.start().await.unwrap();
    let mut shown = Shown::default();
    let unbuilt = builder(&sim);
    shown.add(&unbuilt);
    shown.add(&unbuilt.build());
    shown.assert_clean("before the start");

    refused_starts(&mut shown, &sim).await;
    shown.assert_clean("refused starts");
    bad_endpoints(&mut shown).await;
    shown.assert_clean("bad endpoints");
    a_run_with_losses(&mut shown, &sim).await;
    shown.assert_clean("a run with losses");
    a_single_connection(&mut shown, &sim).await;
    shown.assert_clean("a single connection");
    several_accounts(&mut shown, &sim).await;
    shown.assert_clean("several accounts");
    assert!(shown.0.iter().any(|text| text.contains("[redacted]")), "no token was echoed");

    let log = log.text();
    for line in ["up conn=", "lost: ", "parked: ", "connection attempt 1 failed: "] {
        assert!(log.contains(line), "the log is incomplete: {line} is missing");
    }
    assert!(log.lines().any(|line| line.contains("DEBUG") && line.contains("kite_conn")));
    // The simulator sends the echoes with tungstenite, which logs them. The client has a WebSocket
    // of its own.
    let is_of_the_client = |line: &&str| !line.contains("tungstenite::protocol: Sending frame");
    for line in log.lines().filter(is_of_the_client) {
        assert!(!line.contains(TRACE), "{line}");
        assert!(!line.starts_with(FORGED), "{line}");
    }
}
