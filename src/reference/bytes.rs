//! Random access to the bytes of a FASTA, plain or BGZF.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::sync::Arc;

use noodles::bgzf;

use super::bgzf::{Blocks, Start};
use crate::narrow::to_usize;

/// An open FASTA.
pub(super) enum Bytes {
    /// Not compressed.
    Plain {
        /// The file.
        file: File,
        /// Its size.
        size: u64,
    },
    /// Compressed in blocks.
    Bgzf {
        /// Reads one block at a time.
        reader: bgzf::io::Reader<File>,
        /// Where the blocks start.
        blocks: Arc<Blocks>,
        /// The block read last; its data begins at `current.data`.
        current: Start,
        /// Its data.
        data: Vec<u8>,
    },
}

impl Bytes {
    pub(super) fn plain(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self::Plain { file, size })
    }

    pub(super) fn bgzf(file: File, blocks: Arc<Blocks>) -> Self {
        Self::Bgzf {
            reader: bgzf::io::Reader::new(file),
            blocks,
            current: Start::default(),
            data: Vec::new(),
        }
    }

    /// The open FASTA.
    pub(super) fn file(&self) -> &File {
        match self {
            Self::Plain { file, .. } => file,
            Self::Bgzf { reader, .. } => reader.get_ref(),
        }
    }

    /// Uncompressed size.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Plain { size, .. } => *size,
            Self::Bgzf { blocks, .. } => blocks.size(),
        }
    }

    /// Reads `bytes` bytes at `offset`, both uncompressed.
    pub(super) fn read(&mut self, mut offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut wanted = vec![0; bytes];
        match self {
            Self::Plain { file, .. } => {
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(&mut wanted)?;
            }
            Self::Bgzf { reader, blocks, current, data } => {
                let mut filled = 0;
                while filled < bytes {
                    let within = |start: &Start, data: &[u8]| {
                        offset >= start.data && offset < start.data + data.len() as u64
                    };
                    if !within(current, data) {
                        *current = blocks.holding(offset);
                        let place = bgzf::VirtualPosition::try_from((current.compressed, 0))
                            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                        data.clear();
                        reader.seek(place)?;
                        data.extend_from_slice(reader.fill_buf()?);
                        if !within(current, data) {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                    }
                    let from = to_usize(offset - current.data);
                    let piece = (data.len() - from).min(bytes - filled);
                    wanted[filled..filled + piece].copy_from_slice(&data[from..from + piece]);
                    filled += piece;
                    offset += piece as u64;
                }
            }
        }
        Ok(wanted)
    }
}
