//! Labelled variants of a view: ClinVar's classification, else the identifiers of a VCF.

use std::path::Path;

use vestore_schema::Region;

use super::document::{Labels, Texts, Variants};
use super::{MOST_ALLELE_BYTES, ViewError};
use crate::import::{ImportError, KeyColumns, LabelledRow, LabelledRows};
use crate::reference::Reference;
use crate::store::Store;
use crate::variants::{Allele, Contigs, Normalized, RefCheck, RefMismatch, compare_reference, normalize};

/// The field of ClinVar's classification.
const CLINVAR: &str = "CLNSIG";
/// The most labelled variants of a view.
const MOST_LABELS: usize = 100_000;
/// The longest label, in characters; longer ones are cut, which an ellipsis shows.
const LONGEST: usize = 200;
/// Bases before the region in which indels may stand that normalization moves into it, and the other way round.
const REACH: u64 = 1000;

/// The labelled variants of the VCF at `path` that lie in `region` once they are normalized.
pub(super) fn read(
    store: &Store,
    region: Region,
    path: &Path,
    ref_mismatch: RefMismatch,
    remarks: &mut Vec<String>,
) -> Result<Labels, ViewError> {
    let keys = KeyColumns::default();
    let (mut rows, field) = match LabelledRows::open(path, &keys, &[CLINVAR]) {
        Ok(rows) => (rows, CLINVAR),
        Err(ImportError::NoColumn { .. }) => (LabelledRows::open(path, &keys, &[])?, "ID"),
        Err(error) => return Err(error.into()),
    };
    let assembly = store.assembly();
    let mut reference = store.open_reference()?;
    let mut contigs = Contigs::new(assembly);
    remarks.extend(rows.declare(&mut contigs, &mut reference)?);
    let mut check = RefCheck::new(ref_mismatch, path);
    let mut found: Vec<(u32, String, String, String)> = Vec::new();
    let mut row = LabelledRow::default();
    let (mut bases, mut bytes) = (Vec::new(), 0);
    while rows.read(&mut row)? {
        if contigs.resolve(&row.contig) != Some(region.contig) || !is_near(&row, region) {
            continue;
        }
        let compared =
            compare_reference(region.contig, row.one_based, &row.reference, &mut reference, &mut bases)?;
        match compared {
            Some(compared) => {
                check.count(compared, row.line, &row.contig, row.one_based, &row.reference)?;
            }
            None => check.beyond(row.one_based),
        }
        let text = if field == CLINVAR { row.values.first().map_or("", String::as_str) } else { &row.id };
        let label = labelled(&row, text, region, &mut reference)?;
        bytes += label.as_ref().map_or(0, |label| label.1.len() + label.2.len());
        found.extend(label);
        let place = || region.display(assembly).to_string();
        if found.len() > MOST_LABELS {
            return Err(ViewError::TooMany { place: place(), what: "labelled variants", most: MOST_LABELS });
        }
        if bytes > MOST_ALLELE_BYTES {
            let what = "bases in alleles of labelled variants";
            return Err(ViewError::TooMany { place: place(), what, most: MOST_ALLELE_BYTES });
        }
    }
    contigs.check_any_known(path)?;
    check.finish()?;
    remarks.extend(check.warning());
    found.sort();
    found.dedup();
    let from = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut labels =
        Labels { from, field, variants: Variants::default(), text: Vec::new(), texts: Texts::default() };
    for (one_based, reference, alternate, text) in found {
        labels.variants.push(one_based, &reference, &alternate);
        labels.text.push(labels.texts.number(&text));
    }
    Ok(labels)
}

fn is_near(row: &LabelledRow, region: Region) -> bool {
    let first = row.one_based.saturating_sub(1);
    first + REACH >= u64::from(region.start) && first < u64::from(region.end) + REACH
}

/// The row as it is stored, with its text, if it lies in `region`.
fn labelled(
    row: &LabelledRow,
    text: &str,
    region: Region,
    reference: &mut Reference,
) -> Result<Option<(u32, String, String, String)>, ViewError> {
    if matches!(text, "" | ".") {
        return Ok(None);
    }
    let allele = Allele {
        contig: region.contig,
        one_based: row.one_based,
        reference: &row.reference,
        alternate: &row.alternate,
    };
    let Normalized::Row { variant, .. } = normalize(allele, reference)? else { return Ok(None) };
    if !region.contains(variant.position) {
        return Ok(None);
    }
    let mut label: String = text.chars().take(LONGEST).collect();
    if label.len() < text.len() {
        label.push('…');
    }
    let one_based = u32::try_from(variant.position.one_based()).unwrap_or(u32::MAX);
    Ok(Some((one_based, variant.reference.into(), variant.alternate.into(), label)))
}
