//! The file of an id table: blocks of lines that are compressed by themselves, and an index that says which ids each
//! begins with. An id is in one block.

use std::io::{self, Write};

use vestore_schema::{Assembly, Position, Variant};

use super::IdRow;
use crate::narrow::{to_index, to_u32, to_usize};

/// Bytes of lines after which a block ends with the id in hand.
const BLOCK: usize = 256 << 10;
/// Most bytes of the lines of a block.
const MOST_BLOCK: usize = 16 << 20;
/// Most bytes of an index; that of a billion ids has a tenth of it.
const MOST_INDEX: u64 = 64 << 20;
/// Bytes of an entry of the index: first id, first byte, CRC-32 and length of the lines; little-endian.
const ENTRY: usize = 24;
/// Level of zstd.
const LEVEL: i32 = 6;
/// The end of a file: number of blocks (u64), CRC-32 of the index, and this.
pub(super) const MAGIC: &[u8; 8] = b"VSIDS1\r\n";

/// What ends a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    blocks: u64,
    crc32: u32,
}

impl Tail {
    /// Bytes of it.
    pub(crate) const BYTES: usize = 20;

    /// The tail that a file ends with.
    pub(crate) fn parse(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let (blocks, rest) = bytes.split_first_chunk::<8>()?;
        let (crc32, magic) = rest.split_first_chunk::<4>()?;
        let tail = Self { blocks: u64::from_le_bytes(*blocks), crc32: u32::from_le_bytes(*crc32) };
        (magic == MAGIC).then_some(tail)
    }

    /// First byte and length of the index of a file of `length` bytes, if it can have one.
    pub(crate) fn index(self, length: u64) -> Option<(u64, usize)> {
        let bytes = self.blocks.checked_mul(ENTRY as u64).filter(|bytes| *bytes <= MOST_INDEX)?;
        let start = length.checked_sub(Self::BYTES as u64)?.checked_sub(bytes)?;
        Some((start, to_usize(bytes)))
    }
}

/// Where each block lies and which id it begins with.
#[derive(Debug)]
pub(crate) struct Index {
    entries: Vec<Entry>,
    /// The byte after the last block.
    end: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    first: u64,
    offset: u64,
    crc32: u32,
    length: u32,
}

/// A block of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Its first byte.
    pub(crate) offset: u64,
    /// Its bytes, compressed.
    pub(crate) bytes: usize,
    crc32: u32,
    length: u32,
}

impl Index {
    /// The index of these bytes, which lie from `end` on in the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(bytes: &[u8], tail: Tail, end: u64) -> Result<Self, &'static str> {
        if crc32fast::hash(bytes) != tail.crc32 {
            return Err("its index has changed");
        }
        let word = |entry: &[u8; ENTRY], at: usize| {
            entry[at..].first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        let long = |entry: &[u8; ENTRY], at: usize| {
            entry[at..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let (chunks, _) = bytes.as_chunks::<ENTRY>();
        let entry = |entry: &[u8; ENTRY]| Entry {
            first: long(entry, 0),
            offset: long(entry, 8),
            crc32: word(entry, 16),
            length: word(entry, 20),
        };
        let entries: Vec<Entry> = chunks.iter().map(entry).collect();
        let ascending = entries.is_sorted_by(|a, b| a.first < b.first && a.offset < b.offset);
        let inside = entries.iter().all(|entry| entry.offset < end && to_index(entry.length) <= MOST_BLOCK);
        if ascending && inside { Ok(Self { entries, end }) } else { Err("its index is not one of blocks") }
    }

    /// The block that holds `id`, if one does.
    pub(crate) fn block(&self, id: u64) -> Option<Block> {
        let after = self.entries.partition_point(|entry| entry.first <= id);
        let entry = self.entries.get(after.checked_sub(1)?)?;
        let next = self.entries.get(after).map_or(self.end, |next| next.offset);
        let (offset, crc32, length) = (entry.offset, entry.crc32, entry.length);
        Some(Block { offset, bytes: usize::try_from(next - entry.offset).ok()?, crc32, length })
    }
}

impl Block {
    /// Whether it can be what its index says, before it is read: lines are not compressed to more than they are.
    pub(crate) fn is_possible(self) -> bool {
        self.bytes <= MOST_BLOCK + (MOST_BLOCK >> 4)
    }

    /// The variants of `id` in the bytes of the block.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn variants(
        self,
        bytes: &[u8],
        id: u64,
        assembly: &Assembly,
    ) -> Result<Vec<Variant>, &'static str> {
        if crc32fast::hash(bytes) != self.crc32 {
            return Err("a block has changed");
        }
        let lines =
            zstd::bulk::decompress(bytes, to_index(self.length)).map_err(|_| "a block is not zstd")?;
        let text = std::str::from_utf8(&lines).map_err(|_| "a block is not text")?;
        let mut found = Vec::new();
        for line in text.lines() {
            let (number, rest) = line.split_once('\t').ok_or("a line is not an id with a variant")?;
            if number.parse() == Ok(id) {
                found.push(variant(rest, assembly).ok_or("a line is not a variant of this reference")?);
            }
        }
        Ok(found)
    }
}

