//! Scores of variants in three stages, so that a pipeline can put them on different threads:
//! [`prepare`] tokenizes windows and plans the forward passes, [`run`] computes one batch of them and
//! is the only stage that calls libtorch, [`finish`] turns the outputs into rows.

mod ablation;
mod classifier;
mod distance;
mod forward;
mod llr;
mod pll;

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;
use thiserror::Error;
use vestore_schema::{ScoreKind, Status, Strands, TokenizerKind};

use crate::batch::{ForwardOutput, Forwards};
use crate::model::Description;
use crate::model::config::Problem;
use crate::model::error::ModelError;
use crate::tokenize::{Tokenizer, TokenizerError, Tokens, reverse_complement};
pub use ablation::{Ablated, LaunchedAblation, Movement, ablate, change, launch_ablation};
pub(crate) use forward::repeats;
pub use forward::{Launched, Outputs, launch, run};

/// How a model is turned into scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// What is computed; order and repeats do not matter.
    pub kinds: Vec<ScoreKind>,
    /// Which strands are read.
    pub strands: Strands,
    /// Most tokens of one batch (rows × tokens of a row); a batch holds at least one row.
    pub batch_tokens: usize,
    /// Whether rows also carry pooled embeddings.
    pub embeddings: bool,
}

/// Why windows cannot be scored.
#[derive(Debug, Error)]
pub enum ScoreError {
    /// The model does not support the score.
    #[error(
        "score `{kind}` needs {needs}; choose another of llr, llr-grid, distance, pll, classifier, regression"
    )]
    Unsupported {
        /// The score.
        kind: ScoreKind,
        /// What is missing.
        needs: &'static str,
    },
    /// A window that the tokenizer refuses.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// More tokens than the model has positions.
    #[error("a window of {found} tokens is longer than the model's {limit}; take --window {bases} or less")]
    TooLong {
        /// Tokens of the window.
        found: usize,
        /// Most tokens that the model takes.
        limit: u32,
        /// A window length that certainly fits when it holds no N.
        bases: u32,
    },
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Recipe {
    /// The chosen kinds, each once, in the order of the columns.
    #[must_use]
    pub fn kinds_in_order(&self) -> Vec<ScoreKind> {
        ScoreKind::ALL.into_iter().filter(|kind| self.kinds.contains(kind)).collect()
    }

    /// The columns of a row, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<&'static str> {
        self.kinds_in_order().iter().flat_map(|kind| kind.columns(self.strands)).copied().collect()
    }

    /// Whether the model can give these scores.
    ///
    /// # Errors
    /// Names the first kind that it cannot give, and what it lacks.
    pub fn check(&self, model: &Description) -> Result<(), ScoreError> {
        for kind in self.kinds_in_order() {
            let words = model.tokenizer_kind != TokenizerKind::Bpe;
            let needs = match kind {
                ScoreKind::Llr if !words => Some("tokens of fixed length (k-mers or bases)"),
                ScoreKind::LlrGrid if !matches!(model.tokenizer_kind, TokenizerKind::Kmer(_)) => {
                    Some("k-mer tokens")
                }
                ScoreKind::Llr | ScoreKind::LlrGrid | ScoreKind::Pll if !model.has_masked_lm => {
                    Some("a masked language model's head")
                }
                ScoreKind::Classifier
                    if model.labels.is_none_or(|labels| labels < 2) && !labels_apart(model) =>
                {
                    Some("a classification head of two or more classes, or of labels")
                }
                ScoreKind::Regression if model.labels != Some(1) || labels_apart(model) => {
                    Some("a head of one output that is a number")
                }
                _ => None,
            };
            if let Some(needs) = needs {
                return Err(ScoreError::Unsupported { kind, needs });
            }
        }
        Ok(())
    }
}

/// Whether its head gives each label a probability of its own.
fn labels_apart(model: &Description) -> bool {
    model.labels.is_some() && model.problem == Problem::Labels
}

/// The window of `llr-grid`: its centre word holds the variant's base and is the same for all bases of
/// that word. See [`grid_window_start`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridWindow {
    /// Bases, upper-case ACGTN.
    pub bases: Arc<[u8]>,
    /// Index in the window of the variant's base.
    pub position: u32,
}

