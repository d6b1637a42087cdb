//! Why a file cannot be read from a server.

use std::io;

use thiserror::Error;

use crate::certificates::CertificatesError;

/// What a server answered, or did not. The address stands before it.
#[derive(Debug, Error)]
pub(super) enum RemoteError {
    /// What was typed is not an address of a store.
    #[error("{reason}")]
    Address { reason: &'static str },
    /// There is no such file.
    #[error("the server has no such file (HTTP 404)")]
    Missing,
    /// The server wants to know who asks.
    #[error(
        "the server refuses access (HTTP {status}); publish the files for everybody to read, or open a local copy (some \
         object stores answer so for files that are missing)"
    )]
    Refused { status: u16 },
    /// Another status.
    #[error("the server answered HTTP {status}; try again later, or ask whoever runs the server")]
    Status { status: u16 },
    /// The whole file instead of a part.
    #[error(
        "the server ignores range requests (HTTP {status} instead of 206); serve the folder with a server that answers \
         them (nginx, Apache, S3), or open a local copy"
    )]
    NoRanges { status: u16 },
    /// An answer that makes no sense.
    #[error("unexpected answer of the server: {reason}; check that the address is that of a published store")]
    Answer { reason: String },
    /// The file is another one than when it was first read.
    #[error("the file changed while it was read (another length or ETag); open the store again")]
    Changed,
    /// The file is not the one that was published.
    #[error("{reason}")]
    Differs { reason: String },
    /// No answer in time.
    #[error("no answer in time ({phase}); check the network, then try again")]
    Timeout { phase: String },
    /// The certificate of the server.
    #[error(
        "no secure connection: {reason}; check the address and this machine's clock, or name the certificates to trust \
         in SSL_CERT_FILE"
    )]
    Tls { reason: String },
    /// A file of certificates.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// The proxy of this machine.
    #[error("the proxy refused the connection: {reason}; check HTTPS_PROXY, ALL_PROXY and NO_PROXY")]
    Proxy { reason: String },
    /// Another failure on the way.
    #[error(
        "no connection: {reason}; check the address and the network, and HTTPS_PROXY and NO_PROXY if you use a proxy"
    )]
    Connection { reason: String },
    /// The copy of the catalog here cannot be written.
    #[error("cannot keep a copy of the catalog")]
    Cache(#[source] io::Error),
}

impl RemoteError {
    /// Whether the same request may succeed a moment later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Status { status } => matches!(status, 429 | 500 | 502 | 503 | 504),
            Self::Connection { .. } => true,
            _ => false,
        }
    }
}

impl From<RemoteError> for io::Error {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Missing => Self::new(io::ErrorKind::NotFound, error),
            RemoteError::Cache(error) => error,
            error => Self::other(error),
        }
    }
}

impl From<ureq::Error> for RemoteError {
    fn from(error: ureq::Error) -> Self {
        let reason = error.to_string();
        match error {
            ureq::Error::Timeout(phase) => Self::Timeout { phase: phase.to_string() },
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) | ureq::Error::TlsRequired => {
                Self::Tls { reason }
            }
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                Self::Timeout { phase: "reading".to_owned() }
            }
            // So TLS puts a certificate that does not fit.
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Self::Tls { reason: error.to_string() }
            }
            ureq::Error::Io(error) => Self::Connection { reason: error.to_string() },
            ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => Self::Proxy { reason },
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => Self::Connection { reason },
            _ => Self::Answer { reason },
        }
    }
}
