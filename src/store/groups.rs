//! How the effects of a kind lie in a file: lists of many targets are cut into lists of few, each a column. Whoever wants
//! one target then reads little of each row, and whoever wants one row few pages. Above the file there is one list a kind.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, NullBufferBuilder, RecordBatch,
};
use arrow::datatypes::{DataType, Field, Fields, Float32Type, Schema, SchemaRef};
use vestore_schema::{MAX_TARGETS, effects_type};

use super::error::StoreError;
use crate::narrow::{to_index, to_u32};

/// Targets of one column. With as many rows a page, one target of many rows and many targets of one row cost about the
/// same (FORMAT.md has the figures).
const GROUP_TARGETS: usize = 128;

/// The lists of a kind in a file.
#[derive(Clone, Debug)]
struct Lists {
    /// The columns of the file, in order.
    columns: Vec<usize>,
    /// Targets of each of them but the last.
    width: usize,
    /// Of all.
    targets: usize,
}

/// Which columns of a file are one column of rows.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    /// By column of rows: the column of the file, or those of its lists.
    columns: Vec<Result<usize, Lists>>,
    /// The targets that lists of rows hold, ascending; all without.
    chosen: Option<Arc<[u32]>>,
}

impl Groups {
    /// Those of a file, and the schema of rows, from the schema of rows as the file has them. Without `grouped`, every
    /// column is one of rows.
    pub(crate) fn of(file: &Schema, grouped: bool) -> (Self, SchemaRef) {
        let fields = file.fields();
        let (mut columns, mut of_rows) = (Vec::new(), Vec::new());
        let mut next = 0;
        while next < fields.len() {
            let found = grouped.then(|| lists_from(fields, next)).flatten();
            if let Some((name, lists)) = found {
                next += lists.columns.len();
                of_rows.push(Arc::new(Field::new(name, effects_type(to_u32(lists.targets)), true)));
                columns.push(Err(lists));
            } else {
                of_rows.push(Arc::clone(&fields[next]));
                columns.push(Ok(next));
                next += 1;
            }
        }
        let schema = Schema::new(of_rows).with_metadata(file.metadata().clone());
        (Self { columns, chosen: None }, Arc::new(schema))
    }

    /// The same, whose lists hold these targets alone, ascending.
    pub(crate) fn with_targets(self, chosen: Arc<[u32]>) -> Self {
        Self { chosen: Some(chosen), ..self }
    }

    /// The columns of the file that hold the columns `of_rows`, as far as they hold a chosen target.
    pub(crate) fn roots(&self, of_rows: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut roots = Vec::new();
        for column in of_rows {
            match &self.columns[column] {
                Ok(root) => roots.push(*root),
                Err(lists) => roots.extend(lists.pieces(self.chosen.as_deref()).map(|piece| piece.root)),
            }
        }
        roots
    }

    /// The columns of rows.
    pub(crate) fn count(&self) -> usize {
        self.columns.len()
    }

