//! Stored embeddings of given variants, as rows of features.

use std::fmt;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float32Type;
use vestore::{Store, StoreError};
use vestore_schema::{EMBEDDING_COLUMNS, Table, Variant};

use super::stored::each_row;

/// Which embeddings are features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureKind {
    /// Alternate − reference.
    Delta,
    /// The reference window's.
    Reference,
    /// The reference window's, then the difference.
    Both,
}

impl FeatureKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Delta, Self::Reference, Self::Both];

    /// `delta`, `reference` or `both`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Reference => "reference",
            Self::Both => "both",
        }
    }
}

impl fmt::Display for FeatureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Features of given variants; a variant that is given several times has one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// Numbers of a row.
    pub width: usize,
    /// Row after row.
    pub values: Vec<f32>,
    /// For each variant, its row; `None` where the track has no embedding of it.
    pub places: Vec<Option<usize>>,
}

impl Features {
    /// The features of the variant at `at`.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&[f32]> {
        let row = (*self.places.get(at)?)?;
        self.values.get(row * self.width..(row + 1) * self.width)
    }
}

/// The embeddings that `track` has of `variants`.
///
/// # Errors
/// The store cannot be read, or has no such track.
pub fn stored_features(
    store: &Store,
    variants: &[Variant],
    track: &str,
    kind: FeatureKind,
) -> Result<Features, StoreError> {
    let columns: &[&str] = match kind {
        FeatureKind::Reference => &EMBEDDING_COLUMNS[..1],
        FeatureKind::Delta => &EMBEDDING_COLUMNS[1..],
        FeatureKind::Both => &EMBEDDING_COLUMNS,
    };
    let mut found = Features { places: vec![None; variants.len()], ..Features::default() };
    let Features { width, values, places } = &mut found;
    each_row(store, variants, track, Table::Embeddings, columns, |lists, row, these| {
        if lists.iter().any(|list| list.is_null(row)) {
            return;
        }
        let before = values.len();
        for list in lists {
            let list = list.as_fixed_size_list().value(row);
            values.extend_from_slice(list.as_primitive::<Float32Type>().values());
        }
        *width = values.len() - before;
        for place in these {
            places[*place] = before.checked_div(*width);
        }
    })?;
    Ok(found)
}
