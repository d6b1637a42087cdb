//! Reads bigWig: values by interval, in compressed blocks under an index. Whatever a file states is checked before it
//! is believed, so that a forged one costs no more memory or time than its size.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use vestore_schema::{Assembly, Contig};

use super::error::CoverageError;
use super::source::Interval;
use crate::convert::as_index;

pub(super) const MAGIC: u32 = 0x888f_fc26;
const CONTIGS_MAGIC: u32 = 0x78ca_8c91;
const INDEX_MAGIC: u32 = 0x2468_ace0;
/// Bytes before the root of the tree of contigs and of the index.
const CONTIGS_HEADER: u64 = 32;
const INDEX_HEADER: u64 = 48;
/// Bytes of a block's header, and most of a block: 65,535 intervals of 12 bytes.
const BLOCK_HEADER: usize = 24;
const MOST_BLOCK: usize = BLOCK_HEADER + 12 * 65_535;
/// Longest name of a contig that is believed.
const LONGEST_NAME: u32 = 1024;
/// Deepest tree that is believed: 256 children a node make 2^128 leaves of it.
const DEEPEST: u32 = 16;
/// Most entries of the index that one query looks at: a block for each base of a window, four times over.
const MOST_ENTRIES: usize = 1 << 22;

/// An open bigWig.
pub(super) struct BigWig {
    path: PathBuf,
    file: File,
    length: u64,
    compressed: bool,
    index: u64,
    /// Its contigs, in the order of their numbers; no digests.
    pub(super) contigs: Assembly,
    /// Its number for each of them.
    numbers: Vec<u32>,
}

