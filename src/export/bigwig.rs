//! bigWig: values by position with an index and zoom levels, as genome browsers read it.

use std::io::{self, Seek, Write};

use arrow::array::RecordBatch;
use vestore_schema::Assembly;

use super::ExportError;
use super::bbi::{BbiWriter, Kind};
use super::position::{Place, PositionValue, each, snvs};
use crate::narrow::to_u16;
use crate::store::StoreError;

/// Values of one block.
const BLOCK_VALUES: usize = 1024;
const BIGWIG: Kind = Kind { magic: 0x888f_fc26, fields: (0, 0), auto_sql: "", items_per_block: BLOCK_VALUES };

/// Writes the value of each position of `rows`, whose score is the last column.
pub(super) fn write(
    assembly: &Assembly,
    value: PositionValue,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut (impl Write + Seek),
) -> Result<(), ExportError> {
    let mut blocks = Blocks::new(assembly, out)?;
    each(assembly, value, rows, |place| Ok(blocks.add(place)?))?;
    Ok(blocks.finish()?)
}

/// Writes the value of each SNV of `rows` to the base of this index, whose score is the last column. `names` is
/// `assembly` with the names that contigs have in the file. Returns how many variants with a score are not SNVs.
pub(super) fn write_alternate(
    (assembly, names): (&Assembly, &Assembly),
    alternate: usize,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut (impl Write + Seek),
) -> Result<u64, ExportError> {
    let mut blocks = Blocks::new(names, out)?;
    let others = snvs(assembly, rows, |snv| {
        if snv.alternate == alternate {
            blocks.add(Place { contig: snv.contig, position: snv.position, value: snv.value })?;
        }
        Ok(())
    })?;
    blocks.finish()?;
    Ok(others)
}

/// Values on their way into blocks.
struct Blocks<'a, W> {
    writer: BbiWriter<'a, W>,
    open: Vec<Place>,
}

impl<'a, W: Write + Seek> Blocks<'a, W> {
    fn new(names: &'a Assembly, out: &'a mut W) -> io::Result<Self> {
        Ok(Self { writer: BbiWriter::new(BIGWIG, names, out)?, open: Vec::with_capacity(BLOCK_VALUES) })
    }

    fn add(&mut self, place: Place) -> io::Result<()> {
        let other = self.open.first().is_some_and(|first| first.contig != place.contig);
        if other || self.open.len() == BLOCK_VALUES {
            self.flush()?;
        }
        let start = place.position.zero_based();
        self.writer.summarize(place.contig, start..start + 1, place.value)?;
        self.open.push(place);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
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
        self.writer.block(contig, start..end, &block)?;
        self.open.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let blocks = self.writer.blocks();
        self.writer.finish(blocks)
    }
}
