//! Answers over effects with one row per variant and target.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float32Array, Int32Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use thiserror::Error;
use vestore_schema::{
    GENE_COLUMN, KEY_COLUMNS, Status, TARGET_COLUMN, Table, effects_type, matches_glob, nearest,
};

use super::filter::{BoundFilter, Filter, FilterError};
use super::merge::Rows;
use super::numbers::Numbers;
use super::plan::QueryPlan;
use super::scan::BATCH_ROWS;
use super::{ANSWER_COLUMNS, AnswerRows};
use crate::narrow::to_u32;
use crate::store::StoreError;

/// Whether the numbers of a kind are effects, by which targets can be ranked: others are values of the two windows
/// themselves.
#[must_use]
pub fn is_effect(kind: &str) -> bool {
    !["ref", "alt", "gene_ref", "gene_alt"].contains(&kind)
}

/// Which effects of each variant are wanted.
#[derive(Clone, Debug, Default)]
pub struct EffectOptions {
    /// Kinds, as columns; all without any.
    pub columns: Vec<String>,
    /// Names of targets, in which `*` and `?` stand for any letters and for one; all without any.
    pub targets: Vec<String>,
    /// Those targets of each variant alone whose largest absolute effect, over the wanted kinds other than `ref` and
    /// `alt`, is among so many largest; of equal ones the first.
    pub top: Option<usize>,
}

/// Some of the targets of a track.
#[derive(Clone, Debug)]
pub(super) struct ChosenTargets {
    /// Ascending.
    pub(super) indices: Arc<[u32]>,
    names: Vec<String>,
}

/// Why effects cannot be asked for so.
#[derive(Debug, Error)]
pub enum EffectsError {
    /// No track has the kind.
    #[error("unknown kind of effect `{name}`; expected one of {}", known.join(", "))]
    Column {
        /// As asked.
        name: String,
        /// Those that the tracks have.
        known: Vec<String>,
    },
    /// No target has such a name.
    #[error("no target matches `{pattern}`; the nearest of {count} are {}", near.join(", "))]
    Target {
        /// As asked.
        pattern: String,
        /// Targets that look like it.
        near: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// Kinds by which targets cannot be ranked.
    #[error("targets cannot be ranked by `ref` and `alt`, which are no effects; choose another kind")]
    Rank,
    /// A condition on columns that the answer does not have.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Rows per variant and target; a variant without effects has one row, without a target. Only the wanted kinds are
/// read.
pub struct EffectRows<'a> {
    plan: &'a QueryPlan,
    rows: Rows<'a>,
    schema: SchemaRef,
    /// Columns of the plan before the lists.
    keys: usize,
    /// Whether the rows are of genes, which have no numbers on the targets of the other strand.
    of_genes: bool,
    /// The names of the wanted targets, then that of none.
    names: ArrayRef,
    top: Option<usize>,
    /// Which of the wanted kinds count when targets are ranked.
    ranked: Vec<usize>,
    filter: Option<BoundFilter>,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    row: usize,
    /// Rows of the batch and targets, or none, that come next; from `taken` on.
    lines: Vec<(u32, Option<u32>)>,
    taken: usize,
    failed: bool,
}

impl QueryPlan {
    /// The same, of a plan over effects, with the wanted kinds and targets alone; pages of others are not read.
    ///
    /// # Errors
    /// When no track has one of them, or the names of the targets cannot be read.
    pub fn with_effects(mut self, options: &EffectOptions) -> Result<Self, EffectsError> {
        if !options.targets.is_empty() {
            self = self.with_targets(&options.targets)?;
        }
        if options.columns.is_empty() || self.tracks.is_empty() {
            return Ok(self);
        }
        let keys = key_columns(&self.schema);
        let known = || self.schema.fields()[keys..].iter().map(|field| field.name());
        let mut indices: Vec<usize> = (0..keys).collect();
        for name in &options.columns {
            let Some(column) = known().position(|known| known == name) else {
                return Err(EffectsError::Column { name: name.clone(), known: known().cloned().collect() });
            };
            indices.push(keys + column);
        }
        indices.sort_unstable();
        indices.dedup();
        Ok(self.projected(&indices)?)
    }

    /// The same with the targets alone that one of `patterns` matches.
    fn with_targets(self, patterns: &[String]) -> Result<Self, EffectsError> {
        let names = self.target_names()?;
        let chosen = chosen(&names, patterns)?;
        Ok(self.with_chosen(&names, &chosen))
    }

    /// The same, of a plan over all targets, with these alone, ascending, of targets of these names.
    #[must_use]
    pub(crate) fn with_chosen(mut self, names: &[String], chosen: &[u32]) -> Self {
        let list = effects_type(to_u32(chosen.len()));
        let mut fields: Vec<Field> =
            self.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        for field in
            fields.iter_mut().filter(|field| matches!(field.data_type(), DataType::FixedSizeList(..)))
        {
            field.set_data_type(list.clone());
        }
        self.schema = Arc::new(Schema::new(fields).with_metadata(self.schema.metadata().clone()));
        let names = chosen.iter().map(|target| names[*target as usize].clone()).collect();
        self.targets = Some(ChosenTargets { indices: chosen.into(), names });
        self
    }

