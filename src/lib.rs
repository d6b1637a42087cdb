//! vestore: an embedded store for variant effects.

#[cfg(test)]
mod fixture;
mod reference;
mod variants;

pub use reference::{Reference, ReferenceError};
pub use variants::{
    Allele, InputError, Listed, Normalized, Plan, PlanError, PlanOptions, Planned, PlannedRows, Record,
    RefMismatch, Rejection, Report, ReportError, SpillError, VariantSource, normalize, read_bed,
};
