//! Columns aligned for people.

use std::io::Write;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, SchemaRef};

use super::ExportError;
use super::cell::{Cells, visible};
use crate::store::StoreError;

/// Longest text of a cell; alleles of thousands of bases are cut with an ellipsis.
const WIDEST: usize = 40;

/// Widths are settled by the first batch; a wider cell later on pushes its line to the right.
pub(super) fn write(
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let header: Vec<String> =
        schema.fields().iter().map(|field| visible(field.name()).into_owned()).collect();
    // Relative positions of gene effects are whole numbers.
    let whole: Vec<bool> = schema.fields().iter().map(|field| field.name().ends_with("_position")).collect();
    let mut widths: Option<Vec<usize>> = None;
    for batch in rows {
        let batch = batch?;
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::new).collect();
        let right: Vec<bool> = columns.iter().map(|column| !column.is_text()).collect();
        let lines: Vec<Vec<String>> = (0..batch.num_rows())
            .map(|row| columns.iter().zip(&whole).map(|(column, whole)| cell(column, row, *whole)).collect())
            .collect();
        let widths = if let Some(widths) = &widths {
            widths
        } else {
            let settled: Vec<usize> = (0..header.len())
                .map(|index| lines.iter().chain([&header]).map(|line| line[index].chars().count()).max())
                .map(Option::unwrap_or_default)
                .collect();
            write_line(out, &header, &settled, &right)?;
            widths.insert(settled)
        };
        for line in &lines {
            write_line(out, line, widths, &right)?;
        }
    }
    if widths.is_none() {
        writeln!(out, "{}", header.join("  "))?;
    }
    Ok(())
}

fn cell(column: &Cells<'_>, row: usize, whole: bool) -> String {
    match column {
        Cells::Score(values) if whole && !column.is_missing(row) && values.value(row).fract() == 0.0 => {
            values.value(row).to_string()
        }
        Cells::Score(values) if !column.is_missing(row) => rounded(values.value(row)),
        Cells::Score(_) => "-".to_owned(),
        Cells::Embedding(_) | Cells::Text(_) if column.is_missing(row) => "-".to_owned(),
        Cells::Embedding(values) => {
            let first: Vec<String> = values
                .value(row)
                .as_primitive::<Float32Type>()
                .values()
                .iter()
                .take(3)
                .map(|value| rounded(*value))
                .collect();
            format!("[{}, …]", first.join(", "))
        }
        Cells::Integer(values) => values.value(row).to_string(),
        Cells::Text(_) | Cells::Name(..) => {
            let text = visible(column.text(row));
            if text.chars().count() <= WIDEST {
                return text.into_owned();
            }
            let cut: String = text.chars().take(WIDEST - 1).collect();
            format!("{cut}…")
        }
    }
}

/// Six digits are what people compare; the exact value is in every other format.
fn rounded(value: f32) -> String {
    if value != 0.0 && !(1e-4..1e6).contains(&value.abs()) {
        format!("{value:.5e}")
    } else {
        format!("{value:.6}")
    }
}

fn write_line(
    out: &mut impl Write,
    cells: &[String],
    widths: &[usize],
    right: &[bool],
) -> std::io::Result<()> {
    let mut line = String::new();
    for ((cell, width), right) in cells.iter().zip(widths).zip(right) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
        if *right {
            line.push_str(&padding);
            line.push_str(cell);
        } else {
            line.push_str(cell);
            line.push_str(&padding);
        }
    }
    writeln!(out, "{}", line.trim_end())
}
