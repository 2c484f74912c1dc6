//! Reads root certificates from a file in PEM.

use std::path::{Path, PathBuf};

use kite_conn::rustls::pki_types::CertificateDer;
use kite_conn::rustls::pki_types::pem::PemObject as _;
use kite_conn::{Tls, TlsError};
use kite_instruments::without_mark;

use super::ROOTS_VARIABLE;
use crate::console::paths;
use crate::exit::CliError;

/// The certificates of a file, all of them valid.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) tls: Tls,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// Returns the file that the option or else the variable names, and a text that names both.
pub(super) fn origin(
    option: Option<&Path>,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(PathBuf, String)> {
    let (path, by) = match option {
        Some(path) => (path.to_owned(), "--ca-file"),
        None => (PathBuf::from(variable(ROOTS_VARIABLE)?), ROOTS_VARIABLE),
    };
    let named = format!("{} ({by})", paths::shown(&path));
    Some((path, named))
}

/// Reads the certificates of that file; `None` if none is named.
///
/// # Errors
/// Returns an error if the file cannot be read, and one of usage if it has no certificate or an
/// invalid one.
pub(super) fn read(
    option: Option<&Path>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Roots>, CliError> {
    let Some((path, named)) = origin(option, variable) else { return Ok(None) };
    let pem = std::fs::read(path).map_err(|error| {
        CliError::unable(format!("cannot read the root certificates in {named}")).because(error)
    })?;
    let wrong = || {
        CliError::usage(format!("{named} has no usable root certificates"))
            .help("the file needs certificates in PEM: -----BEGIN CERTIFICATE----- …")
    };
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&without_mark(&pem))
            .collect::<Result<_, _>>()
            .map_err(|_| wrong().because("its PEM is damaged"))?;
    let tls = Tls::only(&certificates).map_err(|error| match error {
        TlsError::NoCertificates => wrong(),
        error => wrong().because(error),
    })?;
    Ok(Some(Roots { tls, certificates }))
}
