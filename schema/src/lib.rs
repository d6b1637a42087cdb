//! What a variant effect store holds: the types that its store and its engine share, the Arrow
//! schemas of its tables, the tables of its catalog. FORMAT.md beside this crate specifies the bytes.

mod assembly;
mod locus;
mod variant;

pub use assembly::{Assembly, Contig};
pub use locus::{LocusError, Region};
pub use variant::{Status, Variant};
