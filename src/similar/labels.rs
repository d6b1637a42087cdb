//! What a file of labelled variants says of some.

use std::collections::HashMap;
use std::path::Path;

use vestore_schema::Variant;

use super::SimilarError;
use super::nearest::Neighbour;
use crate::import::{KeyColumns, LabelledRow, LabelledRows};
use crate::store::Store;
use crate::variants::{Allele, Contigs, Normalized, RefCheck, RefMismatch, compare_reference, normalize};

/// What stands between labels of one variant.
const BETWEEN: &str = "|";

/// The labels of `found` in `column`, each distinct one of a variant once, and warnings.
pub(super) fn labels(
    store: &Store,
    path: &Path,
    column: &str,
    found: &[Neighbour],
) -> Result<(Vec<Option<String>>, Vec<String>), SimilarError> {
    let mut labels: HashMap<&Variant, Vec<String>> =
        found.iter().map(|neighbour| (&neighbour.variant, Vec::new())).collect();
    let mut file = LabelledRows::open(path, &KeyColumns::default(), &[column])?;
    let mut reference = store.open_reference()?;
    let mut contigs = Contigs::new(store.assembly());
    let mut warnings = file.declare(&mut contigs, &mut reference)?;
    let mut check = RefCheck::new(RefMismatch::Auto, path);
    let (mut row, mut line, mut bases) = (LabelledRow::default(), 0, Vec::new());
    while file.read(&mut row)? {
        let Some(contig) = contigs.resolve(&row.contig) else { continue };
        let (one_based, stated) = (row.one_based, row.reference.as_str());
        if line != row.line {
            line = row.line;
            match compare_reference(contig, one_based, stated, &mut reference, &mut bases)? {
                Some(comparison) => check.count(comparison, line, &row.contig, one_based, stated)?,
                None => check.beyond(one_based),
            }
        }
        let allele = Allele { contig, one_based, reference: stated, alternate: &row.alternate };
        let Normalized::Row { variant, .. } = normalize(allele, &mut reference)? else { continue };
        let Some(known) = labels.get_mut(&variant) else { continue };
        let label = &row.values[0];
        if !label.is_empty() && label != "." && !known.contains(label) {
            known.push(label.clone());
        }
    }
    check.finish()?;
    warnings.extend(check.warning().into_iter().chain(check.beyond_warning()));
    let label = |neighbour: &Neighbour| {
        let known = labels.get(&neighbour.variant).filter(|known| !known.is_empty())?;
        Some(known.join(BETWEEN))
    };
    Ok((found.iter().map(label).collect(), warnings))
}
