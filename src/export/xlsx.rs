//! A spreadsheet: one sheet, a line of names that stays in view, numbers as numbers.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::ExportError;
use super::cell::{Cells, visible};
use super::zip::Zip;
use crate::markup::escaped;
use crate::store::StoreError;

/// What programs for spreadsheets open.
const MOST_ROWS: u64 = 1_048_576;
const MOST_COLUMNS: usize = 16_384;
const LONGEST_TEXT: usize = 32_767;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
const CONTENT: &str = "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
    <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
    <Override PartName=\"/xl/workbook.xml\" \
    ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml\"/>\
    <Override PartName=\"/xl/worksheets/sheet1.xml\" \
    ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml\"/></Types>";
const ROOT_LINKS: &str = "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
    <Relationship Id=\"rId1\" Target=\"xl/workbook.xml\" \
    Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\"/></Relationships>";
const WORKBOOK: &str = "<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
    xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\">\
    <bookViews><workbookView/></bookViews>\
    <sheets><sheet name=\"vestore\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>";
const BOOK_LINKS: &str = "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
    <Relationship Id=\"rId1\" Target=\"worksheets/sheet1.xml\" \
    Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\"/></Relationships>";
const SHEET: &str = "<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\">\
    <sheetViews><sheetView workbookViewId=\"0\">\
    <pane ySplit=\"1\" topLeftCell=\"A2\" activePane=\"bottomLeft\" state=\"frozen\"/>\
    </sheetView></sheetViews><sheetData>";

pub(super) fn write(
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    if schema.fields().len() > MOST_COLUMNS {
        return Err(ExportError::Sheet { what: "it has more than 16,384 columns" });
    }
    let mut zip = Zip::new(out);
    for (name, text) in [
        ("[Content_Types].xml", CONTENT),
        ("_rels/.rels", ROOT_LINKS),
        ("xl/workbook.xml", WORKBOOK),
        ("xl/_rels/workbook.xml.rels", BOOK_LINKS),
    ] {
        zip.member(name, |out| Ok(write!(out, "{HEAD}{text}")?))?;
    }
    zip.member("xl/worksheets/sheet1.xml", |out| sheet(schema, rows, out))?;
    zip.finish()
}

fn sheet(
    schema: &SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let mut line = format!("{HEAD}{SHEET}<row>");
    for field in schema.fields() {
        text(&visible(field.name()), &mut line)?;
    }
    line.push_str("</row>");
    out.write_all(line.as_bytes())?;
    let mut count = 1;
    let mut cell = Vec::new();
    for batch in rows {
        let batch = batch?;
        count += batch.num_rows() as u64;
        if count > MOST_ROWS {
            return Err(ExportError::Sheet { what: "it has more than 1,048,575 rows" });
        }
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::new).collect();
        for row in 0..batch.num_rows() {
            line.clear();
            line.push_str("<row>");
            for column in &columns {
                cell.clear();
                column.write(row, &mut cell);
                let value = String::from_utf8_lossy(&cell);
                match column {
                    _ if column.is_missing(row) => line.push_str("<c/>"),
                    Cells::Integer(_) | Cells::Score(_) => {
                        line.push_str("<c><v>");
                        line.push_str(&value);
                        line.push_str("</v></c>");
                    }
                    Cells::Text(_) | Cells::Name(..) | Cells::Embedding(_) => text(&value, &mut line)?,
                }
            }
            line.push_str("</row>");
            out.write_all(line.as_bytes())?;
        }
    }
    Ok(out.write_all(b"</sheetData></worksheet>")?)
}

/// Appends a cell with text, which no spreadsheet takes for a formula.
fn text(value: &str, line: &mut String) -> Result<(), ExportError> {
    if value.encode_utf16().count() > LONGEST_TEXT {
        return Err(ExportError::Sheet { what: "a cell has more than 32,767 characters" });
    }
    line.push_str("<c t=\"inlineStr\"><is><t xml:space=\"preserve\">");
    line.push_str(&escaped(value));
    line.push_str("</t></is></c>");
    Ok(())
}
