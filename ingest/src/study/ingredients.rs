//! The study of a pretraining's ingredients: models are trained with all of them and without each in turn, several
//! times, and compared by their loss on held-out DNA.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde_json::json;
use tch::{Device, Kind};

use super::error::StudyError;
use crate::checkpoint::ModelSource;
use crate::encoder::model::Model;
use crate::genome::{Genome, KnownRegions};
use crate::measure::{BaseSet, MaskedOptions, masked_losses};
use crate::progress::Progress;
use crate::train::{Alleles, Pretrained, PretrainingData, PretrainingPlan, PretrainingRun, pretrain};

/// Steps between two states on disk.
const SAVE_EVERY: u64 = 200;

/// Window in bases, and one token of so many hidden at a time, when losses are measured.
const WINDOW: u32 = 510;
const GAP: u32 = 12;

/// A study of a pretraining's ingredients.
pub struct IngredientStudy<'a> {
    /// The recipe with all ingredients; seeds 1 to `seeds` take the place of its own.
    pub plan: PretrainingPlan,
    /// Folder with config.json and the tokenizer's files.
    pub config: &'a Path,
    /// The same encoder with another tokenizer.
    pub other_tokenizer: Option<&'a Path>,
    /// The DNA.
    pub genome: &'a Genome,
    /// Where windows are drawn.
    pub training: &'a KnownRegions,
    /// Where the loss is measured.
    pub held_out: &'a KnownRegions,
    /// Alleles to put into windows.
    pub alleles: Option<&'a Alleles>,
    /// Models of each recipe, two or more.
    pub seeds: u64,
    /// Windows to measure on.
    pub windows: u64,
    /// Folder for the models.
    pub output: &'a Path,
    /// What computes.
    pub device: Device,
    /// Set by whoever wants it to stop after the current step.
    pub interrupted: &'a AtomicBool,
    /// Follows the steps of each training.
    pub progress: &'a dyn Progress,
}

/// A mean, and half the width of its 95 % interval by Student's t over the seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedInterval {
    /// The mean.
    pub mean: f64,
    /// Half the width.
    pub half: f64,
}

/// The losses of one recipe on a set of bases.
#[derive(Clone, Debug, PartialEq)]
pub struct IngredientRow {
    /// The recipe.
    pub recipe: &'static str,
    /// The bases that count.
    pub bases: BaseSet,
    /// Models.
    pub seeds: usize,
    /// Nats a base.
    pub loss: SeedInterval,
    /// The rise of the loss, seed by seed, against the recipe with all ingredients; `None` for that recipe.
    pub worth: Option<SeedInterval>,
}

/// A recipe: all ingredients, or all but one.
struct Recipe {
    name: &'static str,
    plan: PretrainingPlan,
    config: PathBuf,
    alleles: bool,
}

/// Mean losses of one recipe by set of bases, a seed each.
type Losses = Vec<BTreeMap<&'static str, f64>>;

