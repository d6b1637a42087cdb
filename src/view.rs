//! Stretches of a store to look at: rows of some tracks with the reference, genes, labels and what is known of the
//! tracks, as one document; and the page and the figure that show it.

mod detail;
mod document;
mod error;
mod figure;
mod genes;
mod labels;
mod page;
mod provenance;
mod rows;
mod shades;

use std::io::Write;
use std::path::PathBuf;

use vestore_schema::{Region, Track, Variant};

use self::document::{ContigView, Document};
use self::rows::Gathered;
use crate::query::{Places, QueryPlan, Request};
use crate::reference::ReferenceError;
use crate::store::Store;
use crate::variants::RefMismatch;

pub use self::error::ViewError;

/// The longest stretch of one view, in bases: its reference sequence is part of the page.
pub(crate) const MOST_BASES: u32 = 5_000_000;
/// The most scores of one view, variants × columns: browsers draw so many without delay.
pub(crate) const MOST_SCORES: usize = 3_000_000;
/// Bytes of different alleles, at most.
pub(crate) const MOST_ALLELE_BYTES: usize = 16 << 20;
/// Bases on each side of variants that were asked for.
const FLANK: u32 = 50;

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct ViewOptions {
    /// Where: one region, or variants of one contig, which are shown with 50 bases on each side.
    pub places: Places,
    /// Tracks, in this order; without any, those that have rows there.
    pub tracks: Vec<String>,
    /// Score columns; without any, the first of each score kind.
    pub scores: Vec<String>,
    /// A VCF whose variants are marked.
    pub labels: Option<PathBuf>,
    /// A file of genes, or the name or digest of a gene table that the store keeps; without it, the genes of the first
    /// table that the store keeps.
    pub genes: Option<PathBuf>,
    /// What to do when reference alleles of the labels differ.
    pub ref_mismatch: RefMismatch,
}

/// A stretch of a store, ready to be written.
pub struct View {
    document: Document,
    /// What people should know of how it was made.
    pub remarks: Vec<String>,
}

impl View {
    /// Gathers what `options` ask for.
    ///
    /// # Errors
    /// When the place is not one stretch of a contig or too long, there are no rows or too many, or a file cannot be read.
    pub fn new(store: &Store, options: &ViewOptions) -> Result<Self, ViewError> {
        let (region, asked) = stretch(store, &options.places)?;
        let mut remarks = Vec::new();
        let request = Request { regions: vec![region], tracks: options.tracks.clone(), ..Request::default() };
        let plan = QueryPlan::new(store, &request)?;
        let columns = rows::columns(&plan, &options.scores)?;
        let gathered = Gathered::read(store, region, options, &columns)?;
        let sequence = sequence(store, region, &gathered, &mut remarks)?;
        let snapshot = store.snapshot()?;
        let details = detail::read(store, region, &gathered, &columns)?;
        let (genes, genes_from) = genes::read(store, region, options.genes.as_deref(), &mut remarks)?;
        let labels = options
            .labels
            .as_deref()
            .map(|path| labels::read(store, region, path, options.ref_mismatch, &mut remarks))
            .transpose()?;
        let focus = asked.iter().find_map(|variant| gathered.index_of(variant));
        match asked.iter().filter(|variant| gathered.index_of(variant).is_none()).count() {
            0 => {}
            1 => remarks.push("1 requested variant has no score".to_owned()),
            missing => remarks.push(format!("{missing} requested variants have no score")),
        }
        let contig = store.assembly().contig(region.contig);
        let place = region.display(store.assembly()).to_string();
        let title = match asked.as_slice() {
            [variant] => variant.display(store.assembly()).to_string(),
            _ => place.clone(),
        };
        let provenance = |track: &Track| provenance::of(store, &snapshot, track);
        let document = Document {
            format: document::FORMAT,
            vestore: env!("CARGO_PKG_VERSION"),
            title,
            place,
            assembly: store.assembly().name.clone(),
            contig: ContigView {
                name: contig.name.clone(),
                length: contig.length,
                digest: contig.digest.clone(),
            },
            start: region.start + 1,
            end: region.end,
            sequence_is_reference: sequence.is_some(),
            sequence: sequence.unwrap_or_else(|| gathered.known_bases(region)),
            focus,
            genes,
            genes_from,
            labels,
            details,
            tracks: gathered.track_views(provenance)?,
            statuses: Gathered::statuses(),
            variants: gathered.variants,
        };
        Ok(Self { document, remarks })
    }

    /// Writes the page: one self-contained HTML file.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_page(&self, out: &mut impl Write) -> std::io::Result<()> {
        page::write(&self.document, out)
    }

    /// The heatmap as a figure for print, an SVG.
    #[must_use]
    pub fn figure(&self) -> String {
        figure::draw(&self.document)
    }

    /// Number of variants shown.
    #[must_use]
    pub fn variants(&self) -> usize {
        self.document.variants.len()
    }

    /// Names of the tracks shown.
    #[must_use]
    pub fn tracks(&self) -> impl ExactSizeIterator<Item = &str> {
        self.document.tracks.iter().map(|track| track.name.as_str())
    }
}

/// The one stretch that `places` mean, and the variants that were asked for.
fn stretch(store: &Store, places: &Places) -> Result<(Region, Vec<Variant>), ViewError> {
    let assembly = store.assembly();
    let around = places.variants.iter().map(|variant| {
        let (start, length) = (variant.position.zero_based(), assembly.contig(variant.contig).length);
        let bases = u32::try_from(variant.reference.len()).unwrap_or(length);
        let end = start.saturating_add(bases).saturating_add(FLANK).min(length);
        Region { contig: variant.contig, start: start.saturating_sub(FLANK), end }
    });
    let mut regions = places.regions.iter().copied().chain(around);
    let Some(first) = regions.next() else { return Err(ViewError::NoPlace) };
    let hull = regions.try_fold(first, |hull, region| {
        let (start, end) = (hull.start.min(region.start), hull.end.max(region.end));
        (region.contig == hull.contig).then_some(Region { start, end, ..hull })
    });
    let hull = hull.ok_or(ViewError::SeveralContigs)?;
    if hull.len() > MOST_BASES {
        return Err(ViewError::TooLong { place: hull.display(assembly).to_string(), bases: hull.len() });
    }
    Ok((hull, places.variants.clone()))
}

/// The reference bases of `region`; none where the reference is out of reach, which a remark says.
fn sequence(
    store: &Store,
    region: Region,
    gathered: &Gathered,
    remarks: &mut Vec<String>,
) -> Result<Option<String>, ViewError> {
    let bases = store.open_reference().and_then(|mut reference| reference.fetch(region));
    match bases {
        Ok(bases) => Ok(Some(String::from_utf8_lossy(&bases).into_owned())),
        // Published stores may come without their reference.
        Err(error @ ReferenceError::Unpublished { .. }) => {
            let known = gathered.known_bases(region).bytes().filter(|base| *base != b'.').count();
            let bases = region.len();
            remarks.push(format!("{error}; {known} of {bases} bases are known from rows, others are blank"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
