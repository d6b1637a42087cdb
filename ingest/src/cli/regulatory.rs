//! Regulatory models on the command line: the options of `vestore score` that only they have, their tables of targets,
//! and how they are loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use vestore::Store;
use vestore_ingest::{
    Device, Kind, ModelSource, RegulatoryConfig, RegulatoryFamily, RegulatoryModel, RegulatoryOptions,
    TargetTable, TargetsSource, choose_targets, regulatory_config, regulatory_defaults, regulatory_record,
    regulatory_targets, regulatory_window, source_of, transfer_settings,
};
use vestore_schema::{
    Bins, Dtype, Head, Indels, MAX_SHIFTS, Model as ModelRecord, Recipe, RegulatoryRecipe, RegulatoryRecord,
    StrandPairs, Strands, Untransform,
};

use super::family::{Family, Loading, cannot_load, check_unchanged};
use super::shared::{Usage, one_of, say};
use super::tuned::Tuned;

/// The table of targets beside a checkpoint, as the models' authors call it.
const TARGETS: &str = "targets.txt";

/// Where their options stand in the help.
const HEADING: &str = "Regulatory models";

#[derive(clap::Args)]
pub(super) struct RegulatoryArguments {
    /// Predict windows shifted by these numbers of bases, and use the mean; write --shifts=-1,0,1 with `=`
    #[arg(long, value_name = "BP,…", value_delimiter = ',', allow_hyphen_values = true, help_heading = HEADING)]
    shifts: Vec<i32>,
    /// Also predict indels shifted back, and use the mean (compensate) or join both at the variant (stitch), or do
    /// not (plain); compensate by default
    #[arg(long, value_parser = one_of(&Indels::ALL, Indels::as_str), help_heading = HEADING)]
    indels: Option<Indels>,
    /// Undo the transform of the training data: that of published models (old), of newer ones (new), or none; by
    /// default new for models of `vestore train transfer`, old for other models with a table of targets, none without
    #[arg(long, value_parser = one_of(&Untransform::ALL, Untransform::as_str), help_heading = HEADING)]
    untransform: Option<Untransform>,
    /// Merge the two strands of an experiment into one target, or keep both; merge by default
    #[arg(long, value_parser = one_of(&StrandPairs::ALL, StrandPairs::as_str), help_heading = HEADING)]
    strand_pairs: Option<StrandPairs>,
    /// Compare the bins in the middle of the window, as many as config.json says, or all but 16 on each side; by
    /// default as the model was transferred, else center
    #[arg(long, value_parser = one_of(&Bins::ALL, Bins::as_str), help_heading = HEADING)]
    bins: Option<Bins>,
    /// Compute only targets whose name or description matches this pattern with * and ?; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = HEADING)]
    target: Vec<String>,
    /// Start windows at multiples of this step, so that neighbouring variants share a prediction of the reference
    #[arg(long, value_name = "BP", help_heading = HEADING)]
    share: Option<u32>,
}

/// What a regulatory model of the catalog leaves open.
pub(super) struct RegulatoryChoices<'a> {
    record: &'a ModelRecord,
    pub(super) regulatory: &'a RegulatoryRecord,
    pub(super) config: RegulatoryConfig,
    table: Option<TargetTable>,
}

impl<'a> RegulatoryChoices<'a> {
    /// Reads the configuration of `record` and its table of targets, which must be the one that was added.
    pub(super) fn of(
        store: &Store,
        record: &'a ModelRecord,
        regulatory: &'a RegulatoryRecord,
    ) -> anyhow::Result<Self> {
        let source = source_of(store, record);
        let config = regulatory_config(&source).with_context(|| cannot_load(record, &source))?;
        let table = match &regulatory.targets_file {
            None => None,
            Some(file) => {
                let file = store.model_path(record, file);
                let table = TargetTable::read(&file, needs_numbers(&config))?;
                let same =
                    Some(table.digest()) == regulatory.targets_digest && table.count() == regulatory.targets;
                ensure!(
                    same,
                    "the table of targets of model `{}`, {}, has changed since it was added; restore it, or add the \
                     files as a new model",
                    record.name,
                    file.display()
                );
                Some(table)
            }
        };
        Ok(Self { record, regulatory, config, table })
    }

    /// The window that `asked` asks for, else that of the published models.
    pub(super) fn window(&self, asked: Option<u32>) -> Result<u32, vestore_ingest::ScoreError> {
        let found = asked.unwrap_or_else(|| regulatory_window(&self.config));
        let model = self.record.name.clone();
        match self.config.check_window(found) {
            Ok(()) => Ok(found),
            Err(expected) => Err(vestore_ingest::ScoreError::Window { model, found, expected }),
        }
    }

