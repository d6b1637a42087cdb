//! What is shown of one variant at a time: ablation, effects on targets, gene effects.

use arrow::array::RecordBatch;
use vestore_schema::{GENE_COLUMN, Region, TARGET_COLUMN, Table, Track};

use super::ViewError;
use super::document::{Detail, DetailColumn, Numbers, Texts};
use super::rows::Gathered;
use crate::narrow::to_u32;
use crate::query::{Answer, AnswerRows, Places, Question, is_effect};
use crate::store::Store;

/// The most rows of one table of one track; beyond that they are left out, which the page says.
const MOST_ROWS: usize = 100_000;
/// The most variants whose rows are looked for: each has rows for all layers or targets.
const MOST_VARIANTS: usize = 20_000;
/// Targets of each variant, those with the largest effects.
const TARGETS: usize = 10;

/// The details of the tracks of `gathered`: of ablation the `columns` shown.
pub(super) fn read(
    store: &Store,
    region: Region,
    gathered: &Gathered,
    columns: &[String],
) -> Result<Vec<Detail>, ViewError> {
    let mut details = Vec::new();
    for rows in &gathered.tracks {
        let track = &rows.track;
        let mut tables = vec![(Table::Ablation, columns.to_vec())];
        tables[0].1.retain(|column| track.columns.contains(column));
        if track.effect_columns.iter().any(|kind| is_effect(kind)) {
            tables.push((Table::Effects, Vec::new()));
        }
        if !track.gene_columns.is_empty() {
            tables.push((Table::GeneEffects, Vec::new()));
        }
        for (table, columns) in tables {
            details.extend(table_of(store, region, gathered, track, table, columns)?);
        }
    }
    Ok(details)
}

/// The rows of one table; none where it has none.
fn table_of(
    store: &Store,
    region: Region,
    gathered: &Gathered,
    track: &Track,
    table: Table,
    columns: Vec<String>,
) -> Result<Option<Detail>, ViewError> {
    let places = Places { regions: vec![region], asked: true, ..Places::default() };
    let top = track.list_length(table).map(|_| TARGETS);
    let question =
        Question { places, tracks: vec![track.name.clone()], table, columns, top, ..Question::default() };
    let answer = Answer::new(store, question)?;
    if answer.plan().parts.is_empty() {
        return Ok(None);
    }
    let numbers: Vec<String> = track
        .columns_of(table)
        .iter()
        .filter(|name| answer.schema().field_with_name(name).is_ok())
        .cloned()
        .collect();
    let mut detail = Detail {
        track: track.name.clone(),
        table: table.as_str(),
        left_out: None,
        variant: Vec::new(),
        layer: Vec::new(),
        gene: Vec::new(),
        target: Vec::new(),
        names: Texts::default(),
        columns: numbers.into_iter().map(|name| DetailColumn { name, values: Numbers::default() }).collect(),
    };
    if gathered.variants.len() > MOST_VARIANTS {
        let reason = format!("the view has more than {MOST_VARIANTS} variants; choose a smaller region");
        detail.left_out = Some(reason);
        return Ok(Some(detail));
    }
    for batch in answer.rows(|_| {})? {
        add(&mut detail, gathered, &batch?, table);
        if detail.variant.len() > MOST_ROWS {
            let reason = format!("more than {MOST_ROWS} rows; choose a smaller region");
            detail = Detail { left_out: Some(reason), ..emptied(detail) };
            break;
        }
    }
    Ok((detail.left_out.is_some() || !detail.variant.is_empty()).then_some(detail))
}

fn emptied(detail: Detail) -> Detail {
    let columns = detail.columns.into_iter();
    let columns = columns.map(|column| DetailColumn { values: Numbers::default(), ..column });
    Detail {
        variant: Vec::new(),
        layer: Vec::new(),
        gene: Vec::new(),
        target: Vec::new(),
        names: Texts::default(),
        columns: columns.collect(),
        ..detail
    }
}

fn add(detail: &mut Detail, gathered: &Gathered, batch: &RecordBatch, table: Table) {
    let rows = AnswerRows::of(batch);
    let has = |column: &str| batch.column_by_name(column).is_some();
    let (of_genes, of_targets) = (has(GENE_COLUMN), has(TARGET_COLUMN));
    for row in 0..batch.num_rows() {
        let (reference, alternate) = rows.keys.alleles(row);
        let one_based = u32::try_from(rows.keys.position(row).one_based()).unwrap_or(u32::MAX);
        // A variant without a score of the chosen tracks is not in the view.
        let Some(variant) = gathered.variants.find((one_based, reference, alternate)) else { continue };
        let target = if of_targets { rows.target(row) } else { "" };
        if of_targets && target.is_empty() {
            continue;
        }
        detail.variant.push(to_u32(variant));
        if table == Table::Ablation {
            detail.layer.push(rows.keys.layer(row));
        }
        if of_genes {
            let gene = detail.names.number(rows.keys.gene(row));
            detail.gene.push(gene);
        }
        if of_targets {
            let target = detail.names.number(target);
            detail.target.push(target);
        }
        for column in &mut detail.columns {
            column.values.0.push(rows.score(&column.name, row).map_or(f64::NAN, Numbers::of_score));
        }
    }
}
