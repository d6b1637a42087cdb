//! Stored embeddings, or effects on all targets, of given variants, as rows of features.

use std::collections::HashSet;
use std::fmt;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float32Type;
use thiserror::Error;
use vestore::{EffectOptions, EffectsError, Store, StoreError};
use vestore_schema::{EMBEDDING_COLUMNS, Table, Track, Variant};

use super::stored::{each_row, plan_of};
use crate::convert::as_index;

/// Bytes of the largest table of effects that is read into memory.
const LARGEST: u64 = 4 << 30;

/// What is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureKind {
    /// Alternate − reference.
    Delta,
    /// The reference window's.
    Reference,
    /// The reference window's, then the difference.
    Both,
    /// Effects on all targets instead of embeddings.
    Effects,
}

impl FeatureKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Delta, Self::Reference, Self::Both, Self::Effects];

    /// `delta`, `reference`, `both` or `effects`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Reference => "reference",
            Self::Both => "both",
            Self::Effects => "effects",
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
    /// For each variant, its row; `None` where the track has none of it, or an incomplete one.
    pub places: Vec<Option<usize>>,
    /// Places of variants that have effects, but not on all targets, and the first target without.
    pub incomplete: Vec<(usize, usize)>,
}

/// Why there are no features.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FeaturesError {
    /// More than 4 GiB.
    #[error(
        "the effects of {variants} variants on {targets} targets take {:.1} GiB of memory; at most {} GiB are read: \
         give fewer labelled variants, or a track of fewer targets (`vestore score --target GLOB`)",
        *.bytes as f64 / f64::from(1 << 30),
        LARGEST >> 30
    )]
    TooLarge {
        /// Different labelled variants.
        variants: usize,
        /// Targets of the track.
        targets: u32,
        /// As float32.
        bytes: u64,
    },
    /// The kind of effect is unknown, or effects cannot be read.
    #[error(transparent)]
    Effects(#[from] EffectsError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Features {
    /// The features of the variant at `at`.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&[f32]> {
        let row = (*self.places.get(at)?)?;
        self.values.get(row * self.width..(row + 1) * self.width)
    }
}

/// The embeddings that `track` has of `variants`; for [`FeatureKind::Effects`], its effects of the kind `effect`.
///
/// # Errors
/// The store cannot be read, the track has no such effects, or they would take more than 4 GiB.
pub fn stored_features(
    store: &Store,
    variants: &[Variant],
    track: &Track,
    kind: FeatureKind,
    effect: &str,
) -> Result<Features, FeaturesError> {
    let columns: &[&str] = match kind {
        FeatureKind::Reference => &EMBEDDING_COLUMNS[..1],
        FeatureKind::Delta => &EMBEDDING_COLUMNS[1..],
        FeatureKind::Both => &EMBEDDING_COLUMNS,
        FeatureKind::Effects => &[effect],
    };
    let mut found = Features { places: vec![None; variants.len()], ..Features::default() };
    let plan = if kind == FeatureKind::Effects {
        let targets = track.targets.as_ref().map_or(0, |targets| targets.count);
        let different = variants.iter().collect::<HashSet<_>>().len();
        found.values.reserve_exact(room(different, targets, LARGEST)?);
        let options = EffectOptions { columns: vec![effect.to_owned()], ..EffectOptions::default() };
        plan_of(store, variants, &track.name, Table::Effects)?.with_effects(&options)?
    } else {
        plan_of(store, variants, &track.name, Table::Embeddings)?
    };
    let Features { width, values, places, incomplete } = &mut found;
    each_row(&plan, variants, columns, |lists, row, these| {
        if lists.iter().any(|list| list.is_null(row)) {
            return;
        }
        let before = values.len();
        for list in lists {
            let list = list.as_fixed_size_list().value(row);
            if let Some(target) = (0..list.len()).find(|target| list.is_null(*target)) {
                values.truncate(before);
                incomplete.extend(these.iter().map(|place| (*place, target)));
                return;
            }
            values.extend_from_slice(list.as_primitive::<Float32Type>().values());
        }
        *width = values.len() - before;
        for place in these {
            places[*place] = before.checked_div(*width);
        }
    })?;
    Ok(found)
}

/// Numbers of a table of effects, of at most `largest` bytes.
fn room(variants: usize, targets: u32, largest: u64) -> Result<usize, FeaturesError> {
    let numbers = (variants as u64).saturating_mul(u64::from(targets));
    let bytes = numbers.saturating_mul(4);
    if bytes > largest {
        return Err(FeaturesError::TooLarge { variants, targets, bytes });
    }
    Ok(as_index(numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_before_it_is_read() {
        assert_eq!(room(100_000, 5313, LARGEST).expect("2 GB"), 531_300_000);
        let told = room(200_000, 7611, LARGEST).map_err(|error| error.to_string()).expect_err("6 GB");
        assert!(
            told.starts_with(
                "the effects of 200000 variants on 7611 targets take 5.7 GiB of memory; at most 4 GiB"
            ),
            "{told}"
        );
    }
}
