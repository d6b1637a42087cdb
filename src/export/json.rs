//! A JSON array, one object a line.

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
    let keys: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    let mut text = Vec::new();
    let mut separator = "\n";
    out.write_all(b"[")?;
    for batch in rows {
        let batch = batch?;
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::new).collect();
        text.clear();
        for row in 0..batch.num_rows() {
            text.extend_from_slice(separator.as_bytes());
            separator = ",\n";
            for (index, (key, column)) in keys.iter().zip(&columns).enumerate() {
                text.push(if index == 0 { b'{' } else { b',' });
                text.extend_from_slice(key.as_bytes());
                text.push(b':');
                if column.is_missing(row) {
                    text.extend_from_slice(b"null");
                } else if column.is_text() {
                    text.extend_from_slice(quoted(column.text(row)).as_bytes());
                } else {
                    column.write(row, &mut text);
                }
            }
            text.push(b'}');
        }
        out.write_all(&text)?;
    }
    out.write_all(b"\n]\n")?;
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
