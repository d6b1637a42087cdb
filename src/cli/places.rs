//! The places that a command line names: regions, variants, BED files, variant files.

use std::path::Path;

use super::shared::{say, warn};
use vestore::{Allele, Normalized, Plan, PlanOptions, RefMismatch, Report, Store, normalize, read_bed};
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
        variants: Option<(&Path, RefMismatch)>,
    ) -> anyhow::Result<Self> {
        let assembly = store.assembly();
        let asked = !typed.is_empty() || bed.is_some() || variants.is_some();
        let mut places = Self { asked, ..Self::default() };
        for text in typed {
            match parse(text, assembly)? {
                Place::Region(region) => places.regions.push(region),
                Place::Variant(variant) if variant.is_snv() => places.variants.push(variant),
                Place::Variant(variant) => places.variants.push(normal_form(store, variant)?),
            }
        }
        if let Some(bed) = bed {
            let mut report = Report::new();
            places.regions.extend(read_bed(bed, assembly, &mut report)?);
            tell(&report);
        }
        if let Some((path, ref_mismatch)) = variants {
            let mut reference = store.open_reference()?;
            let mut report = Report::new();
            let options = PlanOptions { ref_mismatch, ..PlanOptions::default() };
            let plan = Plan::from_file(path, &mut reference, assembly, &options, &mut report)?;
            for row in plan.rows()? {
                places.variants.push(row?.variant);
            }
            tell(&report);
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
fn normal_form(store: &Store, variant: Variant) -> anyhow::Result<Variant> {
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

/// Says what of a file could not be asked for.
fn tell(report: &Report) {
    warn(&report.warnings);
    let summary = report.summary();
    if report.has_rejected() {
        say(format_args!("{}", summary.trim_end()));
    }
}
