//! A question as people put it, and its answer: which rows, which columns, in which form and order.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use thiserror::Error;
use vestore_schema::{Assembly, GENE_COLUMN, LAYER_COLUMN, Scale, TARGET_COLUMN, Table};

use super::effects::{EffectOptions, EffectRows, EffectsError};
use super::filter::{Filter, FilterError, find};
use super::plan::{QueryPlan, Request};
use super::sort::{SortKey, sorted};
use super::unseen::Unseen;
use super::wide::{WideRows, wide_schema};
use super::{ANSWER_COLUMNS, Places};
use crate::store::{Store, StoreError};

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Where to look.
    pub places: Places,
    /// Of the tracks of these models. With no model and no track, of all tracks.
    pub models: Vec<String>,
    /// And of these tracks.
    pub tracks: Vec<String>,
    /// Whose rows.
    pub table: Table,
    /// Only rows that fulfil this.
    pub filter: Option<Filter>,
    /// One row per variant; of scores alone.
    pub wide: bool,
    /// Only these columns, in this order; all without any. Where none of them tells whose row it is (variant, model,
    /// track, status, gene, target, layer), those that do come first.
    pub columns: Vec<String>,
    /// Only effects on targets of these names, see [`EffectOptions::targets`].
    pub targets: Vec<String>,
    /// See [`EffectOptions::top`].
    pub top: Option<usize>,
    /// The order of the rows; without any, that of the reference.
    pub sort: Vec<SortKey>,
    /// At most so many rows.
    pub limit: Option<usize>,
}

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum QuestionError {
    /// There is no such column, or it cannot be compared.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// There are no such effects.
    #[error(transparent)]
    Effects(#[from] EffectsError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The column is one of a calibration by context, for which the reference is missing.
    #[error("no column `{name}`: {reason}")]
    NeedsReference {
        /// Name of the column.
        name: String,
        /// Why, with the remedy.
        reason: String,
    },
    /// Only scores have one row per variant.
    #[error("rows of {} have no wide form; leave --wide and --format vcf", table.as_str())]
    Wide {
        /// Whose rows were asked for.
        table: Table,
    },
    /// Targets are chosen where there are none.
    #[error(
        "--target and --top choose effects on targets; add --effects, or --gene-effects for gene effects of a regulatory \
         model"
    )]
    NoTargets,
}

/// How rows leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As segments have them.
    Long,
    /// One for each variant.
    Wide,
    /// One for each variant and target.
    Targets,
}

/// The answer to a [`Question`], of one moment of the store; read as often as wanted.
#[derive(Clone, Debug)]
pub struct Answer {
    plan: QueryPlan,
    /// Of a wide answer.
    by_track: Vec<QueryPlan>,
    form: Form,
    filter: Option<Filter>,
    top: Option<usize>,
    schema: SchemaRef,
    /// The columns that leave, by index among all.
    columns: Option<Vec<usize>>,
    /// Columns to sort by, and whether from the largest on.
    sort: Vec<(usize, bool)>,
    limit: usize,
}

/// Batches of rows of an answer.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<RecordBatch, StoreError>> + 'a>;

impl Answer {
    /// Settles what to read.
    ///
    /// # Errors
    /// When the question makes no sense of this store, or its catalog cannot be read.
    pub fn new(store: &Store, mut question: Question) -> Result<Self, QuestionError> {
        let Places { regions, variants, asked } = std::mem::take(&mut question.places);
        let nothing_to_look_for = asked && regions.is_empty() && variants.is_empty();
        let (models, tracks) = (question.models.clone(), question.tracks.clone());
        let variants = variants.into();
        let request = Request { regions, variants, models, tracks, table: question.table };
        let mut plan = QueryPlan::new(store, &request)?;
        if nothing_to_look_for {
            plan.parts.clear();
        }
        let remark = plan.remark().map(str::to_owned);
        Self::of(store, plan, question).map_err(|error| match (error, remark) {
            (QuestionError::Filter(FilterError::UnknownColumn { name, .. }), Some(reason))
                if Scale::ALL.iter().any(|scale| name.ends_with(scale.ending())) =>
            {
                QuestionError::NeedsReference { name, reason }
            }
            (error, _) => error,
        })
    }

    fn of(store: &Store, mut plan: QueryPlan, question: Question) -> Result<Self, QuestionError> {
        let Question { table, filter, wide, columns, targets, top, sort, limit, .. } = question;
        let has_targets =
            table == Table::Effects || plan.tracks.iter().any(|track| track.list_length(table).is_some());
        if (!targets.is_empty() || top.is_some()) && !has_targets {
            return Err(QuestionError::NoTargets);
        }
        if wide && table != Table::Scores {
            return Err(QuestionError::Wide { table });
        }
        let form = match (wide, has_targets) {
            (true, _) => Form::Wide,
            (false, true) => Form::Targets,
            (false, false) => Form::Long,
        };
        let mut filter = filter;
        let whole = match form {
            Form::Wide => {
                let schema = wide_schema(&plan.tracks);
                if let Some(filter) = &filter {
                    filter.bind(&schema, store.assembly())?;
                }
                schema
            }
            Form::Targets => {
                let kinds = columns.iter().filter(|name| !is_key(name)).cloned().collect();
                plan = plan.with_effects(&EffectOptions { columns: kinds, targets, top })?;
                let rows = EffectRows::new(&plan, top, filter.as_ref())?;
                SchemaRef::clone(rows.schema())
            }
            Form::Long => {
                plan = reading(plan, &columns, &sort, filter.as_ref(), store.assembly())?;
                if let Some(filter) = filter.take() {
                    plan = plan.with_filter(&filter)?;
                }
                SchemaRef::clone(plan.schema())
            }
        };
        let sort = sort
            .iter()
            .map(|key| Ok((sortable(&key.column, &whole)?, key.descending)))
            .collect::<Result<Vec<_>, FilterError>>()?;
        let columns = if columns.is_empty() { None } else { Some(leaving(&columns, &whole)?) };
        let schema = match &columns {
            Some(columns) => Arc::new(whole.project(columns).map_err(StoreError::from)?),
            None => SchemaRef::clone(&whole),
        };
        let limit = limit.unwrap_or(usize::MAX);
        let by_track = if form == Form::Wide { plan.by_track() } else { Vec::new() };
        Ok(Self { plan, by_track, form, filter, top, schema, columns, sort, limit })
    }

