//! Plain files of a model directory: opened without waiting for pipes, and read up to a limit.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::Value;

use super::error::CheckpointError;

/// Most bytes of a JSON file of a model directory: the largest are indexes of shards, with a line a weight.
const MOST_JSON: u64 = 64 << 20;

/// Opens a file that must be a plain one: a named pipe would be waited for without end.
pub(super) fn open_plain(file: &Path) -> io::Result<File> {
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(file)?;
    if opened.metadata()?.is_file() {
        return Ok(opened);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Whether there is a plain file of that name, also at the end of a link. What cannot be looked at is an error: taken
/// for absent, it would be passed over for another file.
pub(crate) fn has_file(file: &Path) -> io::Result<bool> {
    match file.metadata() {
        Ok(found) => Ok(found.is_file()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The bytes of a plain file of at most `most` bytes.
fn read_bounded(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_plain(file)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let reason = format!("it is larger than {} MB, the most that such a file may have", most >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

/// The text of a plain file of at most `most` bytes, without a byte order mark; UTF-16 is refused by name.
pub(crate) fn read_text(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let bytes = read_bounded(file, most)?;
    let text = vestore::plain_text(&bytes);
    text.map(<[u8]>::to_vec).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// Reads a JSON file of a model directory.
pub(crate) fn read_json(file: &Path) -> Result<Value, CheckpointError> {
    let io = |source| CheckpointError::Io { file: file.to_owned(), source };
    let text = read_text(file, MOST_JSON).map_err(io)?;
    serde_json::from_slice(&text)
        .map_err(|error| CheckpointError::Json { file: file.to_owned(), reason: error.to_string() })
}
