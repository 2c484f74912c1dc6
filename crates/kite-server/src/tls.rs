//! TLS above a transport.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error, InconsistentKeys, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

use crate::transport::{Connection, Transport};

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        r#source: io::Error,
    },
    /// A file is not in PEM format.
    #[error("{path} is not a PEM file: {reason}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file of the certificates has none.
    #[error("{path} has no certificate")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file of the private key has none.
    #[error("{path} has no private key")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The private key is encrypted with a passphrase.
    #[error(
        "the private key in {path} is encrypted: decrypt it first, for example by openssl pkey"
    )]
    KeyEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// The key is that of another certificate.
    #[error("{key} is not the key of {certificates}")]
    OtherKey {
        /// The file of the certificates.
        certificates: PathBuf,
        /// The file of the private key.
        key: PathBuf,
    },
    /// The certificate or the key is of an unsupported kind.
    #[error("cannot use the certificate in {certificates} with the key in {key}: {reason}")]
    Unusable {
        /// The file of the certificates.
        certificates: PathBuf,
        /// The file of the private key.
        key: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Reads a chain of certificates, the server's own first, and its private key from PEM files.
///
/// # Errors
/// Returns an error that names the file if one cannot be read or used.
pub fn acceptor_from_pem(certificates: &Path, key: &Path) -> Result<TlsAcceptor, IdentityError> {
    let chain = read_certificates(certificates)?;
    let private_key = read_key(key)?;
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private_key))
        .map_err(|error| unusable(certificates, key, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts a TLS handshake.
///
/// # Errors
/// Returns an error if the transport or the client's handshake failed.
///
/// # Cancel safety
/// Not cancel safe: the connection is dropped.
pub async fn accept(
    acceptor: &TlsAcceptor,
    transport: Transport,
) -> io::Result<Box<dyn Connection>> {
    Ok(Box::new(acceptor.accept(transport).await?))
}

/// Returns whether a TLS handshake failed because of what the client sent, which was not TLS, has
/// nothing in common with what this server supports, or says that the client refuses the
/// certificate; the error's text says which. A client that only disconnects is no such failure.
#[must_use]
pub fn is_refused(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|source| source.is::<Error>())
}

impl Connection for TlsStream<Transport> {
    fn transport(&mut self) -> &mut Transport {
        self.get_mut().0
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(path).map_err(|source| IdentityError::Read { path: path.into(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let text = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| not_pem(path, &error))?;
    if chain.is_empty() {
        return Err(IdentityError::NoCertificate { path: path.into() });
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(&text) => {
            IdentityError::KeyEncrypted { path: path.into() }
        }
        pem::Error::NoItemsFound => IdentityError::NoKey { path: path.into() },
        error => not_pem(path, &error),
    })
}

fn unusable(certificates: &Path, key: &Path, error: &Error) -> IdentityError {
    let (certificates, key) = (certificates.into(), key.into());
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            IdentityError::OtherKey { certificates, key }
        }
        error => IdentityError::Unusable { certificates, key, reason: error.to_string() },
    }
}

fn not_pem(path: &Path, error: &pem::Error) -> IdentityError {
    IdentityError::NotPem { path: path.into(), reason: reason(error) }
}

/// Describes an error without the file's text, which may be part of a key.
fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end".into(),
        pem::Error::IllegalSectionStart { .. } => "the beginning of a section is damaged".into(),
        pem::Error::Base64Decode(_) => "a section is not base64".into(),
        _ => "its sections are damaged".into(),
    }
}

fn is_encrypted(text: &[u8]) -> bool {
    let marker = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    text.windows(marker.len()).any(|window| window == marker)
}
