//! Where a NATS server is, and how to log in there.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};
use kite_manager::{OneLine, Secret};
use percent_encoding::percent_decode_str;

use crate::link::Link;

/// Commands that wait in the client of NATS while its socket takes none. Few, because what is
/// dropped when they are full is dropped from a queue that counts it.
const COMMANDS: usize = 512;

/// How often a server that sends nothing is pinged. The client gives up a socket after three
/// intervals without an answer; with its default of a minute, a consumer would not know of a
/// partition for three. Not shorter, because an answer waits until a slow link has taken what is in
/// its buffers.
const PING_EVERY: Duration = Duration::from_secs(5);

/// One or several addresses of a NATS server or cluster, with what is needed to log in.
///
/// ```
/// use kite_nats::Server;
///
/// let server: Server = "nats://127.0.0.1:4222".parse()?;
/// assert_eq!(server.to_string(), "127.0.0.1:4222");
/// # Ok::<(), kite_nats::ServerError>(())
/// ```
#[derive(Clone)]
pub struct Server {
    addresses: Vec<ServerAddr>,
    login: Option<(String, Secret)>,
    credentials: Option<PathBuf>,
    roots: Option<PathBuf>,
    is_tls: bool,
}

/// Why a server cannot be connected to with these settings. No text contains a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The text is not the URL of a NATS server.
    #[error(
        "not the URL of a NATS server, such as nats://127.0.0.1:4222 or tls://nats.example.com"
    )]
    Url,
    /// A password would be sent without TLS to another machine.
    #[error("a password for {} needs TLS: write tls:// instead of nats://", OneLine(host))]
    NeedsTls {
        /// The host.
        host: String,
    },
    /// The file of credentials cannot be read.
    #[error("cannot read the credentials of NATS in {}: {source}", OneLine(path.display()))]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The operating system's error, or what is wrong with the file.
        r#source: io::Error,
    },
    /// The client of NATS refuses the settings.
    #[error("cannot use these settings for NATS: {}", OneLine(reason))]
    Settings {
        /// Its reason.
        reason: String,
    },
}

impl FromStr for Server {
    type Err = ServerError;

    /// Reads a URL, or several separated by commas: `nats://` or `tls://`, a host, and a port
    /// unless it is 4222. A user and a password before the host are taken out, so that no text
    /// contains them.
    fn from_str(text: &str) -> Result<Self, ServerError> {
        let mut server = Self {
            addresses: Vec::new(),
            login: None,
            credentials: None,
            roots: None,
            is_tls: false,
        };
        for text in text.split(',') {
            server.add(text.trim())?;
        }
        let is_local = |host: &str| {
            host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        };
        let remote = server.addresses.iter().find(|it| !is_local(it.host()));
        if let Some(remote) = remote.filter(|_| server.login.is_some() && !server.is_tls) {
            return Err(ServerError::NeedsTls { host: remote.host().to_owned() });
        }
        Ok(server)
    }
}

impl Server {
    fn add(&mut self, text: &str) -> Result<(), ServerError> {
        let address: ServerAddr = text.parse().map_err(|_| ServerError::Url)?;
        if !matches!(address.scheme(), "nats" | "tls") || address.host().is_empty() {
            return Err(ServerError::Url);
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from);
        if let Some(user) = address.username() {
            let user = decoded(user).map_err(|_| ServerError::Url)?;
            let password = decoded(address.password().unwrap_or_default());
            let password = password.map_err(|_| ServerError::Url)?;
            self.login = Some((user, Secret::new(password)));
        }
        let mut url = address.into_inner();
        if url.set_password(None).is_err() || url.set_username("").is_err() {
            return Err(ServerError::Url);
        }
        let address = ServerAddr::from_url(url).map_err(|_| ServerError::Url)?;
        // TLS with one server means TLS with all of them.
        self.is_tls |= address.tls_required();
        self.addresses.push(address);
        Ok(())
    }

