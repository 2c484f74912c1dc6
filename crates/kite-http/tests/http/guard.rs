//! Who may read what.

use kite_http::{HttpError, HttpServer};
use kite_manager::{Credentials, Manager};

use crate::client::{get, get_with, request};
use crate::stage::server;

const PATHS: [&str; 5] =
    ["/metrics", "/readyz", "/api/status", "/api/latest?i=1", "/api/candles?i=1"];
const SECRET: &str = "a-token-of-32-characters-or-more";

fn idle() -> Manager {
    Manager::builder().account("main", Credentials::new("key", "token")).build().unwrap()
}

#[tokio::test]
async fn every_response_has_the_headers_that_confine_a_browser() {
    let http = server(&idle()).start().unwrap();
    for path in PATHS.into_iter().chain(["/healthz", "/missing"]) {
        let answer = get(&http, path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    assert_eq!(get(&http, "/missing").await.status, 404);
}

#[tokio::test]
async fn only_get_and_head_are_served() {
    let http = server(&idle()).start().unwrap();
    let host = format!("Host: {}\r\n", http.address());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let line = format!("{method} /api/status");
        let answer = request(http.address(), &line, &host).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let head = request(http.address(), "HEAD /api/status", &host).await;
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[tokio::test]
async fn names_of_other_servers_are_refused_and_listed_ones_are_not() {
    let http = server(&idle()).host("Desk.example").start().unwrap();
    let port = http.address().port();
    for (host, status) in [
        (format!("localhost:{port}"), 200),
        (format!("LOCALHOST.:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        ("desk.example".to_owned(), 200),
        (format!("evil.example:{port}"), 421),
        ("localhost.evil.example".to_owned(), 421),
        ("a@localhost".to_owned(), 400),
    ] {
        let headers = format!("Host: {host}\r\n");
        assert_eq!(
            request(http.address(), "GET /healthz", &headers).await.status,
            status,
            "{host}"
        );
    }
    assert_eq!(request(http.address(), "GET /healthz", "").await.status, 400);
    let absolute = format!("GET http://evil.example:{port}/healthz");
    let answer = request(http.address(), &absolute, &format!("Host: localhost:{port}\r\n")).await;
    assert_eq!(answer.status, 421);
}

#[tokio::test]
async fn a_page_of_another_site_may_link_but_not_load() {
    let http = server(&idle()).start().unwrap();
    let of = |mode: &str| format!("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: {mode}\r\n");
    assert_eq!(get_with(&http, "/api/status", &of("no-cors")).await.status, 403);
    assert_eq!(get_with(&http, "/api/status", &of("navigate")).await.status, 200);
    let own = format!("Origin: http://{}\r\n", http.address());
    for (path, own_status) in [("/metrics", 200), ("/events?rows=x", 400), ("/healthz", 200)] {
        assert_eq!(get_with(&http, path, &own).await.status, own_status, "{path}");
        let foreign = get_with(&http, path, "Origin: http://evil.com\r\n").await;
        assert_eq!((foreign.status, &*foreign.body), (403, "another site may not load this\n"));
    }
}

#[tokio::test]
async fn with_a_token_everything_but_healthz_needs_it() {
    let http = server(&idle()).token(SECRET).start().unwrap();
    for path in PATHS {
        let answer = get(&http, path).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
        let wrong = "Authorization: Bearer a-token-of-32-characters-or-less\r\n";
        assert_eq!(get_with(&http, path, wrong).await.status, 401, "{path}");
        let right = format!("Authorization: Bearer {SECRET}\r\n");
        assert_ne!(get_with(&http, path, &right).await.status, 401, "{path}");
    }
    assert_eq!(get(&http, "/healthz").await.status, 200);
}

#[test]
fn other_machines_need_tls_and_a_token() {
    let builder = || HttpServer::builder(&idle()).listen("0.0.0.0:0".parse().unwrap());
    let refused = |started: Result<HttpServer, HttpError>| started.unwrap_err().to_string();
    assert_eq!(
        refused(builder().token(SECRET).start()),
        "0.0.0.0:0 is not a loopback address: the token needs TLS there"
    );
    assert_eq!(
        refused(builder().insecure(true).start()),
        "0.0.0.0:0 is not a loopback address: readers need a token there"
    );
    assert!(builder().insecure(true).token(SECRET).start().is_ok());
}

#[test]
fn mistakes_in_the_settings_are_errors_that_name_them() {
    let manager = idle();
    let refused = |started: Result<HttpServer, HttpError>| started.unwrap_err().to_string();
    assert_eq!(
        refused(server(&manager).host("http://desk").start()),
        "\"http://desk\" is not a host name or an address without a port"
    );
    assert!(refused(server(&manager).token("short").start()).contains("at least 16"));
    let http = server(&manager).start().unwrap();
    let taken = server(&manager).listen(http.address()).start();
    assert!(matches!(taken, Err(HttpError::Listen { address, .. }) if address == http.address()));
}
