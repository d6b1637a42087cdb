//! Digests of what a model is made of.

use sha2::{Digest, Sha256};
use vestore_schema::hexadecimal;

use super::error::CheckpointError;
use super::weights::Found;

/// SHA-256.
pub(crate) type Hash = [u8; 32];

/// One tensor in a digest: name, number type, shape, and the digest of its numbers in row-major order.
pub(crate) fn tensor_line(name: &str, found: &Found<'_>) -> Result<String, CheckpointError> {
    let bytes = hexadecimal(&found.digest()?);
    Ok(format!("{name} {} {:?} {bytes}\n", found.dtype.name(), found.shape))
}

pub(crate) fn digest(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}
