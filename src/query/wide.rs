//! Answers with one row per variant: the rows of its tracks side by side.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use vestore_schema::{Assembly, STATUS_COLUMN, Scale, Track};

use super::filter::{BoundFilter, Filter, FilterError};
use super::gather::{NOWHERE, Pick, gather};
use super::merge::Rows;
use super::order::{are_alike, find_places, is_open};
use super::scan::BATCH_ROWS;
use super::{QueryPlan, TRACKS_KEY};
use crate::narrow::to_u32;
use crate::store::{RowKeys, StoreError};

/// Columns of a wide answer that name the variant.
const KEYS: usize = 4;
/// The least number of rows that stand side by side as they are, rather than as part of a larger batch.
const ZIPPED_ROWS: usize = 256;

/// The schema of a wide answer over the scores of `tracks`: contig, position, alleles, then for each track
/// `<track>.<column>` for its score columns and what calibrations make of them, and `<track>.status`, which is missing
/// where the track has no row.
#[must_use]
pub fn wide_schema(tracks: &[Track]) -> SchemaRef {
    let long = super::answer_schema(tracks);
    let mut fields = long.fields()[..KEYS].to_vec();
    for track in tracks {
        let kind = |scale: Option<Scale>| scale.map_or(DataType::Float32, |_| DataType::Float64);
        let scores = track.scores().map(|(column, scale)| (column, kind(scale)));
        for (column, kind) in scores.chain([(STATUS_COLUMN.to_owned(), DataType::Utf8)]) {
            fields.push(Arc::new(Field::new(format!("{}.{column}", track.name), kind, true)));
        }
    }
    let tracks = serde_json::json!(tracks).to_string();
    let metadata = arrow::datatypes::Metadata::default().with(TRACKS_KEY, tracks);
    Arc::new(Schema::new(fields).with_metadata(metadata))
}

/// The rows of an answer over scores, one for each variant. Where the tracks have the same variants, batches of them
/// stand side by side without a copy; elsewhere their keys are merged, and their columns copied.
pub struct WideRows<'a> {
    sides: Vec<Side<'a>>,
    /// Of each variant of the batch in the making, the side that its key is read from.
    keys: Vec<usize>,
    tracks: &'a [Track],
    schema: SchemaRef,
    filter: Option<BoundFilter>,
    failed: bool,
}

/// The rows of one track.
struct Side<'a> {
    rows: Rows<'a>,
    /// What was read last; none at the end.
    batch: Option<RecordBatch>,
    /// Its first row that has not left.
    row: usize,
    /// Of its rows, as soon as they are merged.
    places: Vec<u64>,
    /// What has rows in the batch in the making, and the rows, one for each variant.
    sources: Vec<RecordBatch>,
    picks: Vec<Pick>,
    /// The first of the rows that the last of the sources has.
    begun: Option<usize>,
}

impl<'a> Side<'a> {
    fn new(plan: &'a QueryPlan) -> Self {
        let rows = plan.rows();
        let (places, sources, picks) = (Vec::new(), Vec::new(), Vec::new());
        Self { rows, batch: None, row: 0, places, sources, picks, begun: None }
    }

