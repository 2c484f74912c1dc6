//! `kite serve`: programs that connect to it, its tapes, its output and its end.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Outcome, Running, kite, run, sim, with_credentials};
use crate::socket::{BINARY, CLOSE, Socket, TEXT};
use crate::tape;

/// Tokens that must not be in any output.
const SECRETS: [&str; 3] = ["sim_access_token", "tokenofresearch", "tokenofdesk"];

/// Writes the credentials of a client to a file that only its owner can read.
pub(crate) fn client_file(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(format!("{name}.credentials"));
    let text = format!("\u{feff}api_key = {name}\r\naccess_token = tokenof{name}\r\n");
    std::fs::write(&path, text).expect("a file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("permissions");
    }
    path
}

/// Starts `kite serve --json` with these arguments; returns its first line too.
pub(crate) fn serve(arguments: &[&str]) -> (Running, Value) {
    let line = [&["serve", "--relay", "127.0.0.1:0", "--json"], arguments].concat();
    let mut serving = Running::start(with_credentials(kite(&line), "sim_access_token"));
    let first = serde_json::from_str(&serving.line()).expect("JSON");
    (serving, first)
}

/// Starts `kite serve` with the clients `research` and `desk`.
pub(crate) fn serve_two(directory: &Path, arguments: &[&str]) -> (Running, String) {
    let clients = ["research", "desk"].map(|name| {
        let file = client_file(directory, name);
        format!("--client={name}={}", file.to_str().expect("UTF-8"))
    });
    let clients = clients.each_ref().map(String::as_str);
    let (serving, first) = serve(&[&clients, arguments].concat());
    let relay = first["relay"].as_object().expect("an object");
    assert_eq!(relay.keys().collect::<Vec<_>>(), ["endpoint"], "nothing secret was made");
    (serving, relay["endpoint"].as_str().expect("an endpoint").to_owned())
}

pub(crate) fn url(endpoint: &str, key: &str, token: &str) -> String {
    format!("{endpoint}/?api_key={key}&access_token={token}")
}

pub(crate) fn open(endpoint: &str, name: &str) -> Socket {
    let (socket, head) = Socket::ask(&url(endpoint, name, &format!("tokenof{name}")));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    socket
}

/// Reads the next packets that are not heartbeats.
pub(crate) fn packets(socket: &mut Socket) -> Vec<Vec<u8>> {
    loop {
        let frame = socket.until(BINARY);
        let mut rest = &frame[2.min(frame.len())..];
        let mut packets = Vec::new();
        while let [high, low, more @ ..] = rest {
            let (packet, more) = more.split_at(u16::from_be_bytes([*high, *low]).into());
            packets.push(packet.to_vec());
            rest = more;
        }
        if !packets.is_empty() {
            return packets;
        }
    }
}

/// Reads to the close frame, answers it and returns its code.
pub(crate) fn closed(socket: &mut Socket) -> u16 {
    let payload = socket.until(CLOSE);
    socket.send(CLOSE, &payload[..2]);
    u16::from_be_bytes([payload[0], payload[1]])
}

pub(crate) fn report(ended: &Outcome) -> Value {
    serde_json::from_str(ended.out.lines().last().expect("a report")).expect("JSON")
}

pub(crate) fn assert_no_secrets(ended: &Outcome) {
    for secret in SECRETS {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{ended:?}");
    }
}

