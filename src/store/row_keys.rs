//! The keys of a batch's rows, by their names.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use vestore_schema::{GENE_COLUMN, KEY_COLUMNS, LAYER_COLUMN, Position, Variant};

use crate::narrow::to_index;

/// What the rows of a segment, and of an answer within a contig, are sorted by: position, reference, alternate, and
/// the layer of an ablation, the gene of a gene effect.
#[derive(Clone, Copy)]
pub struct RowKeys<'a> {
    one_based: &'a [i32],
    references: &'a StringArray,
    alternates: &'a StringArray,
    layers: Option<&'a [i32]>,
    genes: Option<&'a StringArray>,
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
            one_based: position.as_primitive::<Int32Type>().values(),
            references: reference.as_string(),
            alternates: alternate.as_string(),
            layers: layers.map(|layers| &layers.values()[..]),
            genes: batch.column_by_name(GENE_COLUMN).and_then(|column| column.as_string_opt()),
        }
    }

    /// The column of the positions: 1-based, ascending.
    #[must_use]
    pub fn one_based(&self) -> &'a [i32] {
        self.one_based
    }

    /// The column of the reference alleles.
    #[must_use]
    pub fn references(&self) -> &'a StringArray {
        self.references
    }

    /// The column of the alternate alleles.
    #[must_use]
    pub fn alternates(&self) -> &'a StringArray {
        self.alternates
    }

    /// The position of a row.
    #[must_use]
    pub fn position(&self, row: usize) -> Position {
        Position::from_column(self.one_based[row])
    }

    /// Whether no variant has several rows: there are neither layers nor genes.
    #[must_use]
    pub fn are_of_variants(&self) -> bool {
        self.layers.is_none() && self.genes.is_none()
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
            to_index(offsets[alleles.len()] - offsets[0])
        };
        bytes(self.references) + bytes(self.alternates)
    }

    /// The layer of a row of an ablation, else 0.
    #[must_use]
    pub fn layer(&self, row: usize) -> u32 {
        self.layers.map_or(0, |layers| layers[row].cast_unsigned())
    }

    /// The gene of a row of gene effects, else nothing.
    #[must_use]
    pub fn gene(&self, row: usize) -> &'a str {
        self.genes.map_or("", |genes| genes.value(row))
    }

    /// What the rows of a segment are sorted by.
    #[must_use]
    pub fn key(&self, row: usize) -> (Position, &'a str, &'a str, u32, &'a str) {
        let (reference, alternate) = self.alleles(row);
        (self.position(row), reference, alternate, self.layer(row), self.gene(row))
    }

    /// Whether two rows are of one variant.
    #[must_use]
    pub fn same_variant(&self, row: usize, other: usize) -> bool {
        self.one_based[row] == self.one_based[other] && self.alleles(row) == self.alleles(other)
    }

    /// The variant of a row, on the contig of this index.
    #[must_use]
    pub fn variant(&self, contig: u32, row: usize) -> Variant {
        let (reference, alternate) = self.alleles(row);
        let position = self.position(row);
        Variant { contig, position, reference: reference.into(), alternate: alternate.into() }
    }
}