    /// The schema of its batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What will be known, once its rows were seen, of the variants that were asked for.
    #[must_use]
    pub fn unseen(&self) -> Unseen {
        Unseen::new(&self.plan)
    }

    /// What is read.
    #[must_use]
    pub fn plan(&self) -> &QueryPlan {
        &self.plan
    }

    /// Its rows. Each batch of all its columns, before rows are sorted and counted, is shown to `seen`.
    ///
    /// # Errors
    /// When the names of the targets cannot be read, or rows are to be sorted and cannot be read or are too many.
    pub fn rows<'a>(&'a self, mut seen: impl FnMut(&RecordBatch) + 'a) -> Result<Batches<'a>, QuestionError> {
        let rows: Batches<'a> = match self.form {
            Form::Long => Box::new(self.plan.rows()),
            Form::Wide => {
                let rows = WideRows::new(&self.plan, &self.by_track);
                match &self.filter {
                    Some(filter) => Box::new(rows.with_filter(filter, self.plan.store().assembly())?),
                    None => Box::new(rows),
                }
            }
            Form::Targets => Box::new(EffectRows::new(&self.plan, self.top, self.filter.as_ref())?),
        };
        let rows = rows.inspect(move |batch| batch.iter().for_each(&mut seen));
        let rows: Batches<'a> = if self.sort.is_empty() {
            Box::new(rows)
        } else {
            let sorted = sorted(rows, self.plan.store(), &self.sort, self.limit)?;
            Box::new(sorted.into_iter().map(Ok))
        };
        let mut left = self.limit;
        let limited = rows.map_while(move |batch| {
            let Ok(batch) = batch else { return Some(batch) };
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            (batch.num_rows() > 0).then_some(Ok(batch))
        });
        let Some(columns) = &self.columns else { return Ok(Box::new(limited)) };
        Ok(Box::new(limited.map(move |batch| Ok(batch?.project(columns)?))))
    }

    /// How many rows there are; where the catalog knows, without reading them.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn count(&self) -> Result<u64, QuestionError> {
        let count = match self.form {
            Form::Long => self.plan.count()?,
            Form::Targets => EffectRows::new(&self.plan, self.top, self.filter.as_ref())?.count()?,
            Form::Wide => {
                let unsorted = Self { sort: Vec::new(), ..self.clone() };
                let mut count = 0;
                for batch in unsorted.rows(|_| {})? {
                    count += batch?.num_rows() as u64;
                }
                count
            }
        };
        Ok(count.min(self.limit as u64))
    }

    /// Whether the batches shown by [`Answer::rows`] are all that there are, however few rows leave.
    #[must_use]
    pub fn shows_all(&self, rows: u64) -> bool {
        !self.sort.is_empty() || rows < self.limit as u64
    }
}

/// Whether a column tells whose row it is.
fn is_key(name: &str) -> bool {
    ANSWER_COLUMNS.contains(&name) || [GENE_COLUMN, LAYER_COLUMN, TARGET_COLUMN].contains(&name)
}

/// The plan without the columns that nobody needs, which are then not read.
fn reading(
    plan: QueryPlan,
    columns: &[String],
    sort: &[SortKey],
    filter: Option<&Filter>,
    assembly: &Assembly,
) -> Result<QueryPlan, QuestionError> {
    if columns.is_empty() {
        return Ok(plan);
    }
    let schema = plan.schema();
    let mut needed: Vec<usize> =
        (0..schema.fields().len()).filter(|index| is_key(schema.field(*index).name())).collect();
    for name in columns.iter().chain(sort.iter().map(|key| &key.column)) {
        needed.push(find(name, schema)?);
    }
    if let Some(filter) = filter {
        needed.extend(filter.bind(schema, assembly)?.columns());
    }
    needed.sort_unstable();
    needed.dedup();
    Ok(plan.projected(&needed)?)
}

/// The columns that `names` ask for, by index.
fn leaving(names: &[String], schema: &SchemaRef) -> Result<Vec<usize>, FilterError> {
    let named = names.iter().map(|name| find(name, schema)).collect::<Result<Vec<_>, _>>()?;
    let key = |index: &usize| is_key(schema.field(*index).name());
    let keys = (0..schema.fields().len()).filter(key).filter(|_| !named.iter().any(key));
    let mut leaving: Vec<usize> = Vec::new();
    for index in keys.chain(named.iter().copied()) {
        if !leaving.contains(&index) {
            leaving.push(index);
        }
    }
    Ok(leaving)
}

fn sortable(name: &str, schema: &Schema) -> Result<usize, FilterError> {
    let index = find(name, schema)?;
    match schema.field(index).data_type() {
        DataType::FixedSizeList(..) => Err(FilterError::NoValue { name: name.to_owned() }),
        _ => Ok(index),
    }
}
