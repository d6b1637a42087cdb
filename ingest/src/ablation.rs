//! Ablation: every score without each block in turn. [`branches`] runs the model, [`unit`] collects a unit's batches,
//! [`change`] is what is stored, and [`summary`] says what stored changes mean for the layers.

mod branches;
mod change;
mod summary;
mod unit;

pub(crate) use branches::launch_ablation;
pub use branches::{Ablated, Movement, ablate};
pub use change::change;
pub(crate) use change::rows;
pub use summary::{Figure, Figures, LayerSummary, Summary, SummaryError, ablated_tracks, plot, summarize};
pub(crate) use unit::{Ablation, LaunchedUnit};
