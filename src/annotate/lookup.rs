//! Looks the alleles of a chunk up in the segments of a plan.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{Array, AsArray, Float32Array, RecordBatch};
use arrow::datatypes::Float32Type;
use vestore_schema::{Position, Segment};

use super::chunk::{Chunk, Wanted};
use crate::export::InfoField;
use crate::query::{QueryPlan, SegmentReader};
use crate::store::{RowKeys, StoreError};

/// Segments that are kept open from one chunk to the next.
const OPEN: usize = 64;
/// Columns of a segment that name a variant.
const KEYS: usize = 3;

pub(super) struct Lookup<'a> {
    plan: &'a QueryPlan,
    fields: &'a [InfoField],
    open: HashMap<u64, SegmentReader>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(plan: &'a QueryPlan, fields: &'a [InfoField]) -> Self {
        Self { plan, fields, open: HashMap::new() }
    }

    /// Fills in the values of all alleles of `chunk`.
    pub(super) fn fill(&mut self, chunk: &mut Chunk) -> Result<(), StoreError> {
        chunk.reset_values();
        let wanted = std::mem::take(&mut chunk.wanted);
        for on_contig in wanted.chunk_by(|a, b| a.contig == b.contig) {
            let contig = on_contig[0].contig;
            // In the order of contigs.
            let Ok(at) = self.plan.parts.binary_search_by_key(&contig, |part| part.contig) else { continue };
            let part = &self.plan.parts[at];
            for (track, segment) in &part.segments {
                let range = within(on_contig, segment);
                if !range.is_empty() {
                    self.search(*track, segment, &on_contig[range], chunk)?;
                }
            }
        }
        chunk.wanted = wanted;
        Ok(())
    }

    /// Looks for `wanted` in one segment.
    fn search(
        &mut self,
        track: usize,
        segment: &Segment,
        wanted: &[Wanted],
        chunk: &mut Chunk,
    ) -> Result<(), StoreError> {
        let reader = self.reader(track, segment)?;
        let fields: Vec<usize> =
            (0..self.fields.len()).filter(|at| self.fields[*at].track == track).collect();
        let columns: Vec<usize> = (0..KEYS)
            .chain(fields.iter().filter_map(|field| reader.column(&self.fields[*field].column)))
            .collect();
        let holds = |low: Position, high: Position| {
            let next = wanted.partition_point(|wanted| wanted.position < low);
            wanted.get(next).is_some_and(|wanted| wanted.position <= high)
        };
        let mut next = 0;
        for batch in reader.read_pages(holds, &columns)? {
            next += match_rows(&wanted[next..], &batch?, &fields, chunk);
            if next == wanted.len() {
                break;
            }
        }
        Ok(())
    }

    fn reader(&mut self, track: usize, segment: &Segment) -> Result<SegmentReader, StoreError> {
        if let Some(reader) = self.open.get(&segment.number) {
            return Ok(reader.clone());
        }
        if self.open.len() == OPEN {
            self.open.clear();
        }
        let reader = SegmentReader::open(self.plan.store(), segment)?.of_track(&self.plan.tracks[track])?;
        self.open.insert(segment.number, reader.clone());
        Ok(reader)
    }
}

/// Those of `wanted`, which are of one contig, that can lie in `segment`.
fn within(wanted: &[Wanted], segment: &Segment) -> Range<usize> {
    let from = wanted.partition_point(|wanted| wanted.position < segment.first);
    let to = wanted.partition_point(|wanted| wanted.position <= segment.last);
    from..to
}

/// Takes over the values of the rows of `batch` that are `wanted`; gives how many of `wanted` come before
/// the end of the batch.
fn match_rows(wanted: &[Wanted], batch: &RecordBatch, fields: &[usize], chunk: &mut Chunk) -> usize {
    let keys = RowKeys::of(batch);
    let positions = keys.one_based();
    let alleles = |row: usize| {
        let (reference, alternate) = keys.alleles(row);
        (reference.as_bytes(), alternate.as_bytes())
    };
    let scores: Vec<&Float32Array> =
        batch.columns()[KEYS..].iter().map(|column| column.as_primitive::<Float32Type>()).collect();
    let mut row = 0;
    for (number, wanted) in wanted.iter().enumerate() {
        row += gallop(&positions[row..], wanted.position);
        let key = chunk.alleles(*wanted);
        let here = |row: usize| keys.position(row) == wanted.position && alleles(row) < key;
        while row < positions.len() && here(row) {
            row += 1;
        }
        if row == positions.len() {
            return number;
        }
        let found = keys.position(row) == wanted.position && alleles(row) == key;
        if found {
            chunk.set_found(wanted.allele);
            for (field, score) in fields.iter().zip(&scores) {
                if score.is_valid(row) {
                    chunk.set_value(wanted.allele, *field, score.value(row));
                }
            }
        }
    }
    wanted.len()
}

/// How many of the sorted `positions`, a column, are less than `wanted`, which is likely near.
fn gallop(positions: &[i32], wanted: Position) -> usize {
    let before = |position: i32| Position::from_column(position) < wanted;
    let mut step = 1;
    while step < positions.len() && before(positions[step - 1]) {
        step *= 2;
    }
    let end = step.min(positions.len());
    let from = step / 2;
    from + positions[from..end].partition_point(|position| before(*position))
}

#[cfg(test)]
mod tests {
    use vestore_schema::Position;

    use super::gallop;

    #[test]
    fn galloping_equals_a_search() {
        for length in 0..40_i32 {
            let positions: Vec<i32> = (0..length).map(|number| number / 2 * 3 + 1).collect();
            for wanted in 1..70 {
                let expected = positions.partition_point(|position| *position < wanted);
                let found = gallop(&positions, Position::from_column(wanted));
                assert_eq!(found, expected, "{wanted} in {positions:?}");
            }
        }
    }
}
