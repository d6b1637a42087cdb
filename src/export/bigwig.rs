//! bigWig: values by position with an index and zoom levels, as genome browsers read it.

mod tree;
mod zoom;

use std::io::{self, Seek, SeekFrom, Write};

use arrow::array::RecordBatch;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use vestore_schema::Assembly;

use self::tree::{Leaf, write_chromosomes, write_index};
use self::zoom::{Level, Summary};
use super::ExportError;
use super::position::{Place, PositionValue, each};
use crate::narrow::{to_u16, to_u32, to_usize};
use crate::store::StoreError;

const MAGIC: u32 = 0x888f_fc26;
const VERSION: u16 = 4;
/// Bytes of the header, of one zoom header, of the summary of everything.
const HEADER: u64 = 64;
const ZOOM_HEADER: u64 = 24;
const SUMMARY: u64 = 40;
/// Values of one block.
const BLOCK_VALUES: usize = 1024;
/// Bases of a record of the first zoom level, and how many times more the next level joins.
const FIRST_ZOOM: u32 = 32;
const ZOOM_STEP: u32 = 4;
const ZOOM_LEVELS: u32 = 10;

/// Writes the value of each position of `rows`, whose score is the last column.
pub(super) fn write(
    assembly: &Assembly,
    value: PositionValue,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut (impl Write + Seek),
) -> Result<(), ExportError> {
    let longest = assembly.contigs.iter().map(|contig| contig.length).max().unwrap_or(0);
    let reductions = (0..ZOOM_LEVELS).map(|level| FIRST_ZOOM * ZOOM_STEP.pow(level));
    let mut levels = reductions
        .take_while(|reduction| *reduction == FIRST_ZOOM || *reduction < longest)
        .map(Level::new)
        .collect::<io::Result<Vec<_>>>()?;
    let chromosomes = HEADER + ZOOM_HEADER * levels.len() as u64 + SUMMARY;
    out.seek(SeekFrom::Start(chromosomes))?;
    let mut at = chromosomes + write_chromosomes(assembly, out)?;
    let data = at;
    // The number of blocks, once it is known.
    out.write_all(&0_u64.to_le_bytes())?;
    at += 8;

    let mut blocks = Blocks { at, leaves: Vec::new(), open: Vec::new(), largest: 0 };
    let mut whole = Summary::default();
    each(assembly, value, rows, |place| {
        whole.add(place.value);
        for level in &mut levels {
            level.add(place, assembly.contig(place.contig).length)?;
        }
        blocks.add(place, out)
    })?;
    blocks.flush(out)?;
    let index = blocks.at;
    at = index + write_index(&blocks.leaves, index, BLOCK_VALUES, out)?;

    let mut zoom_headers = Vec::new();
    for level in levels {
        let (reduction, start) = (level.reduction, at);
        let (leaves, length, largest) = level.finish(at, out)?;
        blocks.largest = blocks.largest.max(largest);
        let index = at + length;
        at = index + write_index(&leaves, index, zoom::BLOCK_RECORDS, out)?;
        zoom_headers.extend_from_slice(&reduction.to_le_bytes());
        zoom_headers.extend_from_slice(&[0; 4]);
        zoom_headers.extend_from_slice(&start.to_le_bytes());
        zoom_headers.extend_from_slice(&index.to_le_bytes());
    }
    // A copy of the magic number at the end tells readers that the file is whole.
    out.write_all(&MAGIC.to_le_bytes())?;

    out.seek(SeekFrom::Start(data))?;
    out.write_all(&(blocks.leaves.len() as u64).to_le_bytes())?;
    out.seek(SeekFrom::Start(0))?;
    let zooms = zoom_headers.len() / to_usize(ZOOM_HEADER);
    let mut header = Vec::with_capacity(to_usize(chromosomes));
    header.extend_from_slice(&MAGIC.to_le_bytes());
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&to_u16(zooms).to_le_bytes());
    for offset in [chromosomes, data, index] {
        header.extend_from_slice(&offset.to_le_bytes());
    }
    header.extend_from_slice(&[0; 12]); // no fields, no autoSql
    header.extend_from_slice(&(HEADER + zoom_headers.len() as u64).to_le_bytes());
    header.extend_from_slice(&to_u32(blocks.largest).to_le_bytes());
    header.extend_from_slice(&[0; 8]);
    header.extend_from_slice(&zoom_headers);
    header.extend_from_slice(&whole.total());
    out.write_all(&header)?;
    out.seek(SeekFrom::End(0))?;
    Ok(())
}

/// Compressed blocks of values as they are written, and where each lies.
struct Blocks {
    at: u64,
    leaves: Vec<Leaf>,
    open: Vec<Place>,
    /// Most bytes of a block before compression.
    largest: usize,
}

impl Blocks {
    fn add(&mut self, place: Place, out: &mut impl Write) -> Result<(), ExportError> {
        let other = self.open.first().is_some_and(|first| first.contig != place.contig);
        if other || self.open.len() == BLOCK_VALUES {
            self.flush(out)?;
        }
        self.open.push(place);
        Ok(())
    }

    fn flush(&mut self, out: &mut impl Write) -> io::Result<()> {
        let (Some(first), Some(last)) = (self.open.first(), self.open.last()) else { return Ok(()) };
        let (contig, start, end) =
            (first.contig, first.position.zero_based(), last.position.zero_based() + 1);
        let mut block = Vec::with_capacity(24 + 8 * self.open.len());
        for word in [contig, start, end, 0, 1] {
            block.extend_from_slice(&word.to_le_bytes());
        }
        // Items of a start and a value each.
        block.extend_from_slice(&[2, 0]);
        block.extend_from_slice(&to_u16(self.open.len()).to_le_bytes());
        for place in &self.open {
            block.extend_from_slice(&place.position.zero_based().to_le_bytes());
            block.extend_from_slice(&place.value.to_le_bytes());
        }
        self.largest = self.largest.max(block.len());
        let stored = compress(&block)?;
        out.write_all(&stored)?;
        self.leaves.push(Leaf {
            first: (contig, start),
            last: (contig, end),
            offset: self.at,
            size: stored.len() as u64,
        });
        self.at += stored.len() as u64;
        self.open.clear();
        Ok(())
    }
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}
