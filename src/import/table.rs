//! Rows of a Parquet file.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, UInt64Type};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{Block, ImportError, key_columns};

/// Rows of one block.
const BLOCK_ROWS: usize = 64 << 10;

pub(super) struct ParquetBlocks {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    keys: [String; 4],
    pub(super) columns: Vec<(String, String)>,
}

impl ParquetBlocks {
    pub(super) fn open(path: &Path, columns: &[(String, String)]) -> Result<Self, ImportError> {
        let read = |source| ImportError::Read { path: path.into(), source };
        let failed = |source| ImportError::Parquet { path: path.into(), source };
        let file = File::open(path).map_err(read)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        let fields = builder.schema().fields().clone();
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let keys = key_columns(path, &names)?;
        let columns = if columns.is_empty() {
            let numbers = fields.iter().enumerate().filter(|(index, field)| {
                let kind = field.data_type();
                !keys.contains(index) && (kind.is_floating() || kind.is_integer())
            });
            numbers.map(|(_, field)| (field.name().clone(), field.name().clone())).collect()
        } else {
            columns.to_vec()
        };
        if columns.is_empty() {
            return Err(ImportError::NoScores { path: path.into() });
        }
        if let Some((_, missing)) = columns.iter().find(|(_, from)| !names.contains(from)) {
            return Err(ImportError::NoColumn {
                path: path.into(),
                wanted: format!("`{missing}`"),
                known: names,
            });
        }
        let wanted = names
            .iter()
            .enumerate()
            .filter(|(index, name)| keys.contains(index) || columns.iter().any(|(_, from)| from == *name));
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.map(|(index, _)| index));
        let reader = builder.with_projection(mask).with_batch_size(BLOCK_ROWS).build().map_err(failed)?;
        Ok(Self { path: path.into(), reader, keys: keys.map(|index| names[index].clone()), columns })
    }

    pub(super) fn next(&mut self) -> Result<Option<Block>, ImportError> {
        let failed = |source| ImportError::Arrow { path: self.path.clone(), source };
        // The library panics over some damaged pages; the import ends here, so nobody meets what it left.
        let read = catch_unwind(AssertUnwindSafe(|| self.reader.next().transpose())).unwrap_or_else(|_| {
            let problem = "damaged pages, over which its reader gave up; write the file anew";
            Err(ArrowError::ParquetError(problem.to_owned()))
        });
        let Some(batch) = read.map_err(failed)? else { return Ok(None) };
        let column = |name: &str, kind: &DataType| -> Result<ArrayRef, ImportError> {
            let missing = || ArrowError::SchemaError(format!("no column `{name}`"));
            let column = batch.column_by_name(name).ok_or_else(missing).map_err(failed)?;
            cast(column, kind).map_err(failed)
        };
        let text = |name: &str| column(name, &DataType::Utf8).map(|column| column.as_string::<i32>().clone());
        let positions = column(&self.keys[1], &DataType::UInt64)?;
        let keys = [text(&self.keys[0])?, text(&self.keys[2])?, text(&self.keys[3])?];
        for (array, name) in keys.iter().zip([&self.keys[0], &self.keys[2], &self.keys[3]]) {
            if array.null_count() > 0 {
                return Err(failed(ArrowError::ParseError(format!("column `{name}` has missing values"))));
            }
        }
        if positions.null_count() > 0 {
            let name = &self.keys[1];
            let problem = format!("column `{name}` has values that are missing or no positions");
            return Err(failed(ArrowError::ParseError(problem)));
        }
        let values = self
            .columns
            .iter()
            .map(|(_, from)| column(from, &DataType::Float32))
            .map(|column| column.map(|column| column.as_primitive::<Float32Type>().clone()))
            .collect::<Result<_, _>>()?;
        let [contigs, references, alternates] = keys;
        Ok(Some(Block {
            contigs: runs(&contigs),
            positions: positions.as_primitive::<UInt64Type>().values().to_vec(),
            references,
            alternates,
            values,
        }))
    }
}

/// Each name with the number of rows that it stands in one after the other.
fn runs(names: &StringArray) -> Vec<(String, usize)> {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for name in names.iter().flatten() {
        match runs.last_mut() {
            Some((last, count)) if last == name => *count += 1,
            _ => runs.push((name.to_owned(), 1)),
        }
    }
    runs
}