    /// The names of the targets that were chosen; none where all are wanted.
    #[must_use]
    pub fn chosen_targets(&self) -> &[String] {
        self.targets.as_ref().map_or(&[], |chosen| &chosen.names)
    }

    /// The names of the targets that lists hold.
    pub(crate) fn target_names(&self) -> Result<Vec<String>, StoreError> {
        if let Some(chosen) = &self.targets {
            return Ok(chosen.names.clone());
        }
        let of_genes = key_columns(&self.schema) > ANSWER_COLUMNS.len();
        let table = if of_genes { Table::GeneEffects } else { Table::Effects };
        let track = self.tracks.iter().find(|track| track.list_length(table).is_some());
        Ok(track.map(|track| self.store().target_names(track)).transpose()?.unwrap_or_default())
    }

    /// The same without any kind.
    fn without_effects(self) -> Result<Self, StoreError> {
        let keys = key_columns(&self.schema);
        self.projected(&(0..keys).collect::<Vec<_>>())
    }

    /// The same with these columns alone.
    pub(super) fn projected(mut self, columns: &[usize]) -> Result<Self, StoreError> {
        self.schema = SchemaRef::new(self.schema.project(columns)?);
        self.projected = true;
        Ok(self)
    }
}

impl<'a> EffectRows<'a> {
    /// The rows of a plan over effects that `filter` wants, whose columns are those of [`EffectRows::schema`]; of each
    /// variant the `top` targets, see [`EffectOptions::top`].
    ///
    /// # Errors
    /// When there are no such columns, or the names of the targets cannot be read.
    pub fn new(
        plan: &'a QueryPlan,
        top: Option<usize>,
        filter: Option<&Filter>,
    ) -> Result<Self, EffectsError> {
        let mut names = plan.target_names()?;
        names.push(String::new());
        let schema = schema(plan.schema());
        let keys = key_columns(plan.schema());
        let kinds = &plan.schema().fields()[keys..];
        let ranked: Vec<usize> = (0..kinds.len()).filter(|kind| is_effect(kinds[*kind].name())).collect();
        let of_genes = keys > ANSWER_COLUMNS.len();
        if top.is_some() && ranked.is_empty() && !kinds.is_empty() {
            return Err(EffectsError::Rank);
        }
        let filter = filter.map(|filter| filter.bind(&schema, plan.store().assembly())).transpose()?;
        Ok(Self {
            plan,
            rows: plan.rows(),
            schema,
            keys,
            of_genes,
            names: Arc::new(StringArray::from(names)),
            top,
            ranked,
            filter,
            batch: None,
            row: 0,
            lines: Vec::new(),
            taken: 0,
            failed: false,
        })
    }

    /// The schema of its batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn count(self) -> Result<u64, StoreError> {
        let mut count = 0;
        if self.filter.is_some() || self.of_genes {
            for batch in self {
                count += batch?.num_rows() as u64;
            }
            return Ok(count);
        }
        let each = self.target_count().min(self.top.unwrap_or(usize::MAX)) as u64;
        for batch in self.plan.clone().without_effects()?.rows() {
            let batch = batch?;
            let rows = AnswerRows::of(&batch);
            let lines = (0..batch.num_rows()).map(|row| if is_scored(&rows, row) { each } else { 1 });
            count += lines.sum::<u64>();
        }
        Ok(count)
    }

    fn target_count(&self) -> usize {
        self.names.len() - 1
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        loop {
            if self.taken < self.lines.len() {
                let Some(batch) = &self.batch else { return Ok(None) };
                let end = self.lines.len().min(self.taken + BATCH_ROWS);
                let lines = self.expand(batch, &self.lines[self.taken..end])?;
                self.taken = end;
                return Ok(Some(lines));
            }
            self.lines.clear();
            self.taken = 0;
            if self.batch.as_ref().is_none_or(|batch| self.row == batch.num_rows()) {
                self.batch = self.rows.next().transpose()?;
                self.row = 0;
            }
            let Some(batch) = self.batch.clone() else { return Ok(None) };
            while self.row < batch.num_rows() && self.lines.len() < BATCH_ROWS {
                let lines = self.lines_of(&batch, self.row)?;
                self.lines.extend(lines);
                self.row += 1;
            }
        }
    }

