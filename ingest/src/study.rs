//! Studies: a model trained again and again, each time with something changed, and what that says. Of layers, beside
//! cheaper rankings; of a pretraining's ingredients.

mod coverage;
mod error;
mod ingredients;
mod layers;
mod ranking;
mod subject;
mod verdict;

pub use coverage::CoverageSubject;
pub use error::StudyError;
pub use ingredients::{IngredientRow, IngredientStudy, SeedInterval};
pub use layers::{LayerStudy, LayerStudyEvent, LayerStudyOptions, check_layers, check_study_name};
pub use ranking::{LayerRanking, rank_layers};
pub use subject::{StudySubject, StudyTraining};
