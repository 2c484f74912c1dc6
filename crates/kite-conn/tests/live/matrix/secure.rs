//! TLS and proxies, and the connection's behaviour if they fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kite_conn::{ConnectionConfig, Event, OpenError, Proxy, Tls, TlsFault, Transport};
use kite_sim::{API_KEY, Sim};
use kite_wire::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::both_ways;
use crate::probe::{Seen, config, connect, in_time, sim_until};
use crate::story::{assert_nothing_twice, changes, expect_events, gaps, mixed, story};

both_ways![
    a_server_whose_root_is_given_is_trusted,
    a_proxy_that_dies_and_returns_costs_a_gap_and_no_subscription,
];

async fn secure_sim() -> Sim {
    Sim::builder().greet(false).updates_per_second(20.0).tls().start().await.unwrap()
}

fn root(sim: &Sim) -> Tls {
    Tls::only([sim.certificate_der().unwrap()]).unwrap()
}

async fn a_server_whose_root_is_given_is_trusted() {
    let sim = secure_sim().await;
    assert!(sim.endpoint().starts_with("wss://"));
    for tls in [root(&sim), Tls::web_pki().and([sim.certificate_der().unwrap()]).unwrap()] {
        let (connection, probe) = connect(ConnectionConfig {
            transport: Transport { tls, ..config(&sim).transport },
            ..config(&sim)
        });
        let desired = mixed(300);
        connection.apply(changes(&desired)).unwrap();
        sim_until(&sim, "all", |sim| sim.subscriptions() == [desired.clone()]).await;
        probe.until("ticks", |seen| seen.ticks.values().any(|sent| sent.ticks > 5)).await;
        assert_eq!(probe.look(story), ["opening 1", "up 1"]);
        in_time("the close", connection.close()).await;
        probe.look(|seen| assert_eq!(seen.losses(), 0));
        sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untrusted_server_has_its_own_error_and_is_retried() {
    let sim = secure_sim().await;
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&[257], Mode::Full).unwrap();
    let failed =
        |attempt| format!("failed {attempt}: tls: the certificate's issuer is not trusted");
    let [first, second] = [failed(1), failed(2)];
    expect_events(&probe, 0, &["opening 1", &first, "retry 2", "opening 2", &second]).await;
    let Some(error) = connection.status().last_failure else { panic!("{:?}", connection.status()) };
    let OpenError::Tls { host, fault: TlsFault::UnknownIssuer, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(host, "localhost");
    assert!(error.is_retryable() && !error.is_auth());
    assert_eq!(sim.stats().connections_total, 0);
    connection.close().await;
}

/// A proxy that connects to any target until it is killed.
struct TinyProxy {
    address: SocketAddr,
    task: JoinHandle<()>,
    connects: Arc<AtomicUsize>,
}

impl TinyProxy {
    fn start(address: SocketAddr, connects: &Arc<AtomicUsize>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(16).unwrap();
        let address = listener.local_addr().unwrap();
        let counted = Arc::clone(connects);
        let task = tokio::spawn(async move {
            let mut tunnels = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                tunnels.spawn(tunnel(client, Arc::clone(&counted)));
            }
        });
        Self { address, task, connects: Arc::clone(connects) }
    }

    /// Ends it with all its tunnels. Returns its port, which refuses connections while it is held.
    async fn kill(self) -> TcpSocket {
        self.task.abort();
        let _ = self.task.await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        socket
    }
}

async fn tunnel(mut client: TcpStream, connects: Arc<AtomicUsize>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let target = request.strip_prefix("CONNECT ").and_then(|it| it.split(' ').next()).unwrap();
    assert!(!request.contains("access_token"), "{request}");
    let Ok(mut server) = TcpStream::connect(target.replace("localhost", "127.0.0.1")).await else {
        let _ = client.write_all(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n").await;
        return;
    };
    connects.fetch_add(1, Ordering::SeqCst);
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    // Ends with an error if one side resets, which the test checks.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

async fn a_proxy_that_dies_and_returns_costs_a_gap_and_no_subscription() {
    let sim = secure_sim().await;
    let proxy = TinyProxy::start("127.0.0.1:0".parse().unwrap(), &Arc::default());
    let (address, connects) = (proxy.address, Arc::clone(&proxy.connects));
    let (connection, probe) = connect(ConnectionConfig {
        transport: Transport {
            tls: root(&sim),
            proxy: Some(Proxy::parse(&format!("http://{address}")).unwrap()),
            ..config(&sim).transport
        },
        ..config(&sim)
    });
    let desired = mixed(60);
    connection.apply(changes(&desired)).unwrap();
    probe.until("ticks", |seen| seen.ticks.len() == 60).await;
    assert_eq!(connects.load(Ordering::SeqCst), 1);

    let port = proxy.kill().await;
    let refused = |event: &Event| {
        matches!(event, Event::OpenFailed { error: OpenError::Connect { address: at, .. }, .. }
            if *at == address)
    };
    probe.until("refused attempts", |seen| seen.count(refused) >= 2).await;
    connection.subscribe(&[257], Mode::Full).unwrap();
    drop(port);
    let proxy = TinyProxy::start(address, &connects);
    let desired = connection.desired();
    sim_until(&sim, "all", |sim| sim.subscriptions() == [desired.clone()]).await;
    probe.until("the gap", |seen| gaps(seen).len() == 1).await;
    assert_eq!(connects.load(Ordering::SeqCst), 2);

    // A proxy that cannot reach the server reports it with its own refusal.
    sim.pause().await;
    let sent = sim.sockets(API_KEY).last().unwrap().frames();
    let all_arrived = |seen: &Seen| seen.sockets.get(&2).is_some_and(|it| it.frames == sent);
    probe.until("all frames", all_arrived).await;
    probe.look(|seen| assert_nothing_twice("proxy", &sim, seen, false));
    sim.stop().await;
    let no_route = |event: &Event| {
        matches!(event, Event::OpenFailed { error: OpenError::ProxyRefused { refusal, .. }, .. }
            if refusal.status == 502)
    };
    probe.until("no route", |seen| seen.count(no_route) >= 2).await;
    in_time("the close", connection.close()).await;
    drop(proxy.kill().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_never_answers_is_reported_and_retried() {
    let sim = secure_sim().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connection, probe) = connect(ConnectionConfig {
        transport: Transport {
            connect_timeout: Duration::from_millis(200),
            tls: root(&sim),
            proxy: Some(Proxy::parse(&format!("http://{address}")).unwrap()),
            ..config(&sim).transport
        },
        ..config(&sim)
    });
    let story = ["opening 1", "failed 1: timeout of the proxy", "retry 2", "opening 2"];
    expect_events(&probe, 0, &story).await;
    in_time("the close", connection.close()).await;
}
