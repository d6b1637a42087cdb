//! Places by name: genes of the store's gene tables, rsIDs of its id tables.

use thiserror::Error;
use vestore_schema::{LocusError, Region, Variant};

use crate::store::{Store, StoreError};

/// Places of a name that an error lists.
const LISTED: usize = 5;

/// Why a name is not a place.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlaceNameError {
    /// Nothing is called so.
    #[error("{contig}{}", of_genes(*tables, *bare, genes))]
    Unknown {
        /// Of the contig that it would be.
        contig: Box<LocusError>,
        /// Genes that look like it.
        genes: Vec<String>,
        /// Gene tables of the store.
        tables: usize,
        /// Those of them that have ids alone.
        bare: usize,
    },
    /// Genes in several places are called so.
    #[error("`{name}` names genes in several places: {}; ask for one of these regions", several(places))]
    Several {
        /// As typed.
        name: String,
        /// Region, id and table of each.
        places: Vec<String>,
    },
    /// No id table has the rsID.
    #[error(
        "no id table of the store has `{name}`; ids that dbSNP merged into others are not resolved, and records whose \
         alleles are not bases have no entry"
    )]
    UnknownId {
        /// As typed.
        name: String,
    },
    /// There is no id table.
    #[error(
        "the store has no id table, which `{name}` needs; add a VCF with rsIDs, such as that of dbSNP or ClinVar for its \
         assembly, with `vestore ids add STORE FILE`"
    )]
    NoIds {
        /// As typed.
        name: String,
    },
    /// A variant where only regions are looked up.
    #[error(
        "`{name}` names a variant; expected a region such as `17:43,044,295-43,125,483`, a contig or a gene"
    )]
    NotARegion {
        /// As typed.
        name: String,
    },
}

fn of_genes(tables: usize, bare: usize, near: &[String]) -> String {
    if tables == 0 {
        return "; to ask for genes by name, add a gene table with `vestore genes add STORE FILE`".to_owned();
    }
    let near = if near.is_empty() { String::new() } else { format!("; near genes: {}", near.join(", ")) };
    let bare = match bare {
        0 => String::new(),
        _ => "; a gene table of the store has ids alone: add its file again for names".to_owned(),
    };
    format!("; and no gene of this name{near}{bare}")
}

fn several(places: &[String]) -> String {
    let listed = places.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    let more = places.len().saturating_sub(LISTED);
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

/// A name that cannot be looked up, or one that is not a place.
pub(super) enum Failed {
    Name(PlaceNameError),
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Where the genes called `name` lie; `contig` is why it is not a contig.
pub(super) fn gene(store: &Store, name: &str, contig: LocusError) -> Result<Region, Failed> {
    let called = store.genes_called(name)?;
    let Some(first) = called.genes.first() else {
        let (contig, genes) = (Box::new(contig), called.near);
        let (tables, bare) = (called.tables, called.bare);
        return Err(Failed::Name(PlaceNameError::Unknown { contig, genes, tables, bare }));
    };
    if called.genes.iter().all(|gene| gene.region == first.region) {
        return Ok(first.region);
    }
    let mut places: Vec<String> = Vec::new();
    for gene in &called.genes {
        let place = format!("{} ({}, {})", gene.region.display(store.assembly()), gene.id, gene.table);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    Err(Failed::Name(PlaceNameError::Several { name: name.to_owned(), places }))
}

/// The variants of the rsID `name`, whose number is `id`.
pub(super) fn variants(store: &Store, name: &str, id: u64) -> Result<Vec<Variant>, Failed> {
    match store.variants_of_id(id)? {
        None => Err(Failed::Name(PlaceNameError::NoIds { name: name.to_owned() })),
        Some(found) if found.is_empty() => {
            Err(Failed::Name(PlaceNameError::UnknownId { name: name.to_owned() }))
        }
        Some(found) => Ok(found),
    }
}
