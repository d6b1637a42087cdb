//! The families of models that this program runs. A family is chosen here alone: another one is a variant of
//! [`Family`] with an arm in each function.

use anyhow::{Context, bail};
use vestore::Store;
use vestore_ingest::{
    Cost, Device, EncoderDefaults, EncoderScorer, Kind, Model, Network, ScoreError, ScoreKind, Scorer,
    encoder_cost, encoder_kinds, source_of,
};
use vestore_schema::{AblatedPart, Architecture, Digest, Dtype, Model as ModelRecord, Recipe, Strands};

/// The family of a model of the catalog, with the choices that it leaves to a command line.
pub(super) enum Family<'a> {
    Encoder(EncoderDefaults<'a>),
}

/// What is done with a model of any family once it is loaded.
pub(super) trait ModelTask {
    type Output;

    /// Runs it; `networks` are copies of one model, one a device.
    fn run<S, N>(self, scorer: &S, networks: Vec<N>) -> anyhow::Result<Self::Output>
    where
        S: Scorer,
        N: Network<Pass = S::Pass, Output = S::Output>;
}

/// Which model is loaded, where, and what it computes.
pub(super) struct Loading<'a> {
    pub(super) store: &'a Store,
    pub(super) record: &'a ModelRecord,
    pub(super) recipe: &'a Recipe,
    pub(super) devices: &'a [Device],
    pub(super) embeddings: bool,
    pub(super) batch_tokens: u32,
}

/// The score kinds of all families.
pub(super) fn score_kinds() -> impl Iterator<Item = &'static ScoreKind> {
    encoder_kinds()
}

impl<'a> Family<'a> {
    /// That of `record`.
    ///
    /// # Errors
    /// When no family of this program has its architecture.
    pub(super) fn of(record: &'a ModelRecord) -> anyhow::Result<Self> {
        match &record.architecture {
            Architecture::Encoder(encoder) => Ok(Self::Encoder(EncoderDefaults::new(record, encoder))),
            Architecture::OneHot(_) => {
                bail!("this program does not run models of this architecture: `{}`", record.name)
            }
        }
    }

    /// The score kinds that `asked` names, or those that suit the model.
    pub(super) fn scores(&self, asked: &[String]) -> Result<Vec<String>, ScoreError> {
        let Self::Encoder(defaults) = self;
        defaults.scores(asked)
    }

    /// The columns of these score kinds, in order.
    pub(super) fn columns(&self, scores: &[String], strands: Strands) -> Result<Vec<String>, ScoreError> {
        let Self::Encoder(defaults) = self;
        defaults.columns(scores, strands)
    }

    /// The window that `asked` asks for, else `tuned`, else the family's.
    pub(super) fn window(
        &self,
        asked: Option<u32>,
        tuned: Option<u32>,
        scores: &[String],
    ) -> Result<u32, ScoreError> {
        let Self::Encoder(defaults) = self;
        defaults.window(asked, tuned, scores)
    }

    /// The part of a block called `name`.
    pub(super) fn part(&self, name: &str) -> Result<AblatedPart, ScoreError> {
        let Self::Encoder(defaults) = self;
        defaults.part(name)
    }

    /// What one variant of `recipe` takes.
    pub(super) fn cost(
        &self,
        record: &ModelRecord,
        recipe: &Recipe,
        embeddings: bool,
        ablation: bool,
    ) -> Result<Cost, ScoreError> {
        let Self::Encoder(_) = self;
        encoder_cost(record, recipe, embeddings, ablation)
    }

    /// Loads the model onto every device and runs `task` with it.
    pub(super) fn run<T: ModelTask>(&self, loading: &Loading<'_>, task: T) -> anyhow::Result<T::Output> {
        let Self::Encoder(_) = self;
        let load = |device: &Device| load_encoder(loading, *device);
        let models = loading.devices.iter().map(load).collect::<anyhow::Result<Vec<Model>>>()?;
        let first = models.first().context("no device was named; this is a bug")?;
        let scorer = EncoderScorer::new(first, loading.recipe, loading.embeddings, loading.batch_tokens)?;
        task.run(&scorer, models)
    }
}

fn load_encoder(loading: &Loading<'_>, device: Device) -> anyhow::Result<Model> {
    let source = source_of(loading.store, loading.record);
    let kind = match loading.recipe.dtype {
        Dtype::F32 | Dtype::Tf32 => Kind::Float,
        Dtype::Bf16 => Kind::BFloat16,
    };
    let model = Model::load(&source, device, kind).with_context(|| {
        format!("cannot load model `{}` from {}", loading.record.name, source.checkpoint.display())
    })?;
    check_unchanged(loading, Digest::from(model.description().id))?;
    Ok(model)
}

/// Refuses files that are no longer those that were added.
fn check_unchanged(loading: &Loading<'_>, id: Digest) -> anyhow::Result<()> {
    let Loading { store, record, .. } = loading;
    if id == record.id {
        return Ok(());
    }
    bail!(
        "the files of model `{}` in {} have changed since it was added (id {} was {}); restore them, or add them as a \
         new model",
        record.name,
        source_of(store, record).checkpoint.display(),
        id.short(),
        record.id.short()
    )
}
