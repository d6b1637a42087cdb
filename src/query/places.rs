//! Where to look: regions and variants as people write them, BED files, variant files.

use std::path::Path;

use thiserror::Error;
use vestore_schema::{Assembly, LocusError, Region, Variant};

use crate::reference::ReferenceError;
use crate::store::Store;
use crate::variants::{
    Allele, Normalized, Plan, PlanError, PlanOptions, RefMismatch, Report, VariantSource, normalize, read_bed,
};

/// Why a place cannot be asked for.
#[derive(Debug, Error)]
pub enum PlacesError {
    /// The text is neither a region nor a variant of the reference.
    #[error(transparent)]
    Locus(#[from] LocusError),
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
    /// Adds what was typed: a region, or a variant such as `17-43044295-G-A`.
    ///
    /// # Errors
    /// When it is neither, or the reference is needed and cannot be read.
    pub fn add(&mut self, store: &Store, text: &str) -> Result<(), PlacesError> {
        self.asked = true;
        match parse(text, store.assembly())? {
            Place::Region(region) => self.regions.push(region),
            Place::Variant(variant) if variant.is_snv() => self.variants.push(variant),
            Place::Variant(variant) => self.variants.push(normal_form(store, variant)?),
        }
        Ok(())
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
        let options = PlanOptions { ref_mismatch, ..PlanOptions::default() };
        let plan = Plan::read(source, &mut reference, store.assembly(), &options, &mut report)?;
        for row in plan.rows()? {
            self.variants.push(row?.variant);
        }
        Ok(report)
    }
}

enum Place {
    Region(Region),
    Variant(Variant),
}

fn parse(text: &str, assembly: &Assembly) -> Result<Place, LocusError> {
    if let Some(variant) = Variant::parse(text, assembly) {
        return variant.map(Place::Variant);
    }
    Region::parse(text, assembly).map(Place::Region)
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
