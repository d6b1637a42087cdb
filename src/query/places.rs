//! Where to look: regions, variants and names as people write them, BED files, variant files.

mod hgvs;
mod names;

use std::path::Path;

use thiserror::Error;
use vestore_schema::{LocusError, Region, Variant};

pub use self::hgvs::HgvsError;
use self::hgvs::Name;
use self::names::Failed;
pub use self::names::PlaceNameError;
use crate::ids::rs_number;
use crate::reference::ReferenceError;
use crate::store::{Store, StoreError};
use crate::variants::{
    Allele, Normalized, Plan, PlanError, PlanOptions, RefMismatch, Report, VariantSource, normalize, read_bed,
};

/// Bytes that sorting the variants of a file may take before temporary files are written: 30 million variants.
const LISTED_MEMORY: usize = 1 << 30;

/// Why a place cannot be asked for.
#[derive(Debug, Error)]
pub enum PlacesError {
    /// The text has the form of a region or variant and is not one of the reference.
    #[error(transparent)]
    Locus(#[from] LocusError),
    /// The text has the form of an HGVS name and is not a variant of the reference.
    #[error(transparent)]
    Hgvs(#[from] HgvsError),
    /// The text is a name of nothing, or of too much.
    #[error(transparent)]
    Name(#[from] PlaceNameError),
    /// A table of names cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reference cannot be read, which normalizing needs.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] PlanError),
}

/// Regions and variants, as asked. Variants are normalized as stored ones are.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// In any order.
    pub regions: Vec<Region>,
    /// In any order.
    pub variants: Vec<Variant>,
    /// Whether anything was asked; nothing asked means everything.
    pub asked: bool,
}

impl Places {
    /// Adds what was typed: a region, a variant such as `17-43044295-G-A`, a genomic HGVS name, an rsID or a gene. What
    /// can be read as one of these is not looked up as one that follows.
    ///
    /// # Errors
    /// When it is none of them, names genes in several places, or the reference or a table of names is needed and
    /// cannot be read.
    pub fn add(&mut self, store: &Store, text: &str) -> Result<(), PlacesError> {
        self.asked = true;
        match place(store, text)? {
            Place::Region(region) => self.regions.push(region),
            Place::Variants(variants) => self.variants.extend(variants),
        }
        Ok(())
    }

    /// The regions that were typed, where no variant can be asked for.
    ///
    /// # Errors
    /// As for [`Places::add`], or when one is a variant.
    pub fn regions(store: &Store, texts: &[String]) -> Result<Vec<Region>, PlacesError> {
        let region = |text: &String| match place(store, text)? {
            Place::Region(region) => Ok(region),
            Place::Variants(_) => Err(PlaceNameError::NotARegion { name: text.clone() }.into()),
        };
        texts.iter().map(region).collect()
    }

    /// Adds the regions of a BED file. What of it cannot be asked for is in the report.
    ///
    /// # Errors
    /// As for [`read_bed`].
    pub fn add_bed(&mut self, store: &Store, path: &Path) -> Result<Report, PlacesError> {
        self.asked = true;
        let mut report = Report::new();
        self.regions.extend(read_bed(path, store.assembly(), &mut report)?);
        Ok(report)
    }

    /// Adds the variants of a file. What of it cannot be asked for is in the report.
    ///
    /// # Errors
    /// As for [`Plan::read`], or the reference cannot be read.
    pub fn add_file(
        &mut self,
        store: &Store,
        source: VariantSource,
        ref_mismatch: RefMismatch,
    ) -> Result<Report, PlacesError> {
        self.asked = true;
        let mut reference = store.open_reference()?;
        let mut report = Report::new();
        // All are held below.
        let options = PlanOptions { ref_mismatch, memory: LISTED_MEMORY, ..PlanOptions::default() };
        let plan = Plan::read(source, &mut reference, store.assembly(), &options, &mut report)?;
        for row in plan.rows()? {
            self.variants.push(row?.variant);
        }
        Ok(report)
    }
}

impl From<Failed> for PlacesError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Name(error) => error.into(),
            Failed::Store(error) => error.into(),
        }
    }
}

enum Place {
    Region(Region),
    /// In normal form.
    Variants(Vec<Variant>),
}

fn place(store: &Store, text: &str) -> Result<Place, PlacesError> {
    let assembly = store.assembly();
    if let Some(variant) = Variant::parse(text, assembly) {
        let variant = variant?;
        let variant = if variant.is_snv() { variant } else { normal_form(store, variant)? };
        return Ok(Place::Variants(vec![variant]));
    }
    let error = match Region::parse(text, assembly) {
        Ok(region) => return Ok(Place::Region(region)),
        Err(error) => error,
    };
    if let Some(name) = Name::split(text) {
        return Ok(Place::Variants(vec![name.variant(store)?]));
    }
    // What has a colon, or is an accession, is meant as a place on a sequence.
    if !matches!(error, LocusError::UnknownContig { .. }) || text.contains(':') {
        return Err(error.into());
    }
    if let Some(id) = rs_number(text) {
        return Ok(Place::Variants(names::variants(store, text, id)?));
    }
    Ok(Place::Region(names::gene(store, text, error)?))
}

/// The stored form of a typed variant; one that contradicts the reference is asked for as typed.
fn normal_form(store: &Store, variant: Variant) -> Result<Variant, ReferenceError> {
    let mut reference = store.open_reference()?;
    let allele = Allele {
        contig: variant.contig,
        one_based: variant.position.one_based(),
        reference: &variant.reference,
        alternate: &variant.alternate,
    };
    Ok(match normalize(allele, &mut reference)? {
        Normalized::Row { variant, .. } => variant,
        Normalized::Rejected(_) => variant,
    })
}
