//! The pages that a browser shows, and the way back from them.

use kite_server::request::{Request, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Nothing is loaded or run; there is nothing to load.
const POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Returns the page that asks whether to log in.
pub(super) fn login(request: &Request) -> Response {
    let parameter = |name| escaped_url(&request.query(name).unwrap_or_default());
    let link = |choice| {
        format!(
            "/connect/finish?choice={choice}&amp;api_key={}&amp;redirect_params={}",
            parameter("api_key"),
            parameter("redirect_params")
        )
    };
    let body = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Simulated login\
         </title></head><body><h1>Simulated login</h1><p>Kite asks for a password and a second \
         factor here. The simulator does not.</p><p><a href=\"{}\">Log in</a></p>\
         <p><a href=\"{}\">Cancel</a></p></body></html>\n",
        link("login"),
        link("cancel")
    );
    Response::new(200, "text/html; charset=utf-8", body)
        .header("Content-Security-Policy", POLICY)
        .header("Cache-Control", "no-store")
}

/// Returns the redirect to the registered URL, with these parameters and those that the login page
/// was opened with.
pub(super) fn redirect(url: &str, own: &[(&str, &str)], request: &Request) -> Response {
    let passed = request.query("redirect_params").unwrap_or_default();
    let passed = passed.split('&').filter(|pair| !pair.is_empty());
    let passed = passed.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut location = url.to_owned();
    let pairs = own.iter().copied().chain(passed);
    for (number, (name, value)) in pairs.enumerate() {
        location.push(if number == 0 && !url.contains('?') { '?' } else { '&' });
        location += &format!("{}={}", escaped_url(name), escaped_url(value));
    }
    Response::new(302, "text/plain", "").header("Location", location)
}

/// Escapes everything but ASCII letters, digits and what names are made of, so that the text is safe
/// in a URL, in HTML and in a header.
fn escaped_url(text: &str) -> String {
    const ESCAPED: &percent_encoding::AsciiSet =
        &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');
    utf8_percent_encode(text, ESCAPED).to_string()
}
