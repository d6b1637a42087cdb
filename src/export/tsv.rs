//! Tab-separated text.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::ExportError;
use super::cell::Cells;
use crate::store::StoreError;

pub(super) fn write(
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let header: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    writeln!(out, "{}", header.join("\t"))?;
    let mut text = Vec::new();
    for batch in rows {
        let batch = batch?;
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::new).collect();
        text.clear();
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    text.push(b'\t');
                }
                column.write(row, &mut text);
            }
            text.push(b'\n');
        }
        out.write_all(&text)?;
    }
    Ok(())
}
