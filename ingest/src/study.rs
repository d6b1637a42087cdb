//! Studies of layers: what a model loses without each of them, by training it again, and what cheaper rankings
//! say of them.

mod ranking;
mod verdict;

pub use ranking::{LayerRanking, rank_layers};
pub use verdict::verdicts;
