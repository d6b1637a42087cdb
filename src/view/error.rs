//! Why something cannot be shown.

use thiserror::Error;

use super::{MOST_BASES, MOST_SCORES};
use crate::grouped::grouped;
use crate::import::ImportError;
use crate::query::QuestionError;
use crate::reference::ReferenceError;
use crate::store::StoreError;
use crate::variants::{PlanError, RefMismatchError};

/// Why a stretch of a store cannot be shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ViewError {
    /// Nothing was asked for.
    #[error("no place to show; name a region such as `17:43,044,295-43,125,483` or a variant")]
    NoPlace,
    /// One page shows one stretch.
    #[error("the places lie on several contigs; a view shows one stretch, so make one view for each")]
    SeveralContigs,
    /// The page would hold too much sequence.
    #[error(
        "{place} is too long for one view: {} bases, at most {}; choose a smaller region, or export tracks \
         for a genome browser (`vestore export --format bigwig`)",
        grouped((*bases).into()), grouped(MOST_BASES.into())
    )]
    TooLong {
        /// The region.
        place: String,
        /// Its length.
        bases: u32,
    },
    /// The page would hold too many scores.
    #[error(
        "{place} has too many scores for one view: more than {} (variants × columns of all tracks); choose \
         a smaller region, fewer tracks (--track) or fewer columns (--score)",
        grouped(MOST_SCORES as u64)
    )]
    TooManyScores {
        /// The region.
        place: String,
    },
    /// Something else that the page shows is too much.
    #[error("{place} has too many {what} for one view: more than {}; choose a smaller region", grouped(*most as u64))]
    TooMany {
        /// The region.
        place: String,
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// No track has rows there.
    #[error("no rows in {place}; `vestore info` lists the tracks, `vestore query` prints their rows")]
    NoRows {
        /// The region.
        place: String,
    },
    /// A column that does not hold scores.
    #[error("not a score column: `{name}`; expected one of {}", known.join(", "))]
    NotAScore {
        /// As asked.
        name: String,
        /// The score columns of the tracks.
        known: Vec<String>,
    },
    /// Neither a file nor a table that the store keeps.
    #[error("unknown gene table `{name}`: it is not a file, and the store keeps {kept}")]
    Genes {
        /// As asked.
        name: String,
        /// The tables of the store, or that there is none.
        kept: String,
    },
    /// The rows cannot be asked for so.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reference cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The genes cannot be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The labels cannot be read.
    #[error(transparent)]
    Labels(#[from] ImportError),
    /// The labels are of another assembly.
    #[error(transparent)]
    RefMismatch(#[from] RefMismatchError),
}