    /// The wanted lines of a row of `batch`.
    fn lines_of(&self, batch: &RecordBatch, row: usize) -> Result<Vec<(u32, Option<u32>)>, StoreError> {
        let number = to_u32(row);
        if !is_scored(&AnswerRows::of(batch), row) {
            let line = vec![(number, None)];
            return self.fulfilling(batch, line);
        }
        let lists: Vec<Numbers<'_>> = batch.columns()[self.keys..].iter().map(Numbers::of).collect();
        let is_there =
            |target: usize| !self.of_genes || lists.iter().any(|list| list.get(row, target).is_some());
        let targets = (0..self.target_count()).filter(|target| is_there(*target));
        let lines = targets.map(|target| (number, Some(to_u32(target)))).collect();
        let mut lines = self.fulfilling(batch, lines)?;
        if let Some(top) = self.top.filter(|top| *top < lines.len()) {
            let sizes = self.sizes(batch, row);
            let order = |(_, a): &(u32, Option<u32>), (_, b): &(u32, Option<u32>)| -> Ordering {
                let size = |target: &Option<u32>| target.map_or(-1.0, |target| sizes[target as usize]);
                size(b).total_cmp(&size(a)).then(a.cmp(b))
            };
            if top > 0 {
                lines.select_nth_unstable_by(top - 1, order);
            }
            lines.truncate(top);
            lines.sort_unstable();
        }
        Ok(lines)
    }

    /// Those of `lines` that fulfil the condition.
    fn fulfilling(
        &self,
        batch: &RecordBatch,
        mut lines: Vec<(u32, Option<u32>)>,
    ) -> Result<Vec<(u32, Option<u32>)>, StoreError> {
        if let Some(filter) = &self.filter {
            let wanted = filter.wanted(&self.expand(batch, &lines)?);
            let mut wanted = wanted.values().iter();
            lines.retain(|_| wanted.next() == Some(true));
        }
        Ok(lines)
    }

    /// By target, its largest absolute effect in a row; −1 where none is defined.
    fn sizes(&self, batch: &RecordBatch, row: usize) -> Vec<f32> {
        let mut sizes = vec![-1.0_f32; self.target_count()];
        for kind in &self.ranked {
            let list = Numbers::of(batch.column(self.keys + *kind));
            for (target, size) in sizes.iter_mut().enumerate() {
                *size = list.get(row, target).map_or(*size, |value| size.max(value.abs()));
            }
        }
        sizes
    }

    /// `lines` of the rows of `batch`.
    fn expand(&self, batch: &RecordBatch, lines: &[(u32, Option<u32>)]) -> Result<RecordBatch, StoreError> {
        let rows: UInt32Array = lines.iter().map(|(row, _)| *row).collect();
        let keys = &batch.columns()[..self.keys];
        let mut columns = keys.iter().map(|key| take(key, &rows, None)).collect::<Result<Vec<_>, _>>()?;
        let none = to_u32(self.target_count()).cast_signed();
        let names = lines.iter().map(|(_, target)| target.map_or(none, u32::cast_signed));
        let names = Int32Array::from_iter_values(names);
        columns.insert(
            target_column(self.of_genes),
            Arc::new(DictionaryArray::<Int32Type>::try_new(names, Arc::clone(&self.names))?),
        );
        for column in &batch.columns()[self.keys..] {
            let list = Numbers::of(column);
            let value = |(row, target): &(u32, Option<u32>)| {
                target.and_then(|target| list.get(*row as usize, target as usize))
            };
            columns.push(Arc::new(lines.iter().map(value).collect::<Float32Array>()));
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// Columns of a plan's answer before the lists of kinds: of effects, or of gene effects.
fn key_columns(schema: &Schema) -> usize {
    ANSWER_COLUMNS.len() + usize::from(schema.index_of(GENE_COLUMN).is_ok())
}

/// Where the target stands in a line: after the variant, or its gene.
fn target_column(of_genes: bool) -> usize {
    1 + KEY_COLUMNS.len() + usize::from(of_genes)
}

fn is_scored(rows: &AnswerRows<'_>, row: usize) -> bool {
    rows.status(row) == Status::Scored.as_str()
}

/// The targets that one of `patterns` matches, in their order.
pub(crate) fn chosen(names: &[String], patterns: &[String]) -> Result<Vec<u32>, EffectsError> {
    let mut chosen = vec![false; names.len()];
    for pattern in patterns {
        let mut found = false;
        for (name, chosen) in names.iter().zip(&mut chosen) {
            let matches = matches_glob(pattern, name);
            *chosen |= matches;
            found |= matches;
        }
        if !found && !names.is_empty() {
            let near = nearest(pattern, names.iter().map(String::as_str), |name| name);
            let near = near.into_iter().map(str::to_owned).collect();
            return Err(EffectsError::Target { pattern: pattern.clone(), near, count: names.len() });
        }
    }
    Ok((0..).zip(chosen).filter_map(|(target, chosen)| chosen.then_some(target)).collect())
}

/// The schema of the lines of rows with lists: the target after the variant, and a number for each list.
fn schema(lists: &SchemaRef) -> SchemaRef {
    let name = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let mut fields: Vec<Field> = lists.fields().iter().map(|field| field.as_ref().clone()).collect();
    let keys = key_columns(lists);
    for field in &mut fields[keys..] {
        field.set_data_type(DataType::Float32);
    }
    fields.insert(target_column(keys > ANSWER_COLUMNS.len()), Field::new(TARGET_COLUMN, name, false));
    Arc::new(Schema::new(fields).with_metadata(lists.metadata().clone()))
}

impl Iterator for EffectRows<'_> {
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