/// First base of the grid window of the 0-based position `position`: words of `word` bases are laid
/// from the contig's start, and the one that holds the position becomes word number
/// floor(words / 2) of the window, counted from 0. `window` is a multiple of `word`. Negative near
/// the contig's start; the caller then shifts the window inward by whole words.
#[must_use]
pub fn grid_window_start(position: u32, window: u32, word: u32) -> i64 {
    i64::from(position / word * word) - i64::from(word * (window / word / 2))
}

/// One variant as the model sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowPair {
    /// Bases of the reference window, upper-case ACGTN.
    pub reference: Arc<[u8]>,
    /// Bases of the alternate window, of the same length.
    pub alternate: Arc<[u8]>,
    /// Index in both windows of the variant's first base.
    pub centre: u32,
    /// Length of the reference allele in bases.
    pub reference_length: u32,
    /// Length of the alternate allele in bases.
    pub alternate_length: u32,
    /// The window of `llr-grid`, where that is asked for and the variant is an SNV.
    pub grid: Option<GridWindow>,
}

impl WindowPair {
    /// Whether one base is replaced by one other.
    #[must_use]
    pub fn is_snv(&self) -> bool {
        self.reference_length == 1 && self.alternate_length == 1
    }
}

/// The pooled final hidden states of a variant, means over the strands that were read.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Of the reference window, one number for each of the hidden vector's.
    pub reference: Vec<f32>,
    /// Alternate − reference, as many.
    pub delta: Vec<f32>,
}

/// The scores of one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// In the order of [`Recipe::columns`]; `None` where a score is not defined or not finite.
    pub values: Vec<Option<f32>>,
    /// Why it carries a score, or none.
    pub status: Status,
    /// Where the recipe asks for it and all its numbers are finite.
    pub embedding: Option<Embedding>,
}

/// One strand of one window pair, tokenized.
struct StrandTokens<'a> {
    reference: &'a Tokens,
    alternate: &'a Tokens,
    grid: Option<(&'a Tokens, u32)>,
    centre: u32,
    /// Alternate base in this strand's letters, for an SNV.
    base: Option<u8>,
}

/// What one strand of one variant needs, by pass number.
#[derive(Debug, Default)]
struct StrandPlan {
    llr: Option<llr::Plan>,
    grid: Option<llr::Plan>,
    distance: Option<distance::Plan>,
    pll: Option<pll::Plan>,
    classifier: Option<classifier::Plan>,
    pooled: Option<(u32, u32)>,
}

/// Planned forward passes of a set of variants.
#[derive(Debug)]
pub struct Work {
    kinds: Vec<ScoreKind>,
    strands: Strands,
    forwards: Forwards,
    batches: Vec<Vec<u32>>,
    rows: Vec<(bool, Vec<StrandPlan>)>,
    mask: i64,
}

impl Work {
    /// Number of batches, for [`run`].
    #[must_use]
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// Forward passes and tokens of one batch.
    #[must_use]
    pub fn size(&self, batch: usize) -> (usize, usize) {
        let passes = &self.batches[batch];
        (passes.len(), passes.iter().map(|pass| self.ids(*pass).len()).sum())
    }

    /// Variants in it.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    fn ids(&self, pass: u32) -> &[i64] {
        &self.forwards.sequences[self.forwards.passes[pass as usize].sequence as usize].ids
    }
}

