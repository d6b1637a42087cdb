//! The families of models that this program runs. A family is chosen here alone: another one is a variant of
//! [`Family`] with an arm in each function.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use vestore::{GeneTable, Store};
use vestore_ingest::{
    Cost, Device, EncoderDefaults, EncoderScorer, Kind, Model, ModelSource, Network, RegulatoryScorer,
    SPLICE, ScoreError, ScoreKind, Scorer, SpliceModel, SpliceOptions, SpliceScorer, describe, encoder_cost,
    encoder_kinds, is_regulatory_model, is_splice_model, load_splice_model, record_of, regulatory_cost,
    regulatory_kinds, regulatory_scores, source_of, splice_columns, splice_cost, splice_gene_columns,
    splice_record,
};
use vestore_schema::{AblatedPart, Architecture, Digest, Dtype, Model as ModelRecord, Recipe, SpliceRecord};

use super::regulatory::{HeadChoice, RegulatoryChoices, describe_regulatory};
use super::shared::Usage;

/// What the input of encoders is counted in.
pub(super) const TOKEN: &str = "token";

/// Parts of a regulatory model's transformer blocks.
const REGULATORY_PARTS: [&str; 3] = ["block", "attention", "mlp"];

/// The family of a model of the catalog, with the choices that it leaves to a command line.
pub(super) enum Family<'a> {
    Encoder(EncoderDefaults<'a>),
    Splice(&'a ModelRecord, &'a SpliceRecord),
    Regulatory(Box<RegulatoryChoices<'a>>),
}

/// The columns of a track, and the targets of its effects.
pub(super) struct Columns {
    pub(super) scores: Vec<String>,
    pub(super) genes: Vec<String>,
    pub(super) effects: Vec<String>,
    pub(super) targets: Vec<String>,
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
    /// The table of genes that the recipe names, if it names one.
    pub(super) genes: Option<Arc<GeneTable>>,
}

/// The score kinds of all families.
pub(super) fn score_kinds() -> impl Iterator<Item = &'static ScoreKind> {
    encoder_kinds().chain([&SPLICE]).chain(regulatory_kinds())
}

impl<'a> Family<'a> {
    /// That of `record`.
    ///
    /// # Errors
    /// When no family of this program has its architecture, or its files cannot be read.
    pub(super) fn of(store: &Store, record: &'a ModelRecord) -> anyhow::Result<Self> {
        match &record.architecture {
            Architecture::Encoder(encoder) => Ok(Self::Encoder(EncoderDefaults::new(record, encoder))),
            Architecture::Splice(splice) => Ok(Self::Splice(record, splice)),
            Architecture::Regulatory(regulatory) => {
                let choices = RegulatoryChoices::of(store, record, regulatory)?;
                Ok(Self::Regulatory(Box::new(choices)))
            }
            Architecture::OneHot(_) => {
                bail!("this program does not run models of this architecture: `{}`", record.name)
            }
        }
    }

    /// The score kinds that `asked` names, or those that suit the model.
    pub(super) fn scores(&self, asked: &[String]) -> Result<Vec<String>, ScoreError> {
        match self {
            Self::Encoder(defaults) => defaults.scores(asked),
            Self::Splice(..) => match asked.iter().find(|kind| *kind != SPLICE.name) {
                None => Ok(vec![SPLICE.name.to_owned()]),
                Some(kind) => Err(ScoreError::UnknownKind { kind: kind.clone(), known: vec![SPLICE.name] }),
            },
            Self::Regulatory(choices) => regulatory_scores(choices.config.family(), asked),
        }
    }

    /// The columns that a track of `recipe` has, in order.
    pub(super) fn columns(&self, recipe: &Recipe) -> anyhow::Result<Columns> {
        let mut columns =
            Columns { scores: Vec::new(), genes: Vec::new(), effects: Vec::new(), targets: Vec::new() };
        match self {
            Self::Encoder(defaults) => columns.scores = defaults.columns(&recipe.scores, recipe.strands)?,
            Self::Splice(..) => {
                columns.scores = splice_columns();
                columns.genes = splice_gene_columns();
            }
            Self::Regulatory(choices) => {
                let options = choices.options(recipe)?;
                columns.scores = options.columns();
                columns.effects = options.effect_columns();
                columns.genes = options.gene_columns();
                columns.targets = options.names();
            }
        }
        Ok(columns)
    }

