//! BGZF: telling it from plain gzip, and the table of its blocks (`.gzi`) for random access.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::narrow::to_usize;

/// Bytes of a BGZF block's header, which end with its size.
const HEADER: usize = 18;

/// The empty block that ends every complete BGZF file.
pub(crate) const END_BLOCK: [u8; 28] = [
    0x1f, 0x8b, 0x08, 0x04, 0, 0, 0, 0, 0, 0xff, 0x06, 0, 0x42, 0x43, 0x02, 0, 0x1b, 0, 0x03, 0, 0, 0, 0, 0,
    0, 0, 0, 0,
];

/// How a file is compressed, told from its first bytes, never from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// Gzip in blocks that can be sought.
    Bgzf,
    /// One gzip stream, readable only from its start.
    Gzip,
}

impl Compression {
    /// Number of first bytes that decide.
    pub(crate) const PROBE: usize = HEADER;

    /// The compression of a file that begins with `head`.
    pub(crate) fn of(head: &[u8]) -> Self {
        if !head.starts_with(&[0x1f, 0x8b]) {
            Self::None
        } else if block_size(head).is_some() {
            Self::Bgzf
        } else {
            Self::Gzip
        }
    }
}

/// Compressed size of the block whose header `head` begins with; `None` when it is not a BGZF header.
fn block_size(head: &[u8]) -> Option<u64> {
    let head = head.get(..HEADER)?;
    let is_bgzf = head[..4] == [0x1f, 0x8b, 0x08, 0x04] && head[10..16] == [6, 0, b'B', b'C', 2, 0];
    is_bgzf.then(|| u64::from(u16::from_le_bytes([head[16], head[17]])) + 1)
}

/// Where one block starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// In the compressed file.
    pub(super) compressed: u64,
    /// In the data.
    pub(super) data: u64,
}

/// The starts of all blocks, and the size of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// The first one's begins both file and data.
    starts: Vec<Start>,
    /// Bytes of data.
    size: u64,
    /// Bytes of the file.
    end: u64,
}

impl Default for Blocks {
    fn default() -> Self {
        Self { starts: vec![Start::default()], size: 0, end: 0 }
    }
}

impl Blocks {
    /// Adds the blocks of `compressed`, which come next in a file that is being written.
    ///
    /// # Panics
    /// When they are no whole blocks, which is a bug.
    pub(super) fn push(&mut self, mut compressed: &[u8]) {
        while !compressed.is_empty() {
            let size = block_size(compressed).expect("a BGZF block; this is a bug");
            let (block, rest) = compressed.split_at(to_usize(size));
            let data = block.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            if self.size > 0 {
                self.starts.push(Start { compressed: self.end, data: self.size });
            }
            self.end += size;
            self.size += u64::from(data);
            compressed = rest;
        }
    }

    /// Finds the blocks by hopping from header to header; nothing is decompressed.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file is truncated, `InvalidData` when a block is not a BGZF block.
    pub(super) fn walk(file: &mut File) -> io::Result<Self> {
        Self::default().walk_on(file)
    }

    /// Reads the bytes of a `.gzi` file and checks it against `file`: its last block must lead to the file's
    /// end. `None` when it does not fit.
    pub(super) fn read(bytes: &[u8], file: &mut File) -> io::Result<Option<Self>> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let Some((&count, words)) = words.split_first() else { return Ok(None) };
        let (pairs, odd) = words.as_chunks::<2>();
        if !rest.is_empty() || !odd.is_empty() || pairs.len() as u64 != count {
            return Ok(None);
        }
        let listed = pairs.iter().map(|&[compressed, data]| Start { compressed, data });
        let starts: Vec<Start> = std::iter::once(Start::default()).chain(listed).collect();
        let rising = starts
            .windows(2)
            .all(|pair| pair[0].compressed < pair[1].compressed && pair[0].data <= pair[1].data);
        if !rising {
            return Ok(None);
        }
        match (Self { starts, ..Self::default() }).walk_on(file) {
            Ok(blocks) => Ok(Some(blocks)),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The bytes of a `.gzi` file; its first block is implied.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let listed = &self.starts[1..];
        let mut bytes = (listed.len() as u64).to_le_bytes().to_vec();
        for start in listed {
            bytes.extend_from_slice(&start.compressed.to_le_bytes());
            bytes.extend_from_slice(&start.data.to_le_bytes());
        }
        bytes
    }

