//! A spreadsheet: one sheet, a line of names that stays in view, numbers as numbers.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, Worksheet, XlsxError};

use super::ExportError;
use super::cell::{Cells, visible};
use crate::store::StoreError;

/// What programs for spreadsheets open.
const MOST_ROWS: u32 = 1_048_576;
const MOST_COLUMNS: u16 = 16_384;

pub(super) fn write(
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut (impl Write + Send),
) -> Result<(), ExportError> {
    let mut book = Workbook::new();
    // The same rows are the same bytes.
    let time = ExcelDateTime::from_ymd(1980, 1, 1).map_err(failed)?;
    book.set_properties(&DocProperties::new().set_creation_datetime(&time));
    let sheet = book.add_worksheet_with_constant_memory().map_err(failed)?;
    sheet.set_name("vestore").and_then(|sheet| sheet.set_freeze_panes(1, 0)).map_err(failed)?;
    for (place, field) in (0..).zip(schema.fields()) {
        if place == MOST_COLUMNS {
            return Err(ExportError::Sheet { what: "it has more than 16,384 columns" });
        }
        sheet.write_string(0, place, visible(field.name())).map_err(failed)?;
    }
    fill(sheet, rows)?;
    book.save_to_writer(out).map_err(failed)
}

fn fill(
    sheet: &mut Worksheet,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
) -> Result<(), ExportError> {
    let (mut line, mut cell) = (0, Vec::new());
    for batch in rows {
        let batch = batch?;
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::new).collect();
        for row in 0..batch.num_rows() {
            line += 1;
            if line == MOST_ROWS {
                return Err(ExportError::Sheet { what: "it has more than 1,048,575 rows" });
            }
            for (place, column) in (0..).zip(&columns) {
                if column.is_missing(row) {
                    continue;
                }
                cell.clear();
                column.write(row, &mut cell);
                let value = String::from_utf8_lossy(&cell);
                match column {
                    // The number that is written, which float32 as float64 is not.
                    Cells::Integer(_) | Cells::Score(_) | Cells::Scale(_) => match value.parse::<f64>() {
                        Ok(number) => sheet.write_number(line, place, number),
                        Err(_) => sheet.write_string(line, place, value),
                    },
                    Cells::Text(_) | Cells::Name(..) | Cells::Embedding(_) => {
                        sheet.write_string(line, place, value)
                    }
                }
                .map_err(failed)?;
            }
        }
    }
    Ok(())
}

fn failed(error: XlsxError) -> ExportError {
    match error {
        XlsxError::MaxStringLengthExceeded => {
            ExportError::Sheet { what: "a cell has more than 32,767 characters" }
        }
        XlsxError::IoError(error) => ExportError::Io(error),
        error => ExportError::Io(io::Error::other(error)),
    }
}