    /// A recipe, resolved.
    pub(super) fn options(&self, recipe: &Recipe) -> anyhow::Result<RegulatoryOptions> {
        Ok(RegulatoryOptions::new(&self.config, self.regulatory.targets, recipe, self.table.as_ref())?)
    }

    fn is_enformer(&self) -> bool {
        self.config.family() == RegulatoryFamily::Enformer
    }

    /// Loads the model onto a device with what `options` read.
    pub(super) fn load(
        &self,
        loading: &Loading<'_>,
        options: &Arc<RegulatoryOptions>,
        device: Device,
    ) -> anyhow::Result<RegulatoryModel> {
        let kind = match loading.recipe.dtype {
            Dtype::F32 | Dtype::Tf32 => Kind::Float,
            Dtype::Bf16 => Kind::BFloat16,
        };
        let source = source_of(loading.store, loading.record);
        let head = self.regulatory.head;
        RegulatoryModel::load(&source, head, Arc::clone(options), kind, device)
            .with_context(|| cannot_load(loading.record, &source))
    }

    /// Refuses files that are no longer those that were added.
    pub(super) fn check_files(&self, loading: &Loading<'_>) -> anyhow::Result<()> {
        let Loading { store, record, .. } = loading;
        let RegulatoryRecord { head, targets_file, targets_digest, .. } = self.regulatory;
        let table = targets_file.clone().zip(*targets_digest);
        let table = table.map(|(file, digest)| TargetsSource { file, digest });
        let places = (record.checkpoint.clone(), record.adapter.clone());
        let source = source_of(store, record);
        let found = regulatory_record(&record.name, &source, places.0, places.1, *head, table)?;
        check_unchanged(loading, found.id)?;
        ensure!(
            found.architecture == record.architecture,
            "the record of model `{}` is not that of its files; add them as a new model",
            record.name
        );
        Ok(())
    }
}

/// Whether numbers depend on a table of targets, not only names.
fn needs_numbers(config: &RegulatoryConfig) -> bool {
    config.family() != RegulatoryFamily::Enformer
}

impl RegulatoryArguments {
    /// Whether bins, and what undoes a transform, are given, or are nothing that the family has.
    pub(super) fn settled(&self, family: &Family<'_>) -> [bool; 2] {
        let without = !matches!(family, Family::Regulatory(choices) if !choices.is_enformer());
        [without || self.bins.is_some(), without || self.untransform.is_some()]
    }

    /// Adds to a recipe what its family needs of these; what is not given is as the model was `tuned`.
    pub(super) fn complete(
        &self,
        recipe: &mut Recipe,
        family: &Family<'_>,
        tuned: Tuned,
    ) -> anyhow::Result<()> {
        let of_unet = self.indels.is_some()
            || self.untransform.is_some()
            || self.strand_pairs.is_some()
            || self.bins.is_some();
        let given = of_unet || !self.shifts.is_empty() || !self.target.is_empty() || self.share.is_some();
        let Family::Regulatory(choices) = family else {
            let options = "--shifts, --indels, --untransform, --strand-pairs, --bins, --target and --share are for \
                 regulatory models";
            ensure!(!given, Usage(options.to_owned()));
            return Ok(());
        };
        if choices.is_enformer() {
            let options = "--indels, --untransform, --strand-pairs and --bins are for Borzoi and Flashzoi";
            ensure!(!of_unet, Usage(options.to_owned()));
        }
        let table = choices.table.as_ref();
        let mut resolved = regulatory_defaults(&choices.config, table.is_some());
        if !self.shifts.is_empty() {
            resolved.shifts = self.checked_shifts(recipe.window)?;
        }
        resolved.indels = self.indels.or(resolved.indels);
        let own = |bins: Bins| self.bins.or(tuned.bins).unwrap_or(bins);
        resolved.bins = resolved.bins.map(own);
        resolved.untransform =
            resolved.untransform.map(|untransform| tuned.untransform.unwrap_or(untransform));
        self.settle_table(&mut resolved, choices, recipe.strands)?;
        let merges = resolved.strand_pairs == Some(StrandPairs::Merge);
        let chosen = choose_targets(&self.target, choices.regulatory.targets, table, merges);
        resolved.targets = chosen.map_err(|error| Usage(error.to_string()))?;
        if let Some(step) = self.share {
            let most = recipe.window / 2;
            let expected =
                format!("invalid step {step} of --share; expected 1 to {most}, half of the window");
            ensure!((1..=most).contains(&step), Usage(expected));
            resolved.share = Some(step);
        }
        recipe.regulatory = Some(resolved);
        Ok(())
    }

