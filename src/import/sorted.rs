//! The rows of a file in the order of the reference, so that each block of it is read about once.

use arrow::array::{Array, Float32Builder, StringBuilder};
use vestore_schema::{Assembly, Position};

use super::records::CHUNK;
use super::rows::Normalizer;
use super::{Block, Blocks, ImportError};
use crate::variants::{Contigs, Sort, SortedRows};

/// Rows of one block.
const ROWS: usize = 64 << 10;

/// Sorted rows, as blocks.
pub(super) struct SortedBlocks {
    rows: SortedRows,
    /// Names of the contigs by index.
    names: Vec<String>,
    /// Score columns.
    columns: usize,
}

impl SortedBlocks {
    /// Reads all of `blocks`. Rows that lie on no contig are counted by `normalizer` right away.
    pub(super) fn read(
        blocks: &mut Blocks,
        assembly: &Assembly,
        contigs: &mut Contigs<'_>,
        normalizer: &mut Normalizer<'_>,
        mut sort: Sort,
        progress: &(impl Fn(u64) + Send + Sync),
    ) -> Result<Self, ImportError> {
        let columns = blocks.columns().len();
        let (mut values, mut read) = (vec![f32::NAN; columns], 0);
        while let Some(block) = blocks.next()? {
            normalizer.unplaced(&block);
            let mut from = 0;
            for (name, count) in &block.contigs {
                let range = from..from + count;
                from = range.end;
                let Some(contig) = contigs.resolve(name) else {
                    normalizer.report.records += *count as u64;
                    normalizer.reject_unknown(name, &block, range)?;
                    continue;
                };
                let length = assembly.contig(contig).length;
                for row in range {
                    let position = Position::from_one_based(block.one_based[row]);
                    let Some(position) = position.filter(|position| position.zero_based() < length) else {
                        normalizer.report.records += 1;
                        normalizer.rows(&block, row..row + 1, contig)?;
                        continue;
                    };
                    for (value, column) in values.iter_mut().zip(&block.values) {
                        *value = if column.is_valid(row) { column.value(row) } else { f32::NAN };
                    }
                    let alleles = (block.references.value(row), block.alternates.value(row));
                    sort.push_raw(contig, position, alleles, block.lines[row], &values)?;
                }
            }
            read += block.one_based.len() as u64;
            progress(read);
        }
        let names = assembly.contigs.iter().map(|contig| contig.name.clone()).collect();
        Ok(Self { rows: sort.into_rows()?, names, columns })
    }

    pub(super) fn next(&mut self) -> Result<Option<Block>, ImportError> {
        let mut contigs: Vec<(String, usize)> = Vec::new();
        let (mut lines, mut one_based, mut last) = (Vec::with_capacity(ROWS), Vec::with_capacity(ROWS), None);
        let (mut references, mut alternates) = (StringBuilder::new(), StringBuilder::new());
        let mut values: Vec<Float32Builder> = (0..self.columns).map(|_| Float32Builder::new()).collect();
        let mut bytes = 0;
        while one_based.len() < ROWS && bytes < CHUNK {
            let taken = self.rows.take_row(|row| {
                let contig = row.contig();
                if last != Some(contig) {
                    contigs.push((self.names[contig as usize].clone(), 0));
                    last = Some(contig);
                }
                one_based.push(row.position().one_based());
                let alleles = [row.reference_text(), row.alternate_text()];
                bytes += alleles[0].len() + alleles[1].len();
                references.append_value(&alleles[0]);
                alternates.append_value(&alleles[1]);
                let (line, given) = row.line_and_values();
                lines.push(line);
                for (builder, value) in values.iter_mut().zip(given) {
                    builder.append_option(Some(value).filter(|value| !value.is_nan()));
                }
            })?;
            if taken.is_none() {
                break;
            }
            if let Some((_, count)) = contigs.last_mut() {
                *count += 1;
            }
        }
        let values = values.iter_mut().map(Float32Builder::finish).collect();
        let (references, alternates) = (references.finish(), alternates.finish());
        Ok((!one_based.is_empty()).then_some(Block {
            contigs,
            lines,
            one_based,
            references,
            alternates,
            values,
            unplaced: 0,
        }))
    }
}
