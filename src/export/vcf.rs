//! VCF text: a record per variant, an INFO field per track and score.

use std::io::Write;

use arrow::array::RecordBatch;
use vestore_schema::{Assembly, Position, Track};

use super::ExportError;
use super::cell::{Cells, visible};
use super::info::{self, InfoField};
use crate::narrow::to_u32;
use crate::store::StoreError;

/// Columns of a wide answer before the scores.
const KEYS: usize = 4;

/// Writes `rows`, which are wide, line by line; `record` gets each line with its contig and
/// position.
pub(super) fn write(
    assembly: &Assembly,
    tracks: &[Track],
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut impl LineSink,
) -> Result<(), ExportError> {
    let fields = InfoField::of(tracks);
    let statuses = info::status_ids(tracks, &fields);
    let mut header = String::from("##fileformat=VCFv4.3\n##source=vestore\n");
    header.push_str(&info::contig_lines(assembly));
    let mut prefixes: Vec<String> = Vec::new();
    let mut scores = fields.iter();
    for (track, status) in tracks.iter().zip(&statuses) {
        for field in scores.by_ref().take(track.scores().count()) {
            header.push_str(&field.header());
            prefixes.push(format!("{}=", field.id));
        }
        let description = format!("why track {} has a score or none", track.name);
        header.push_str(&info::header(status, "A", "String", &description));
        prefixes.push(format!("{status}="));
    }
    header.push_str("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n");
    out.header(header.as_bytes())?;
    let mut line = Vec::new();
    for batch in rows {
        let batch = batch?;
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::new).collect();
        for row in 0..batch.num_rows() {
            line.clear();
            for (index, separator) in [(0, "\t"), (1, "\t.\t"), (2, "\t"), (3, "\t.\t.\t")] {
                columns[index].write(row, &mut line);
                line.extend_from_slice(separator.as_bytes());
            }
            let start = line.len();
            for (prefix, column) in prefixes.iter().zip(&columns[KEYS..]) {
                if !column.is_missing(row) {
                    if line.len() > start {
                        line.push(b';');
                    }
                    line.extend_from_slice(prefix.as_bytes());
                    column.write(row, &mut line);
                }
            }
            if line.len() == start {
                line.push(b'.');
            }
            line.push(b'\n');
            let Cells::Integer(positions) = &columns[1] else { continue };
            let length = to_u32(columns[2].text(row).len());
            let position = Position::from_column(positions.value(row));
            out.line(&line, &visible(columns[0].text(row)), position, length)?;
        }
    }
    Ok(())
}

/// Where lines go: as they are, or also into an index.
pub(super) trait LineSink {
    /// Takes lines before the first record.
    fn header(&mut self, text: &[u8]) -> std::io::Result<()>;
    /// Takes one line with its end: a record of `length` bases from `position` of `contig` on.
    fn line(&mut self, line: &[u8], contig: &str, position: Position, length: u32) -> std::io::Result<()>;
}

/// Lines as they are.
pub(super) struct Plain<'a, W>(pub(super) &'a mut W);

impl<W: Write> LineSink for Plain<'_, W> {
    fn header(&mut self, text: &[u8]) -> std::io::Result<()> {
        self.0.write_all(text)
    }

    fn line(&mut self, line: &[u8], _: &str, _: Position, _: u32) -> std::io::Result<()> {
        self.0.write_all(line)
    }
}