    /// Refuses embeddings where the family has none, or none of the variant's place alone.
    pub(super) fn check_embeddings(&self, of_variant: bool) -> Result<(), Usage> {
        let problem = match self {
            Self::Regulatory(choices) if choices.regulatory.features == 0 => {
                "this model was added before regulatory models had embeddings; add it again under another name"
            }
            Self::Encoder(_) if of_variant => {
                "embeddings of the variant's bins are those of regulatory models; use pooled"
            }
            Self::Encoder(_) | Self::Regulatory(_) => return Ok(()),
            Self::Splice(..) => "splice models have no embeddings; leave out --embeddings",
        };
        Err(Usage(problem.to_owned()))
    }

    /// What the input of the family's models is counted in.
    pub(super) fn input_unit(&self) -> &'static str {
        match self {
            Self::Encoder(_) => TOKEN,
            Self::Splice(..) | Self::Regulatory(_) => "base",
        }
    }

    /// The window that `asked` asks for, else `tuned`, else the family's.
    pub(super) fn window(
        &self,
        asked: Option<u32>,
        tuned: Option<u32>,
        scores: &[String],
    ) -> Result<u32, ScoreError> {
        match self {
            Self::Encoder(defaults) => defaults.window(asked, tuned, scores),
            Self::Splice(record, splice) => match asked {
                None => Ok(splice.context),
                Some(found) => Err(ScoreError::Window {
                    model: record.name.clone(),
                    found,
                    expected:
                        "leave out --window: outputs see a fixed context; --distance says how many there are"
                            .to_owned(),
                }),
            },
            Self::Regulatory(choices) => choices.window(asked.or(tuned)),
        }
    }

    /// The part of a block called `name`.
    pub(super) fn part(&self, name: &str) -> Result<AblatedPart, ScoreError> {
        match self {
            Self::Encoder(defaults) => defaults.part(name),
            Self::Splice(..) if AblatedPart::new(name).is_block() => Ok(AblatedPart::default()),
            Self::Splice(..) => Err(ScoreError::UnknownPart { part: name.to_owned(), known: vec!["block"] }),
            Self::Regulatory(_) if REGULATORY_PARTS.contains(&name) => Ok(AblatedPart::new(name)),
            Self::Regulatory(_) => {
                Err(ScoreError::UnknownPart { part: name.to_owned(), known: REGULATORY_PARTS.to_vec() })
            }
        }
    }

    /// What one variant of `recipe` takes.
    pub(super) fn cost(
        &self,
        record: &ModelRecord,
        recipe: &Recipe,
        embeddings: bool,
        ablation: bool,
    ) -> Result<Cost, ScoreError> {
        match (self, &recipe.splice) {
            (Self::Splice(_, splice), Some(options)) => Ok(splice_cost(record, splice, options, ablation)),
            (Self::Regulatory(choices), _) => {
                Ok(regulatory_cost(record, choices.regulatory, recipe, ablation))
            }
            _ => encoder_cost(record, recipe, embeddings, ablation),
        }
    }

    /// Loads the model onto every device and runs `task` with it.
    pub(super) fn run<T: ModelTask>(&self, loading: &Loading<'_>, task: T) -> anyhow::Result<T::Output> {
        if let Self::Splice(_, splice) = self {
            let load = |device: &Device| load_splice(loading, *device);
            let models = loading.devices.iter().map(load).collect::<anyhow::Result<Vec<SpliceModel>>>()?;
            let recipe =
                loading.recipe.splice.as_ref().context("a recipe of a splice model lacks its options")?;
            ensure!(
                recipe.distance < splice.context / 2,
                "a recipe compares {} positions on either side; expected fewer than {}",
                recipe.distance,
                splice.context / 2
            );
            let options = SpliceOptions::new(recipe, loading.checked_genes(recipe.genes)?);
            return task.run(&SpliceScorer::new(options, splice.context), models);
        }
        if let Self::Regulatory(choices) = self {
            let options = choices.options(loading.recipe)?;
            let options = Arc::new(if loading.embeddings { options.with_embeddings() } else { options });
            choices.check_files(loading)?;
            let load = |device: &Device| choices.load(loading, &options, *device);
            let models = loading.devices.iter().map(load).collect::<anyhow::Result<Vec<_>>>()?;
            let named = loading.recipe.regulatory.as_ref().and_then(|recipe| recipe.genes);
            return task.run(&RegulatoryScorer::new(options, loading.checked_genes(named)?), models);
        }
        let load = |device: &Device| load_encoder(loading, *device);
        let models = loading.devices.iter().map(load).collect::<anyhow::Result<Vec<Model>>>()?;
        let first = models.first().context("no device was named; this is a bug")?;
        let scorer = EncoderScorer::new(first, loading.recipe, loading.embeddings, loading.batch_tokens)?;
        task.run(&scorer, models)
    }
}

