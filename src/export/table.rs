//! Columns aligned for people.

use std::io::Write;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, SchemaRef};

use super::ExportError;
use super::cell::{Cells, visible};
use crate::store::StoreError;

/// Longest text of a cell; alleles of thousands of bases are cut with an ellipsis.
const WIDEST: usize = 40;

/// Fewest letters that are left of a text where a line is too long.
const NARROWEST: usize = 8;

/// Letters of what stands for the columns that are left out, such as `…12 more`.
const MORE: usize = 9;

/// Widths are settled by the first batch; a wider cell later on pushes its line to the right. Where lines are longer
/// than `width`, texts are cut, the longest first; then the last columns are left out, and the header says how many.
pub(super) fn write(
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    width: Option<usize>,
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
            let settled = match width {
                Some(width) => fitting(settled, &header, &right, width),
                None => settled,
            };
            let mut names = header[..settled.len()].to_vec();
            if settled.len() < header.len() {
                names.push(format!("…{} more", header.len() - settled.len()));
            }
            write_line(out, &names, &[&settled[..], &[0]].concat(), &right)?;
            widths.insert(settled)
        };
        for mut line in lines {
            if width.is_some() {
                let texts = line.iter_mut().zip(widths).zip(&right).filter(|(_, right)| !**right);
                texts.for_each(|((cell, width), _)| cut(cell, *width));
            }
            write_line(out, &line, widths, &right)?;
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
        Cells::Scale(values) if !column.is_missing(row) => format!("{:.4}", values.value(row)),
        Cells::Score(_) | Cells::Scale(_) => "-".to_owned(),
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
            let mut text = visible(column.text(row)).into_owned();
            cut(&mut text, WIDEST);
            text
        }
    }
}

/// Cuts `text` to `most` letters, of which the last is an ellipsis.
fn cut(text: &mut String, most: usize) {
    if text.chars().count() > most {
        *text = text.chars().take(most.saturating_sub(1)).chain(['…']).collect();
    }
}

/// `widths` with those of texts reduced until a line fits into `width`, as far as names of columns allow; where it
/// still does not, without the last columns.
fn fitting(mut widths: Vec<usize>, header: &[String], right: &[bool], width: usize) -> Vec<usize> {
    let line = |widths: &[usize]| widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    while line(&widths) > width {
        let least = |column: usize| header[column].chars().count().max(NARROWEST);
        let texts = (0..widths.len()).filter(|column| !right[*column] && widths[*column] > least(*column));
        let Some(widest) = texts.max_by_key(|column| widths[*column]) else { break };
        widths[widest] -= 1;
    }
    if line(&widths) > width {
        while widths.len() > 1 && line(&widths) + 2 + MORE > width {
            widths.pop();
        }
    }
    widths
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_for_the_terminal_and_numbers_are_not() {
        let header = ["contig", "reference", "track", "llr"].map(str::to_owned);
        let right = [false, false, false, true];
        let widths = |width| fitting(vec![6, 40, 30, 12], &header, &right, width);
        assert_eq!(widths(200), [6, 40, 30, 12]);
        assert_eq!(widths(74), [6, 25, 25, 12]);
        assert_eq!(widths(41), [6, 9, 8, 12], "names of columns stay");
        assert_eq!(widths(40), [6, 9, 8], "and the last ones make room for the number of those left out");
        assert_eq!(widths(5), [6]);
        let mut text = "ACGTACGT".to_owned();
        cut(&mut text, 8);
        assert_eq!(text, "ACGTACGT");
        cut(&mut text, 4);
        assert_eq!(text, "ACG…");
    }
}