#[test]
fn each_client_gets_its_own_instruments_and_modes_and_a_close_frame_at_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_sim, endpoint) = sim(&["--rate", "50"]);
    let (serving, relay) = serve_two(directory.path(), &["--endpoint", &endpoint, "-vvv"]);
    let (mut research, mut desk) = (open(&relay, "research"), open(&relay, "desk"));
    research.send(TEXT, br#"{"a":"mode","v":["full",[408065]]}"#);
    desk.send(TEXT, br#"{"a":"mode","v":["ltp",[408065,738561]]}"#);
    for _ in 0..20 {
        for packet in packets(&mut research) {
            assert_eq!((packet.len(), &packet[..4]), (184, &408_065_u32.to_be_bytes()[..]));
        }
        for packet in packets(&mut desk) {
            let is_one = [408_065_u32, 738_561]
                .map(u32::to_be_bytes)
                .contains(&packet[..4].try_into().expect("four bytes"));
            assert!(packet.len() == 8 && is_one, "{packet:?}");
        }
    }
    serving.signal("-TERM");
    assert_eq!((closed(&mut research), closed(&mut desk)), (1_001, 1_001));
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = report(&ended);
    assert_eq!(report["complete"], true, "{report}");
    for (client, name) in
        report["clients"].as_array().expect("clients").iter().zip(["desk", "research"])
    {
        assert_eq!((&client["name"], &client["open_at_end"]), (&name.into(), &1.into()));
        assert!(client["ticks_out"].as_u64() >= Some(20), "{report}");
        assert_eq!((&client["conflated"], &client["dropped"]), (&0.into(), &0.into()));
    }
    assert_no_secrets(&ended);
}

#[test]
fn the_tape_has_the_names_of_what_clients_subscribe_and_no_secrets() {
    let directory = tempfile::tempdir().expect("a directory");
    let (tapes, list) = (directory.path().join("tapes"), directory.path().join("list.csv"));
    let csv = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
               tick_size,lot_size,instrument_type,segment,exchange\n\
               999424,3904,MYCO,MY COMPANY,0,,0,0.05,1,EQ,NSE,NSE\n";
    std::fs::write(&list, csv).expect("a list");
    let (_sim, endpoint) = sim(&["--rate", "50"]);
    let (to, list) = (tapes.to_str().expect("UTF-8"), list.to_str().expect("UTF-8"));
    let line = ["--endpoint", &endpoint, "--record", to, "--instruments-file", list, "408065"];
    let (serving, relay) = serve_two(directory.path(), &line);
    let mut desk = open(&relay, "desk");
    desk.send(TEXT, br#"{"a":"mode","v":["ltp",[999424]]}"#);
    for _ in 0..5 {
        assert!(packets(&mut desk).iter().all(|it| it[..4] == 999_424_u32.to_be_bytes()));
    }
    serving.signal("-TERM");
    assert_eq!(closed(&mut desk), 1_001);
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let recorded = report(&ended)["recording"]["ticks"].as_u64();
    assert_no_secrets(&ended);

    let inspected = run(&mut kite(&["inspect", to]));
    assert_eq!(inspected.code, Some(0), "{inspected:?}");
    for name in ["NSE:MYCO (999424)", "NSE:INFY (408065)"] {
        assert!(inspected.out.contains(name), "{inspected:?}");
    }
    let found = run(&mut kite(&["inspect", "--json", to])).json();
    assert_eq!(found["ticks"].as_u64(), recorded);
    assert!(found["files"][0]["ending"].as_str().expect("text").starts_with("complete"), "{found}");
    for entry in kite_tape::Reel::open([to]).expect("the tapes").entries() {
        let entry = entry.expect("a record");
        let text = String::from_utf8_lossy(&entry.payload).into_owned();
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
    }
}

#[test]
fn dropped_ticks_are_reported_when_they_begin_and_are_a_finding() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_sim, endpoint) = sim(&["--rate", "100"]);
    let line = ["--endpoint", &endpoint, "--slow", "drop_oldest"];
    let (serving, relay) = serve_two(directory.path(), &line);
    let (mut slow, mut desk) = (open(&relay, "research"), open(&relay, "desk"));
    for block in 0..30_u32 {
        let tokens: Vec<String> =
            (0..10).map(|at| (256_001 + block * 10 + at).to_string()).collect();
        slow.send(
            TEXT,
            format!(r#"{{"a":"mode","v":["full",[{}]]}}"#, tokens.join(",")).as_bytes(),
        );
    }
    desk.send(TEXT, br#"{"a":"subscribe","v":[408065]}"#);
    serving.wait_until_error("client research reads too slowly: ");
    packets(&mut desk);
    serving.signal("-TERM");
    assert_eq!((closed(&mut desk), closed(&mut slow)), (1_001, 1_001));
    let ended = serving.ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("ticks dropped because clients read too slowly"), "{ended:?}");
    let report = report(&ended);
    assert_eq!((&report["complete"], &report["cut_off"]), (&false.into(), &false.into()));
    let clients = &report["clients"];
    assert_eq!((&clients[0]["name"], &clients[0]["dropped"]), (&"desk".into(), &0.into()));
    assert!(clients[1]["dropped"].as_u64() > Some(0), "{clients}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_frames_of_the_server_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = kite_sim::Sim::builder().start().await.expect("a server");
    let (path, endpoint) = (directory.path().to_owned(), server.endpoint());
    let opened = tokio::task::spawn_blocking(move || {
        let (serving, relay) = serve_two(&path, &["--endpoint", &endpoint, "--connections", "1"]);
        let mut desk = open(&relay, "desk");
        desk.send(TEXT, br#"{"a":"mode","v":["full",[408065]]}"#);
        packets(&mut desk);
        (serving, desk)
    });
    let (serving, mut desk) = opened.await.expect("it starts");
    server.inject("sim_api_key", kite_sim::Fault::TruncatedFrame { cut: 1 });
    let ended = tokio::task::spawn_blocking(move || {
        let text: Value = serde_json::from_slice(&desk.until(TEXT)).expect("JSON");
        assert_eq!(text["data"]["damaged"]["frames"], 1, "{text}");
        serving.signal("-TERM");
        assert_eq!(closed(&mut desk), 1_001);
        serving.ended()
    });
    assert_eq!(report(&ended.await.expect("it ends"))["damaged_frames"], 1);
}

#[test]
fn a_run_that_cannot_go_on_is_not_complete() {
    let (_sim, endpoint) = sim(&[]);
    let line = ["serve", "--relay", "127.0.0.1:0", "--json", "--endpoint", &endpoint, "408065"];
    let ended = run(&mut with_credentials(kite(&line), "yesterdaystoken"));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(report(&ended)["complete"], false, "{ended:?}");
}

#[test]
fn a_replay_waits_for_its_clients_and_none_of_them_loses_a_tick() {
    let directory = tempfile::tempdir().expect("a directory");
    let tape = tape::write(directory.path());
    let replay = ["--replay", tape.to_str().expect("UTF-8"), "--speed", "max"];
    // On one connection the order of the tape is kept between instruments, too.
    let how = ["--slow", "block", "--sockets", "2", "--connections", "1"];
    let line = [&replay[..], &how].concat();
    let (serving, relay) = serve_two(directory.path(), &line);
    let mut clients = [open(&relay, "research"), open(&relay, "desk")];
    for client in &mut clients {
        client.send(TEXT, br#"{"a":"mode","v":["ltp",[408065,738561]]}"#);
    }
    for client in &mut clients {
        let mut prices = Vec::new();
        while prices.len() < 20 {
            prices.extend(packets(client).iter().map(|it| it[..8].to_vec()));
        }
        let expected = (0..10_u32).flat_map(|second| {
            [408_065_u32, 738_561]
                .map(|token| [token.to_be_bytes(), (100_000 + second).to_be_bytes()].concat())
        });
        assert_eq!(prices, expected.collect::<Vec<_>>());
    }
    for client in &mut clients {
        assert_eq!(closed(client), 1_001);
    }
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = report(&ended);
    assert_eq!((&report["ticks_in"], &report["ticks_out"]), (&20.into(), &40.into()), "{report}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_feed_and_all_clients_have_one_thread_unless_asked_otherwise() {
    for (arguments, threads) in [(&[][..], 1), (&["--threads", "40"], 40)] {
        let line = [&["serve", "--relay=127.0.0.1:0", "--sim", "NSE:INFY"], arguments].concat();
        let mut serving = Running::start(kite(&line));
        serving.line();
        // Blocking calls, such as reading a file, have a few more for a while.
        let found = serving.worker_threads();
        assert!((threads..threads + 20).contains(&found), "{found} for {arguments:?}");
        serving.interrupt();
        assert_eq!(serving.ended().code, Some(0));
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn clients_stay_connected_while_a_new_token_is_waited_for() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("account");
    let write = |token: &str| {
        let text = format!("api_key = sim_api_key\naccess_token = {token}\n");
        std::fs::write(&file, text).expect("a file");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("permissions");
    };
    write("yesterdaystoken");
    let server = kite_sim::Sim::builder().start().await.expect("a server");
    let (path, endpoint) = (directory.path().to_owned(), server.endpoint());
    let account = file.to_str().expect("UTF-8").to_owned();
    let (serving, mut desk) = tokio::task::spawn_blocking(move || {
        let line = ["--endpoint", &endpoint, "--credentials", &account];
        let (serving, relay) = serve_two(&path, &line);
        serving.wait_until_error("waiting for a new access_token in ");
        let mut desk = open(&relay, "desk");
        desk.send(TEXT, br#"{"a":"subscribe","v":[408065]}"#);
        (serving, desk)
    })
    .await
    .expect("it starts");
    write("sim_access_token");
    let ended = tokio::task::spawn_blocking(move || {
        packets(&mut desk);
        serving.interrupt();
        assert_eq!(closed(&mut desk), 1_001);
        serving.ended()
    });
    let ended = ended.await.expect("it ends");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.err.contains("yesterdaystoken"));
    assert_no_secrets(&ended);
}