impl Loading<'_> {
    /// The table of genes, which must be the one that a recipe names.
    fn checked_genes(&self, named: Option<Digest>) -> anyhow::Result<Option<Arc<GeneTable>>> {
        ensure!(
            self.genes.as_ref().map(|genes| genes.digest()) == named,
            "the table of genes is not the one that the track was scored with; give it with --genes"
        );
        Ok(self.genes.clone())
    }
}

fn load_encoder(loading: &Loading<'_>, device: Device) -> anyhow::Result<Model> {
    let source = source_of(loading.store, loading.record);
    let kind = match loading.recipe.dtype {
        Dtype::F32 | Dtype::Tf32 => Kind::Float,
        Dtype::Bf16 => Kind::BFloat16,
    };
    let model = Model::load(&source, device, kind).with_context(|| cannot_load(loading.record, &source))?;
    check_unchanged(loading, Digest::from(model.description().id))?;
    Ok(model)
}

fn load_splice(loading: &Loading<'_>, device: Device) -> anyhow::Result<SpliceModel> {
    let source = source_of(loading.store, loading.record);
    let model = load_splice_model(&source, device).and_then(|model| {
        let record = splice_record(&loading.record.name, &source, loading.record.checkpoint.clone())?;
        Ok((model, record))
    });
    let (model, record) = model.with_context(|| cannot_load(loading.record, &source))?;
    check_unchanged(loading, record.id)?;
    ensure!(
        record.architecture == loading.record.architecture,
        "the record of model `{}` is not that of its files; add them as a new model",
        record.name
    );
    Ok(model)
}

/// That a model cannot be loaded, and how files are had again that came from the hub.
pub(super) fn cannot_load(record: &ModelRecord, source: &ModelSource) -> String {
    let text = format!("cannot load model `{}` from {}", record.name, source.checkpoint.display());
    let lost = |folder: Option<&PathBuf>| folder.is_some_and(|folder| !folder.is_dir());
    let hub = record.hub.as_ref().filter(|_| lost(Some(&source.checkpoint)));
    let adapter = record.adapter_hub.as_ref().filter(|_| lost(source.adapter.as_ref()));
    let flags = [("--hub", hub), ("--hub-adapter", adapter)];
    let flags: Vec<String> =
        flags.iter().filter_map(|(flag, origin)| Some(format!("`{flag} {}`", origin.as_ref()?))).collect();
    if flags.is_empty() {
        return text;
    }
    format!(
        "{text}: it is no longer in the cache of the hub; repeat `vestore model add` with {}",
        flags.join(" and ")
    )
}

/// What the catalog records of the model `name` in these files, whose folders are `checkpoint` and `adapter`, with the
/// head of a regulatory model; and the prefix that a wrapper around the model left on all weights.
pub(super) fn describe_model(
    name: &str,
    source: &ModelSource,
    checkpoint: String,
    adapter: Option<String>,
    choice: HeadChoice<'_>,
) -> anyhow::Result<(ModelRecord, Option<String>)> {
    if is_regulatory_model(source)? {
        return Ok((describe_regulatory(name, source, (checkpoint, adapter), choice)?, None));
    }
    ensure!(
        choice.head.is_none() && choice.targets.is_none(),
        Usage("--head and --targets are for regulatory models".to_owned())
    );
    if is_splice_model(source)? {
        return Ok((splice_record(name, source, checkpoint)?, None));
    }
    let description = describe(source)?;
    let wrapper = description.wrapper.clone();
    Ok((record_of(name, description, checkpoint, adapter), wrapper))
}

/// Refuses files that are no longer those that were added.
pub(super) fn check_unchanged(loading: &Loading<'_>, id: Digest) -> anyhow::Result<()> {
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
