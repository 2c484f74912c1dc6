//! Which certificates are trusted, and the rustls configuration built from that.
//!
//! Built once and kept, so that reconnects resume TLS sessions. Certificates passed by the caller
//! are checked immediately; those of the operating system are read at the first attempt.

use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock, OnceLock};

use thiserror::Error;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Which root certificates are trusted over `wss://`.
///
/// Clones share one TLS configuration and its sessions. `Debug` shows no certificate.
///
/// # Examples
/// ```
/// use kite_conn::{ConnectionConfig, Tls, TlsError, Transport};
///
/// let transport = Transport { tls: Tls::web_pki(), ..Default::default() };
/// let config = ConnectionConfig { transport, ..Default::default() };
/// assert_eq!(format!("{:?}", config.transport.tls), "Tls { roots: webpki, added: 0 }");
/// assert!(matches!(
///     Tls::only([b"no certificate"]),
///     Err(TlsError::Certificate { index: 0 })
/// ));
/// ```
#[derive(Clone)]
pub struct Tls {
    base: Base,
    added: RootCertStore,
    /// Shared by clones. Empty until the first attempt, and after one that failed to fill it.
    built: Arc<OnceLock<Arc<ClientConfig>>>,
}

/// The source of the roots that the caller did not pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    None,
    WebPki,
    #[cfg(feature = "native-roots")]
    Native,
    /// A complete configuration made by the caller.
    Own,
}

/// Why a TLS configuration could not be built.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A root certificate passed by the caller is invalid.
    #[error("root certificate {} is not an X.509 certificate in DER", index + 1)]
    Certificate {
        /// Its index among those passed, from 0.
        index: usize,
    },
    /// No certificate was passed, so no server would be trusted.
    #[error("no root certificate was passed, so no server would be trusted")]
    NoCertificates,
    /// Certificates cannot be added to a configuration made by the caller.
    #[error("a custom client configuration has its own roots: add certificates there")]
    OwnConfiguration,
    /// The operating system's store has no usable certificate.
    #[error(
        "the operating system has no usable root certificate ({unusable} invalid entries): \
         install them or use others"
    )]
    NoNativeCertificates {
        /// Number of its entries that are not certificates.
        unusable: usize,
    },
    /// The operating system's store could not be read.
    #[error(
        "the operating system's root certificates cannot be read ({failures} failures): {source}"
    )]
    NativeUnreadable {
        /// Number of files or entries that failed.
        failures: usize,
        /// The first failure.
        r#source: Arc<io::Error>,
    },
}

impl TlsError {
    /// Returns whether the same configuration may work later.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::NativeUnreadable { .. })
    }
}

/// Shared by all configurations that add nothing, because the roots are large and sessions are
/// worth sharing.
static WEB_PKI: LazyLock<Arc<OnceLock<Arc<ClientConfig>>>> = LazyLock::new(Arc::default);

impl Tls {
    /// Trusts the roots of Mozilla's list as compiled in (crate `webpki-roots`), which are the same
    /// on every machine. The default.
    #[must_use]
    pub fn web_pki() -> Self {
        let built = Arc::clone(&WEB_PKI);
        Self { base: Base::WebPki, added: RootCertStore::empty(), built }
    }

