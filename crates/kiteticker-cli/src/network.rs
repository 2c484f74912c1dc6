//! The way to the network: through which proxy, and whose certificates are trusted. One rule for
//! the socket and for the instrument list.
//!
//! Options precede variables. The variables are read when a connection is prepared, so that one
//! that is not needed cannot fail a command.

mod exceptions;
mod proxies;
mod roots;

use std::path::PathBuf;

use clap::Args;
use kite_conn::{Endpoint, Transport};
use kite_instruments::Source;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use self::proxies::ProxyUrl;
use crate::exit::CliError;
use crate::plain_text::variable;

pub(crate) use self::proxies::{Choice, Target, Unused};

/// Environment variable of the proxy for encrypted connections, as in curl.
pub(crate) const PROXY_VARIABLES: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
/// Environment variable of the hosts that are reached without it.
pub(crate) const EXCEPTION_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// Environment variable of a file with root certificates, as in OpenSSL.
pub(crate) const ROOTS_VARIABLE: &str = "SSL_CERT_FILE";

/// The way to a server of HTTP.
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) proxy: Option<ureq::Proxy>,
    pub(crate) tls: TlsConfig,
    /// The proxy without its credentials.
    pub(crate) shown: Option<String>,
}

/// The options of the network. What they leave open is taken from the environment.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct Network {
    /// HTTP proxy: http://[user:password@]host:port [HTTPS_PROXY]
    #[arg(long, value_name = "URL")]
    proxy: Option<ProxyUrl>,
    /// Trust the root certificates in this file and no others [SSL_CERT_FILE]
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
}

impl Network {
    /// Creates the options from texts. What is no proxy is an error when it is needed.
    pub(crate) fn new(proxy: Option<&str>, ca_file: Option<PathBuf>) -> Self {
        let proxy = proxy.and_then(|url| url.parse().ok());
        Self { proxy, ca_file }
    }

    /// Returns an option that was given, if any.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [("--proxy", self.proxy.is_some()), ("--ca-file", self.ca_file.is_some())];
        options.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
    }

    /// Decides how a server is reached.
    ///
    /// # Errors
    /// Returns an error of usage, without the proxy's credentials, if the option or the variable is
    /// not the URL of a proxy.
    pub(crate) fn choose(&self, target: Target<'_>) -> Result<Choice, CliError> {
        proxies::choose(self.proxy.as_ref(), target, variable)
    }

    /// Returns how the connections to an endpoint are opened.
    ///
    /// # Errors
    /// Returns an error if the proxy or the file of root certificates cannot be used.
    pub(crate) fn transport(&self, endpoint: &Endpoint) -> Result<Transport, CliError> {
        let mut transport = Transport::default();
        if let Choice::Through { proxy, .. } = self.choose(Target::from(endpoint))? {
            transport.proxy = Some(proxy);
        }
        if endpoint.is_secure()
            && let Some(roots) = self.roots()?
        {
            transport.tls = roots.tls;
        }
        Ok(transport)
    }

    /// Prepares the download of the instrument list from `url`.
    ///
    /// # Errors
    /// Returns an error if the proxy or the file of root certificates cannot be used.
    pub(crate) fn source(&self, url: &str) -> Result<Source, CliError> {
        let mut source = Source::new().url(url);
        // A URL that is not valid is reported by the download.
        let Some(target) = Target::of_url(url) else { return Ok(source) };
        if let Choice::Through { proxy, .. } = self.choose(target)? {
            source = source.proxy(proxy.url().expose());
        }
        if target.is_encrypted
            && let Some(roots) = self.roots()?
        {
            source = source.roots(roots.certificates);
        }
        Ok(source)
    }

    /// Returns how a server is reached by HTTP.
    ///
    /// # Errors
    /// Returns an error if the proxy or the file of root certificates cannot be used.
    pub(crate) fn route(&self, url: &str) -> Result<Route, CliError> {
        let mut tls = TlsConfig::builder();
        let Some(target) = Target::of_url(url) else { return Ok(Route::default()) };
        let (mut proxy, mut shown) = (None, None);
        if let Choice::Through { proxy: chosen, .. } = self.choose(target)? {
            // The client's error would show the URL with its password.
            let parsed = ureq::Proxy::new(chosen.url().expose());
            proxy = Some(parsed.map_err(|_| CliError::usage("the proxy cannot be used"))?);
            shown = Some(chosen.to_string());
        }
        if target.is_encrypted
            && let Some(roots) = self.roots()?
        {
            let roots =
                roots.certificates.into_iter().map(|it| Certificate::from_der(&it).to_owned());
            tls = tls.root_certs(RootCerts::new_with_certs(&roots.collect::<Vec<_>>()));
        }
        Ok(Route { proxy, tls: tls.build(), shown })
    }

    /// Returns where the trusted root certificates come from, unless they are those compiled in.
    pub(crate) fn roots_origin(&self) -> Option<String> {
        roots::origin(self.ca_file.as_deref(), variable).map(|(_, origin)| origin)
    }

    fn roots(&self) -> Result<Option<roots::Roots>, CliError> {
        roots::read(self.ca_file.as_deref(), variable)
    }
}
