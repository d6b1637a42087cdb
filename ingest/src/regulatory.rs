//! The family of regulatory sequence models: convolutions, a transformer and a head of many targets over one-hot bases,
//! which predict profiles of experiments along a window (Borzoi, Flashzoi, Enformer).

mod attention;
mod block;
mod blueprint;
mod config;
mod convolution;
mod describe;
mod files;
mod gate;
mod loader;
mod positions;
#[cfg(test)]
mod tests;
mod trunk;
mod unet;

pub(crate) use blueprint::{
    Blueprint, final_names, head_name, is_ignored, plain_name, stage_names, takes_gate,
};
pub use config::{RegulatoryConfig, RegulatoryFamily};
pub use describe::{TargetsSource, is_regulatory_model, regulatory_config, regulatory_record};
pub(crate) use trunk::{Trunk, WindowState};
