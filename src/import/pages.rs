//! The file of a Parquet import, whose pages are checked before they are decompressed.

use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use crate::query::check_page;

/// Bytes that hold the sizes at the begin of a page's header.
const SIZES: usize = 32;
/// Bytes at the end of a file: the length of its footer, and `PAR1`.
const END: u64 = 8;

/// A file in which no page grows beyond reason.
pub(super) struct Pages(pub(super) File);

impl Length for Pages {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for Pages {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        // Asked for the end of the file, and else for headers of pages.
        if start + END != self.len() {
            let mut sizes = [0; SIZES];
            let read = self.0.read_at(&mut sizes, start)?;
            check_page(&sizes[..read], None).map_err(ParquetError::General)?;
        }
        self.0.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.0.get_bytes(start, length)
    }
}