fn variant(text: &str, assembly: &Assembly) -> Option<Variant> {
    let columns: Vec<&str> = text.split('\t').collect();
    let [name, one_based, reference, alternate] = columns.try_into().ok()?;
    let contig = assembly.contigs.iter().position(|contig| contig.name == name)?;
    let contig = u32::try_from(contig).ok()?;
    let position = Position::from_one_based(one_based.parse().ok()?)?;
    let is_allele = |text: &str| !text.is_empty() && text.bytes().all(|base| b"ACGT".contains(&base));
    let inside =
        u64::from(position.zero_based()) + reference.len() as u64 <= assembly.contig(contig).length.into();
    let valid = inside && is_allele(reference) && is_allele(alternate);
    valid.then(|| Variant { contig, position, reference: reference.into(), alternate: alternate.into() })
}

/// Writes the file of an id table, from its start to its end.
pub(crate) struct BlockWriter<'a, W> {
    out: W,
    assembly: &'a Assembly,
    written: u64,
    lines: Vec<u8>,
    /// The first and the last id of the block.
    range: Option<(u64, u64)>,
    index: Vec<u8>,
    pub(crate) ids: u64,
    pub(crate) rows: u64,
}

impl<'a, W: Write> BlockWriter<'a, W> {
    pub(crate) fn new(out: W, assembly: &'a Assembly) -> Self {
        Self { out, assembly, written: 0, lines: Vec::new(), range: None, index: Vec::new(), ids: 0, rows: 0 }
    }

    /// Adds a row. They come by id.
    pub(crate) fn push(&mut self, row: &IdRow) -> io::Result<()> {
        let IdRow { id, variant } = row;
        let last = self.range.map(|range| range.1);
        debug_assert!(last.is_none_or(|last| last <= *id), "ids are out of order");
        if last != Some(*id) {
            if self.lines.len() >= BLOCK {
                self.end_block()?;
            }
            self.ids += 1;
        }
        self.range = Some((self.range.map_or(*id, |range| range.0), *id));
        let contig = &self.assembly.contig(variant.contig).name;
        let Variant { position, reference, alternate, .. } = variant;
        writeln!(self.lines, "{id}\t{contig}\t{}\t{reference}\t{alternate}", position.one_based())?;
        if self.lines.len() > MOST_BLOCK {
            let told = format!("rs{id} has more than {MOST_BLOCK} bytes of variants; remove its records");
            return Err(io::Error::new(io::ErrorKind::InvalidData, told));
        }
        self.rows += 1;
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        let Some((first, _)) = self.range.take() else { return Ok(()) };
        let block = zstd::bulk::compress(&self.lines, LEVEL)?;
        self.index.extend(first.to_le_bytes());
        self.index.extend(self.written.to_le_bytes());
        self.index.extend(crc32fast::hash(&block).to_le_bytes());
        self.index.extend(to_u32(self.lines.len()).to_le_bytes());
        self.out.write_all(&block)?;
        self.written += block.len() as u64;
        self.lines.clear();
        Ok(())
    }

    /// Writes what is left, and what finds it.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.end_block()?;
        self.out.write_all(&self.index)?;
        self.out.write_all(&((self.index.len() / ENTRY) as u64).to_le_bytes())?;
        self.out.write_all(&crc32fast::hash(&self.index).to_le_bytes())?;
        self.out.write_all(MAGIC)?;
        Ok(self.out)
    }
}
