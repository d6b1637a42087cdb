//! From rows of a file to rows of the store: reference checked, normalized, rounded.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float32Array, Int32Array, RecordBatch, StringArray};
use vestore_schema::{Assembly, Position, Precision, Region, Status, Track, Variant, scores_schema};

use super::distinct::{Duplicates, score_names, variant_name};
use super::{Block, ImportError, ImportOptions};
use crate::reference::Reference;
use crate::store::{ScoreRow, StoreError, score_batch};
use crate::variants::{
    Allele, Listed, Normalized, RefCheck, Rejection, Report, compare_reference, normalize,
};

/// Bases that are read from the reference at once.
const STRETCH: u32 = 64 << 10;

pub(super) struct Normalizer<'a> {
    track: &'a Track,
    path: PathBuf,
    assembly: &'a Assembly,
    reference: Reference,
    /// What scores are rounded to.
    pub(super) precision: Option<Precision>,
    pub(super) duplicates: Duplicates,
    /// Whether the rows come in another order than that of the file, which says which of two is the first.
    pub(super) reordered: bool,
    pub(super) report: Report,
    pub(super) without_score: u64,
    /// Rows without a position.
    pub(super) unplaced: u64,
    /// Of each score column, what a published set allows; empty without one.
    ranges: Vec<Option<(f32, f32)>>,
    pub(super) check: RefCheck,
    /// Line of the record that was compared last.
    compared: u64,
    /// Bases of `stretch`.
    bases: Vec<u8>,
    stretch: Region,
}

impl<'a> Normalizer<'a> {
    pub(super) fn new(
        track: &'a Track,
        path: &Path,
        assembly: &'a Assembly,
        reference: Reference,
        options: &ImportOptions,
        report: Report,
    ) -> Self {
        Self {
            track,
            path: path.into(),
            assembly,
            reference,
            duplicates: options.duplicates,
            reordered: false,
            precision: track.recipe.rounding(),
            report,
            without_score: 0,
            unplaced: 0,
            ranges: options.ranges(track),
            check: RefCheck::new(options.ref_mismatch, path),
            compared: 0,
            bases: Vec::new(),
            stretch: Region { contig: u32::MAX, start: 0, end: 0 },
        }
    }

    /// Counts the rows of a block that have no position.
    pub(super) fn unplaced(&mut self, block: &Block) {
        self.report.records += block.unplaced;
        self.unplaced += block.unplaced;
    }

    /// Counts a row at `line` that is left out, or averaged, because its variant has another score.
    pub(super) fn conflict(
        &mut self,
        variant: &Variant,
        line: u64,
        rows: [&[Option<f32>]; 2],
    ) -> Result<(), ImportError> {
        let name = variant_name(variant, self.assembly);
        if self.duplicates == Duplicates::Fail {
            let (path, scores) = (self.path.clone(), score_names(rows));
            return Err(ImportError::Conflict { path, variant: name, scores });
        }
        let listed = Listed {
            path: &self.path,
            line,
            contig: &self.assembly.contig(variant.contig).name,
            one_based: variant.position.one_based(),
            reference: &variant.reference,
            alternate: &variant.alternate,
        };
        Ok(self.report.conflict(&listed, || format!("{name} has {}", score_names(rows)))?)
    }

    /// Counts rows on a contig that the reference lacks.
    pub(super) fn reject_unknown(
        &mut self,
        contig: &str,
        block: &Block,
        range: Range<usize>,
    ) -> Result<(), ImportError> {
        for row in range {
            let listed = Listed {
                path: &self.path,
                line: block.lines[row],
                contig,
                one_based: block.one_based[row],
                reference: block.references.value(row),
                alternate: block.alternates.value(row),
            };
            self.report.reject(&listed, Rejection::UnknownContig)?;
        }
        Ok(())
    }

    /// The rows of `range`, which are of one contig, as a sorted batch of the track's scores table. A variant may stand
    /// in it more than once.
    pub(super) fn batch(
        &mut self,
        block: &Block,
        range: Range<usize>,
        contig: u32,
    ) -> Result<RecordBatch, ImportError> {
        if self.is_plain(block, range.clone(), contig)? {
            self.check.agree(range.len() as u64);
            return Ok(self.plain(block, &range)?);
        }
        let mut rows = self.rows(block, range, contig)?;
        // Rows of the same variant stay in the order of the file.
        rows.sort_by(|a, b| a.variant.cmp(&b.variant));
        Ok(score_batch(self.track, &rows)?)
    }

