//! The seam between the engine and the families of models. Above it nothing knows tokens, layers of an encoder or
//! names of columns; a family implements [`Scorer`] and [`Network`] and is scored, resumed, ablated and queried.

use tch::{TchError, Tensor};
use thiserror::Error;
use vestore::{Reference, ReferenceError};
use vestore_schema::{AblatedPart, Assembly, Status, Variant};

use crate::convert::dimension;
use crate::error::ModelError;
use crate::tokenize::TokenizerError;
use crate::work::Work;

/// What one forward pass reads, and what is wanted of it.
pub trait Pass: Clone + Send + Sync {
    /// What decides whether passes can share a batch: the length of their input first.
    type Group: Ord + Copy;

    /// Passes of one group can share a batch, and take the same memory; batches are run in the order of groups.
    fn group(&self) -> Self::Group;

    /// Tokens or bases of its input.
    fn length(&self) -> usize;

    /// Sequences that are run through the model for it.
    fn forwards(&self) -> usize {
        1
    }
}

/// The numbers that one pass gave, on the CPU.
pub trait Output: Clone + Default + Send + Sync {
    /// All of them, in a fixed order.
    fn numbers(&self) -> Vec<f32>;
}

impl Output for Vec<f32> {
    fn numbers(&self) -> Vec<f32> {
        self.clone()
    }
}

/// A way of turning what a model says of two windows into scores, as people choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreKind {
    /// The name on the command line and in recipes.
    pub name: &'static str,
    /// What it is, in a line.
    pub description: &'static str,
    /// What a higher score means, in a line.
    pub direction: &'static str,
}

/// A model version under a recipe, without weights: how variants become passes, and what passes gave becomes rows.
pub trait Scorer: Send + Sync {
    /// A variant as the model sees it: the bases around it.
    type Window: Send;
    /// What one forward pass reads.
    type Pass: Pass;
    /// What one forward pass gives.
    type Output: Output;

    /// The score columns of a row, in order.
    fn columns(&self) -> Vec<String>;

    /// The columns of a row's gene effects, in order; none where the family has none.
    fn gene_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// The columns of a row's effects on targets, one per kind, in order; none where the family has no targets.
    fn effect_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// The names of the targets whose effects a row holds, in order.
    fn targets(&self) -> Vec<String> {
        Vec::new()
    }

    /// The window of a variant in normal form whose reference allele was checked, or why it has none.
    ///
    /// # Errors
    /// When the reference cannot be read.
    fn cut(
        &self,
        variant: &Variant,
        reference: &mut Reference,
        assembly: &Assembly,
    ) -> Result<Result<Self::Window, Status>, ScoreError>;

    /// The distinct passes of `windows` and how their outputs become one row for each; without `scores` for
    /// embeddings alone.
    ///
    /// # Errors
    /// When a window is not one that the model can read.
    fn plan(
        &self,
        windows: &[Self::Window],
        scores: bool,
    ) -> Result<Work<Self::Pass, Self::Output>, ScoreError>;
}

/// What lies between two blocks of a network: the hidden states of a transformer, or several tensors.
pub trait State: Sized {
    /// States as one, which goes through a block together.
    ///
    /// # Errors
    /// When memory runs out.
    fn stack(states: &[Self]) -> Result<Self, TchError>;

    /// The `count` states of one that was stacked.
    ///
    /// # Errors
    /// As [`State::stack`].
    fn unstack(self, count: usize) -> Result<Vec<Self>, TchError>;
}

/// One row a pass.
impl State for Tensor {
    fn stack(states: &[Self]) -> Result<Self, TchError> {
        Self::f_cat(states, 0)
    }

    fn unstack(self, count: usize) -> Result<Vec<Self>, TchError> {
        self.f_chunk(dimension(count), 0)
    }
}

/// A model version on a device: blocks on top of each other, which an ablation leaves out one at a time.
pub trait Network: Send {
    /// What one forward pass reads.
    type Pass: Pass;
    /// What one forward pass gives.
    type Output: Output;
    /// What lies between two blocks, for some passes in a row.
    type State: State;
    /// What was read of a batch: small tensors on the device, perhaps not computed yet.
    type Reading: Send;

    /// Blocks that are run.
    fn depth(&self) -> usize;

    /// What lies below the first block: its input.
    ///
    /// # Errors
    /// When memory runs out, or libtorch fails otherwise.
    fn begin(&self, passes: &[&Self::Pass]) -> Result<Self::State, ModelError>;

