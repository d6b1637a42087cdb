//! The family of splice networks: residual networks of dilated convolutions over one-hot bases, whose outputs are the
//! probabilities that a base is an acceptor or a donor (Jaganathan et al. 2019, doi:10.1016/j.cell.2018.12.015).

mod config;
mod effects;
mod network;
mod options;
mod pass;
mod scorer;
mod state;
#[cfg(test)]
mod tests;
mod weights;
