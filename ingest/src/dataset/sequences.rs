//! Labelled sequences: rows of a table with a column of bases.

use std::path::Path;

use vestore::{TableRow, TableRows};

use super::labelled::is_missing;
use super::{DatasetError, DatasetInput, Gathered, LabelText, Split};

/// The longest sequence.
const LONGEST: usize = 1_000_000;

/// The columns of a table of sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceColumns {
    /// The bases.
    pub sequence: String,
    /// The class, or the number.
    pub label: String,
}

/// Reads the rows of `path`, and their splits when `split` names a column.
pub(super) fn read(
    path: &Path,
    columns: &SequenceColumns,
    split: Option<&str>,
    gathered: &mut Gathered,
) -> Result<(), DatasetError> {
    let wanted: Vec<&str> =
        [columns.sequence.as_str(), columns.label.as_str()].into_iter().chain(split).collect();
    let mut rows = TableRows::open(path, &wanted)?;
    let mut row = TableRow::default();
    while rows.read(&mut row)? {
        gathered.counts.rows.variants += 1;
        let label = row.values[1].clone();
        if is_missing(&label) {
            gathered.counts.rows.unlabelled += 1;
            continue;
        }
        let bases = bases(&row.values[0]).map_err(|problem| DatasetError::Sequence {
            path: path.into(),
            line: row.line,
            value: row.values[0].chars().take(40).collect(),
            problem,
        })?;
        let split = split.map(|name| Split::read(path, row.line, name, &row.values[2])).transpose()?;
        gathered.labels.push(LabelText::Text(label), row.line);
        gathered.inputs.push(DatasetInput::Sequence(bases));
        gathered.splits.extend(split);
    }
    Ok(())
}

/// Upper-case bases, N for letters that are none of A, C, G, T.
fn bases(text: &str) -> Result<Vec<u8>, &'static str> {
    if text.is_empty() {
        return Err("is empty; give bases or leave the row out");
    }
    if text.len() > LONGEST {
        return Err("is longer than 1,000,000 bases; cut it");
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err("is not DNA; name the column of the bases");
    }
    let known = |byte: u8| match byte.to_ascii_uppercase() {
        base @ (b'A' | b'C' | b'G' | b'T') => base,
        _ => b'N',
    };
    Ok(text.bytes().map(known).collect())
}