impl IngredientStudy<'_> {
    /// Trains and measures; `None` when it was interrupted. `begins` is given the recipe and the seed of each training.
    ///
    /// # Errors
    /// When the recipe has no ingredient to leave out, a training fails or a model cannot be measured.
    pub fn run(&self, begins: &mut dyn FnMut(&str, u64)) -> Result<Option<Vec<IngredientRow>>, StudyError> {
        let recipes = self.recipes()?;
        let mut found: Vec<(&'static str, Losses)> = Vec::new();
        for recipe in &recipes {
            let mut losses = Vec::new();
            for seed in 1..=self.seeds {
                begins(recipe.name, seed);
                let output = self.output.join(recipe.name.replace(' ', "-")).join(format!("seed-{seed}"));
                if !self.train(recipe, seed, &output)? {
                    return Ok(None);
                }
                losses.push(self.measure(&output)?);
            }
            found.push((recipe.name, losses));
        }
        Ok(Some(rows(&found)))
    }

    /// The whole recipe first, then without each ingredient that it has.
    fn recipes(&self) -> Result<Vec<Recipe>, StudyError> {
        let whole = |name| Recipe {
            name,
            plan: self.plan.clone(),
            config: self.config.to_owned(),
            alleles: self.alleles.is_some(),
        };
        let mut recipes = vec![whole("all ingredients")];
        if self.plan.lengths.steps > 0 {
            let mut without = whole("without length warm-up");
            without.plan.lengths.steps = 0;
            recipes.push(without);
        }
        if self.plan.repeat_weight < 1.0 {
            let mut without = whole("without repeat filter");
            without.plan.repeat_weight = 1.0;
            recipes.push(without);
        }
        if self.alleles.is_some() {
            recipes.push(Recipe { alleles: false, ..whole("without alleles") });
        }
        if let Some(config) = self.other_tokenizer {
            recipes.push(Recipe { config: config.to_owned(), ..whole("other tokenizer") });
        }
        if recipes.len() == 1 { Err(StudyError::NoIngredients) } else { Ok(recipes) }
    }

    /// Trains a recipe; `false` when it was interrupted.
    fn train(&self, recipe: &Recipe, seed: u64, output: &Path) -> Result<bool, StudyError> {
        let alleles = self.alleles.filter(|_| recipe.alleles);
        let contigs = &self.genome.assembly().contigs;
        let data = PretrainingData {
            genome: self.genome,
            training: self.training,
            held_out: self.held_out,
            alleles,
            identity: json!({ "contigs": contigs, "alleles": alleles.map(Alleles::digest) }),
        };
        let run = PretrainingRun {
            start: &recipe.config,
            output,
            device: self.device,
            save_every: SAVE_EVERY,
            interrupted: self.interrupted,
            progress: self.progress,
        };
        let plan = PretrainingPlan { seed, ..recipe.plan.clone() };
        Ok(matches!(pretrain(&plan, &data, &run)?, Pretrained::Whole(_)))
    }

    fn measure(&self, checkpoint: &Path) -> Result<BTreeMap<&'static str, f64>, StudyError> {
        let model = Model::load(&ModelSource::new(checkpoint), self.device, Kind::Float)?;
        let options = MaskedOptions { window: WINDOW, gap: GAP, windows: self.windows, seed: 1 };
        let losses = masked_losses(&model, self.genome, self.held_out, options)?;
        let mean = |bases: &BaseSet| Some((bases.as_str(), losses.mean(*bases)?.mean));
        Ok(BaseSet::ALL.iter().filter_map(mean).collect())
    }
}

/// A row for each set of bases and each recipe that was measured on it twice or more.
fn rows(found: &[(&'static str, Losses)]) -> Vec<IngredientRow> {
    let mut rows = Vec::new();
    for bases in BaseSet::ALL {
        let of = |losses: &Losses| -> Vec<f64> {
            losses.iter().filter_map(|means| means.get(bases.as_str()).copied()).collect()
        };
        let whole = found.first().map(|(_, losses)| of(losses)).unwrap_or_default();
        for (number, (recipe, losses)) in found.iter().enumerate() {
            let own = of(losses);
            if own.len() < 2 {
                continue;
            }
            // Same seed, same order of windows: seeds are compared one by one.
            let rises: Vec<f64> = own.iter().zip(&whole).map(|(own, whole)| own - whole).collect();
            let worth = (number > 0 && rises.len() > 1).then(|| interval(&rises));
            rows.push(IngredientRow { recipe, bases, seeds: own.len(), loss: interval(&own), worth });
        }
    }
    rows
}

fn interval(numbers: &[f64]) -> SeedInterval {
    /// 97.5 % quantiles of Student's t with 1, 2, ... degrees of freedom. Beyond the table its last one stands for
    /// smaller ones, so that intervals of more seeds are a little too wide.
    const QUANTILES: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let quantile = QUANTILES.get(numbers.len() - 2).copied().unwrap_or(2.228);
    SeedInterval { mean, half: quantile * (variance / count).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_textbook() {
        // scipy.stats.t.interval(0.95, 2, mean, sem) of 1, 2, 4: 2.3333 ± 3.7946.
        let SeedInterval { mean, half } = interval(&[1.0, 2.0, 4.0]);
        assert!((mean - 7.0 / 3.0).abs() < 1e-12 && (half - 3.7946).abs() < 1e-3, "{mean} {half}");
    }
}
