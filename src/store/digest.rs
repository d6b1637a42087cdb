//! Digests of files.

use std::io;

use sha2::{Digest as _, Sha256};
use vestore_schema::Digest;

use super::medium::MediumFile;
use crate::narrow::to_usize;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// The SHA-256 of a file. `take` is handed each piece with its offset; `failed` makes an error of one of reading.
pub(super) fn digest<E>(
    file: &dyn MediumFile,
    failed: impl Fn(io::Error) -> E,
    mut take: impl FnMut(&[u8], u64) -> Result<(), E>,
) -> Result<Digest, E> {
    let length = file.len().map_err(&failed)?;
    let (mut hash, mut piece, mut offset) = (Sha256::new(), vec![0; PIECE], 0);
    while offset < length {
        let part = &mut piece[..to_usize(length - offset).min(PIECE)];
        file.read_at(part, offset).map_err(&failed)?;
        hash.update(&*part);
        take(part, offset)?;
        offset += part.len() as u64;
    }
    Ok(<[u8; 32]>::from(hash.finalize()).into())
}
