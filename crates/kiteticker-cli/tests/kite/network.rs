//! Proxies and root certificates, for the socket and the instrument list alike.

use std::net::TcpListener;
use std::process::Command;

use kite_sim::{ACCESS_TOKEN, Sim};
use tempfile::TempDir;

use crate::https::{Https, pem_file};
use crate::process::{Outcome, Running, kite, run, sim, with_credentials};
use crate::proxy::Proxy;

/// An instrument that is in no other list.
const LIST: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                    tick_size,lot_size,instrument_type,segment,exchange\n\
                    408065,1594,ONLYHERE,ONLY HERE,0,,0,0.05,1,EQ,NSE,NSE\n";

/// The user and password of `url`, encoded with another tool.
const LOGIN: &str = "Proxy-Authorization: Basic b3BlcmF0b3I6cEBzczNjcjN0\r\n";

fn url(proxy: &Proxy) -> String {
    format!("http://operator:p%40ss3cr3t@{}", proxy.address)
}

/// The ticker and the list, both with TLS, and the file of their root certificates.
struct Servers {
    sim: Sim,
    list: Https,
    roots: String,
    folder: TempDir,
}

impl Servers {
    async fn start() -> Self {
        let sim = Sim::builder().tls().start().await.expect("a server");
        let list = Https::start("localhost", |_| {}, LIST);
        let folder = tempfile::tempdir().expect("a folder");
        let certificates = [sim.certificate_der().expect("a certificate"), &list.certificate];
        let roots = pem_file(&folder, &certificates).display().to_string();
        Self { sim, list, roots, folder }
    }

    fn targets(&self) -> [String; 2] {
        [self.list.port, self.sim.addr().port()].map(|port| format!("CONNECT localhost:{port} "))
    }

    /// Watches the instrument of the list, without proxy and roots.
    fn watch(&self, arguments: &[&str]) -> Command {
        let endpoint = format!("wss://localhost:{}", self.sim.addr().port());
        let watch = ["watch", "--json", "NSE:ONLYHERE", "--endpoint", &endpoint];
        let mut command = with_credentials(kite(&[&watch, arguments].concat()), ACCESS_TOKEN);
        let list = format!("https://localhost:{}/list", self.list.port);
        command.env("KITE_INSTRUMENTS_URL", list).env("HOME", self.folder.path());
        command
    }
}

