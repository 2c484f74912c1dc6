//! A certificate of the tests' own.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kite_relay::TlsFiles;
use tempfile::TempDir;

/// Writes a certificate for loopback and its key, and returns it in DER.
pub(crate) fn write_identity(directory: &TempDir) -> (TlsFiles, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let write = |name: &str, kind: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        let path = directory.path().join(name);
        fs::write(&path, format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n"))
            .unwrap();
        path
    };
    let der = made.cert.der().to_vec();
    let certificates = write("cert.pem", "CERTIFICATE", &der);
    let key = write("key.pem", "PRIVATE KEY", &made.signing_key.serialize_der());
    (TlsFiles { certificates, key }, der)
}