    /// Whether both tables find the same data. Some tools list blocks without data, too.
    pub(super) fn leads_where(&self, other: &Self) -> bool {
        fn filled(blocks: &Blocks) -> impl Iterator<Item = &Start> {
            let next = blocks.starts.iter().skip(1).map(|start| start.data).chain([blocks.size]);
            blocks.starts.iter().zip(next).filter(|(start, next)| start.data < *next).map(|(start, _)| start)
        }
        self.size == other.size && filled(self).eq(filled(other))
    }

    /// Bytes of data in all blocks.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The block that holds the byte of the data at `offset`.
    pub(super) fn holding(&self, offset: u64) -> Start {
        let after = self.starts.partition_point(|start| start.data <= offset);
        self.starts[after.saturating_sub(1)]
    }

    /// Walks from the last known block to the end of the file.
    fn walk_on(mut self, file: &mut File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut at = self.starts.last().copied().unwrap_or_default();
        let mut head = [0; HEADER];
        let mut last_was_empty = false;
        loop {
            if at.compressed == length && last_was_empty {
                (self.size, self.end) = (at.data, at.compressed);
                return Ok(self);
            }
            if at.compressed > length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.seek(SeekFrom::Start(at.compressed))?;
            file.read_exact(&mut head)?;
            let size = block_size(&head).filter(|size| *size > HEADER as u64 + 8).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("no BGZF block at byte {}", at.compressed))
            })?;
            let mut data_size = [0; 4];
            file.seek(SeekFrom::Start(at.compressed.saturating_add(size - 4)))?;
            file.read_exact(&mut data_size)?;
            let data_size = u64::from(u32::from_le_bytes(data_size));
            if data_size > 0 && self.starts.last() != Some(&at) {
                self.starts.push(at);
            }
            last_was_empty = data_size == 0;
            let next = (at.compressed.checked_add(size), at.data.checked_add(data_size));
            let (Some(compressed), Some(data)) = next else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "blocks beyond any file's end"));
            };
            at = Start { compressed, data };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::fixture::bgzf as compressed;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn compression_is_told_from_the_extra_field() {
        assert_eq!(Compression::of(b">1\nACGT"), Compression::None);
        assert_eq!(Compression::of(b""), Compression::None);
        assert_eq!(Compression::of(&compressed(b"x")), Compression::Bgzf);
        assert_eq!(Compression::of(&END_BLOCK), Compression::Bgzf);
        assert_eq!(Compression::of(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]), Compression::Gzip);
    }

    #[test]
    fn blocks_are_found_written_and_read_back() {
        let data: Vec<u8> =
            (0..200_000_u32).map(|i| b"ACGT"[(i.wrapping_mul(2_654_435_761) >> 30) as usize]).collect();
        let mut file = file(&compressed(&data));
        let blocks = Blocks::walk(&mut file).unwrap();
        assert_eq!(blocks.size(), 200_000);
        assert!(blocks.starts.len() > 2);
        assert_eq!(Blocks::read(&blocks.to_bytes(), &mut file).unwrap(), Some(blocks.clone()));
        assert_eq!(blocks.holding(0), Start::default());
        assert_eq!(blocks.holding(blocks.starts[1].data), blocks.starts[1]);
        assert_eq!(blocks.holding(blocks.starts[1].data - 1), blocks.starts[0]);
        // Some lead beyond what a file, or a number, can hold.
        let overflowing = |compressed: u64, data: u64| {
            let mut bytes = 1_u64.to_le_bytes().to_vec();
            bytes.extend(compressed.to_le_bytes().into_iter().chain(data.to_le_bytes()));
            bytes
        };
        let beyond = [(u64::MAX, 5), (u64::MAX - 20, u64::MAX), (blocks.starts[1].compressed, u64::MAX)];
        let beyond = beyond.map(|(compressed, data)| overflowing(compressed, data));
        for stale in [&b""[..], &[1, 0, 0, 0, 0, 0, 0, 0], &[7; 24]]
            .into_iter()
            .chain(beyond.iter().map(Vec::as_slice))
        {
            assert_eq!(Blocks::read(stale, &mut file).unwrap(), None);
        }
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let whole = compressed(&b"ACGT".repeat(50_000));
        for cut in [1, 27, 28, 29, 100] {
            let error = Blocks::walk(&mut file(&whole[..whole.len() - cut])).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut by {cut}");
        }
    }
}