impl BigWig {
    /// Opens a file and reads its contigs.
    pub(super) fn open(path: &Path) -> Result<Self, CoverageError> {
        let io = |source| CoverageError::Io { file: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut opened = Self {
            path: path.to_owned(),
            file,
            length,
            compressed: false,
            index: 0,
            contigs: Assembly::default(),
            numbers: Vec::new(),
        };
        let header = opened.bytes(0, 64, "its header is cut")?;
        let mut fields = Fields(&header);
        if fields.u32() != MAGIC {
            return Err(opened.damaged("it begins with other bytes"));
        }
        fields.skip(4);
        let contigs = fields.u64();
        fields.skip(8);
        opened.index = fields.u64();
        fields.skip(20);
        opened.compressed = fields.u32() > 0;
        let index = opened.bytes(opened.index, INDEX_HEADER, "its index is cut")?;
        if Fields(&index).u32() != INDEX_MAGIC {
            return Err(opened.damaged("its index begins with other bytes"));
        }
        opened.read_contigs(contigs)?;
        Ok(opened)
    }

    fn read_contigs(&mut self, offset: u64) -> Result<(), CoverageError> {
        const CUT: &str = "its list of contigs is cut";
        let header = self.bytes(offset, CONTIGS_HEADER, CUT)?;
        let mut fields = Fields(&header);
        let magic = fields.u32();
        fields.skip(4);
        let (key, value) = (fields.u32(), fields.u32());
        if magic != CONTIGS_MAGIC || key == 0 || key > LONGEST_NAME || value != 8 {
            return Err(self.damaged("its list of contigs has another form"));
        }
        let mut found: BTreeMap<u32, Contig> = BTreeMap::new();
        let mut nodes = vec![(offset.saturating_add(CONTIGS_HEADER), 0)];
        let mut entries = 0;
        while let Some((at, depth)) = nodes.pop() {
            let (leaf, node) = self.node(at, depth, [u64::from(key) + 8; 2], CUT)?;
            for entry in node.chunks(as_index(u64::from(key) + 8)) {
                entries += 1;
                let (name, rest) = entry.split_at(as_index(key.into()));
                let mut rest = Fields(rest);
                if !leaf {
                    nodes.push((rest.u64(), depth + 1));
                    continue;
                }
                let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
                let (number, length) = (rest.u32(), rest.u32());
                let contig = Contig { name, length, digest: String::new() };
                if found.insert(number, contig).is_some() {
                    return Err(self.damaged("two contigs have the same number"));
                }
            }
            if entries > MOST_ENTRIES {
                return Err(self.damaged("its list of contigs has no end"));
            }
        }
        (self.numbers, self.contigs.contigs) = found.into_iter().unzip();
        Ok(())
    }

    /// Hands the intervals that share bases with `start..end` of a contig to `visit`, in ascending order.
    pub(super) fn visit(
        &self,
        contig: u32,
        start: u32,
        end: u32,
        visit: &mut dyn FnMut(Interval) -> Result<(), CoverageError>,
    ) -> Result<(), CoverageError> {
        let number = self.numbers[as_index(contig.into())];
        let mut last = 0;
        for (offset, size) in self.blocks(number, start, end)? {
            let block = self.block(offset, size)?;
            last = self.read_block(&block, contig, last, &mut |interval| {
                if interval.start < end && interval.end > start { visit(interval) } else { Ok(()) }
            })?;
        }
        Ok(())
    }

    /// Offset and size of the blocks that can have intervals of `start..end`.
    fn blocks(&self, contig: u32, start: u32, end: u32) -> Result<Vec<(u64, u64)>, CoverageError> {
        let mut blocks: Vec<(u64, u64)> = Vec::new();
        let mut nodes = vec![(self.index.saturating_add(INDEX_HEADER), 0)];
        let mut entries = 0;
        while let Some((at, depth)) = nodes.pop() {
            let (leaf, node) = self.node(at, depth, [24, 32], "its index is cut")?;
            let size = if leaf { 32 } else { 24 };
            entries += node.len() / size;
            if entries > MOST_ENTRIES {
                return Err(self.damaged("its index has no end"));
            }
            let children = nodes.len();
            for entry in node.chunks(size) {
                let mut entry = Fields(entry);
                let first = (entry.u32(), entry.u32());
                let last = (entry.u32(), entry.u32());
                if first >= (contig, end) || last <= (contig, start) {
                    continue;
                }
                if !leaf {
                    nodes.push((entry.u64(), depth + 1));
                    continue;
                }
                let (offset, size) = (entry.u64(), entry.u64());
                // So a query reads no more than the file, however the index is forged.
                if blocks.last().is_some_and(|(before, size)| offset < before.saturating_add(*size)) {
                    return Err(self.damaged("its blocks are out of order"));
                }
                blocks.push((offset, size));
            }
            // The next node is the leftmost one.
            nodes[children..].reverse();
        }
        Ok(blocks)
    }

    /// The bytes of a block, decompressed.
    fn block(&self, offset: u64, size: u64) -> Result<Vec<u8>, CoverageError> {
        if size > 2 * MOST_BLOCK as u64 {
            return Err(self.damaged("a block is too long"));
        }
        let stored = self.bytes(offset, size, "a block is cut")?;
        if !self.compressed {
            return Ok(stored);
        }
        let mut block = Vec::new();
        let read = ZlibDecoder::new(stored.as_slice()).take(MOST_BLOCK as u64 + 1).read_to_end(&mut block);
        match read {
            Ok(_) if block.len() <= MOST_BLOCK => Ok(block),
            Ok(_) => Err(self.damaged("a block is too long")),
            Err(_) => Err(self.damaged("a block cannot be decompressed")),
        }
    }

    /// Visits the intervals of a block, none of which begins before `last`; returns the end of the last one.
    fn read_block(
        &self,
        block: &[u8],
        contig: u32,
        mut last: u32,
        visit: &mut dyn FnMut(Interval) -> Result<(), CoverageError>,
    ) -> Result<u32, CoverageError> {
        let Some((header, mut items)) = block.split_at_checked(BLOCK_HEADER) else {
            return Err(self.damaged("a block has no header"));
        };
        let mut header = Fields(header);
        let number = header.u32();
        let mut at = header.u32();
        header.skip(4);
        let (step, span) = (header.u32(), header.u32());
        let [form, _, low, high] = header.take();
        let count = usize::from(u16::from_le_bytes([low, high]));
        let size = match form {
            1 => 12,
            2 => 8,
            3 => 4,
            _ => return Err(self.damaged("a block has an unknown type")),
        };
        if number != self.numbers[as_index(contig.into())] {
            return Err(self.damaged("a block lies on another contig than its index says"));
        }
        if items.len() < count * size {
            return Err(self.damaged("a block is cut"));
        }
        let length = self.contigs.contig(contig).length;
        for _ in 0..count {
            let (item, rest) = items.split_at(size);
            items = rest;
            let mut item = Fields(item);
            let (start, end) = match form {
                1 => (item.u32(), Some(item.u32())),
                2 => {
                    let start = item.u32();
                    (start, start.checked_add(span))
                }
                _ => {
                    let start = at;
                    at = at.saturating_add(step);
                    (start, start.checked_add(span))
                }
            };
            let Some(end) = end.filter(|end| start >= last && start < *end && *end <= length) else {
                return Err(self.damaged("its intervals are out of order, empty or beyond their contig"));
            };
            last = end;
            visit(Interval { start, end, value: item.f32() })?;
        }
        Ok(last)
    }

    /// Whether a node is a leaf, and its entries, of `sizes` bytes in an inner node and in a leaf.
    fn node(
        &self,
        at: u64,
        depth: u32,
        sizes: [u64; 2],
        cut: &'static str,
    ) -> Result<(bool, Vec<u8>), CoverageError> {
        if depth > DEEPEST {
            return Err(self.damaged("a tree of it has no end"));
        }
        let head = self.bytes(at, 4, cut)?;
        let (leaf, count) = (head[0] == 1, u64::from(u16::from_le_bytes([head[2], head[3]])));
        let size = sizes[usize::from(leaf)];
        Ok((leaf, self.bytes(at.saturating_add(4), count * size, cut)?))
    }

    /// `count` bytes at an offset, which must be in the file before memory is taken for them.
    fn bytes(&self, offset: u64, count: u64, cut: &'static str) -> Result<Vec<u8>, CoverageError> {
        if offset.checked_add(count).is_none_or(|end| end > self.length) {
            return Err(self.damaged(cut));
        }
        let mut bytes = vec![0; as_index(count)];
        self.file.read_exact_at(&mut bytes, offset).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged(cut),
            _ => CoverageError::Io { file: self.path.clone(), source },
        })?;
        Ok(bytes)
    }

    fn damaged(&self, reason: &'static str) -> CoverageError {
        CoverageError::Damaged { file: self.path.clone(), reason }
    }
}

/// Little-endian numbers of a record, which is read whole before.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().expect("records are read whole; this is a bug");
        self.0 = rest;
        *head
    }

    fn skip(&mut self, bytes: usize) {
        self.0 = &self.0[bytes..];
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn f32(&mut self) -> f32 {
        f32::from_le_bytes(self.take())
    }
}
