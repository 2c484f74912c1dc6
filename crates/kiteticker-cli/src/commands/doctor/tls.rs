//! Checks TLS, and explains what is wrong with a certificate.

use std::io;

use kite_conn::rustls::pki_types::UnixTime;
use kite_conn::rustls::{CertificateError, Error};
use kite_conn::{OneLine, OpenError, ProbeStream, TlsFault};

use super::check::Finding;
use super::network::{PATIENCE, Way};
use crate::format::times::{self, SECOND_NS};

/// Number of a certificate's names shown.
const NAMES_SHOWN: usize = 3;

/// Performs the TLS handshake.
pub(super) async fn secure(way: &Way<'_>, stream: ProbeStream) -> (Finding, Option<ProbeStream>) {
    let host = way.endpoint.host();
    let finding = match way.probe.secure(stream).await {
        Ok(stream) => {
            let version = stream.tls_version().unwrap_or("no TLS");
            let by = way.roots.as_ref().map(|roots| format!(", by {roots}")).unwrap_or_default();
            let text = format!("{version}, the certificate is valid for {host}{by}");
            return (Finding::ok(text), Some(stream));
        }
        Err(OpenError::Tls { fault, source, .. }) => {
            let certificate = certificate_error(&source);
            let (text, advice) = explain(fault, certificate, host, way.roots.as_deref());
            let text = text.unwrap_or_else(|| format!("the TLS handshake failed: {source}"));
            Finding::fail(OneLine(text).to_string(), advice)
        }
        Err(OpenError::Timeout { .. }) => Finding::fail(
            format!("the TLS handshake did not complete within {PATIENCE:?}"),
            "a firewall or a proxy may block TLS",
        ),
        Err(error) => {
            Finding::fail(format!("TLS cannot be set up: {error}"), "report this as a bug")
        }
    };
    (finding, None)
}

fn certificate_error(source: &io::Error) -> Option<&CertificateError> {
    match source.get_ref()?.downcast_ref()? {
        Error::InvalidCertificate(error) => Some(error),
        _ => None,
    }
}

/// Returns what is wrong, unless the error's own text is best, and what to do.
fn explain(
    fault: TlsFault,
    certificate: Option<&CertificateError>,
    host: &str,
    roots: Option<&str>,
) -> (Option<String>, String) {
    let (text, advice) = match fault {
        TlsFault::UnknownIssuer => return unknown_issuer(roots),
        TlsFault::Expired => (
            match certificate {
                Some(CertificateError::ExpiredContext { time, not_after }) => Some(format!(
                    "the certificate expired on {}, and it is {} by this machine's clock",
                    moment(*not_after),
                    moment(*time)
                )),
                _ => Some(fault.to_string()),
            },
            "the server needs a new certificate: ask its operator, unless that is not the time",
        ),
        TlsFault::NotYetValid => (
            match certificate {
                Some(CertificateError::NotValidYetContext { time, not_before }) => Some(format!(
                    "the certificate is valid from {}, and it is {} by this machine's clock",
                    moment(*not_before),
                    moment(*time)
                )),
                _ => Some(fault.to_string()),
            },
            "set this machine's clock if that is not the time (timedatectl set-ntp true); else the \
             server needs another certificate",
        ),
        TlsFault::WrongName => (
            Some(match certificate {
                Some(CertificateError::NotValidForNameContext { presented, .. }) => {
                    format!("the certificate is for {}, not for {host}", names(presented))
                }
                _ => format!("the certificate is not for {host}"),
            }),
            "check the host: another server answers there, or the certificate lacks this name",
        ),
        TlsFault::AuthorityAsServer => (
            Some(fault.to_string()),
            "a self-signed certificate needs basicConstraints=CA:FALSE, also if it is in --ca-file: \
             openssl req -x509 … -addext basicConstraints=critical,CA:FALSE",
        ),
        TlsFault::Certificate => match certificate {
            Some(CertificateError::BadSignature) => (
                Some(
                    "a root of the issuer's name is trusted, but another key has signed".to_owned(),
                ),
                "the server's certificate was made again, perhaps: trust its present root",
            ),
            _ => (None, "the server needs another certificate: ask its operator"),
        },
        TlsFault::NotTls => (None, "the server does not speak TLS on this port"),
        _ => (None, "a firewall or a proxy may have broken the connection"),
    };
    (text, advice.to_owned())
}

fn unknown_issuer(roots: Option<&str>) -> (Option<String>, String) {
    match roots {
        None => (
            Some(TlsFault::UnknownIssuer.to_string()),
            "the server's certificate is self-signed or of a private authority, or a proxy on the \
             path, such as a company's, presents its own: if you trust it, pass its root by \
             --ca-file or SSL_CERT_FILE"
                .to_owned(),
        ),
        Some(roots) => (
            Some(format!("the certificate's issuer is not among the roots in {roots}")),
            "only these roots are trusted: add that of the server to the file, or leave the file \
             out if the server's is a public one"
                .to_owned(),
        ),
    }
}

fn moment(time: UnixTime) -> String {
    let shown = times::ist(time.as_secs().saturating_mul(SECOND_NS));
    format!("{} {} IST", shown.date(), shown.clock())
}

/// Lists the names of a certificate, which rustls writes as `DnsName("host")`.
fn names(presented: &[String]) -> String {
    let inner = |name: &'_ String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"').to_owned()
    };
    let shown: Vec<String> = presented.iter().take(NAMES_SHOWN).map(inner).collect();
    match presented.len().saturating_sub(NAMES_SHOWN) {
        _ if shown.is_empty() => "no host".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
