//! Decides by the head of a request whether it is answered at all.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN,
    REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kite_server::Throttle;
use parking_lot::Mutex;

use crate::hosts::{Host, Hosts};
use crate::token::Token;

/// Sent with every response. Nothing is loaded from elsewhere, framed, kept, or guessed to be of
/// another type. There are no CORS headers, so that no page of another origin reads anything.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

const SEC_FETCH_SITE: &str = "sec-fetch-site";
const SEC_FETCH_MODE: &str = "sec-fetch-mode";

/// Who may read what.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Hosts,
    token: Option<Token>,
    /// Whether `https://` is served.
    is_tls: bool,
    /// Slows down those who guess the token.
    throttle: Mutex<Throttle>,
}

/// The address of the client; `None` if the operating system does not know it any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Method,
    /// There is no `Host` header, or several, or it is not a host.
    NoHost,
    OtherHost,
    OtherSite,
    Token,
}

impl Guard {
    pub(crate) fn new(hosts: Hosts, token: Option<Token>, is_tls: bool) -> Self {
        Self { hosts, token, is_tls, throttle: Mutex::default() }
    }

    fn check(&self, head: &request::Parts) -> Result<(), Refusal> {
        if head.method != Method::GET && head.method != Method::HEAD {
            return Err(Refusal::Method);
        }
        let mut hosts = head.headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Refusal::NoHost) };
        let host = host.to_str().map_err(|_| Refusal::NoHost)?;
        // A request to a proxy has the host in its first line too.
        for authority in [Some(host), head.uri.authority().map(|it| it.as_str())] {
            let Some(authority) = authority else { continue };
            let host = Host::of_authority(authority).ok_or(Refusal::NoHost)?;
            if !self.hosts.accept(&host) {
                return Err(Refusal::OtherHost);
            }
        }
        // Browsers send it; a link on another site may lead here, but no other site may load this.
        let is = |name: &str, value: &str| head.headers.get(name).is_some_and(|it| it == value);
        let mut origins = head.headers.get_all(ORIGIN).iter();
        let is_foreign = is(SEC_FETCH_SITE, "cross-site")
            || origins.any(|origin| !self.is_own(origin, host).unwrap_or(false));
        if is_foreign && !is(SEC_FETCH_MODE, "navigate") {
            return Err(Refusal::OtherSite);
        }
        Ok(())
    }

    /// Returns whether an origin is that of a page of this server, which was requested from `host`;
    /// `None` if it is not an origin with a host.
    fn is_own(&self, origin: &HeaderValue, host: &str) -> Option<bool> {
        let (own, implied) = if self.is_tls { ("https", 443) } else { ("http", 80) };
        let (scheme, origin) = origin.to_str().ok()?.split_once("://")?;
        let place = |authority| {
            Host::and_port(authority).map(|(host, port)| (host, port.unwrap_or(implied)))
        };
        Some(scheme.eq_ignore_ascii_case(own) && place(origin)? == place(host)?)
    }
}

impl Refusal {
    fn status_and_text(self) -> (StatusCode, &'static str) {
        match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served\n"),
            Self::NoHost => (StatusCode::BAD_REQUEST, "the request names no host\n"),
            Self::OtherHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "this server does not go by that name; its names are in the setting `hosts`\n",
            ),
            Self::OtherSite => (StatusCode::FORBIDDEN, "another site may not load this\n"),
            Self::Token => (StatusCode::UNAUTHORIZED, "needs the token as a bearer token\n"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status_and_text().into_response();
        let header = match self {
            Self::Method => (ALLOW, "GET, HEAD"),
            Self::Token => (WWW_AUTHENTICATE, "Bearer"),
            _ => return closing(response),
        };
        response.headers_mut().insert(header.0, HeaderValue::from_static(header.1));
        closing(response)
    }
}

/// Ends the connection after a response, so that no refused client holds one.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Refuses what is not answered at all, and adds the headers of every response.
pub(crate) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let mut response = match guard.check(&head) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Refuses requests without the token, if there is one.
pub(crate) async fn check_token(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    match &guard.token {
        Some(token) if !token.is_in(request.headers()) => {
            let peer = request.extensions().get::<Peer>().and_then(|peer| peer.0);
            let delay = peer.map(|peer| guard.throttle.lock().on_failure(peer, Instant::now()));
            tokio::time::sleep(delay.unwrap_or_default()).await;
            Refusal::Token.into_response()
        }
        _ => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let guard = Guard::new(Hosts::default(), None, false);
        guard.check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn only_reading_is_allowed() {
        let host = [("host", "localhost")];
        for method in ["GET", "HEAD"] {
            assert_eq!(check(method, "/", &host), Ok(()));
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "X"] {
            assert_eq!(check(method, "/", &host), Err(Refusal::Method), "{method}");
        }
    }

    #[test]
    fn a_request_names_one_host_of_this_server() {
        let check = |uri, hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            check("GET", uri, &hosts)
        };
        assert_eq!(check("/", &["127.0.0.1:9464"]), Ok(()));
        assert_eq!(check("http://localhost:9464/", &["localhost"]), Ok(()));
        assert_eq!(check("/", &[]), Err(Refusal::NoHost));
        assert_eq!(check("/", &[""]), Err(Refusal::NoHost));
        assert_eq!(check("/", &["localhost", "localhost"]), Err(Refusal::NoHost));
        assert_eq!(check("/", &["evil.example"]), Err(Refusal::OtherHost));
        assert_eq!(check("http://evil.example/", &["localhost"]), Err(Refusal::OtherHost));
        assert_eq!(check("http://localhost/", &["evil.example"]), Err(Refusal::OtherHost));
        assert_eq!(check("http://localhost@evil.example/", &["localhost"]), Err(Refusal::NoHost));
    }

    #[test]
    fn another_site_may_link_here_but_not_load() {
        let check = |site, mode| {
            let headers =
                [("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)];
            check("GET", "/", &headers)
        };
        assert_eq!(check("same-origin", "cors"), Ok(()));
        assert_eq!(check("none", "navigate"), Ok(()));
        assert_eq!(check("cross-site", "navigate"), Ok(()));
        assert_eq!(check("cross-site", "no-cors"), Err(Refusal::OtherSite));
        assert_eq!(check("cross-site", "cors"), Err(Refusal::OtherSite));
    }

    #[test]
    fn a_page_of_another_origin_may_not_load() {
        let check = |host, origin| check("GET", "/metrics", &[("host", host), ("origin", origin)]);
        for (host, origin) in [
            ("localhost:9464", "http://localhost:9464"),
            ("LOCALHOST.:9464", "HTTP://localhost:9464"),
            ("127.0.0.1", "http://127.0.0.1"),
            ("[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(check(host, origin), Ok(()), "{origin}");
        }
        for origin in [
            "http://evil.com",
            "http://evil.com:9464",
            "https://localhost:9464",
            "http://localhost",
            "http://localhost:9465",
            "http://127.0.0.1:9464",
            "http://localhost:9464/",
            "http://localhost:9464@evil.com",
            "file://",
            "null",
            "",
        ] {
            assert_eq!(check("localhost:9464", origin), Err(Refusal::OtherSite), "{origin}");
        }
    }

    #[test]
    fn the_origin_of_a_server_with_tls_has_its_scheme() {
        let guard = Guard::new(Hosts::default(), None, true);
        let own = |origin| guard.is_own(&HeaderValue::from_static(origin), "localhost:443");
        assert_eq!(own("https://localhost"), Some(true));
        assert_eq!(own("http://localhost"), Some(false));
    }
}
