//! Tracks whose numbers are means of those of other tracks, such as of the replicates of a model.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::digest::Digest;
use crate::track::{NameError, Track, check_name};

/// Most tracks of one mean.
pub const MAX_AVERAGED: usize = 64;

/// A track that a mean was taken of, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Averaged {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: Digest,
    /// Name of its model in this store.
    pub model: String,
    /// Identity of the model.
    pub model_id: Digest,
}

impl Track {
    /// The mean of `tracks`, which have one recipe, the same columns and the same targets; they need not be in any
    /// order. Its identity is theirs and the recipe. It has no gene effects: places of changes have no mean.
    ///
    /// # Errors
    /// When the name cannot be a track's.
    ///
    /// # Panics
    /// When there are no tracks, which is a bug.
    pub fn of_mean(name: &str, tracks: &[Self]) -> Result<Self, NameError> {
        check_name(name)?;
        let averaged = |track: &Self| Averaged {
            name: track.name.clone(),
            id: track.id,
            model: track.model.clone(),
            model_id: track.model_id,
        };
        let mut mean: Vec<Averaged> = tracks.iter().map(averaged).collect();
        mean.sort_by_key(|track| track.id);
        let first = tracks.first().expect("a mean is of some tracks; this is a bug");
        let mut models: Vec<Digest> = mean.iter().map(|track| track.model_id).collect();
        models.sort_unstable();
        let ids: Vec<Digest> = mean.iter().map(|track| track.id).collect();
        Ok(Self {
            name: name.to_owned(),
            id: Digest::of_json(&json!({ "mean": ids, "recipe": first.recipe })),
            model: models_of(&mean),
            model_id: Digest::of_json(&json!({ "mean": models })),
            gene_columns: Vec::new(),
            targets: first.targets.filter(|_| !first.effect_columns.is_empty()),
            mean,
            ..first.clone()
        })
    }

    /// The same after a model was renamed.
    #[must_use]
    pub fn with_model_renamed(mut self, old: &str, new: &str) -> Self {
        for averaged in self.mean.iter_mut().filter(|averaged| averaged.model == old) {
            new.clone_into(&mut averaged.model);
        }
        if !self.mean.is_empty() {
            self.model = models_of(&self.mean);
        } else if self.model == old {
            new.clone_into(&mut self.model);
        }
        self
    }

    /// Whether its numbers, or those that they are means of, come from this model.
    #[must_use]
    pub fn is_of_model(&self, name: &str) -> bool {
        self.model == name || self.mean.iter().any(|averaged| averaged.model == name)
    }
}

/// What stands for the model of a mean: the names of all of them. No model can have such a name.
pub(crate) fn models_of(mean: &[Averaged]) -> String {
    mean.iter().map(|track| track.model.as_str()).collect::<Vec<_>>().join(",")
}