/// Tokenizes the windows of `pairs` on both strands and plans the forward passes that the recipe
/// needs: each distinct pass once, in batches of one exact token count. The same input gives the same
/// batches. `max_tokens` is the model's limit.
///
/// # Errors
/// When a window is no upper-case ACGTN or too long for the model.
pub fn prepare(
    tokenizer: &Tokenizer,
    recipe: &Recipe,
    max_tokens: Option<u32>,
    pairs: &[WindowPair],
) -> Result<Work, ScoreError> {
    let kinds = recipe.kinds_in_order();
    let wants = |kind| kinds.contains(&kind);
    let alternates = recipe.embeddings
        || [ScoreKind::Distance, ScoreKind::Pll, ScoreKind::Classifier, ScoreKind::Regression]
            .into_iter()
            .any(wants);
    // Alternates of one site share their reference window: each distinct window is cut once.
    let mut numbers: HashMap<&[u8], usize> = HashMap::new();
    let mut windows: Vec<&[u8]> = Vec::new();
    let mut number = |window| {
        *numbers.entry(window).or_insert_with(|| {
            windows.push(window);
            windows.len() - 1
        })
    };
    let mut places = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let reference = number(&pair.reference[..]);
        let alternate = if alternates { number(&pair.alternate[..]) } else { reference };
        let grid = pair.grid.as_ref().filter(|_| wants(ScoreKind::LlrGrid));
        places.push((reference, alternate, grid.map(|grid| number(&grid.bases[..]))));
    }
    let strands = recipe.strands.count();
    let cut = |strand: usize| {
        windows
            .par_iter()
            .map(|window| match strand {
                0 => tokenizer.encode(window),
                _ => tokenizer.encode(&reverse_complement(window)),
            })
            .collect::<Result<Vec<Tokens>, TokenizerError>>()
    };
    let cut: Vec<Vec<Tokens>> = (0..strands).map(cut).collect::<Result<_, _>>()?;
    check_lengths(tokenizer, max_tokens, cut.iter().flatten())?;
    let mut forwards = Forwards::default();
    let rows = pairs.iter().zip(&places).map(|(pair, (reference, alternate, grid))| {
        let plans = cut.iter().enumerate().map(|(strand, tokens)| {
            let mirror = |at: u32, length: usize| if strand == 0 { at } else { length as u32 - 1 - at };
            let snv = pair.is_snv().then(|| pair.alternate[pair.centre as usize]);
            let view = StrandTokens {
                reference: &tokens[*reference],
                alternate: &tokens[*alternate],
                grid: grid
                    .zip(pair.grid.as_ref())
                    .map(|(number, grid)| (&tokens[number], mirror(grid.position, grid.bases.len()))),
                centre: mirror(pair.centre, pair.reference.len()),
                base: snv.map(|base| if strand == 0 { base } else { crate::tokenize::complement(base) }),
            };
            plan_strand(&mut forwards, tokenizer, &kinds, recipe.embeddings, &view)
        });
        (pair.is_snv(), plans.collect())
    });
    let rows = rows.collect();
    let batches = forwards.batches(recipe.batch_tokens);
    let mask = tokenizer.mask_id().unwrap_or_default();
    Ok(Work { kinds, strands: recipe.strands, forwards, batches, rows, mask })
}

fn check_lengths<'a>(
    tokenizer: &Tokenizer,
    max_tokens: Option<u32>,
    mut windows: impl Iterator<Item = &'a Tokens>,
) -> Result<(), ScoreError> {
    let Some(limit) = max_tokens else { return Ok(()) };
    match windows.find(|tokens| tokens.ids.len() > limit as usize) {
        None => Ok(()),
        Some(tokens) => {
            let bases = limit.saturating_sub(1) * tokenizer.word_length().unwrap_or(1);
            Err(ScoreError::TooLong { found: tokens.ids.len(), limit, bases })
        }
    }
}

fn plan_strand(
    forwards: &mut Forwards,
    tokenizer: &Tokenizer,
    kinds: &[ScoreKind],
    embeddings: bool,
    view: &StrandTokens<'_>,
) -> StrandPlan {
    let mut plan = StrandPlan::default();
    for kind in kinds {
        match kind {
            ScoreKind::Llr => {
                plan.llr = llr::plan(forwards, tokenizer, view.reference, view.centre, view.base);
            }
            ScoreKind::LlrGrid => {
                plan.grid = view.grid.and_then(|(tokens, position)| {
                    llr::plan(forwards, tokenizer, tokens, position, view.base)
                });
            }
            ScoreKind::Distance => plan.distance = distance::plan(forwards, view),
            ScoreKind::Pll => plan.pll = Some(pll::plan(forwards, view)),
            ScoreKind::Classifier | ScoreKind::Regression => {
                plan.classifier = Some(classifier::plan(forwards, view));
            }
        }
    }
    if embeddings {
        plan.pooled = Some(distance::pooled(forwards, view));
    }
    plan
}

