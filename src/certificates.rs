//! Whom encrypted connections trust.

use std::fs;

use thiserror::Error;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// The file of `SSL_CERT_FILE` cannot be used.
#[derive(Debug, Error)]
#[error("cannot use the certificates of SSL_CERT_FILE={file}: {reason}")]
pub struct CertificatesError {
    /// The file.
    file: String,
    /// Why.
    reason: String,
}

/// What verifies servers: the certificates that `SSL_CERT_FILE` names, else Mozilla's.
///
/// # Errors
/// When that file cannot be read or has no certificate.
pub fn tls_config() -> Result<TlsConfig, CertificatesError> {
    let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) else {
        return Ok(TlsConfig::default());
    };
    let wrong = |reason: String| CertificatesError { file: file.to_string_lossy().into_owned(), reason };
    let text = fs::read(&file).map_err(|error| wrong(error.to_string()))?;
    let mut roots: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            roots.push(certificate);
        }
    }
    if roots.is_empty() {
        return Err(wrong("it has no certificate (PEM)".to_owned()));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build())
}
