//! Fetching through a proxy.

use super::*;

/// A `CONNECT` proxy for one connection, which connects to the target or refuses with a status.
/// Returns its URL's end, `host:port`, and, once it has ended, the request that it received.
fn proxy(refusal: Option<u16>) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let request = read_request(&client);
        if let Some(status) = refusal {
            write!(&client, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").unwrap();
            return request;
        }
        let target = request.split(' ').nth(1).unwrap();
        let server = TcpStream::connect(target).unwrap();
        (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut &from, &mut &to));
        // The server ends its answer with the connection.
        std::io::copy(&mut &server, &mut &client).unwrap();
        request
    });
    (address, serving)
}

#[test]
fn a_list_is_fetched_through_the_proxy_with_its_credentials() {
    let (server, folder) = (Server::start(ok(&csv("INFY"))), TempDir::new().unwrap());
    let (address, proxy) = proxy(None);
    let source = server.source(&folder).proxy(format!("http://user:p%40ss@{address}"));
    let fetched = source.today().unwrap();
    assert_eq!(first_symbol(&fetched), "NSE:INFY");
    let request = proxy.join().unwrap();
    assert!(request.starts_with(&format!("CONNECT 127.0.0.1:{} ", server.port)), "{request}");
    // Encoded with another tool: "user:p@ss".
    assert!(request.contains("Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{request}");
    assert!(!format!("{source:?}").contains("p%40ss"), "{source:?}");
}

#[test]
fn a_proxy_that_refuses_or_is_not_reached_is_named_without_its_credentials() {
    let (server, folder) = (Server::start(ok(&csv("INFY"))), TempDir::new().unwrap());
    let (address, refusing) = proxy(Some(407));
    let failed = |address: &str| {
        let source = server.source(&folder).proxy(format!("http://user:s3cr3t@{address}"));
        let error = source.today().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
        error.to_string()
    };
    let (text, url) = (failed(&address), server.url());
    refusing.join().unwrap();
    let through = format!("{url} was not reached through the proxy {address}: ");
    assert_eq!(text, format!("{through}it refused the connection with status 407"));
    // Its listener is closed by now.
    assert!(failed(&address).starts_with(&through));
    let error = server.source(&folder).proxy("socks5://user:s3cr3t@h:1").today().unwrap_err();
    assert!(matches!(error, FetchError::ProxyUrl), "{error:?}");
    assert_eq!(server.count(), 0);
}
