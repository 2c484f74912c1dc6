//! The files of the page for people. They contain no data, so they need no token; the data comes from
//! the event stream.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use crate::state::State;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, type and text of each file.
const FILES: [(&str, &str, &str); 10] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("/page.js", JAVASCRIPT, include_str!("page/page.js")),
    ("/state.js", JAVASCRIPT, include_str!("page/state.js")),
    ("/stream.js", JAVASCRIPT, include_str!("page/stream.js")),
    ("/prices.js", JAVASCRIPT, include_str!("page/prices.js")),
    ("/table.js", JAVASCRIPT, include_str!("page/table.js")),
    ("/chart.js", JAVASCRIPT, include_str!("page/chart.js")),
    ("/format.js", JAVASCRIPT, include_str!("page/format.js")),
];

/// Creates the routes of the files.
pub(crate) fn routes() -> Router<State> {
    FILES.into_iter().fold(Router::new(), |router, (path, content_type, text)| {
        router.route(path, get(async move || ([(CONTENT_TYPE, content_type)], text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_less_than_60_kb() {
        let bytes: usize = FILES.iter().map(|(_, _, text)| text.len()).sum();
        assert!(bytes < 60_000, "{bytes} bytes");
    }

    /// Texts from outside, such as names of instruments, are never read as markup, and nothing is
    /// loaded from elsewhere. What the policy of the server forbids would not work anyway.
    #[test]
    fn the_page_loads_its_own_files_only_and_sets_texts_only() {
        let forbidden = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "http:",
            "https:",
            "style=",
            "onclick=",
        ];
        for (path, _, text) in FILES {
            for word in forbidden {
                let found = text.matches(word).count();
                // The name of a namespace, which nothing is loaded from.
                let namespaces = text.matches("http://www.w3.org/2000/svg").count();
                let allowed = if word == "http:" { namespaces } else { 0 };
                assert_eq!(found, allowed, "{path} has {word}");
            }
        }
    }

    #[test]
    fn every_file_that_the_page_names_is_served() {
        let served =
            |name: &str| FILES.iter().any(|(path, _, _)| path.strip_prefix('/') == Some(name));
        let mut named = Vec::new();
        for (_, _, text) in FILES {
            for (before, after) in [("href=\"", '"'), ("src=\"", '"'), ("from \"./", '"')] {
                named
                    .extend(text.split(before).skip(1).filter_map(|rest| rest.split(after).next()));
            }
        }
        assert!(named.len() > 10, "{named:?}");
        for name in named {
            assert!(served(name), "{name} is not served");
        }
    }
}
