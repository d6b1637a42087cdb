//! The keys of a batch's rows, by their names.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use vestore_schema::{KEY_COLUMNS, LAYER_COLUMN, Variant};

/// What the rows of a segment, and of an answer within a contig, are sorted by: position, reference, alternate, and
/// the layer of an ablation.
#[derive(Clone, Copy)]
pub struct RowKeys<'a> {
    positions: &'a [i32],
    references: &'a StringArray,
    alternates: &'a StringArray,
    layers: Option<&'a [i32]>,
}

impl<'a> RowKeys<'a> {
    /// Those of a batch of a segment or of an answer.
    ///
    /// # Panics
    /// When the batch is of neither, which is a bug.
    #[must_use]
    pub fn of(batch: &'a RecordBatch) -> Self {
        let [position, reference, alternate] = KEY_COLUMNS.map(|name| {
            batch.column_by_name(name).expect("rows have the columns of their key; this is a bug")
        });
        let layers =
            batch.column_by_name(LAYER_COLUMN).and_then(|column| column.as_primitive_opt::<Int32Type>());
        Self {
            positions: position.as_primitive::<Int32Type>().values(),
            references: reference.as_string(),
            alternates: alternate.as_string(),
            layers: layers.map(|layers| &layers.values()[..]),
        }
    }

    /// 1-based positions, ascending.
    #[must_use]
    pub fn positions(&self) -> &'a [i32] {
        self.positions
    }

    /// The 1-based position of a row.
    #[must_use]
    pub fn position(&self, row: usize) -> u32 {
        self.positions[row].cast_unsigned()
    }

    /// Reference and alternate of a row.
    #[must_use]
    pub fn alleles(&self, row: usize) -> (&'a str, &'a str) {
        (self.references.value(row), self.alternates.value(row))
    }

    /// Bytes of all alleles.
    #[must_use]
    pub fn allele_bytes(&self) -> usize {
        let bytes = |alleles: &StringArray| {
            let offsets = alleles.value_offsets();
            (offsets[alleles.len()] - offsets[0]) as usize
        };
        bytes(self.references) + bytes(self.alternates)
    }

    /// The layer of a row of an ablation, else 0.
    #[must_use]
    pub fn layer(&self, row: usize) -> u32 {
        self.layers.map_or(0, |layers| layers[row].cast_unsigned())
    }

    /// What the rows of a segment are sorted by.
    #[must_use]
    pub fn key(&self, row: usize) -> (i32, &'a str, &'a str, i32) {
        let (reference, alternate) = self.alleles(row);
        (self.positions[row], reference, alternate, self.layers.map_or(0, |layers| layers[row]))
    }

    /// Whether two rows are of one variant.
    #[must_use]
    pub fn same_variant(&self, row: usize, other: usize) -> bool {
        self.positions[row] == self.positions[other] && self.alleles(row) == self.alleles(other)
    }

    /// The variant of a row, on the contig of this index.
    #[must_use]
    pub fn variant(&self, contig: u32, row: usize) -> Variant {
        let (reference, alternate) = self.alleles(row);
        Variant {
            contig,
            position: self.position(row) - 1,
            reference: reference.into(),
            alternate: alternate.into(),
        }
    }
}