    /// Trusts the roots of the operating system, for instance if a corporate proxy intercepts TLS.
    ///
    /// They are read at the first attempt to connect, within its timeout. Entries that cannot be
    /// read or are not certificates are skipped with a warning in the log as long as others remain;
    /// a store without any fails the attempt ([`OpenError::TlsSetup`]). The environment variables
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` are respected.
    ///
    /// [`OpenError::TlsSetup`]: crate::OpenError::TlsSetup
    #[cfg(feature = "native-roots")]
    #[must_use]
    pub fn native() -> Self {
        Self { base: Base::Native, added: RootCertStore::empty(), built: Arc::default() }
    }

    /// Trusts the given root certificates, each in DER, and no others.
    ///
    /// # Errors
    /// Returns [`TlsError::Certificate`] for an invalid certificate, and
    /// [`TlsError::NoCertificates`] if there are none.
    pub fn only<C: AsRef<[u8]>>(
        certificates: impl IntoIterator<Item = C>,
    ) -> Result<Self, TlsError> {
        let none = Self { base: Base::None, added: RootCertStore::empty(), built: Arc::default() };
        none.and(certificates)
    }

    /// Trusts the given root certificates too, each in DER.
    ///
    /// # Errors
    /// Same as [`Tls::only`]; also returns [`TlsError::OwnConfiguration`] after
    /// [`Tls::client_config`].
    pub fn and<C: AsRef<[u8]>>(
        mut self,
        certificates: impl IntoIterator<Item = C>,
    ) -> Result<Self, TlsError> {
        if self.base == Base::Own {
            return Err(TlsError::OwnConfiguration);
        }
        let before = self.added.len();
        for (index, certificate) in certificates.into_iter().enumerate() {
            let certificate = CertificateDer::from(certificate.as_ref());
            self.added.add(certificate).map_err(|_| TlsError::Certificate { index })?;
        }
        if self.added.len() == before {
            return Err(TlsError::NoCertificates);
        }
        Ok(Self { built: Arc::default(), ..self })
    }

    /// Uses a custom configuration: client certificates, another provider, pinning.
    ///
    /// Build it with the [`rustls`](crate::rustls) of this crate. By ALPN offer only HTTP/1.1,
    /// preferably nothing.
    #[must_use]
    pub fn client_config(config: Arc<ClientConfig>) -> Self {
        let built = Arc::new(OnceLock::from(config));
        Self { base: Base::Own, added: RootCertStore::empty(), built }
    }

    /// Returns the configuration, and builds it if needed.
    ///
    /// # Cancel safety
    /// Cancel safe: the next call starts again.
    pub(super) async fn build(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(built) = self.built.get() {
            return Ok(Arc::clone(built));
        }
        let mut store = self.added.clone();
        match self.base {
            Base::None | Base::Own => {}
            Base::WebPki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            #[cfg(feature = "native-roots")]
            Base::Native => native::load(&mut store).await?,
        }
        Ok(Arc::clone(self.built.get_or_init(|| Arc::new(config_with_roots(store)))))
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::web_pki()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roots = match self.base {
            Base::None => format_args!("given"),
            Base::WebPki => format_args!("webpki"),
            #[cfg(feature = "native-roots")]
            Base::Native => format_args!("native"),
            Base::Own => format_args!("own"),
        };
        f.debug_struct("Tls").field("roots", &roots).field("added", &self.added.len()).finish()
    }
}

#[expect(clippy::expect_used, reason = "the provider and the protocol versions are constants")]
fn config_with_roots(roots: RootCertStore) -> ClientConfig {
    // The provider is named, because a process default may be missing or be set by the application.
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[cfg(feature = "native-roots")]
mod native {
    use rustls_native_certs::{ErrorKind, load_native_certs};
    use tracing::warn;

    use super::*;

    /// Adds the operating system's roots to a store. Files are read on a blocking thread.
    pub(super) async fn load(store: &mut RootCertStore) -> Result<(), TlsError> {
        match tokio::task::spawn_blocking(load_native_certs).await {
            Ok(result) => add(store, result.certs, result.errors.into_iter().map(to_io)),
            // The loader panicked or the runtime shuts down.
            Err(error) => Err(TlsError::NativeUnreadable {
                failures: 1,
                source: Arc::new(io::Error::other(error)),
            }),
        }
    }

    fn to_io(error: rustls_native_certs::Error) -> io::Error {
        let kind = match &error.kind {
            ErrorKind::Io { inner, .. } => inner.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }

    /// Adds the loaded certificates. Failures are errors only if nothing was loaded.
    pub(super) fn add(
        store: &mut RootCertStore,
        certificates: Vec<CertificateDer<'static>>,
        mut failures: impl ExactSizeIterator<Item = io::Error>,
    ) -> Result<(), TlsError> {
        let (usable, unusable) = store.add_parsable_certificates(certificates);
        let failed = failures.len();
        match (usable, failures.next()) {
            (0, Some(first)) => {
                Err(TlsError::NativeUnreadable { failures: failed, source: Arc::new(first) })
            }
            (0, None) => Err(TlsError::NoNativeCertificates { unusable }),
            (_, first) => {
                if failed + unusable > 0 {
                    let first = first.map(tracing::field::display);
                    warn!(usable, unusable, failed, first, "some native root certificates failed");
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> Vec<u8> {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        pair.cert.der().to_vec()
    }

    #[tokio::test]
    async fn a_configuration_is_built_once_and_shared_by_clones() {
        let tls = Tls::web_pki().and([certificate()]).unwrap();
        let built = tls.build().await.unwrap();
        assert!(Arc::ptr_eq(&built, &tls.clone().build().await.unwrap()));
        let default = Tls::default().build().await.unwrap();
        assert!(Arc::ptr_eq(&default, &Tls::web_pki().build().await.unwrap()));
        assert!(!Arc::ptr_eq(&default, &built));
        // Adding certificates later builds another configuration.
        let more = tls.and([certificate()]).unwrap();
        assert!(!Arc::ptr_eq(&built, &more.build().await.unwrap()));
    }

    #[test]
    fn certificates_are_checked_when_they_are_passed() {
        let garbage = [certificate(), b"s3cr3t".to_vec()];
        let error = Tls::only(garbage).unwrap_err();
        assert!(matches!(error, TlsError::Certificate { index: 1 }), "{error:?}");
        assert!(matches!(Tls::only([[0; 0]; 0]), Err(TlsError::NoCertificates)));
        assert!(matches!(Tls::web_pki().and([[0; 0]; 0]), Err(TlsError::NoCertificates)));
        let own = Tls::client_config(Arc::new(config_with_roots(RootCertStore::empty())));
        assert!(matches!(own.and([certificate()]), Err(TlsError::OwnConfiguration)));
    }

    #[tokio::test]
    async fn a_custom_configuration_is_used_unchanged() {
        let own = Arc::new(config_with_roots(RootCertStore::empty()));
        let tls = Tls::client_config(Arc::clone(&own));
        assert!(Arc::ptr_eq(&own, &tls.build().await.unwrap()));
    }

    #[test]
    fn debug_shows_kinds_and_counts_only() {
        let shown = |tls: Tls| format!("{tls:?}");
        assert_eq!(shown(Tls::only([certificate()]).unwrap()), "Tls { roots: given, added: 1 }");
        let own = Tls::client_config(Arc::new(config_with_roots(RootCertStore::empty())));
        assert_eq!(shown(own), "Tls { roots: own, added: 0 }");
    }

    #[cfg(feature = "native-roots")]
    #[test]
    fn native_failures_are_errors_only_if_nothing_was_loaded() {
        let failure = || io::Error::from(io::ErrorKind::PermissionDenied);
        let good = || CertificateDer::from(certificate());
        let bad = || CertificateDer::from(vec![1, 2, 3]);
        let add = |certificates, failures: Vec<io::Error>| {
            let mut store = RootCertStore::empty();
            native::add(&mut store, certificates, failures.into_iter()).map(|()| store.len())
        };
        assert_eq!(add(vec![good(), bad()], vec![failure()]).unwrap(), 1);
        let error = add(vec![bad()], vec![failure(), failure()]).unwrap_err();
        assert!(error.is_transient());
        let TlsError::NativeUnreadable { failures: 2, source } = error else { panic!("{error:?}") };
        assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
        let error = add(vec![bad()], vec![]).unwrap_err();
        assert!(!error.is_transient());
        assert!(matches!(error, TlsError::NoNativeCertificates { unusable: 1 }), "{error:?}");
    }

    #[cfg(feature = "native-roots")]
    #[tokio::test]
    async fn native_roots_load_or_return_an_error() {
        let tls = Tls::native();
        assert_eq!(format!("{tls:?}"), "Tls { roots: native, added: 0 }");
        match tls.build().await {
            Ok(built) => assert!(Arc::ptr_eq(&built, &tls.build().await.unwrap())),
            Err(error) => assert!(tls.built.get().is_none(), "{error}"),
        }
    }
}