    /// The state after the block `index`, 0-based among those that are run, also of several copies of the passes that
    /// are run together.
    ///
    /// # Errors
    /// As [`Network::begin`].
    fn block(
        &self,
        index: usize,
        state: &Self::State,
        step: &Step<'_, Self::Pass>,
    ) -> Result<Self::State, ModelError>;

    /// What lies above the last block, as far as the passes want it: the same as its [`Step::wanted`].
    ///
    /// # Errors
    /// As [`Network::begin`].
    fn read(&self, state: &Self::State, passes: &[&Self::Pass]) -> Result<Self::Reading, ModelError>;

    /// From the passes to what is read of them; `before_block` is called before every block, and ends it.
    ///
    /// # Errors
    /// As [`Network::begin`], and those of `before_block`.
    fn forward(
        &self,
        passes: &[&Self::Pass],
        before_block: &dyn Fn() -> Result<(), ModelError>,
    ) -> Result<Self::Reading, ModelError> {
        let mut state = self.begin(passes)?;
        for index in 0..self.depth() {
            before_block()?;
            let wanted = (index + 1 == self.depth()).then_some(passes);
            state = self.block(index, &state, &Step { without: None, wanted })?;
        }
        self.read(&state, passes)
    }

    /// Waits for what was read of `passes`, in their order. May be called on any thread.
    ///
    /// # Errors
    /// When the device failed.
    fn outputs(reading: Self::Reading, passes: &[&Self::Pass]) -> Result<Vec<Self::Output>, ModelError>;

    /// As little of a pass as tells whether its numbers repeat; all of it unless passes are long.
    fn sample(&self, pass: &Self::Pass) -> Self::Pass {
        pass.clone()
    }

    /// How far a block moved each pass: mean cosine and mean angle [2, passes], float64; none where that means
    /// nothing.
    ///
    /// # Errors
    /// As [`Network::begin`].
    fn movement(&self, before: &Self::State, after: &Self::State) -> Result<Option<Tensor>, TchError> {
        let _ = (before, after);
        Ok(None)
    }
}

/// How a block is run.
#[derive(Debug)]
pub struct Step<'a, P> {
    /// What of it is left out.
    pub without: Option<&'a AblatedPart>,
    /// In the last block, the passes that the rows of the state belong to: what they do not want may be left
    /// out. None where all is wanted.
    pub wanted: Option<&'a [&'a P]>,
}

impl<P> Step<'_, P> {
    /// The whole block, all of it wanted.
    #[must_use]
    pub fn whole() -> Self {
        Self { without: None, wanted: None }
    }
}

/// What one variant takes that shares nothing with others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Multiplications and additions.
    pub operations: f64,
    /// Bytes of its windows, passes and outputs while they wait.
    pub bytes: f64,
    /// Variants that share enough to be of one unit, however expensive they are; 1 where nothing is.
    pub together: usize,
}

/// Why windows cannot be scored.
#[derive(Debug, Error)]
pub enum ScoreError {
    /// The model does not support the score.
    #[error("the model does not support score `{kind}`, which needs {needs}; other kinds are {}", known.join(", "))]
    Unsupported {
        /// The score.
        kind: String,
        /// What is missing.
        needs: &'static str,
        /// The other kinds of its family.
        known: Vec<&'static str>,
    },
    /// A score kind that the model's family does not have.
    #[error("unknown score kind `{kind}`; expected one of {}", known.join(", "))]
    UnknownKind {
        /// As asked.
        kind: String,
        /// Kinds of its family.
        known: Vec<&'static str>,
    },
    /// Only kinds that are not effects.
    #[error("score kind `{kind}` accompanies effects; add at least one of {}", known.join(", "))]
    NoEffect {
        /// The first of them.
        kind: &'static str,
        /// Kinds of the family.
        known: Vec<&'static str>,
    },
    /// A part that the blocks of the model's family do not have.
    #[error("unknown part `{part}` of a layer; expected one of {}", known.join(", "))]
    UnknownPart {
        /// As asked.
        part: String,
        /// Parts of its family.
        known: Vec<&'static str>,
    },
    /// A window that the model does not take.
    #[error("invalid window of {found} bp for model `{model}`: {expected}")]
    Window {
        /// The model.
        model: String,
        /// As asked.
        found: u32,
        /// What it takes, and what to use instead.
        expected: String,
    },
    /// A window that the tokenizer refuses.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// More tokens than the model has positions.
    #[error("a window of {found} tokens is longer than the model's {limit}; use --window {bases} or less")]
    TooLong {
        /// Tokens of the window.
        found: usize,
        /// Most tokens that the model takes.
        limit: u32,
        /// A window length that certainly fits when it holds no N.
        bases: u32,
    },
    /// The reference could not be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}