    /// Whether all rows are scored SNVs that agree with the reference, in strictly ascending order.
    fn is_plain(&mut self, block: &Block, range: Range<usize>, contig: u32) -> Result<bool, ImportError> {
        let complete =
            block.values.iter().any(|values| values.slice(range.start, range.len()).null_count() == 0);
        let finite = block
            .values
            .iter()
            .all(|values| values.slice(range.start, range.len()).iter().flatten().all(f32::is_finite));
        let allowed = self.ranges.iter().zip(&block.values).all(|(allowed, values)| {
            allowed.is_none_or(|(low, high)| {
                values
                    .slice(range.start, range.len())
                    .iter()
                    .flatten()
                    .all(|value| (low..=high).contains(&value))
            })
        });
        let plain = complete && finite && allowed;
        let Some(length) = self.reference.length(contig).filter(|_| plain) else {
            return Ok(false);
        };
        let mut previous = (None, b'0', b'0');
        for row in range {
            let (&[old], &[new]) =
                (block.references.value(row).as_bytes(), block.alternates.value(row).as_bytes())
            else {
                return Ok(false);
            };
            let position = Position::from_one_based(block.one_based[row]);
            let Some(position) = position.filter(|position| position.zero_based() < length) else {
                return Ok(false);
            };
            let key = (Some(position), old, new);
            let bases = matches!(old, b'A' | b'C' | b'G' | b'T') && matches!(new, b'A' | b'C' | b'G' | b'T');
            if !bases || old == new || key <= previous {
                return Ok(false);
            }
            previous = key;
            if self.base(contig, position, length)? != old {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The base of the reference at a position.
    fn base(&mut self, contig: u32, position: Position, length: u32) -> Result<u8, ImportError> {
        if self.stretch.contig != contig || !self.stretch.contains(position) {
            let start = position.zero_based();
            self.stretch = Region { contig, start, end: length.min(start.saturating_add(STRETCH)) };
            self.reference.fetch_into(self.stretch, &mut self.bases)?;
        }
        Ok(self.bases[(position.zero_based() - self.stretch.start) as usize])
    }

    /// A batch that shares the arrays of the block.
    fn plain(&self, block: &Block, range: &Range<usize>) -> Result<RecordBatch, StoreError> {
        let rows = range.len();
        let position = |one_based: &u64| {
            let position = Position::from_one_based(*one_based);
            position.expect("every row lies on its contig; this is a bug").to_column()
        };
        let positions = block.one_based[range.clone()].iter().map(position);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(positions)),
            Arc::new(block.references.slice(range.start, rows)),
            Arc::new(block.alternates.slice(range.start, rows)),
        ];
        for values in &block.values {
            let values = values.slice(range.start, rows);
            columns.push(match self.precision {
                Some(precision) => {
                    Arc::new(values.unary::<_, arrow::datatypes::Float32Type>(|value| precision.round(value)))
                }
                None => Arc::new(values),
            });
        }
        let scored = std::iter::repeat_n(Status::Scored.as_str(), rows);
        columns.push(Arc::new(StringArray::from_iter_values(scored)));
        Ok(RecordBatch::try_new(scores_schema(&self.track.columns), columns)?)
    }

    /// The rows of `range`, normalized one by one, in the order of the file.
    pub(super) fn rows(
        &mut self,
        block: &Block,
        range: Range<usize>,
        contig: u32,
    ) -> Result<Vec<ScoreRow>, ImportError> {
        let mut rows = Vec::with_capacity(range.len());
        let mut bases = Vec::new();
        for row in range {
            let (one_based, reference, alternate) =
                (block.one_based[row], block.references.value(row), block.alternates.value(row));
            let allele = Allele { contig, one_based, reference, alternate };
            let listed = Listed {
                path: &self.path,
                line: block.lines[row],
                contig: &self.assembly.contig(contig).name,
                one_based,
                reference,
                alternate,
            };
            let compared = compare_reference(contig, one_based, reference, &mut self.reference, &mut bases)?;
            // A record of several alternates is one.
            let is_next = std::mem::replace(&mut self.compared, block.lines[row]) != block.lines[row];
            match compared {
                Some(comparison) if is_next => {
                    self.check.count(comparison, block.lines[row], listed.contig, one_based, reference)?;
                }
                None if is_next => self.check.beyond(one_based),
                _ => {}
            }
            let (variant, status) = match normalize(allele, &mut self.reference)? {
                Normalized::Rejected(rejection) => {
                    self.report.reject(&listed, rejection)?;
                    continue;
                }
                Normalized::Row { variant, status, changed } => {
                    self.report.normalized += u64::from(changed);
                    (variant, status)
                }
            };
            let value = |values: &Float32Array| values.is_valid(row).then(|| values.value(row));
            let given: Vec<Option<f32>> =
                block.values.iter().map(|values| value(values).filter(|value| !value.is_nan())).collect();
            if given.iter().all(Option::is_none) {
                self.without_score += 1;
                continue;
            }
            let outside = self.ranges.iter().zip(&given).zip(&self.track.columns).find_map(
                |((allowed, value), column)| {
                    let ((low, high), value) = ((*allowed)?, (*value)?);
                    (!(low..=high).contains(&value)).then_some(((column.as_str(), value), (low, high)))
                },
            );
            if let Some((value, allowed)) = outside {
                self.report.out_of_range(&listed, value, allowed)?;
                continue;
            }
            let finite: Vec<Option<f32>> =
                given.iter().map(|value| value.filter(|value| value.is_finite())).collect();
            let status = match status {
                Some(status) => status,
                None if finite.iter().all(Option::is_none) => Status::NonFinite,
                None => Status::Scored,
            };
            let values = if status == Status::Scored { finite } else { vec![None; given.len()] };
            if status != Status::Scored {
                self.report.unscorable(&listed, status)?;
            }
            rows.push(ScoreRow { variant, values, status });
        }
        Ok(rows)
    }
}