    /// Makes sure that there is a row in hand, unless it is at its end.
    fn fill(&mut self) -> Result<(), StoreError> {
        while self.batch.as_ref().is_none_or(|batch| self.row == batch.num_rows()) {
            self.end();
            (self.batch, self.row) = (self.rows.next().transpose()?, 0);
            self.places.clear();
            if self.batch.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// How many rows are in hand; none at its end.
    fn left(&self) -> Option<usize> {
        self.batch.as_ref().map(|batch| batch.num_rows() - self.row)
    }

    /// The order of the contig of its rows in the answer.
    fn contig(&self) -> Option<i32> {
        let contigs = self.batch.as_ref()?.column(0).as_dictionary::<Int32Type>().keys();
        contigs.values().get(self.row).copied()
    }

    /// The place of its row, if that is on the contig of this order.
    fn head(&mut self, contig: i32) -> Option<u64> {
        if self.contig() != Some(contig) {
            return None;
        }
        if let (true, Some(batch)) = (self.places.is_empty(), &self.batch) {
            find_places(&RowKeys::of(batch), &mut self.places);
        }
        self.places.get(self.row).copied()
    }

    /// The keys of what was read last.
    fn keys(&self) -> Option<RowKeys<'_>> {
        self.batch.as_ref().map(RowKeys::of)
    }

    /// The alleles of its row.
    fn alleles(&self) -> Option<(&str, &str)> {
        Some(self.keys()?.alleles(self.row))
    }

    /// Picks its row, if it `has` the variant.
    fn pick(&mut self, has: bool) {
        let Some(batch) = self.batch.as_ref().filter(|_| has) else {
            self.picks.push((NOWHERE, 0));
            return;
        };
        let first = *self.begun.get_or_insert_with(|| {
            self.sources.push(batch.slice(self.row, batch.num_rows() - self.row));
            self.row
        });
        self.picks.push((to_u32(self.sources.len() - 1), to_u32(self.row - first)));
        self.row += 1;
    }

    /// Nothing more is picked of its batch for the batch in the making.
    fn end(&mut self) {
        if let (Some(first), Some(source)) = (self.begun.take(), self.sources.last_mut()) {
            *source = source.slice(0, self.row - first);
        }
    }

    /// Takes the next `rows`, which are there.
    fn take(&mut self, rows: usize) -> Option<RecordBatch> {
        let batch = self.batch.as_ref()?.slice(self.row, rows);
        self.row += rows;
        Some(batch)
    }
}

impl<'a> WideRows<'a> {
    /// Of the tracks of a plan over scores; `by_track` is [`QueryPlan::by_track`] of it.
    #[must_use]
    pub fn new(plan: &'a QueryPlan, by_track: &'a [QueryPlan]) -> Self {
        Self {
            sides: by_track.iter().map(Side::new).collect(),
            keys: Vec::new(),
            tracks: &plan.tracks,
            schema: wide_schema(&plan.tracks),
            filter: None,
            failed: false,
        }
    }

    /// Of the variants that fulfil `filter` alone, whose columns are those of [`wide_schema`].
    ///
    /// # Errors
    /// When the answer has no such column, or `assembly` no such contig.
    pub fn with_filter(mut self, filter: &Filter, assembly: &Assembly) -> Result<Self, FilterError> {
        self.filter = Some(filter.bind(&self.schema, assembly)?);
        Ok(self)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        while let Some(wide) = self.unfiltered()? {
            let wide = match &self.filter {
                Some(filter) => filter_record_batch(&wide, &filter.wanted(&wide))?,
                None => wide,
            };
            if wide.num_rows() > 0 {
                return Ok(Some(wide));
            }
        }
        Ok(None)
    }

    fn unfiltered(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        loop {
            self.sides.iter_mut().try_for_each(Side::fill)?;
            let left = self.sides.iter().filter_map(Side::left).min();
            let alike = left.filter(|rows| *rows >= ZIPPED_ROWS && self.are_alike(*rows));
            match (left, alike) {
                (None, _) if self.keys.is_empty() => return Ok(None),
                (None, _) => return self.gather().map(Some),
                (_, Some(rows)) if self.keys.is_empty() => return self.zip(rows).map(Some),
                (_, Some(_)) => return self.gather().map(Some),
                (Some(_), None) => self.merge(),
            }
            if self.keys.len() == BATCH_ROWS {
                return self.gather().map(Some);
            }
        }
    }

    /// Whether the next `rows` of every track that has some are of the same variants.
    fn are_alike(&self, rows: usize) -> bool {
        let mut sides = self.sides.iter().filter_map(|side| Some((side, side.keys()?)));
        let Some((first, keys)) = sides.next() else { return false };
        sides.all(|(side, of_side)| {
            first.contig() == side.contig() && are_alike((keys, first.row), (of_side, side.row), rows)
        })
    }