    /// Returns whether the URL had a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.login.is_some()
    }

    /// Sets the file with the credentials, a JWT and the seed of its key, as `nsc` writes it.
    #[must_use]
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Some(path.into());
        self
    }

    /// Sets a file with root certificates in PEM that are trusted instead of the system's. Implies
    /// TLS.
    #[must_use]
    pub fn root_certificates(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots = Some(path.into());
        self.is_tls = true;
        self
    }

    /// Creates a client that connects in the background, and again whenever its socket is lost.
    pub(crate) async fn connect(
        &self,
        name: &str,
        link: &Arc<Link>,
    ) -> Result<Client, ServerError> {
        let mut options = ConnectOptions::new()
            .name(name)
            .client_capacity(COMMANDS)
            .ping_interval(PING_EVERY)
            .skip_subject_validation(true)
            .require_tls(self.is_tls)
            .retry_on_initial_connect();
        if let Some((user, password)) = &self.login {
            options = options.user_and_password(user.clone(), password.expose().to_owned());
        }
        if let Some(path) = &self.credentials {
            let read = options.credentials_file(path).await;
            options = read.map_err(|source| {
                let path = path.clone();
                ServerError::Credentials { path, source }
            })?;
        }
        if let Some(roots) = &self.roots {
            options = options.add_root_certificates(roots.clone());
        }
        let link = Arc::clone(link);
        let options = options.event_callback(move |event| {
            link.on_event(&event);
            std::future::ready(())
        });
        let connected = options.connect(&self.addresses[..]).await;
        connected.map_err(|error| ServerError::Settings { reason: error.to_string() })
    }
}

/// The hosts and ports, without credentials.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, address) in self.addresses.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}:{}", OneLine(address.host()), address.port())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.to_string())
            .field("is_tls", &self.is_tls)
            .field("credentials", &self.credentials)
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Server {
        text.parse().unwrap()
    }

    #[test]
    fn a_password_is_in_no_text() {
        let server = server("nats://me:p%40ss@127.0.0.1:4223,localhost");
        assert_eq!(server.to_string(), "127.0.0.1:4223, localhost:4222");
        let (user, password) = server.login.clone().unwrap();
        assert_eq!((user.as_str(), password.expose()), ("me", "p@ss"));
        assert!(server.addresses.iter().all(|it| !it.has_user_pass() && it.password().is_none()));
        let debug = format!("{server:?}");
        assert!(!debug.contains("p@ss") && !debug.contains("p%40ss"), "{debug}");
        for wrong in ["http://me:secret@host", "nats://me:secret@", "nats://me:secret@h:99999"] {
            let error = wrong.parse::<Server>().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_password_for_another_machine_needs_tls() {
        let error = "nats://me:secret@nats.example.com".parse::<Server>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "a password for nats.example.com needs TLS: write tls:// instead of nats://"
        );
        assert!(server("tls://me:secret@nats.example.com").is_tls);
        assert!(!server("nats://nats.example.com").is_tls, "without a password");
        assert!(!server("nats://me:secret@[::1]:4222").is_tls);
        assert!(server("nats://nats.example.com").root_certificates("ca.pem").is_tls);
    }

    #[tokio::test]
    async fn a_file_of_credentials_that_cannot_be_read_is_named() {
        let server = server("nats://127.0.0.1").credentials_file("/no/such/feed.creds");
        let error = server.connect("test", &Arc::new(Link::new())).await.unwrap_err();
        let ServerError::Credentials { source, .. } = &error else { panic!("{error}") };
        assert!(error.to_string().starts_with("cannot read the credentials of NATS in /no/such"));
        error_chain::assert_chain(&error, Some(source));
    }

    #[test]
    fn other_texts_are_no_urls() {
        for text in ["", "ws://127.0.0.1", "127.0.0.1:4222,", "nats://", "nats://a b"] {
            assert!(matches!(text.parse::<Server>(), Err(ServerError::Url)), "{text:?}");
        }
    }
}