/// Watches until the first tick.
fn until_tick(command: Command) -> Outcome {
    let mut running = Running::start(command);
    let tick = running.line();
    assert!(tick.contains("408065"), "{tick}");
    running.interrupt();
    running.ended()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_hold_for_the_socket_and_the_list() {
    let (servers, proxy) = (Servers::start().await, Proxy::start(200));
    let mut command = servers.watch(&["-vvv"]);
    command.env("HTTPS_PROXY", url(&proxy)).env("SSL_CERT_FILE", &servers.roots);
    let ended = until_tick(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let shown = format!("through the proxy http://…@{}, from HTTPS_PROXY", proxy.address);
    assert!(ended.err.contains(&shown), "{ended:?}");
    let requests = proxy.requests();
    for (target, request) in servers.targets().iter().zip(&requests) {
        assert!(request.starts_with(target) && request.contains(LOGIN), "{target}: {requests:?}");
    }
    assert_eq!(requests.len(), 2, "{requests:?}");
    for secret in ["p%40ss3cr3t", "p@ss3cr3t", "b3BlcmF0b3I6"] {
        assert!(!ended.err.contains(secret), "{secret} in {}", ended.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_options_precede_the_variables() {
    let (servers, proxy) = (Servers::start().await, Proxy::start(200));
    let url = url(&proxy);
    let mut command = servers.watch(&["--proxy", &url, "--ca-file", &servers.roots]);
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "*");
    command.env("SSL_CERT_FILE", "/nonexistent");
    let ended = until_tick(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(proxy.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_no_proxy_names_is_reached_without() {
    let (servers, proxy) = (Servers::start().await, Proxy::start(200));
    let mut command = servers.watch(&["--ca-file", &servers.roots]);
    command.env("https_proxy", url(&proxy)).env("no_proxy", "kite.trade, localhost");
    let ended = until_tick(command);
    assert_eq!((ended.code, proxy.requests()), (Some(0), vec![]), "{ended:?}");
}

#[test]
fn plain_connections_use_only_the_proxy_of_the_option() {
    let (_sim, endpoint) = sim(&[]);
    let proxy = Proxy::start(200);
    let watch = ["watch", "--json", "408065", "--endpoint", &endpoint];
    let command = |arguments: &[&str]| {
        with_credentials(kite(&[&watch, arguments].concat()), "sim_access_token")
    };
    let mut with_variable = command(&[]);
    with_variable.env("HTTPS_PROXY", url(&proxy)).env("HTTP_PROXY", url(&proxy));
    let ended = until_tick(with_variable);
    assert_eq!((ended.code, proxy.requests()), (Some(0), vec![]), "{ended:?}");
    let ended = until_tick(command(&["--proxy", &url(&proxy)]));
    assert_eq!((ended.code, proxy.requests().len()), (Some(0), 1), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_instruments_alone_uses_the_same_options() {
    let (servers, proxy) = (Servers::start().await, Proxy::start(200));
    let instruments = |arguments: &[&str]| {
        let mut command = kite(&[&["instruments", "onlyhere", "--refresh"], arguments].concat());
        command.env("KITE_INSTRUMENTS_URL", format!("https://localhost:{}", servers.list.port));
        command.env("HOME", servers.folder.path());
        run(&mut command)
    };
    let (proxy_url, ca_file) = (url(&proxy), ["--ca-file", &servers.roots]);
    let ended = instruments(&[&ca_file[..], &["--proxy", &proxy_url]].concat());
    assert_eq!((ended.code, proxy.requests().len()), (Some(0), 1), "{ended:?}");
    assert!(ended.out.contains("NSE:ONLYHERE"), "{ended:?}");
    let refusing = Proxy::start(407);
    servers.folder.path().read_dir().expect("the cache exists");
    let ended = instruments(&[&ca_file[..], &["--proxy", &url(&refusing)]].concat());
    let text = format!("through the proxy {}: it refused the connection", refusing.address);
    assert!(ended.err.contains(&text) && !ended.err.contains("s3cr3t"), "{ended:?}");
}

#[test]
fn a_proxy_or_roots_that_cannot_be_used_end_the_command_before_it_connects() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("roots.pem");
    std::fs::write(&file, "no certificate").expect("a file");
    let (file, missing) = (file.display().to_string(), "/nonexistent/roots.pem");
    let watch = ["watch", "--json", "408065", "--endpoint", "wss://127.0.0.1:1"];
    for (arguments, variable, code, text) in [
        (&["--proxy", "socks5://u:s3cr3t@h:1"][..], ("", ""), 2, "--proxy cannot be used: "),
        (&["--proxy", "http://u:s3cr3t@h"], ("", ""), 2, "the proxy has no port"),
        (&["--proxy", "http://u:s3%zzcr3t@h:1"], ("", ""), 2, "has a % that encodes nothing"),
        (&[], ("HTTPS_PROXY", "http://u:s3cr3t%4@h:1"), 2, "has a % that encodes nothing"),
        (&[], ("HTTPS_PROXY", "http://u:s3 cr3t@h:1"), 2, "HTTPS_PROXY cannot be used: "),
        (
            &["--ca-file", &file],
            ("", ""),
            2,
            "roots.pem (--ca-file) has no usable root certificates\n",
        ),
        (&[], ("SSL_CERT_FILE", missing), 3, "/nonexistent/roots.pem (SSL_CERT_FILE): "),
    ] {
        for command in [&watch[..], &["doctor", "--endpoint", "wss://127.0.0.1:1"]] {
            let mut command = with_credentials(kite(&[command, arguments].concat()), "token");
            if !variable.0.is_empty() {
                command.env(variable.0, variable.1);
            }
            let ended = run(&mut command);
            assert_eq!(ended.code, Some(code), "{ended:?}");
            assert!(ended.err.contains(text) && !ended.err.contains("s3"), "{ended:?}");
        }
    }
}

#[test]
fn a_proxy_that_refuses_or_is_not_reached_is_named_while_the_command_waits() {
    let refusing = Proxy::start(407);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    let refused = format!("the proxy {} refused the connection with status 407", refusing.address);
    let unreached = format!("connecting to the proxy {closed} at {closed} failed: ");
    for (address, text) in [(refusing.address, refused), (closed, unreached)] {
        let watch = ["watch", "--json", "408065", "--endpoint", "wss://localhost:8443"];
        let mut command = with_credentials(kite(&watch), "token");
        command.env("HTTPS_PROXY", format!("http://u:s3cr3t@{address}"));
        let running = Running::start(command);
        running.wait_until_error(&text);
        running.interrupt();
        let ended = running.ended();
        assert!(!ended.err.contains("s3cr3t"), "{ended:?}");
    }
}
