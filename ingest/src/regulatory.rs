//! The family of regulatory sequence models: convolutions, a transformer and a head of many targets over one-hot bases,
//! which predict profiles of experiments along a window (Borzoi, Flashzoi, Enformer).

mod attention;
mod block;
mod blueprint;
mod config;
mod convolution;
mod cost;
mod describe;
mod exons;
mod files;
mod gate;
mod kinds;
mod loader;
mod network;
mod options;
mod pass;
mod positions;
mod scorer;
mod statistics;
mod targets;
#[cfg(test)]
mod tests;
mod transform;
mod trunk;
mod unet;

pub(crate) use blueprint::{
    Blueprint, final_names, head_name, is_ignored, is_kept, plain_name, stage_names, takes_gate,
};
pub use config::{RegulatoryConfig, RegulatoryFamily};
pub use cost::regulatory_cost;
pub use describe::{
    TargetsSource, is_regulatory_model, regulatory_config, regulatory_record, regulatory_targets,
};
pub(crate) use files::RegulatoryFiles;
pub use kinds::{is_gene_kind, regulatory_kinds, regulatory_scores};
pub use network::{RegulatoryModel, RegulatoryReading, RegulatoryState};
pub use options::{
    RegulatoryOptions, RegulatoryOptionsError, choose_targets, regulatory_defaults, regulatory_window,
};
pub use pass::{RegulatoryOutput, RegulatoryPass};
pub use scorer::{RegulatoryScorer, RegulatoryWindow};
pub use targets::{TargetTable, TargetsFileError};
pub use trunk::{Trunk, WindowState};
