//! Rows of a Parquet file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type, UInt64Type};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::cell::{one_based, score, whole};
use super::keys::KeyColumns;
use super::pages::Pages;
use super::start::{column_place, is_index};
use super::{Block, ImportError, Source};
use crate::narrow::{to_index, to_u32};
use crate::query::guarded;
use crate::reference::printable;
use crate::variants::too_many_alleles;

/// Rows of one block.
const BLOCK_ROWS: usize = 64 << 10;
/// Bytes that the reference alleles of one block may take, beyond those of one row, where each alternate of a list gets
/// one.
const BLOCK_BYTES: usize = 64 << 20;

pub(super) struct ParquetBlocks {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    keys: [String; 4],
    pub(super) columns: Vec<(String, String)>,
    /// Rows taken so far.
    rows: u64,
    /// Rows that are read and not yet taken.
    waiting: Option<RecordBatch>,
    /// Bytes of one block, as [`BLOCK_BYTES`].
    most_bytes: usize,
}

impl ParquetBlocks {
    /// Reads `columns`, or without them all columns of numbers.
    pub(super) fn open(
        source: &Source,
        keys: &KeyColumns,
        columns: Option<&[(String, String)]>,
    ) -> Result<Self, ImportError> {
        let path = source.path.as_path();
        let failed = |source| ImportError::Parquet { path: path.into(), source };
        let file = Pages(source.file()?);
        let builder = guarded(|| ParquetRecordBatchReaderBuilder::try_new(file)).map_err(failed)?;
        let fields = builder.schema().fields().clone();
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let keys = keys.places(path, &names)?;
        let given = columns.is_some();
        let columns = if let Some(columns) = columns {
            columns.to_vec()
        } else {
            let numbers = fields.iter().enumerate().filter(|(index, field)| {
                let kind = field.data_type();
                let number = kind.is_floating() || kind.is_integer() || is_decimal(kind);
                number && !keys.contains(index) && !is_index(field.name())
            });
            numbers.map(|(_, field)| (field.name().clone(), field.name().clone())).collect()
        };
        if columns.is_empty() && !given {
            let mut others = fields.iter().enumerate();
            let nearest = others.find(|(index, field)| !keys.contains(index) && !is_index(field.name()));
            let nearest = nearest.map(|(_, field)| {
                format!(": the nearest is `{}`, whose type is {}", field.name(), field.data_type())
            });
            return Err(ImportError::NoScores { path: path.into(), nearest: nearest.unwrap_or_default() });
        }
        for (_, from) in &columns {
            column_place(path, &names, from)?;
        }
        let wanted = names
            .iter()
            .enumerate()
            .filter(|(index, name)| keys.contains(index) || columns.iter().any(|(_, from)| from == *name));
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.map(|(index, _)| index));
        let builder = builder.with_projection(mask).with_batch_size(BLOCK_ROWS);
        let reader = guarded(|| builder.build()).map_err(failed)?;
        let keys = keys.map(|index| names[index].clone());
        let (path, waiting, most_bytes) = (path.into(), None, BLOCK_BYTES);
        Ok(Self { path, reader, keys, columns, rows: 0, waiting, most_bytes })
    }

    fn read(&mut self) -> Result<Option<RecordBatch>, ImportError> {
        // The library panics over some damaged pages; the import ends here, so nobody meets what it left.
        let read = catch_unwind(AssertUnwindSafe(|| self.reader.next().transpose())).unwrap_or_else(|_| {
            let problem = "damaged pages, over which its reader gave up; write the file anew";
            Err(ArrowError::ParquetError(problem.to_owned()))
        });
        read.map_err(|source| ImportError::Arrow { path: self.path.clone(), source })
    }

    /// Of how many rows of `batch`, from the first on, the reference alleles fit in a block, one for each alternate.
    fn fitting(&self, batch: &RecordBatch) -> Result<usize, ImportError> {
        let alternates = self.column(batch, &self.keys[3])?;
        let Some(lists) = Lists::of(&alternates) else { return Ok(batch.num_rows()) };
        let lines: Vec<u64> = (self.rows + 1..=self.rows + batch.num_rows() as u64).collect();
        let references = self.text(batch, &self.keys[2], &lines)?;
        let mut bytes = 0_usize;
        for (row, line) in lines.iter().enumerate() {
            let (reference, count) = (references.value(row), lists.length(row));
            if let Some(problem) = too_many_alleles(reference.len(), 0, count) {
                return Err(self.wrong(*line, &self.keys[2], reference, problem));
            }
            bytes += reference.len() * count;
            if bytes > self.most_bytes && row > 0 {
                return Ok(row);
            }
        }
        Ok(batch.num_rows())
    }

    pub(super) fn next(&mut self) -> Result<Option<Block>, ImportError> {
        let batch = match self.waiting.take() {
            Some(batch) => batch,
            None => match self.read()? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        let fitting = self.fitting(&batch)?;
        if fitting < batch.num_rows() {
            self.waiting = Some(batch.slice(fitting, batch.num_rows() - fitting));
        }
        let batch = batch.slice(0, fitting);
        let lines: Vec<u64> = (self.rows + 1..=self.rows + batch.num_rows() as u64).collect();
        self.rows += batch.num_rows() as u64;
        let contigs = self.text(&batch, &self.keys[0], &lines)?;
        let one_based = self.one_based(&batch, &lines)?;
        let references = self.text(&batch, &self.keys[2], &lines)?;
        let alternates = self.column(&batch, &self.keys[3])?;
        let mut values = Vec::with_capacity(self.columns.len());
        let Some(lists) = Lists::of(&alternates) else {
            let alternates = self.text(&batch, &self.keys[3], &lines)?;
            for (_, from) in &self.columns {
                let column = self.column(&batch, from)?;
                // A list of one score is that score.
                let column = match Lists::of(&column) {
                    None => column,
                    Some(lists) => self.each(&lists, from, &lines, &vec![1; lines.len()])?,
                };
                values.push(self.scores(&column, from, &lines)?);
            }
            let contigs = runs(&contigs);
            return Ok(Some(Block {
                contigs,
                lines,
                one_based,
                references,
                alternates,
                values,
                unplaced: 0,
            }));
        };
        // A row for each alternate of the lists.
        let counts: Vec<usize> = (0..lines.len()).map(|row| lists.length(row)).collect();
        if let Some(row) = counts.iter().position(|count| *count == 0) {
            return Err(self.wrong(lines[row], &self.keys[3], "[]", "is missing"));
        }
        let from: Vec<u32> =
            (0..lines.len()).flat_map(|row| std::iter::repeat_n(to_u32(row), counts[row])).collect();
        let lines_of: Vec<u64> = from.iter().map(|row| lines[*row as usize]).collect();
        let rows = UInt32Array::from(from.clone());
        let repeated = |array: &dyn Array| {
            take(array, &rows, None).map_err(|source| ImportError::Arrow { path: self.path.clone(), source })
        };
        for (_, name) in &self.columns {
            let column = self.column(&batch, name)?;
            let column = match Lists::of(&column) {
                Some(lists) => self.each(&lists, name, &lines, &counts)?,
                None => match counts.iter().position(|count| *count > 1) {
                    None => column,
                    Some(row) => {
                        let problem =
                            "is one score of several alternate alleles; write a row for each allele";
                        let value = shown(&column, row);
                        return Err(self.wrong(lines[row], name, &value, problem));
                    }
                },
            };
            values.push(self.scores(&column, name, &lines_of)?);
        }
        let alternates =
            self.texts(&self.each(&lists, &self.keys[3], &lines, &counts)?, &self.keys[3], &lines_of)?;
        Ok(Some(Block {
            contigs: runs(repeated(&contigs)?.as_string()),
            one_based: from.iter().map(|row| one_based[*row as usize]).collect(),
            references: repeated(&references)?.as_string().clone(),
            lines: lines_of,
            alternates,
            values,
            unplaced: 0,
        }))
    }

    fn column(&self, batch: &RecordBatch, name: &str) -> Result<ArrayRef, ImportError> {
        let arrow = |source| ImportError::Arrow { path: self.path.clone(), source };
        let column = batch.column_by_name(name);
        let column = column.ok_or_else(|| arrow(ArrowError::SchemaError(format!("no column `{name}`"))))?;
        match column.data_type() {
            DataType::Dictionary(_, values) => cast(column, values).map_err(arrow),
            _ => Ok(column.clone()),
        }
    }

    /// A column of text: contig or alleles.
    fn text(&self, batch: &RecordBatch, name: &str, lines: &[u64]) -> Result<StringArray, ImportError> {
        self.texts(&self.column(batch, name)?, name, lines)
    }

    fn texts(&self, column: &ArrayRef, name: &str, lines: &[u64]) -> Result<StringArray, ImportError> {
        let kind = column.data_type();
        if !(kind.is_string() || kind.is_integer() || matches!(kind, DataType::Binary | DataType::Null)) {
            return Err(self.wrong(1, name, &kind.to_string(), "is the type of the column; expected text"));
        }
        let column = cast(column, &DataType::Utf8);
        let column = column.map_err(|source| ImportError::Arrow { path: self.path.clone(), source })?;
        match (0..column.len()).find(|row| column.is_null(*row)) {
            Some(row) => Err(self.wrong(lines[row], name, "", "is missing")),
            None => Ok(column.as_string::<i32>().clone()),
        }
    }

    /// The 1-based positions, none of them rounded.
    fn one_based(&self, batch: &RecordBatch, lines: &[u64]) -> Result<Vec<u64>, ImportError> {
        let name = &self.keys[1];
        let column = self.column(batch, name)?;
        let kind = column.data_type().clone();
        let as_kind = |kind: &DataType| {
            cast(&column, kind).map_err(|source| ImportError::Arrow { path: self.path.clone(), source })
        };
        let found: Vec<Option<u64>> = if kind.is_integer() {
            as_kind(&DataType::UInt64)?.as_primitive::<UInt64Type>().iter().collect()
        } else if kind.is_string() {
            let texts = as_kind(&DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            texts.iter().map(|text| one_based(text?.trim().as_bytes())).collect()
        } else if kind.is_floating() || is_decimal(&kind) {
            let numbers = as_kind(&DataType::Float64)?;
            numbers.as_primitive::<Float64Type>().iter().map(|number| whole(number?)).collect()
        } else {
            return Err(self.wrong(
                1,
                name,
                &kind.to_string(),
                "is the type of the column; expected whole numbers",
            ));
        };
        let checked = found.into_iter().enumerate().map(|(row, number)| {
            let problem = "is not a position; expected a whole number from 1";
            number.ok_or_else(|| self.wrong(lines[row], name, &shown(&column, row), problem))
        });
        checked.collect()
    }

    /// A column of scores; doubles and long integers become the nearest float32.
    fn scores(&self, column: &ArrayRef, name: &str, lines: &[u64]) -> Result<Float32Array, ImportError> {
        let kind = column.data_type();
        let as_kind = |kind: &DataType| {
            cast(column, kind).map_err(|source| ImportError::Arrow { path: self.path.clone(), source })
        };
        if kind.is_string() {
            let texts = as_kind(&DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            let parsed =
                texts.iter().enumerate().map(|(row, text)| match text.map(|text| score(text.as_bytes())) {
                    None => Ok(None),
                    Some(Some(value)) => Ok(Some(value).filter(|value| !value.is_nan())),
                    Some(None) => {
                        Err(self.wrong(lines[row], name, text.unwrap_or_default(), "is not a number"))
                    }
                });
            return parsed.collect();
        }
        let number = kind.is_floating() || kind.is_integer() || is_decimal(kind);
        if !number && !matches!(kind, DataType::Boolean | DataType::Null) {
            return Err(self.wrong(
                1,
                name,
                &kind.to_string(),
                "is the type of the column; expected numbers",
            ));
        }
        Ok(as_kind(&DataType::Float32)?.as_primitive::<Float32Type>().clone())
    }

    /// The values of lists that must have `counts` values each, one after the other.
    fn each(
        &self,
        lists: &Lists<'_>,
        name: &str,
        lines: &[u64],
        counts: &[usize],
    ) -> Result<ArrayRef, ImportError> {
        let differing =
            (0..counts.len()).find(|row| !lists.is_null(*row) && lists.length(*row) != counts[*row]);
        if let Some(row) = differing {
            let problem = format!("values for {} alternate alleles; expected one for each", counts[row]);
            return Err(self.wrong(lines[row], name, &lists.length(row).to_string(), &problem));
        }
        let place = |row: usize, at: usize| (!lists.is_null(row)).then(|| (lists.start(row) + at) as u64);
        let indices: UInt64Array =
            (0..counts.len()).flat_map(|row| (0..counts[row]).map(move |at| place(row, at))).collect();
        take(&lists.values(), &indices, None)
            .map_err(|source| ImportError::Arrow { path: self.path.clone(), source })
    }

    fn wrong(&self, row: u64, column: &str, value: &str, problem: &str) -> ImportError {
        ImportError::Cell {
            path: self.path.clone(),
            unit: "row",
            number: row,
            column: printable(column.as_bytes()),
            value: printable(value.as_bytes()),
            problem: problem.to_owned(),
        }
    }
}

/// A column of lists.
enum Lists<'a> {
    Small(&'a arrow::array::ListArray),
    Large(&'a arrow::array::LargeListArray),
    Fixed(&'a arrow::array::FixedSizeListArray),
}

impl<'a> Lists<'a> {
    fn of(column: &'a ArrayRef) -> Option<Self> {
        match column.data_type() {
            DataType::List(_) => Some(Self::Small(column.as_list())),
            DataType::LargeList(_) => Some(Self::Large(column.as_list())),
            DataType::FixedSizeList(_, _) => Some(Self::Fixed(column.as_fixed_size_list())),
            _ => None,
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Small(lists) => lists.is_null(row),
            Self::Large(lists) => lists.is_null(row),
            Self::Fixed(lists) => lists.is_null(row),
        }
    }

    fn length(&self, row: usize) -> usize {
        match self {
            _ if self.is_null(row) => 0,
            Self::Small(lists) => to_index(lists.value_length(row)),
            Self::Large(lists) => to_index(lists.value_length(row)),
            Self::Fixed(lists) => to_index(lists.value_length()),
        }
    }

    fn start(&self, row: usize) -> usize {
        match self {
            Self::Small(lists) => to_index(lists.value_offsets()[row]),
            Self::Large(lists) => to_index(lists.value_offsets()[row]),
            Self::Fixed(lists) => lists.value_offset_at(row),
        }
    }

    fn values(&self) -> ArrayRef {
        match self {
            Self::Small(lists) => lists.values().clone(),
            Self::Large(lists) => lists.values().clone(),
            Self::Fixed(lists) => lists.values().clone(),
        }
    }
}

fn is_decimal(kind: &DataType) -> bool {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
    matches!(kind, Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..))
}

/// A value for messages.
fn shown(column: &ArrayRef, row: usize) -> String {
    arrow::util::display::array_value_to_string(column, row).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, ListBuilder, StringBuilder};
    use parquet::arrow::ArrowWriter;

    use super::*;

    /// A row for each list of alternates and scores.
    fn write(path: &Path, references: &[&str], counts: &[usize]) {
        let mut alternates = ListBuilder::new(StringBuilder::new());
        for count in counts {
            alternates.append_value((0..*count).map(|number| Some("C".repeat(number + 2))));
        }
        let scores = counts.iter().map(|count| Some((0..*count).map(|number| Some(number as f64))));
        let table: Vec<(&str, ArrayRef)> = vec![
            ("chrom", Arc::new(StringArray::from(vec!["1"; counts.len()]))),
            ("pos", Arc::new(Int64Array::from_iter_values(5..5 + counts.len() as i64))),
            ("ref", Arc::new(StringArray::from(references.to_vec()))),
            ("alt", Arc::new(alternates.finish())),
            ("s", Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(scores))),
        ];
        let batch = RecordBatch::try_from_iter(table).unwrap();
        let file = std::fs::File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    fn open(path: &Path) -> ParquetBlocks {
        let source = Source::open(path, path.parent().unwrap()).unwrap();
        let columns = [("s".to_owned(), "s".to_owned())];
        ParquetBlocks::open(&source, &KeyColumns::default(), Some(&columns)).unwrap()
    }

    #[test]
    fn lists_of_alternates_become_the_same_rows_in_small_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write(&path, &["AAA", "A", "AA", "A"], &[3, 1, 2, 1]);
        let read = |most_bytes: usize| {
            let mut blocks = ParquetBlocks { most_bytes, ..open(&path) };
            let (mut rows, mut lengths) = (Vec::new(), Vec::new());
            while let Some(block) = blocks.next().unwrap() {
                lengths.push(block.lines.len());
                for row in 0..block.lines.len() {
                    rows.push((
                        block.lines[row],
                        block.one_based[row],
                        block.references.value(row).to_owned(),
                        block.alternates.value(row).to_owned(),
                        block.values[0].value(row),
                    ));
                }
            }
            (rows, lengths)
        };
        let (rows, lengths) = read(BLOCK_BYTES);
        assert_eq!(lengths, [7]);
        assert_eq!(rows[5], (3, 7, "AA".to_owned(), "CCC".to_owned(), 1.0));
        assert_eq!(read(0), (rows.clone(), vec![3, 1, 2, 1]));
        assert_eq!(read(6), (rows, vec![3, 4]));
    }

    #[test]
    fn a_row_whose_alternates_would_fill_memory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write(&path, &["A", &"A".repeat(1 << 20)], &[1, 300]);
        let error = open(&path).next().err().unwrap().to_string();
        assert!(error.contains("row 2: ref `AAA") && error.contains("bcftools norm -m-"), "{error}");
    }
}
