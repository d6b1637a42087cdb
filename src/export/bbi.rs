//! What bigWig and bigBed have in common: a header, contigs by name, compressed blocks under an index, and zoom levels.

mod tree;
mod zoom;

use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use vestore_schema::Assembly;

use self::tree::{Leaf, write_chromosomes, write_index};
use self::zoom::{Level, Summary};
use crate::narrow::{to_u16, to_u32, to_usize};

const VERSION: u16 = 4;
/// Bytes of the header, of one zoom header, of the summary of everything.
const HEADER: u64 = 64;
const ZOOM_HEADER: u64 = 24;
const SUMMARY: u64 = 40;
/// Bases of a record of the first zoom level, and how many times more the next level joins.
const FIRST_ZOOM: u32 = 32;
const ZOOM_STEP: u32 = 4;
const ZOOM_LEVELS: u32 = 10;

/// What tells the two formats apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// The first four bytes.
    pub(super) magic: u32,
    /// Columns of a record, and how many of them are those of BED; 0 in bigWig.
    pub(super) fields: (u16, u16),
    /// Description of the columns; empty in bigWig.
    pub(super) auto_sql: &'static str,
    /// Items of one block, as the index tells.
    pub(super) items_per_block: usize,
}

/// Writes a file from blocks that come in the order of its contigs.
pub(super) struct BbiWriter<'a, W> {
    kind: Kind,
    names: &'a Assembly,
    out: &'a mut W,
    levels: Vec<Level>,
    whole: Summary,
    leaves: Vec<Leaf>,
    /// Where the tree of contigs, and the count in front of the blocks, begin.
    contigs: u64,
    data: u64,
    /// Where the next block begins.
    at: u64,
    /// Most bytes of a block before compression.
    largest: usize,
}

impl<'a, W: Write + Seek> BbiWriter<'a, W> {
    /// Begins a file whose contigs have the names and lengths of `names`.
    pub(super) fn new(kind: Kind, names: &'a Assembly, out: &'a mut W) -> io::Result<Self> {
        let longest = names.contigs.iter().map(|contig| contig.length).max().unwrap_or(0);
        let reductions = (0..ZOOM_LEVELS).map(|level| FIRST_ZOOM * ZOOM_STEP.pow(level));
        let levels = reductions
            .take_while(|reduction| *reduction == FIRST_ZOOM || *reduction < longest)
            .map(Level::new)
            .collect::<io::Result<Vec<_>>>()?;
        let contigs = sql_at(levels.len()) + sql_bytes(kind) + SUMMARY;
        out.seek(SeekFrom::Start(contigs))?;
        let data = contigs + write_chromosomes(names, out)?;
        // The number of blocks or records, once it is known.
        out.write_all(&0_u64.to_le_bytes())?;
        let whole = Summary::default();
        Ok(Self {
            kind,
            names,
            out,
            levels,
            whole,
            leaves: Vec::new(),
            contigs,
            data,
            at: data + 8,
            largest: 0,
        })
    }

    /// Counts a value of some bases in the summaries. They come after those counted before.
    pub(super) fn summarize(&mut self, contig: u32, bases: Range<u32>, value: f32) -> io::Result<()> {
        self.whole.add(value, bases.end - bases.start);
        let length = self.names.contig(contig).length;
        self.levels.iter_mut().try_for_each(|level| level.add(contig, bases.clone(), value, length))
    }

    /// Writes a block that covers these bases of a contig.
    pub(super) fn block(&mut self, contig: u32, bases: Range<u32>, block: &[u8]) -> io::Result<()> {
        self.largest = self.largest.max(block.len());
        let stored = compress(block)?;
        self.out.write_all(&stored)?;
        let size = stored.len() as u64;
        self.leaves.push(Leaf {
            first: (contig, bases.start),
            last: (contig, bases.end),
            offset: self.at,
            size,
        });
        self.at += size;
        Ok(())
    }

    /// Blocks so far.
    pub(super) fn blocks(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Writes index, zoom levels and header; `count` is what the format counts, blocks or records.
    pub(super) fn finish(self, count: u64) -> io::Result<()> {
        let Self { kind, out, levels, whole, leaves, contigs, data, at: index, mut largest, .. } = self;
        let mut at = index + write_index(&leaves, index, kind.items_per_block, out)?;
        let (zooms, mut zoom_headers) = (levels.len(), Vec::new());
        for level in levels {
            let (reduction, start) = (level.reduction, at);
            let (leaves, length, most) = level.finish(at, out)?;
            largest = largest.max(most);
            let index = at + length;
            at = index + write_index(&leaves, index, zoom::BLOCK_RECORDS, out)?;
            zoom_headers.extend_from_slice(&reduction.to_le_bytes());
            zoom_headers.extend_from_slice(&[0; 4]);
            zoom_headers.extend_from_slice(&start.to_le_bytes());
            zoom_headers.extend_from_slice(&index.to_le_bytes());
        }
        // A copy of the magic number at the end tells readers that the file is whole.
        out.write_all(&kind.magic.to_le_bytes())?;

        out.seek(SeekFrom::Start(data))?;
        out.write_all(&count.to_le_bytes())?;
        out.seek(SeekFrom::Start(0))?;
        let mut header = Vec::with_capacity(to_usize(contigs));
        header.extend_from_slice(&kind.magic.to_le_bytes());
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&to_u16(zooms).to_le_bytes());
        for offset in [contigs, data, index] {
            header.extend_from_slice(&offset.to_le_bytes());
        }
        for fields in [kind.fields.0, kind.fields.1] {
            header.extend_from_slice(&fields.to_le_bytes());
        }
        let (sql, sql_bytes) = (sql_at(zooms), sql_bytes(kind));
        header.extend_from_slice(&(if sql_bytes == 0 { 0 } else { sql }).to_le_bytes());
        header.extend_from_slice(&(sql + sql_bytes).to_le_bytes());
        header.extend_from_slice(&to_u32(largest).to_le_bytes());
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&zoom_headers);
        header.extend_from_slice(kind.auto_sql.as_bytes());
        header.resize(to_usize(sql + sql_bytes), 0);
        header.extend_from_slice(&whole.total());
        out.write_all(&header)?;
        out.seek(SeekFrom::End(0))?;
        Ok(())
    }
}

/// Where the description of the columns would begin.
fn sql_at(zooms: usize) -> u64 {
    HEADER + ZOOM_HEADER * zooms as u64
}

/// Bytes of the description of the columns, with the 0 that ends it.
fn sql_bytes(kind: Kind) -> u64 {
    if kind.auto_sql.is_empty() { 0 } else { kind.auto_sql.len() as u64 + 1 }
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}
