//! Tab-separated text.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use vestore_schema::Position;

use super::ExportError;
use super::cell::{Cells, visible};
use super::vcf::LineSink;
use crate::store::StoreError;

pub(super) fn write(
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    out.write_all(header(schema).as_bytes())?;
    let mut text = Vec::new();
    for batch in rows {
        let batch = batch?;
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::new).collect();
        text.clear();
        for row in 0..batch.num_rows() {
            append(&columns, row, &mut text);
        }
        out.write_all(&text)?;
    }
    Ok(())
}

/// As [`write`], with `#` before the header line: `tabix -h` prints it then.
pub(super) fn write_indexed(
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut impl LineSink,
) -> Result<(), ExportError> {
    out.header(format!("#{}", header(schema)).as_bytes())?;
    let mut line = Vec::new();
    for batch in rows {
        let batch = batch?;
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::new).collect();
        let [contigs, Cells::Integer(positions), ..] = columns.as_slice() else { continue };
        for row in 0..batch.num_rows() {
            line.clear();
            append(&columns, row, &mut line);
            let position = Position::from_column(positions.value(row));
            out.line(&line, &visible(contigs.text(row)), position, 1)?;
        }
    }
    Ok(())
}

fn header(schema: &SchemaRef) -> String {
    let names: Vec<_> = schema.fields().iter().map(|field| visible(field.name())).collect();
    names.join("\t") + "\n"
}

fn append(columns: &[Cells<'_>], row: usize, text: &mut Vec<u8>) {
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            text.push(b'\t');
        }
        column.write(row, text);
    }
    text.push(b'\n');
}
