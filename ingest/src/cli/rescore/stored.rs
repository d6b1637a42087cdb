//! What is stored of variants beside their scores.

use std::collections::HashMap;

use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float32Type;
use vestore::{AnswerRows, QueryPlan, Request, Store};
use vestore_schema::{Table, Track, Variant};

/// By kind of effect, a number per target.
pub(super) type Lists = Vec<Vec<Option<f32>>>;

/// The effects of variants on targets.
pub(super) struct Effects(HashMap<Variant, Lists>);

impl Effects {
    pub(super) fn read(store: &Store, track: &Track, variants: &[Variant]) -> anyhow::Result<Self> {
        let mut found = HashMap::new();
        read(store, track, Table::Effects, &track.effect_columns, variants, |rows, batch, row| {
            let lists = lists(batch, &track.effect_columns, row)?;
            found.insert(rows.variant(store, row).context("an unknown contig")?, lists);
            Ok(())
        })?;
        Ok(Self(found))
    }

    /// Those of a variant, if it has a row; a list may be empty.
    pub(super) fn of(&mut self, variant: &Variant) -> Option<Lists> {
        self.0.remove(variant)
    }
}

/// What is stored of a variant in a gene.
pub(super) struct Gene {
    pub(super) name: String,
    /// By gene column, of tracks without targets.
    pub(super) values: Vec<Option<f32>>,
    /// By gene column, of tracks with targets.
    pub(super) lists: Lists,
}

/// The effects of variants in genes.
pub(super) struct GeneEffects(HashMap<Variant, Vec<Gene>>);

impl GeneEffects {
    pub(super) fn read(store: &Store, track: &Track, variants: &[Variant]) -> anyhow::Result<Self> {
        let mut found: HashMap<Variant, Vec<Gene>> = HashMap::new();
        read(store, track, Table::GeneEffects, &track.gene_columns, variants, |rows, batch, row| {
            let (columns, name) = (&track.gene_columns, rows.keys.gene(row).to_owned());
            let (values, lists) = match track.targets {
                Some(_) => (Vec::new(), lists(batch, columns, row)?),
                None => (columns.iter().map(|column| rows.score(column, row)).collect(), Vec::new()),
            };
            // A row without a gene says why there is none.
            if !name.is_empty() {
                let variant = rows.variant(store, row).context("an unknown contig")?;
                found.entry(variant).or_default().push(Gene { name, values, lists });
            }
            Ok(())
        })?;
        Ok(Self(found))
    }

    /// Those of a variant.
    pub(super) fn of(&mut self, variant: &Variant) -> Vec<Gene> {
        self.0.remove(variant).unwrap_or_default()
    }
}

/// The lists of a row in these columns.
fn lists(batch: &RecordBatch, columns: &[String], row: usize) -> anyhow::Result<Lists> {
    let list = |column: &String| {
        let lists = batch.column_by_name(column)?.as_fixed_size_list_opt()?;
        let numbers = lists.is_valid(row).then(|| lists.value(row));
        Some(numbers.map_or_else(Vec::new, |list| list.as_primitive::<Float32Type>().iter().collect()))
    };
    columns.iter().map(list).collect::<Option<_>>().context("effects are not lists; this is a bug")
}

/// Shows the rows of `variants` in a table, unless the track has none of its `columns`.
fn read(
    store: &Store,
    track: &Track,
    table: Table,
    columns: &[String],
    variants: &[Variant],
    mut show: impl FnMut(&AnswerRows<'_>, &RecordBatch, usize) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if columns.is_empty() || variants.is_empty() {
        return Ok(());
    }
    let tracks = vec![track.name.clone()];
    let request = Request { variants: variants.into(), tracks, table, ..Request::default() };
    let plan = QueryPlan::new(store, &request)?;
    let plan = if table == Table::Scores { plan.as_stored() } else { plan };
    for batch in plan.rows() {
        let batch = batch?;
        let rows = AnswerRows::of(&batch);
        (0..batch.num_rows()).try_for_each(|row| show(&rows, &batch, row))?;
    }
    Ok(())
}