    /// Distinct shifts within the window, ascending.
    fn checked_shifts(&self, window: u32) -> anyhow::Result<Vec<i32>> {
        let mut shifts = self.shifts.clone();
        shifts.sort_unstable();
        let typed: Vec<String> = self.shifts.iter().map(i32::to_string).collect();
        let fit = shifts.is_sorted_by(|left, right| left < right)
            && shifts.iter().all(|shift| shift.unsigned_abs() < window / 2)
            && shifts.len() <= MAX_SHIFTS;
        let expected = format!(
            "invalid shifts `{}`; expected at most {MAX_SHIFTS} distinct numbers of bases, each less than half of the \
             window",
            typed.join(",")
        );
        ensure!(fit, Usage(expected));
        Ok(shifts)
    }

    /// What only a table of targets allows.
    fn settle_table(
        &self,
        resolved: &mut RegulatoryRecipe,
        choices: &RegulatoryChoices<'_>,
        strands: Strands,
    ) -> anyhow::Result<()> {
        if resolved.untransform.is_some() {
            resolved.untransform = self.untransform.or(resolved.untransform);
            resolved.strand_pairs = self.strand_pairs.or(resolved.strand_pairs);
            return Ok(());
        }
        let needs = |what: &str| {
            let model = &choices.record.name;
            Usage(format!(
                "{what} needs the table of targets of model `{model}`, which was added without one; add it with \
                 --targets"
            ))
        };
        ensure!(
            self.untransform.is_none_or(|untransform| untransform == Untransform::None),
            needs("--untransform")
        );
        ensure!(
            self.strand_pairs.is_none_or(|pairs| pairs == StrandPairs::Keep),
            needs("--strand-pairs merge")
        );
        if !choices.is_enformer() && strands == Strands::Both {
            bail!(Usage(format!(
                "both strands need the table of targets of model `{}`, which says which two targets are the strands of \
                 one experiment; use --strands forward, or add the model with --targets",
                choices.record.name
            )));
        }
        Ok(())
    }
}

/// The head and table of targets that `vestore model add` names.
#[derive(Clone, Copy, Default)]
pub(super) struct HeadChoice<'a> {
    pub(super) head: Option<Head>,
    pub(super) targets: Option<&'a Path>,
    /// Whether the model that it derives from decided already: without a table there it has none.
    pub(super) inherited: bool,
}

/// What the catalog records of a regulatory model in these files.
pub(super) fn describe_regulatory(
    name: &str,
    source: &ModelSource,
    (checkpoint, adapter): (String, Option<String>),
    choice: HeadChoice<'_>,
) -> anyhow::Result<ModelRecord> {
    let head = choice.head.unwrap_or_default();
    let config = regulatory_config(source)?;
    let count = regulatory_targets(source, head)?;
    let beside = source.checkpoint.join(TARGETS);
    let file = match choice.targets {
        Some(file) => Some(file.to_owned()),
        None => (!choice.inherited && beside.is_file()).then_some(beside),
    };
    let table = file.map(|file| table_of(&file, &config, (head, count), choice)).transpose()?.flatten();
    let record = regulatory_record(name, source, checkpoint, adapter, head, table)?;
    let folder = source.adapter.as_ref().unwrap_or(&source.checkpoint);
    Ok(ModelRecord { training: transfer_settings(folder), ..record })
}

/// The table of a head. One that lies beside the checkpoint and is not of the mouse head is not that head's table.
fn table_of(
    file: &Path,
    config: &RegulatoryConfig,
    (head, count): (Head, u32),
    choice: HeadChoice<'_>,
) -> anyhow::Result<Option<TargetsSource>> {
    let table = TargetTable::read(file, needs_numbers(config))?;
    if table.count() != count {
        let found = format!(
            "{} lists {} targets, and the {} head has {count}",
            file.display(),
            table.count(),
            head.as_str()
        );
        ensure!(
            head == Head::Mouse && choice.targets.is_none(),
            "{found}; give the table of that head with --targets"
        );
        say(format_args!("{found}: it is not used; give the table of that head with --targets"));
        return Ok(None);
    }
    let file = std::path::absolute(file).with_context(|| format!("cannot find {}", file.display()))?;
    let text = file.to_str().with_context(|| format!("{} is not valid UTF-8; rename it", file.display()))?;
    Ok(Some(TargetsSource { file: text.to_owned(), digest: table.digest() }))
}

/// Files of a copy with the table of targets among them: as `targets.txt` in the folder of the checkpoint, where the
/// record then finds it.
pub(super) fn with_table(files: Vec<(PathBuf, String)>, table: Option<PathBuf>) -> Vec<(PathBuf, String)> {
    let Some(table) = table else { return files };
    let place = table_place("checkpoint");
    let others = files.into_iter().filter(|(_, other)| *other != place);
    others.chain([(table, place.clone())]).collect()
}

/// Where the table of targets lies in the folder of a checkpoint.
pub(super) fn table_place(checkpoint: &str) -> String {
    format!("{checkpoint}/{TARGETS}")
}
