//! The section `[relay]`: where clients connect, who they are, and what they get.

use std::net::SocketAddr;
use std::time::Duration;

use kite_relay::{SlowClients, TlsFiles};

use super::document::{At, Section};
use super::feed::{name, path};
use super::files::Files;
use crate::commands::serve::args::{self, Beats, Slow};
use crate::commands::serve::origin;
use crate::commands::serve::settings::{
    ClientSettings, DEFAULT_LINGER, DEFAULT_RELAY, RelaySettings,
};
use crate::format::times;

/// Advice for an address that other machines reach.
pub(super) const HOW_TO_SECURE: &str =
    "set tls_cert and tls_key, or insecure = true if the network is trusted";

/// The most sockets and instruments that a client can be given.
const MOST_SOCKETS: usize = 1_000;
const MOST_INSTRUMENTS: usize = 100_000;

/// Reads the section.
pub(super) fn read(
    mut section: Section<'_>,
    files: &mut Files<'_>,
    is_replay: bool,
) -> RelaySettings {
    let listen = section.parsed("listen", args::address);
    let slow = section.parsed("slow", args::one_of::<Slow>);
    if let Some(At { value: Slow::Block, line }) = slow
        && !is_replay
    {
        section.wrong(
            line,
            "slow",
            "block would hold up the feed of all clients: it needs feed.replay",
        );
    }
    let linger = section.parsed("linger", times::duration);
    let heartbeats = section.parsed("heartbeats", args::one_of::<Beats>);
    let origins = section.all_parsed("origins", origin::parse);
    let (tls, is_insecure) = security(&mut section, files);
    let address = listen.as_ref().map_or(DEFAULT_RELAY, |it| it.value);
    let line = listen.map_or(section.line, |it| it.line);
    check_listener(
        &section,
        files,
        "relay",
        At { value: address, line },
        tls.is_some() || is_insecure,
    );
    let clients = section.sections("client");
    let clients = clients.into_iter().filter_map(|it| client(it, files)).collect();
    section.finish();
    RelaySettings {
        listen: address,
        clients,
        slow: slow.map_or_else(SlowClients::default, |it| it.value.into()),
        linger: linger.map_or(DEFAULT_LINGER, |it: At<Duration>| it.value),
        heartbeats: heartbeats.map(|it| it.value.into()).unwrap_or_default(),
        tls,
        is_insecure,
        origins: origins.into_iter().map(|it| it.value).collect(),
    }
}

/// Reads the files of TLS, and whether it can be left out.
pub(super) fn security(section: &mut Section<'_>, files: &Files<'_>) -> (Option<TlsFiles>, bool) {
    let certificates = section.parsed("tls_cert", path);
    let key = section.parsed("tls_key", path);
    let insecure = section.flag("insecure").filter(|it| it.value);
    for (name, file) in [("tls_cert", &certificates), ("tls_key", &key)] {
        if let Some(At { value, line }) = file {
            files.exists(section, name, *line, value);
        }
    }
    if let Some(At { value, line }) = &key {
        files.is_private(section, "tls_key", *line, value, "the private key");
    }
    match (&certificates, &key) {
        (Some(it), None) => section.wrong(it.line, "tls_cert", "needs tls_key"),
        (None, Some(it)) => section.wrong(it.line, "tls_key", "needs tls_cert"),
        _ => {}
    }
    if let (Some(insecure), Some(_)) = (&insecure, &certificates) {
        section.wrong(insecure.line, "insecure", "cannot be used with tls_cert");
    }
    let files = certificates.zip(key).map(|(certificates, key)| TlsFiles {
        certificates: files.resolve(&certificates.value),
        key: files.resolve(&key.value),
    });
    (files, insecure.is_some())
}

/// Checks that no other listener has the port, and that an address which other machines reach is
/// secure.
pub(super) fn check_listener(
    section: &Section<'_>,
    files: &mut Files<'_>,
    of: &'static str,
    At { value: address, line }: At<SocketAddr>,
    is_secure: bool,
) {
    files.listens(section, of, line, address);
    if !is_secure && !address.ip().is_loopback() {
        section.wrong_with(
            line,
            "listen",
            "other machines reach this address, which needs TLS",
            HOW_TO_SECURE,
        );
    }
}

fn client(mut section: Section<'_>, files: &mut Files<'_>) -> Option<ClientSettings> {
    let (named, credentials) = (section.parsed("name", name), section.parsed("credentials", path));
    for key in ["name", "credentials"] {
        section.require(key);
    }
    let orders = section.flag("orders").is_some_and(|it| it.value);
    let sockets = section.number("sockets", 1..=MOST_SOCKETS).map(|it| it.value);
    let instruments = section.number("instruments", 1..=MOST_INSTRUMENTS).map(|it| it.value);
    if let Some(At { value, line }) = &named {
        files.name(&section, "client", *line, value);
    }
    if let Some(At { value, line }) = &credentials {
        files.credentials(&section, "client", *line, value);
    }
    section.finish();
    let (name, credentials) = (named?.value, files.resolve(&credentials?.value));
    Some(ClientSettings { name, credentials, orders, sockets, instruments })
}
