//! Looks the alleles of a chunk up in the segments of a plan.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float32Type;
use vestore_schema::{Digest, Segment};

use super::chunk::{Chunk, Wanted};
use crate::calibration::Calibrated;
use crate::export::InfoField;
use crate::narrow::to_score;
use crate::query::{Checked, QueryPlan, SegmentReader, gallop};
use crate::store::{RowKeys, StoreError};

/// Segments that are kept open from one chunk to the next.
const OPEN: usize = 64;
/// Columns of a segment that name a variant.
const KEYS: usize = 3;

pub(super) struct Lookup<'a> {
    plan: &'a QueryPlan,
    fields: &'a [InfoField],
    open: HashMap<u64, SegmentReader>,
    /// The calibrations in use, by their ids.
    calibrated: HashMap<Digest, Calibrated>,
}

/// A search in one segment.
struct Search<'w> {
    /// Numbers of the fields of its track.
    fields: Vec<usize>,
    /// Index of its contig.
    contig: u32,
    wanted: &'w [Wanted],
    rows: Checked,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(plan: &'a QueryPlan, fields: &'a [InfoField]) -> Self {
        Self { plan, fields, open: HashMap::new(), calibrated: HashMap::new() }
    }

    /// Fills in the values of all alleles of `chunk`.
    pub(super) fn fill(&mut self, chunk: &mut Chunk) -> Result<(), StoreError> {
        chunk.reset_values();
        // One segment is opened while the one before is read.
        let mut begun: Option<Search<'_>> = None;
        let wanted = std::mem::take(&mut chunk.wanted);
        for on_contig in wanted.chunk_by(|a, b| a.contig == b.contig) {
            let contig = on_contig[0].contig;
            // In the order of contigs.
            let Ok(at) = self.plan.parts.binary_search_by_key(&contig, |part| part.contig) else { continue };
            let part = &self.plan.parts[at];
            for (track, segment) in &part.segments {
                let range = within(on_contig, segment);
                if !range.is_empty() {
                    let next = self.begin(*track, (contig, segment), &on_contig[range])?;
                    if let Some(begun) = begun.replace(next) {
                        self.finish(begun, chunk)?;
                    }
                }
            }
        }
        if let Some(begun) = begun {
            self.finish(begun, chunk)?;
        }
        chunk.wanted = wanted;
        Ok(())
    }

    /// Begins to look for `wanted` in one segment, on the contig of this index.
    fn begin<'w>(
        &mut self,
        track: usize,
        (contig, segment): (u32, &Segment),
        wanted: &'w [Wanted],
    ) -> Result<Search<'w>, StoreError> {
        let reader = self.reader(track, segment)?;
        let record = &self.plan.tracks[track];
        let fields: Vec<usize> =
            (0..self.fields.len()).filter(|at| self.fields[*at].track == track).collect();
        let mut columns: Vec<usize> = (0..KEYS).collect();
        for field in &fields {
            let name = &self.fields[*field].column;
            let calibration = record.calibrated(name).map(|(calibration, _)| calibration);
            if let Some(calibration) = calibration.filter(|known| !self.calibrated.contains_key(&known.id)) {
                let known = Calibrated::new(self.plan.store(), calibration)?;
                self.calibrated.insert(calibration.id, known);
            }
            columns.extend(reader.column(calibration.map_or(name, |calibration| &calibration.column)));
        }
        let rows = reader.read_near(&ranges(wanted), &columns)?;
        Ok(Search { fields, contig, wanted, rows })
    }

    /// Fills in the values that a search finds.
    fn finish(&mut self, search: Search<'_>, chunk: &mut Chunk) -> Result<(), StoreError> {
        let Search { fields, contig, wanted, rows } = search;
        let (mut next, mut found) = (0, Vec::new());
        for batch in rows {
            let batch = batch?;
            found.clear();
            next += match_rows(&wanted[next..], &batch, chunk, &mut found);
            for field in &fields {
                self.fill_field(*field, &batch, contig, &found, chunk)?;
            }
            if next == wanted.len() {
                break;
            }
        }
        Ok(())
    }

    /// Copies the values of a field from the rows `found`, each with its allele.
    fn fill_field(
        &mut self,
        field: usize,
        batch: &RecordBatch,
        contig: u32,
        found: &[(usize, u32)],
        chunk: &mut Chunk,
    ) -> Result<(), StoreError> {
        let InfoField { track, column, .. } = &self.fields[field];
        let made = self.plan.tracks[*track].calibrated(column);
        let stored = made.map_or(column, |(calibration, _)| &calibration.column);
        let scores = batch.column_by_name(stored).and_then(|column| column.as_primitive_opt::<Float32Type>());
        let Some(scores) = scores else { return Ok(()) };
        let mut calibrated = made.and_then(|(calibration, scale)| {
            Some((self.calibrated.get_mut(&calibration.id)?, scale, RowKeys::of(batch)))
        });
        for (row, allele) in found.iter().filter(|(row, _)| scores.is_valid(*row)) {
            let score = scores.value(*row);
            let value = match &mut calibrated {
                // A Float of VCF has 32 bits.
                Some((known, scale, keys)) => known.value(*scale, score, (keys, *row), contig)?.map(to_score),
                None => Some(score),
            };
            if let Some(value) = value {
                chunk.set_value(*allele, field, value);
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

/// The positions of `wanted`, 0-based half-open.
fn ranges(wanted: &[Wanted]) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for wanted in wanted {
        let position = wanted.position.zero_based();
        match ranges.last_mut() {
            Some(range) if position <= range.end => range.end = position + 1,
            _ => ranges.push(position..position + 1),
        }
    }
    ranges
}

/// Finds the rows of `batch` that are `wanted`, each with its allele; returns how many of `wanted` come before the end of
/// the batch.
fn match_rows(
    wanted: &[Wanted],
    batch: &RecordBatch,
    chunk: &mut Chunk,
    matched: &mut Vec<(usize, u32)>,
) -> usize {
    let keys = RowKeys::of(batch);
    let positions = keys.one_based();
    let alleles = |row: usize| {
        let (reference, alternate) = keys.alleles(row);
        (reference.as_bytes(), alternate.as_bytes())
    };
    let mut row = 0;
    for (number, wanted) in wanted.iter().enumerate() {
        row += gallop(&positions[row..], wanted.position.to_column());
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
            matched.push((row, wanted.allele));
        }
    }
    wanted.len()
}