    /// The next `rows` of all tracks, which are of the same variants.
    fn zip(&mut self, rows: usize) -> Result<RecordBatch, StoreError> {
        let batches: Vec<Option<RecordBatch>> = self.sides.iter_mut().map(|side| side.take(rows)).collect();
        let first = batches.iter().flatten().next().expect("a track has rows; this is a bug");
        let mut columns = first.columns()[..KEYS].to_vec();
        for (batch, track) in batches.iter().zip(self.tracks) {
            add(&mut columns, &self.schema, track, |name, kind| match batch {
                None => Ok(new_null_array(kind, rows)),
                Some(batch) => Ok(Arc::clone(batch.column(batch.schema_ref().index_of(name)?))),
            })?;
        }
        Ok(RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?)
    }

    /// Picks the next variants of all tracks, in order, until the batch of one is used up or there are enough.
    fn merge(&mut self) {
        let Some(contig) = self.sides.iter().filter_map(Side::contig).min() else { return };
        let mut heads: Vec<Option<u64>> = self.sides.iter_mut().map(|side| side.head(contig)).collect();
        let mut is_used_up = false;
        while !is_used_up && self.keys.len() < BATCH_ROWS {
            let Some(least) = heads.iter().flatten().copied().min() else { return };
            // Rows at a place that does not hold whole alleles may differ; the least alleles come first.
            let alleles = is_open(least).then(|| {
                let of = self.sides.iter().zip(&heads).filter(|(_, head)| **head == Some(least));
                let alleles = of.filter_map(|(side, _)| side.alleles()).min();
                alleles.map(|(reference, alternate)| (reference.to_owned(), alternate.to_owned()))
            });
            let alleles = alleles.flatten();
            let mut key = None;
            for (number, (side, head)) in self.sides.iter_mut().zip(&mut heads).enumerate() {
                let has = *head == Some(least)
                    && alleles.as_ref().is_none_or(|(reference, alternate)| {
                        side.alleles() == Some((reference.as_str(), alternate.as_str()))
                    });
                side.pick(has);
                if has {
                    key.get_or_insert(number);
                    *head = side.places.get(side.row).copied();
                    is_used_up |= head.is_none();
                }
            }
            self.keys.push(key.expect("a track has the variant; this is a bug"));
        }
    }

    /// The picked variants.
    fn gather(&mut self) -> Result<RecordBatch, StoreError> {
        let keys = std::mem::take(&mut self.keys);
        let (mut firsts, mut all) = (Vec::new(), Vec::new());
        for side in &mut self.sides {
            side.end();
            firsts.push(to_u32(all.len()));
            all.extend(side.sources.iter().cloned());
        }
        // Each side has a pick for every variant.
        let of = |(variant, side): (usize, &usize)| {
            let (source, row) = self.sides[*side].picks[variant];
            (firsts[*side] + source, row)
        };
        let picks: Vec<Pick> = keys.iter().enumerate().map(of).collect();
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for column in 0..KEYS {
            let sources: Vec<&ArrayRef> = all.iter().map(|batch| batch.column(column)).collect();
            columns.push(gather(&sources, &picks)?);
        }
        for (side, track) in self.sides.iter_mut().zip(self.tracks) {
            let sources = std::mem::take(&mut side.sources);
            let picks = std::mem::take(&mut side.picks);
            add(&mut columns, &self.schema, track, |name, kind| {
                let Some(first) = sources.first() else { return Ok(new_null_array(kind, keys.len())) };
                let index = first.schema_ref().index_of(name)?;
                let sources: Vec<&ArrayRef> = sources.iter().map(|batch| batch.column(index)).collect();
                Ok(gather(&sources, &picks)?)
            })?;
        }
        Ok(RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?)
    }
}

/// Adds the columns of a track, each as `found` for its name and type.
fn add(
    columns: &mut Vec<ArrayRef>,
    schema: &SchemaRef,
    track: &Track,
    found: impl Fn(&str, &DataType) -> Result<ArrayRef, StoreError>,
) -> Result<(), StoreError> {
    for name in track.scores().map(|(column, _)| column).chain([STATUS_COLUMN.to_owned()]) {
        let kind = schema.field(columns.len()).data_type();
        let column = found(&name, kind)?;
        // Named as what a calibration of another track makes.
        columns.push(if column.data_type() == kind { column } else { cast(&column, kind)? });
    }
    Ok(())
}

impl Iterator for WideRows<'_> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = self.next_batch().transpose();
        self.failed = matches!(batch, Some(Err(_)));
        batch
    }
}
