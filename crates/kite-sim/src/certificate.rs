//! The simulator's certificate, created at every start.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

/// Names that the certificate is valid for.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// A self-signed certificate and its key. No `Debug`, because the key is a secret.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) certificate: CertificateDer<'static>,
}

/// Why a certificate could not be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("cannot create the certificate: {0}")]
    Certificate(rcgen::Error),
    #[error("cannot build the TLS configuration: {0}")]
    Configuration(tokio_rustls::rustls::Error),
}

impl From<rcgen::Error> for IdentityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}

impl From<tokio_rustls::rustls::Error> for IdentityError {
    fn from(error: tokio_rustls::rustls::Error) -> Self {
        Self::Configuration(error)
    }
}

impl Identity {
    pub(crate) fn new() -> Result<Self, IdentityError> {
        let made = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned))?;
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config =
            ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], key)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }
}
