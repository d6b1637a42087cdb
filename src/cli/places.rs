//! The places that a command line names: regions, variants, BED files, variant files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use vestore::{Normalized, Reference, Store, read_bed, read_variants};
use vestore_schema::{Assembly, LocusError, Region, Variant};

/// Regions and variants, as asked.
#[derive(Default)]
pub(super) struct Places {
    pub(super) regions: Vec<Region>,
    pub(super) variants: Vec<Variant>,
    /// Whether anything was asked; nothing asked means everything.
    pub(super) asked: bool,
}

impl Places {
    /// Reads what was typed, normalizing variants as stored ones are.
    pub(super) fn read(
        store: &Store,
        typed: &[String],
        bed: Option<&Path>,
        variants: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let assembly = store.assembly();
        let asked = !typed.is_empty() || bed.is_some() || variants.is_some();
        let mut places = Self { asked, ..Self::default() };
        for text in typed {
            match parse(text, assembly)? {
                Place::Region(region) => places.regions.push(region),
                Place::Variant(variant) if variant.is_snv() => places.variants.push(variant),
                Place::Variant(variant) => places.variants.push(normalize(store, variant)?),
            }
        }
        if let Some(bed) = bed {
            places.regions.extend(read_bed(bed, assembly)?);
        }
        if let Some(path) = variants {
            let mut reference = open_reference(store)?;
            read_variants(path, &mut reference, assembly, |variant| places.variants.push(variant))?;
        }
        Ok(places)
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
fn normalize(store: &Store, variant: Variant) -> anyhow::Result<Variant> {
    let mut reference = open_reference(store)?;
    Ok(match reference.normalize(&variant)? {
        Normalized::Scorable(normal) => normal,
        Normalized::Unscorable(..) | Normalized::Rejected(_) => variant,
    })
}

/// The reference that the store was made for.
pub(super) fn open_reference(store: &Store) -> anyhow::Result<Reference> {
    let path: PathBuf = store.reference().to_owned();
    let reference = Reference::open(&path).with_context(|| {
        format!("normalizing variants needs the reference of this store, {}", path.display())
    })?;
    reference.check(store.assembly())?;
    Ok(reference)
}
