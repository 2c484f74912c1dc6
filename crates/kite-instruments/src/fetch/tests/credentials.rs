//! Credentials for a list that is not served without them.

use super::*;

#[test]
fn credentials_are_sent_only_to_a_server_that_refuses_to_serve_without_them() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let (server, folder) = (Server::start(ok(&csv("INFY"))), TempDir::new().unwrap());
        let source = server.source(&folder).credentials("thekey", "s3cr3t");
        source.on(day(23)).unwrap();
        let request = server.last_request().to_lowercase();
        assert!(!request.contains("authorization") && !request.contains("s3cr3t"), "{request}");
        assert!(request.contains("x-kite-version: 3\r\n"), "{request}");

        server.protect(status, ok(&csv("PROTECTED")));
        let fetched = source.on(day(24)).unwrap();
        assert_eq!(first_symbol(&fetched), "NSE:PROTECTED");
        let request = server.last_request().to_lowercase();
        assert!(request.contains("authorization: token thekey:s3cr3t\r\n"), "{request}");
        assert_eq!(server.count(), 3);

        let none = TempDir::new().unwrap();
        let error = server.source(&none).on(day(24)).unwrap_err();
        assert!(error.to_string().contains("it may need credentials"), "{error}");
        assert_eq!(server.count(), 4, "without credentials there is no second request");
    }
}

#[test]
fn credentials_are_never_sent_to_the_target_of_a_redirect() {
    let folder = TempDir::new().unwrap();
    let (target, server) = (Server::start(ok(&csv("INFY"))), Server::start(Vec::new()));
    let redirect = response("302 Found", &format!("Location: {}\r\n", target.url()), b"");
    let source = server.source(&folder).credentials("thekey", "s3cr3t");
    // A target that refuses does not make the server of the URL receive them either.
    server.answer(redirect.clone());
    target.protect("403 Forbidden", ok(&csv("INFY")));
    let error = source.on(day(23)).unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 403, .. }), "{error}");
    assert_eq!((server.count(), target.count()), (1, 1));
    // A server that has received them cannot pass them on.
    server.protect("401 Unauthorized", redirect);
    target.answer(ok(&csv("INFY")));
    source.on(day(23)).unwrap();
    assert!(server.last_request().contains("s3cr3t"));
    for request in target.state.requests.lock().unwrap().iter() {
        assert!(!request.contains("s3cr3t"), "{request}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn credentials_are_not_sent_in_plain_text_to_another_machine() {
    let (server, folder) = (Server::start(Vec::new()), TempDir::new().unwrap());
    server.protect("403 Forbidden", ok(&csv("INFY")));
    // An address of this machine that is not a loopback one.
    let source = server.source(&folder).url(server.url().replace("127.0.0.1", "0.0.0.0"));
    let error = source.credentials("thekey", "s3cr3t").on(day(23)).unwrap_err();
    assert!(matches!(error, FetchError::PlainText { .. }), "{error}");
    assert_eq!(server.count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn ambient_credentials_are_not_sent_to_another_host() {
    let (server, folder) = (Server::start(Vec::new()), TempDir::new().unwrap());
    server.protect("401 Unauthorized", ok(&csv("INFY")));
    // An address of this machine that is not a loopback one.
    let distant = server.url().replace("127.0.0.1", "0.0.0.0");
    let source = server.source(&folder).ambient_credentials("thekey", "s3cr3t");
    let error = source.clone().url(distant).on(day(23)).unwrap_err();
    assert!(matches!(error, FetchError::OtherHost { .. }), "{error}");
    assert!(error.to_string().contains("0.0.0.0"), "{error}");
    assert_eq!(server.count(), 1);
    assert_eq!(first_symbol(&source.on(day(23)).unwrap()), "NSE:INFY");
    assert!(server.last_request().contains("thekey:s3cr3t"));
}

#[test]
fn credentials_are_never_shown() {
    let (server, folder) = (Server::start(Vec::new()), TempDir::new().unwrap());
    server.protect("403 Forbidden", ok(&csv("INFY")));
    let source = server.source(&folder).credentials("thekey", "s3cr3t");
    let shown = format!("{source:?} {source:#?}");
    assert!(!shown.contains("s3cr3t") && !shown.contains("thekey"), "{shown}");
    for (source, expected) in [
        (source.clone().credentials("a", "s3cr3t\n"), "cannot be sent"),
        (source.clone().url("ftp://s3cr3t@example.com/"), "is not a URL"),
        (source.clone().url("http:///s p?s3cr3t"), "is not a URL"),
        (source.clone().url("not a url?s3cr3t"), "is not a URL"),
    ] {
        let error = source.on(day(23)).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}
