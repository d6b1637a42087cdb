//! Studies: a model trained again and again, each time with something changed, and what that says. Of layers, beside
//! cheaper rankings; of a pretraining's ingredients.

mod error;
mod ingredients;
mod layers;
mod ranking;
mod verdict;

pub use error::StudyError;
pub use ingredients::{IngredientRow, IngredientStudy, SeedInterval};
pub use layers::{LayerStudy, LayerStudyEvent, LayerStudyOptions};
pub use ranking::{LayerRanking, rank_layers};
