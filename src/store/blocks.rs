//! Checksums of the blocks of a segment's file, so that a reader can check what it reads without reading
//! the whole.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::narrow::to_usize;

/// Bytes of one block: little beside a page, and much beside its checksum.
const BLOCK: u64 = 16 << 10;

/// CRC-32 of each block of a stretch of bytes that begins with a file; the last block may be short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocks {
    sums: Vec<u32>,
    /// Bytes that are covered.
    length: u64,
}

impl Blocks {
    /// The text in a segment's footer.
    pub(crate) fn to_text(&self) -> String {
        let bytes: Vec<u8> = self.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        STANDARD.encode(bytes)
    }

    /// From the text in a segment's footer, for a file whose first `length` bytes are covered. `None` when it
    /// is another number of blocks.
    pub(crate) fn parse(text: &str, length: u64) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let (sums, rest) = bytes.as_chunks::<4>();
        let sums: Vec<u32> = sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        (rest.is_empty() && sums.len() as u64 == length.div_ceil(BLOCK)).then_some(Self { sums, length })
    }

    /// The whole blocks that hold a range of bytes; `None` when some are not covered.
    pub(crate) fn around(&self, bytes: &Range<u64>) -> Option<Range<u64>> {
        let blocks = bytes.start / BLOCK * BLOCK..bytes.end.next_multiple_of(BLOCK).min(self.length);
        (bytes.end <= self.length).then_some(blocks)
    }

    /// Looks for a block that is not what it was, in whole blocks from `start` on; gives its first byte.
    pub(crate) fn find_damage(&self, start: u64, bytes: &[u8]) -> Option<u64> {
        let first = to_usize(start / BLOCK);
        let damaged = bytes
            .chunks(to_usize(BLOCK))
            .enumerate()
            .find(|(number, block)| self.sums.get(first + number) != Some(&crc32fast::hash(block)));
        damaged.map(|(number, _)| start + number as u64 * BLOCK)
    }
}

/// Checksums in the making.
#[derive(Debug, Default)]
pub(crate) struct BlocksBuilder {
    done: Blocks,
    open: crc32fast::Hasher,
}

impl BlocksBuilder {
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = BLOCK - self.done.length % BLOCK;
            let (now, later) = bytes.split_at(bytes.len().min(to_usize(room)));
            self.open.update(now);
            self.done.length += now.len() as u64;
            if self.done.length.is_multiple_of(BLOCK) {
                self.done.sums.push(std::mem::take(&mut self.open).finalize());
            }
            bytes = later;
        }
    }

    pub(crate) fn finish(mut self) -> Blocks {
        if !self.done.length.is_multiple_of(BLOCK) {
            self.done.sums.push(self.open.finalize());
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_is_found_in_its_block_however_the_bytes_came() {
        for length in [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK + 77] {
            let mut bytes: Vec<u8> = (0..length).map(|at| (at * 7 % 251) as u8).collect();
            let mut builder = BlocksBuilder::default();
            for piece in bytes.chunks(1000) {
                builder.update(piece);
            }
            let blocks = builder.finish();
            assert_eq!(Blocks::parse(&blocks.to_text(), length).as_ref(), Some(&blocks));
            assert_eq!(Blocks::parse(&blocks.to_text(), length + BLOCK), None);
            assert_eq!(blocks.find_damage(0, &bytes), None);
            assert_eq!(blocks.around(&(0..length + 1)), None);
            for at in (0..length).step_by(5003) {
                bytes[at as usize] ^= 16;
                let around = blocks.around(&(at..at + 1)).unwrap();
                let read = &bytes[around.start as usize..around.end as usize];
                assert_eq!(blocks.find_damage(around.start, read), Some(at / BLOCK * BLOCK));
                bytes[at as usize] ^= 16;
            }
        }
    }
}
