//! The arguments of the HTTP server.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use kite_candles::Every;
use kite_relay::TlsFiles;

use super::address;
use crate::args::bars;
use crate::commands::serve::http::{self, HttpSettings};
use crate::exit::CliError;

#[derive(Debug, Args)]
#[command(next_help_heading = "Metrics and status over HTTP")]
pub(super) struct HttpArgs {
    /// Address and port, such as 127.0.0.1:9464; without it nothing is served
    #[arg(long = "http", value_name = "ADDR", value_parser = address)]
    http_listen: Option<SocketAddr>,
    /// File with the token that readers send; other machines need one
    #[arg(long, value_name = "FILE", requires = "http_listen")]
    http_token_file: Option<PathBuf>,
    /// Name by which readers reach this machine, besides loopback ones; repeatable
    #[arg(long = "http-host", value_name = "NAME", requires = "http_listen")]
    http_hosts: Vec<String>,
    /// Chain of certificates for https://, the server's own first
    #[arg(long, value_name = "PEM", requires_all = ["http_tls_key", "http_listen"])]
    http_tls_cert: Option<PathBuf>,
    /// Private key of the certificate
    #[arg(long, value_name = "PEM", requires = "http_tls_cert")]
    http_tls_key: Option<PathBuf>,
    /// Keep today's bars for /api/candles: lengths from 1m to 1d, separated by commas
    #[arg(long, value_name = "LENGTHS", value_delimiter = ',', value_parser = http::length, requires = "http_listen")]
    http_candles: Vec<Every>,
    /// Hours that replace the usual ones, as for `kite candles`
    #[arg(long, value_name = "FILE", requires = "http_candles")]
    http_sessions: Option<PathBuf>,
    /// Serve other machines without TLS: the token and the data are readable on the way
    #[arg(long, requires = "http_listen", conflicts_with = "http_tls_cert")]
    http_insecure: bool,
}

impl HttpArgs {
    /// Returns the settings, if there is to be a server.
    pub(super) fn settings(self) -> Result<Option<HttpSettings>, CliError> {
        let Some(listen) = self.http_listen else { return Ok(None) };
        if let Some(every) = bars::repeated(&self.http_candles) {
            return Err(CliError::usage(format!("--http-candles names {every} twice")));
        }
        let tls = self.http_tls_cert.zip(self.http_tls_key);
        let settings = HttpSettings {
            listen,
            token_file: self.http_token_file,
            hosts: self.http_hosts,
            tls: tls.map(|(certificates, key)| TlsFiles { certificates, key }),
            is_insecure: self.http_insecure,
            candles: self.http_candles,
            sessions: self.http_sessions,
        };
        if let Some(error) = settings.lack() {
            return Err(http::not_started(error));
        }
        Ok(Some(settings))
    }
}
