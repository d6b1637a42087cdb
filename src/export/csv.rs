//! Comma-separated text, as RFC 4180 says: cells with commas, quotes or line ends are quoted, and a quote within is
//! doubled. Lines end with a line feed alone.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::ExportError;
use super::cell::{Cells, visible};
use crate::store::StoreError;

pub(super) fn write(
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let mut text = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        quote(visible(field.name()).as_bytes(), &mut text);
    }
    text.push(b'\n');
    out.write_all(&text)?;
    let mut cell = Vec::new();
    for batch in rows {
        let batch = batch?;
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::new).collect();
        text.clear();
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                cell.clear();
                column.write(row, &mut cell);
                quote(&cell, &mut text);
            }
            text.push(b'\n');
        }
        out.write_all(&text)?;
    }
    Ok(())
}

/// Appends a cell. What a spreadsheet would take for a formula is quoted too, which keeps its text for every reader; a
/// spreadsheet shows it as text when the column is imported as text.
fn quote(cell: &[u8], out: &mut Vec<u8>) {
    let number = std::str::from_utf8(cell).is_ok_and(|text| text.parse::<f64>().is_ok());
    let formula = matches!(cell.first(), Some(b'=' | b'+' | b'-' | b'@')) && !number;
    if !formula && !cell.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        out.extend_from_slice(cell);
        return;
    }
    out.push(b'"');
    for byte in cell {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let quoted = |cell: &str| {
            let mut out = Vec::new();
            quote(cell.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        for plain in ["", "chr1", "-3.5", "-1e-10", "A", "<DEL>"] {
            assert_eq!(quoted(plain), plain);
        }
        assert_eq!(quoted("[0.1,0.2]"), "\"[0.1,0.2]\"");
        assert_eq!(quoted("a \"b\""), "\"a \"\"b\"\"\"");
        assert_eq!(quoted("=1+1"), "\"=1+1\"");
        assert_eq!(quoted("-x"), "\"-x\"");
    }
}
