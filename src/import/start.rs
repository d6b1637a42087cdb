//! How a text file begins: comments, the header of a VCF, or the column names of a table.

use std::path::Path;

use super::ImportError;
use super::records::{Cells, Records};
use crate::variants::VariantHeader;

/// What the first lines say of the rest.
pub(super) enum Start {
    /// VCF records follow.
    Vcf(Box<VariantHeader>),
    /// Rows of a table follow.
    Table(Layout),
    /// Nothing follows.
    Nothing,
}

/// The columns of a table.
pub(super) struct Layout {
    /// A tab or a comma.
    pub(super) separator: u8,
    /// A `#` before the first is not part of it.
    pub(super) names: Vec<String>,
}

impl Start {
    /// Takes the lines before the first record or row. `fits` says whether a table can have these columns: it decides
    /// between separators, and whether a line that begins with `#` is the header or a comment.
    pub(super) fn read(records: &mut Records, fits: impl Fn(&[String]) -> bool) -> Result<Self, ImportError> {
        let mut declared = VariantHeader::default();
        loop {
            let Some(line) = records.peek()? else { return Ok(Self::Nothing) };
            if line.starts_with(b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO") {
                records.next()?;
                return Ok(Self::Vcf(Box::new(declared)));
            }
            let hash = line.first() == Some(&b'#');
            if !line.is_empty() && !line.starts_with(b"##") {
                let tabs = line.contains(&b'\t');
                // A name may hold a line end.
                records.quote_if(!tabs && !hash);
                let header = records.next()?.map(|record| record.text).unwrap_or_default();
                let layouts = layouts(header);
                let fitting = layouts.iter().position(|layout| fits(&layout.names));
                let single = layouts.iter().all(|layout| layout.names.len() == 1);
                let comment = hash && (single || header.get(1).is_none_or(u8::is_ascii_whitespace));
                let chosen = match fitting {
                    Some(at) => Some(at),
                    None if comment => None,
                    None => Some(0),
                };
                let separator =
                    chosen.and_then(|at| layouts.get(at)).map_or(b'\t', |layout| layout.separator);
                records.quote_if(separator == b',');
                if let Some(layout) = chosen.and_then(|at| layouts.into_iter().nth(at)) {
                    return Ok(Self::Table(layout));
                }
                continue;
            }
            declared.add(&String::from_utf8_lossy(line));
            records.next()?;
        }
    }
}

/// The columns of a header line, by each separator that stands in it outside quotes; by tabs first.
pub(super) fn layouts(line: &[u8]) -> Vec<Layout> {
    let mut layouts = Vec::new();
    for separator in *b"\t," {
        let mut cells = Cells::default();
        if cells.split(line, separator).is_err() || cells.len() == 1 && separator == b'\t' {
            continue;
        }
        let name = |at: usize| {
            let text = String::from_utf8_lossy(cells.get(line, at));
            let text = if at == 0 { text.trim_start_matches('#') } else { text.as_ref() };
            text.trim().to_owned()
        };
        layouts.push(Layout { separator, names: (0..cells.len()).map(name).collect() });
    }
    if layouts.is_empty() {
        let name = String::from_utf8_lossy(line).trim_start_matches('#').trim().to_owned();
        layouts.push(Layout { separator: b'\t', names: vec![name] });
    }
    layouts
}

impl Layout {
    /// The place of the one column of this name.
    pub(super) fn place(&self, path: &Path, wanted: &str) -> Result<usize, ImportError> {
        column_place(path, &self.names, wanted)
    }

    /// Splits a row into `cells`, as many as the header has names.
    pub(super) fn split(
        &self,
        path: &Path,
        line: u64,
        row: &[u8],
        cells: &mut Cells,
    ) -> Result<(), ImportError> {
        cells
            .split(row, self.separator)
            .map_err(|problem| super::records::malformed(path, line, "text", row, problem))?;
        if cells.len() == self.names.len() {
            return Ok(());
        }
        Err(ImportError::RowLength {
            path: path.into(),
            line,
            found: cells.len(),
            expected: self.names.len(),
        })
    }
}

/// The place of the one column of this name among `names`.
pub(super) fn column_place(path: &Path, names: &[String], wanted: &str) -> Result<usize, ImportError> {
    let mut places = (0..names.len()).filter(|place| names[*place] == wanted);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (Some(_), Some(_)) => Err(ImportError::ColumnTwice { path: path.into(), name: wanted.to_owned() }),
        (None, _) => Err(ImportError::NoColumn {
            path: path.into(),
            wanted: format!("`{wanted}`"),
            known: names.to_vec(),
        }),
    }
}

/// Whether a column holds the numbers of rows rather than data: pandas writes one when nobody says otherwise.
pub(super) fn is_index(name: &str) -> bool {
    name.is_empty() || name.starts_with("__index_level_") || name.starts_with("Unnamed: ")
}