    /// Rows as a batch of the file has them, which holds the columns `of_rows` of rows, ascending.
    pub(crate) fn join(
        &self,
        batch: RecordBatch,
        of_rows: &[usize],
        schema: &SchemaRef,
    ) -> Result<RecordBatch, StoreError> {
        if self.chosen.is_none() && self.columns.iter().all(Result::is_ok) {
            return Ok(batch);
        }
        let mut next = batch.columns().iter();
        let mut take = || next.next().expect("a batch has the columns that were asked for; this is a bug");
        let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
        for column in of_rows {
            let field = schema.field(*column);
            let joined = match &self.columns[*column] {
                Ok(_) if !matches!(field.data_type(), DataType::FixedSizeList(..)) => Arc::clone(take()),
                Ok(_) => {
                    let list = take().as_fixed_size_list();
                    let width = list.value_length().unsigned_abs() as usize;
                    let whole = Lists { columns: vec![0], width, targets: width };
                    self.list(batch.num_rows(), &whole, &[list])?
                }
                Err(lists) => {
                    let pieces = lists.pieces(self.chosen.as_deref()).count();
                    let found: Vec<_> = (0..pieces).map(|_| take().as_fixed_size_list()).collect();
                    self.list(batch.num_rows(), lists, &found)?
                }
            };
            fields.push(field.clone().with_data_type(joined.data_type().clone()));
            columns.push(joined);
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    /// The chosen targets of `rows` rows, of the lists that hold them.
    fn list(&self, rows: usize, of: &Lists, found: &[&FixedSizeListArray]) -> Result<ArrayRef, StoreError> {
        let chosen = self.chosen.as_deref();
        let pieces: Vec<Piece> = of.pieces(chosen).collect();
        let wanted = chosen.map_or(of.targets, <[u32]>::len);
        let (mut numbers, mut defined) =
            (Vec::with_capacity(rows * wanted), NullBufferBuilder::new(rows * wanted));
        let mut present = NullBufferBuilder::new(rows);
        for row in 0..rows {
            present.append(found.iter().any(|list| list.is_valid(row)));
            for (piece, list) in pieces.iter().zip(found) {
                let values = list.values().as_primitive::<Float32Type>();
                let start = to_index(list.value_offset_at(row));
                if list.is_null(row) {
                    numbers.resize(numbers.len() + piece.len(), 0.0);
                    defined.append_n_nulls(piece.len());
                } else if let (Wanted::All(_), 0) = (&piece.wanted, values.null_count()) {
                    numbers.extend_from_slice(&values.values()[start..start + piece.len()]);
                    defined.append_n_non_nulls(piece.len());
                } else {
                    piece.wanted.each(|target| {
                        numbers.push(values.value(start + target));
                        defined.append(values.is_valid(start + target));
                    });
                }
            }
        }
        let DataType::FixedSizeList(item, width) = effects_type(to_u32(wanted)) else {
            unreachable!("effects are lists; this is a bug")
        };
        let numbers = Float32Array::new(numbers.into(), defined.finish());
        let lists =
            FixedSizeListArray::try_new_with_length(item, width, Arc::new(numbers), present.finish(), rows)?;
        Ok(Arc::new(lists))
    }
}

/// The wanted part of a column of lists.
struct Piece {
    /// The column of the file.
    root: usize,
    wanted: Wanted,
}

/// The places of wanted targets in a list.
enum Wanted {
    /// So many, from the first on.
    All(usize),
    Some(Vec<usize>),
}

impl Wanted {
    fn each(&self, visit: impl FnMut(usize)) {
        match self {
            Self::All(count) => (0..*count).for_each(visit),
            Self::Some(places) => places.iter().copied().for_each(visit),
        }
    }
}

impl Piece {
    fn len(&self) -> usize {
        match &self.wanted {
            Wanted::All(count) => *count,
            Wanted::Some(places) => places.len(),
        }
    }
}

impl Lists {
    /// What is read of its columns for `chosen` targets, or for all.
    fn pieces<'a>(&'a self, chosen: Option<&'a [u32]>) -> impl Iterator<Item = Piece> + 'a {
        self.columns.iter().enumerate().filter_map(move |(number, root)| {
            let begin = number * self.width;
            let end = self.targets.min(begin + self.width);
            let wanted = match chosen {
                None => Wanted::All(end - begin),
                Some(chosen) => {
                    let before = |bound: usize| chosen.partition_point(|target| (*target as usize) < bound);
                    let places =
                        chosen[before(begin)..before(end)].iter().map(|target| *target as usize - begin);
                    Wanted::Some(places.collect())
                }
            };
            let piece = Piece { root: *root, wanted };
            (piece.len() > 0).then_some(piece)
        })
    }
}

/// The lists of the kind whose first column of a file is `first`, and its name, if its lists are cut.
fn lists_from(fields: &Fields, first: usize) -> Option<(&str, Lists)> {
    let width = |at: usize| match fields.get(at)?.data_type() {
        DataType::FixedSizeList(_, width) => usize::try_from(*width).ok().filter(|width| *width > 0),
        _ => None,
    };
    let name = fields[first].name().strip_suffix("_0")?;
    let each = width(first)?;
    let (mut columns, mut targets) = (vec![first], each);
    while targets == columns.len() * each {
        let at = first + columns.len();
        let Some(more) =
            width(at).filter(|more| *more <= each && *fields[at].name() == column(name, targets))
        else {
            break;
        };
        targets += more;
        columns.push(at);
        if targets > MAX_TARGETS as usize {
            return None;
        }
    }
    Some((name, Lists { columns, width: each, targets }))
}

/// The name of the column of a kind whose lists begin with this target.
fn column(kind: &str, first: usize) -> String {
    format!("{kind}_{first}")
}

/// The targets of each column of lists of so many; none where they are not cut.
fn cuts(targets: usize) -> impl Iterator<Item = Range<usize>> {
    let cut = if targets > GROUP_TARGETS { targets } else { 0 };
    (0..cut).step_by(GROUP_TARGETS).map(move |first| first..targets.min(first + GROUP_TARGETS))
}

/// The schema of a file whose rows have `schema`.
pub(super) fn file_schema(schema: &Schema) -> SchemaRef {
    let mut fields = Vec::new();
    for field in schema.fields() {
        let width = match field.data_type() {
            DataType::FixedSizeList(_, width) => usize::try_from(*width).unwrap_or(0),
            _ => 0,
        };
        let before = fields.len();
        fields.extend(cuts(width).map(|targets| {
            Arc::new(Field::new(
                column(field.name(), targets.start),
                effects_type(to_u32(targets.len())),
                true,
            ))
        }));
        if fields.len() == before {
            fields.push(Arc::clone(field));
        }
    }
    Arc::new(Schema::new(fields))
}

/// Rows as a file of `schema`, which is [`file_schema`] of theirs, has them. A list without a number is missing.
pub(super) fn split(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for array in batch.columns() {
        let before = columns.len();
        if let Some(list) = array.as_fixed_size_list_opt() {
            let width = list.value_length().unsigned_abs() as usize;
            for targets in cuts(width) {
                columns.push(piece(list, &targets)?);
            }
        }
        if columns.len() == before {
            columns.push(Arc::clone(array));
        }
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// A stretch of each list.
fn piece(list: &FixedSizeListArray, targets: &Range<usize>) -> Result<ArrayRef, StoreError> {
    let values = list.values().as_primitive::<Float32Type>();
    let count = list.len() * targets.len();
    let (mut numbers, mut defined) = (Vec::with_capacity(count), NullBufferBuilder::new(count));
    let mut present = NullBufferBuilder::new(list.len());
    for row in 0..list.len() {
        let start = to_index(list.value_offset_at(row)) + targets.start;
        let stretch = start..start + targets.len();
        let valid = |at: usize| list.is_valid(row) && values.is_valid(at);
        let any = stretch.clone().any(valid);
        present.append(any);
        numbers.extend_from_slice(&values.values()[stretch.clone()]);
        if any && values.null_count() == 0 {
            defined.append_n_non_nulls(targets.len());
        } else {
            stretch.for_each(|at| defined.append(valid(at)));
        }
    }
    let DataType::FixedSizeList(item, width) = effects_type(to_u32(targets.len())) else {
        unreachable!("effects are lists; this is a bug")
    };
    let numbers = Float32Array::new(numbers.into(), defined.finish());
    Ok(Arc::new(FixedSizeListArray::try_new(item, width, Arc::new(numbers), present.finish())?))
}
