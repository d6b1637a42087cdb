//! The family of splice networks: residual networks of dilated convolutions over one-hot bases, whose outputs are the
//! probabilities that a base is an acceptor or a donor (Jaganathan et al. 2019, doi:10.1016/j.cell.2018.12.015).

mod config;
mod cost;
mod describe;
mod effects;
mod network;
mod options;
mod pass;
mod scorer;
mod state;
#[cfg(test)]
mod tests;
mod weights;

pub use cost::splice_cost;
pub use describe::{is_splice_model, load_splice_model, splice_record};
pub use network::{SpliceModel, SpliceReading};
pub use options::SpliceOptions;
pub use pass::{Alternate, Sites, SpliceOutput, SplicePass};
pub use scorer::{SPLICE, SpliceScorer, splice_columns, splice_gene_columns};
pub use state::{PassState, SpliceState};
