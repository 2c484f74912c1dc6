//! SIGHUP and systemd: `kite serve --config` as a service.
#![cfg(unix)]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kite_sim::Sim;
use serde_json::Value;

use crate::process::{Running, kite};
use crate::serve::{assert_no_secrets, client_file, closed, open, packets};
use crate::socket::TEXT;

/// The settings of a run at a simulator, whose credentials are in `account.credentials`.
fn write(directory: &Path, server: &str, instruments: &str, rest: &str) -> String {
    let account = client_file(directory, "account");
    std::fs::write(account, "api_key = sim_api_key\naccess_token = sim_access_token\n")
        .expect("a file");
    let list = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                tick_size,lot_size,instrument_type,segment,exchange\n\
                408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE\n\
                256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE\n";
    std::fs::write(directory.join("list.csv"), list).expect("a list");
    let file = directory.join("kite.toml");
    let text = format!(
        "[feed]\nendpoint = '{server}'\ncredentials = 'account.credentials'\n\
         connections = 1\ninstruments = {instruments}\ninstruments_file = 'list.csv'\n\
         [relay]\nlisten = '127.0.0.1:0'\nlinger = 0\n{rest}"
    );
    std::fs::write(&file, text).expect("a file");
    file.to_str().expect("UTF-8").to_owned()
}

fn client(directory: &Path, name: &str, rest: &str) -> String {
    client_file(directory, name);
    format!("[[relay.client]]\nname = '{name}'\ncredentials = '{name}.credentials'\n{rest}")
}

fn endpoint(serving: &mut Running) -> String {
    let first: Value = serde_json::from_str(&serving.line()).expect("JSON");
    first["relay"]["endpoint"].as_str().expect("an endpoint").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn instruments_and_clients_come_and_go_without_a_reconnect() {
    let server = Sim::builder().updates_per_second(50.0).start().await.expect("a server");
    let server = Arc::new(server);
    let sim = server.endpoint();
    let subscribed = {
        let server = Arc::clone(&server);
        move |token: u32| server.subscriptions().iter().any(|it| it.contains_key(&token))
    };
    tokio::task::spawn_blocking(move || {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        let clients = client(directory, "research", "") + &client(directory, "desk", "");
        let file = write(directory, &sim, "['NSE:INFY']", &clients);
        let command = kite(&["serve", "--json", "-v", "--config", &file]);
        let mut serving = Running::start(command);
        let relay = endpoint(&mut serving);
        let (mut research, mut desk) = (open(&relay, "research"), open(&relay, "desk"));
        desk.send(TEXT, br#"{"a":"mode","v":["ltp",[408065]]}"#);
        packets(&mut desk);
        serving.wait_until(|| subscribed(408_065));

        let clients =
            client(directory, "desk", "instruments = 2\n") + &client(directory, "new", "");
        write(
            directory,
            &sim,
            "[738561, 'NSE:NIFTY 50']",
            &format!("slow = 'disconnect'\n{clients}"),
        );
        serving.signal("-HUP");
        serving.wait_until_error(
            "kite.toml read again: 2 instruments added, 1 instrument removed, client desk changed, \
             client new added, client research removed\n",
        );
        serving.wait_until_error("warning: relay.slow has changed, which takes a restart\n");
        serving.wait_until(|| subscribed(738_561) && subscribed(256_265));
        assert_eq!(closed(&mut research), 1_008);
        // The one that stays notices nothing but its new limit.
        packets(&mut desk);
        desk.send(TEXT, br#"{"a":"subscribe","v":[408065,738561,256265]}"#);
        let is_refusal =
            |text: &[u8]| String::from_utf8_lossy(text).contains("more than 2 instruments");
        while !is_refusal(&desk.until(TEXT)) {}
        let mut new = open(&relay, "new");
        new.send(TEXT, br#"{"a":"subscribe","v":[738561]}"#);
        packets(&mut new);

        // A file with errors changes nothing.
        write(directory, &sim, "['NSE:NOTHING', 3]", "lsten = 1\n");
        serving.signal("-HUP");
        serving.wait_until_error("kite.toml, line 10: relay.lsten: unknown key");
        serving.wait_until_error("kite.toml is not taken over: nothing has changed\n");
        write(directory, &sim, "['NSE:NOTHING']", &clients);
        serving.signal("-HUP");
        serving.wait_until_error("NSE:NOTHING");
        packets(&mut desk);
        packets(&mut new);
        assert!(subscribed(738_561));

        // No client is left.
        write(directory, &sim, "[738561]", "");
        serving.signal("-HUP");
        serving.wait_until_error("no client may connect: none is left in the file");
        assert_eq!((closed(&mut desk), closed(&mut new)), (1_008, 1_008));
        serving.signal("-TERM");
        let ended = serving.ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_no_secrets(&ended);
    })
    .await
    .expect("it ends");
    assert_eq!(server.stats().connections_total, 1);
}

#[test]
fn a_hang_up_ends_a_run_without_a_file() {
    let serving = Running::start(kite(&["serve", "--sim", "--relay", "127.0.0.1:0", "--json"]));
    serving.wait_until_error("serving simulator");
    serving.signal("-HUP");
    assert_eq!(serving.ended().code, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_is_notified_of_the_start_the_reading_the_life_and_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let next = || {
        let mut message = [0; 4_096];
        let len = socket.recv(&mut message).expect("a message");
        String::from_utf8(message[..len].to_vec()).expect("UTF-8")
    };
    let until = |start: &str| {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last: &String| !last.starts_with(start)) {
            seen.push(next());
        }
        seen
    };
    let file = directory.path().join("kite.toml");
    std::fs::write(&file, "[feed]\nsim = true\n[relay]\nlisten = '127.0.0.1:0'\n").expect("a file");
    let mut command = kite(&["serve", "--json", "--config", file.to_str().expect("UTF-8")]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let serving = Running::start(command);
    assert!(next().starts_with("READY=1"));
    until("STATUS=0 clients, 0 sockets, ");
    for _ in 0..3 {
        until("WATCHDOG=1");
    }
    serving.signal("-HUP");
    let reloading = until("RELOADING=1");
    assert!(reloading.last().is_some_and(|it| it.contains("\nMONOTONIC_USEC=")), "{reloading:?}");
    until("READY=1");
    serving.signal("-TERM");
    until("STOPPING=1");
    assert_eq!(serving.ended().code, Some(0));
}