/// A score that is defined, though perhaps not finite.
type Value = Option<f32>;

/// The mean of the strands' finished scores, in float32; undefined where one of them is.
fn mean(strands: &[Value]) -> Value {
    let values: Option<Vec<f32>> = strands.iter().copied().collect();
    let values = values?;
    Some(values.iter().sum::<f32>() / values.len() as f32)
}

/// Turns the outputs of all batches, in order, into one row for each window pair, in their order.
#[must_use]
pub fn finish(work: &Work, outputs: Vec<Outputs>) -> Vec<Row> {
    let mut by_pass: Vec<ForwardOutput> = vec![ForwardOutput::default(); work.forwards.passes.len()];
    for (batch, outputs) in work.batches.iter().zip(outputs) {
        for (pass, output) in batch.iter().zip(outputs.outputs) {
            by_pass[*pass as usize] = output;
        }
    }
    let row = |(snv, strands): &(bool, Vec<StrandPlan>)| finish_row(work, &by_pass, *snv, strands);
    work.rows.par_iter().map(row).collect()
}

fn finish_row(work: &Work, outputs: &[ForwardOutput], snv: bool, strands: &[StrandPlan]) -> Row {
    let passes = &work.forwards.passes;
    let mut values: Vec<Value> = Vec::new();
    for kind in &work.kinds {
        match kind {
            ScoreKind::Llr => {
                let each: Vec<Value> = strands
                    .iter()
                    .map(|strand| strand.llr.as_ref().map(|plan| plan.finish(passes, outputs)))
                    .collect();
                values.push(mean(&each));
                values.extend(each);
            }
            ScoreKind::LlrGrid => {
                let each: Vec<Value> = strands
                    .iter()
                    .map(|strand| strand.grid.as_ref().map(|plan| plan.finish(passes, outputs)))
                    .collect();
                values.push(mean(&each));
            }
            ScoreKind::Distance => {
                let each: Vec<Option<[f32; 8]>> = strands
                    .iter()
                    .map(|strand| strand.distance.as_ref().map(|plan| plan.finish(passes, outputs)))
                    .collect();
                for column in 0..8 {
                    let column: Vec<Value> =
                        each.iter().map(|values| values.map(|values| values[column])).collect();
                    values.push(mean(&column));
                }
            }
            ScoreKind::Pll => {
                let each: Vec<Value> = strands
                    .iter()
                    .map(|strand| strand.pll.as_ref().map(|plan| plan.finish(passes, outputs)))
                    .collect();
                values.push(mean(&each));
            }
            ScoreKind::Classifier | ScoreKind::Regression => {
                let finish = if *kind == ScoreKind::Classifier {
                    classifier::Plan::odds
                } else {
                    classifier::Plan::numbers
                };
                let each: Vec<Option<[f32; 2]>> = strands
                    .iter()
                    .map(|strand| strand.classifier.map(|plan| finish(plan, outputs)))
                    .collect();
                for column in 0..2 {
                    let column: Vec<Value> =
                        each.iter().map(|values| values.map(|values| values[column])).collect();
                    values.push(mean(&column));
                }
            }
        }
    }
    let embedding = distance::embedding(strands, outputs);
    let broken = values.iter().flatten().any(|value| !value.is_finite())
        || embedding.as_ref().is_some_and(|embedding| !embedding.is_finite());
    let values: Vec<Value> =
        values.into_iter().map(|value| value.filter(|value| value.is_finite())).collect();
    let embedding = embedding.filter(Embedding::is_finite);
    let status = if values.iter().any(Option::is_some) || (values.is_empty() && embedding.is_some()) {
        Status::Scored
    } else if broken {
        Status::NonFinite
    } else if snv {
        Status::NonAcgt
    } else {
        Status::UnsupportedAllele
    };
    debug_assert_eq!(
        values.len(),
        work.kinds.iter().map(|kind| kind.columns(work.strands).len()).sum::<usize>()
    );
    Row { values, status, embedding }
}

impl Embedding {
    fn is_finite(&self) -> bool {
        self.reference.iter().chain(&self.delta).all(|value| value.is_finite())
    }
}
