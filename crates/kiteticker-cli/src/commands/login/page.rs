//! The page that answers a redirect.

use kite_conn::OneLine;
use kite_server::request::Response;

/// Nothing is loaded or run, and the page's URL, which has the request token, is passed to no other
/// page and kept in no cache.
const HEADERS: [(&str, &str); 4] = [
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
];

/// Returns a page with a heading and a sentence; either may hold text from outside.
pub(super) fn page(status: u16, heading: &str, text: &str) -> Response {
    let (heading, text) = (escaped(heading), escaped(text));
    let body = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>kite login</title>\
         </head><body><h1>{heading}</h1><p>{text}</p></body></html>\n"
    );
    let response = Response::new(status, "text/html; charset=utf-8", body);
    HEADERS.iter().fold(response, |response, (name, value)| response.header(name, *value))
}

fn escaped(text: &str) -> String {
    let text = OneLine(text).to_string();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_markup() {
        let page = format!("{:?}", page(200, "a<b", "<script>\"&\u{1b}"));
        assert!(!page.contains("<script>"));
        assert_eq!(escaped("<script>\"&\u{1b}"), "&lt;script&gt;&quot;&amp; ");
    }
}
