//! The section `[http]`: metrics and status for other programs, and a page for people.

use super::document::{At, Section};
use super::feed::path;
use super::files::Files;
use super::relay::{check_listener, security};
use crate::commands::serve::args;
use crate::commands::serve::http::{self, HttpSettings};

/// Reads the section, if it is there.
pub(super) fn read(mut section: Section<'_>, files: &mut Files<'_>) -> Option<HttpSettings> {
    if !section.is_there() {
        return None;
    }
    let listen = section.parsed("listen", args::address);
    let token = section.parsed("token_file", path);
    let hosts = section.all_parsed("hosts", host);
    let candles = section.all_parsed("candles", http::length);
    let sessions = section.parsed("sessions", path);
    if let Some(At { value, line }) = &sessions {
        files.exists(&section, "sessions", *line, value);
        if candles.is_empty() {
            let help = "add candles, such as candles = [\"1m\"]";
            section.wrong_with(*line, "sessions", "has no bars to apply to", help);
        }
    }
    let (tls, is_insecure) = security(&mut section, files);
    if let Some(At { value, line }) = &token
        && files.exists(&section, "token_file", *line, value)
        && files.is_private(&section, "token_file", *line, value, "the token")
        && let Err(error) = http::token(&files.resolve(value))
    {
        files.lacks(&section, "token_file", *line, error.status(), &error);
    }
    section.require("listen");
    if let Some(At { value, line }) = listen {
        let is_secure = tls.is_some() || is_insecure;
        check_listener(&section, files, "http", At { value, line }, is_secure);
        if is_secure && token.is_none() && !value.ip().is_loopback() {
            let text = "other machines reach this address, which needs token_file";
            let help = "write a token to a file (openssl rand -hex 16), and name it by token_file";
            section.wrong_with(line, "listen", text, help);
        }
    }
    section.finish();
    Some(HttpSettings {
        listen: listen?.value,
        token_file: token.map(|it| files.resolve(&it.value)),
        hosts: hosts.into_iter().map(|it| it.value).collect(),
        tls,
        is_insecure,
        candles: candles.into_iter().map(|it| it.value).collect(),
        sessions: sessions.map(|it| files.resolve(&it.value)),
    })
}

fn host(text: &str) -> Result<String, &'static str> {
    let is_of_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    match !text.is_empty() && text.chars().all(is_of_host) {
        true => Ok(text.to_owned()),
        false => Err("expected the name or the address of a host, without a port"),
    }
}
